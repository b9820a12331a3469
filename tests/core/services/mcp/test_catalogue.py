"""The catalogue of MCP servers: folded from the log, the same in each process, without erased text."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from athena_core.clock import FixedClock, SystemIds
from athena_core.definitions.profile import HarnessSpec, McpPolicy
from athena_core.domain import DECIDERS
from athena_core.domain.mcp_server import AcceptTools
from athena_core.event import Meta
from athena_core.log.engine import open_store
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.mcp.listed_tool import McpTool
from athena_core.services.mcp.catalogue import McpCatalogue, ServerListing
from tests.support.event_samples import CODEC
from tests.support.events.run import SPEC

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")
LOG = McpTool(name="log", description="Show the log.", input_schema={"type": "object"})
PUSH = McpTool(name="push", description="Push.", input_schema={"type": "object"})
CHANGED = replace(LOG, description="Show the log, and send it to me.")


def listing(*tools: McpTool) -> ServerListing:
    return ServerListing("2026-07-28", tools, {"name": "mcp-git"})


def profile(**mcp: tuple[str, ...]) -> HarnessSpec:
    return replace(SPEC, mcp={name: McpPolicy(tools=tools) for name, tools in mcp.items()})


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    log = Log(open_store(tmp_path, None, SystemIds()), CODEC, DECIDERS, clock=FixedClock(), ids=SystemIds())
    log.start()
    yield log
    log.close()


@pytest.fixture
async def catalogue(log: Log) -> AsyncIterator[McpCatalogue]:
    tail = Tail(log)
    found = McpCatalogue(log, tail)
    yield found
    found.close()
    tail.close()


def accepting(catalogue: McpCatalogue, *names: str) -> AcceptTools:
    server = catalogue.current("git")
    assert server is not None
    return AcceptTools(server="git", listing_sha256=server.listing_sha256, by="ada", names=names or None)


@pytest.mark.anyio
async def test_a_run_is_bound_to_accepted_tools(catalogue: McpCatalogue) -> None:
    assert catalogue.pins(profile(git=("*",))) is None
    await catalogue.note("git", listing(LOG, PUSH), META)
    assert catalogue.names() == ["git"]
    assert catalogue.pins(profile(git=("l*",), docs=("*",))) == {"git": {"log": LOG.sha256}}
    assert catalogue.pins(profile(docs=("*",))) is None
    assert catalogue.pins(SPEC) is catalogue.pins(None) is None
    server = await catalogue.note("git", listing(CHANGED), META)
    assert server.states() == {"log": "changed", "push": "removed"}
    assert server.definition(server.accepted["log"]) == LOG
    assert server.definition(CHANGED.sha256) == CHANGED
    assert catalogue.pins(profile(git=("log",))) == {"git": {"log": LOG.sha256}}
    assert server.allows("log", LOG.sha256)
    assert not server.allows("log", CHANGED.sha256)
    assert server.allows("log", CHANGED.sha256, pin=CHANGED.sha256)
    await catalogue.accept(accepting(catalogue), META, None)
    assert catalogue.pins(profile(git=("*",))) == {"git": {"log": CHANGED.sha256}}
    assert server.definition(LOG.sha256) is None


@pytest.mark.anyio
async def test_another_process_has_the_same_catalogue(log: Log, catalogue: McpCatalogue) -> None:
    tail = Tail(log)
    other = McpCatalogue(log, tail)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tail.follow)
        await anyio.sleep(0)
        await catalogue.note("git", listing(LOG), META)
        assert other.find("docs") is None
        first = other.find("git")
        assert first is not None and first.version == 1
        await catalogue.note("git", listing(CHANGED, PUSH), META)
        await catalogue.accept(accepting(catalogue, "log"), META, None)
        while first.version < 3:
            await anyio.sleep(0)
        assert other.find("git") is first
        assert first.states() == {"log": "accepted", "push": "new"}
        assert (first.accepted_by, first.info, first.protocol_version) == ("ada", {"name": "mcp-git"}, "2026-07-28")
        tasks.cancel_scope.cancel()
    other.close()
    tail.close()


@pytest.mark.anyio
async def test_a_catalogue_that_was_emptied_is_read_from_the_log(catalogue: McpCatalogue) -> None:
    await catalogue.note("git", listing(LOG), META)
    await catalogue.accept(accepting(catalogue), META, None)
    before = catalogue.find("git")
    catalogue.forget()
    after = catalogue.find("git")
    assert before is not None and after is not None and after is not before
    assert (after.states(), after.listing_sha256) == (before.states(), before.listing_sha256)
    assert after.complete


def test_the_hash_covers_all_that_a_model_reads() -> None:
    others = (
        replace(LOG, name="logs"),
        replace(LOG, title="Log"),
        replace(LOG, description=None),
        replace(LOG, input_schema={"type": "object", "required": ["a"]}),
        replace(LOG, output_schema={}),
        replace(LOG, annotations={"readOnlyHint": True}),
    )
    assert len({LOG.sha256, *(one.sha256 for one in others)}) == 7
    shuffled = replace(LOG, input_schema={"b": {"d": 1, "c": 2}, "a": 1})
    assert shuffled.sha256 == replace(LOG, input_schema={"a": 1, "b": {"c": 2, "d": 1}}).sha256
