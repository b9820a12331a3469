"""Permission rules: they allow one exact call, in their place, until they end or their text is erased."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.clock import FixedClock, SystemIds
from athena_core.decider import Context, Outcome, Reader, facts_of
from athena_core.definitions.profile import AskPolicy, FilesPolicy, McpPolicy, SandboxPolicy, ToolPolicies
from athena_core.domain import DECIDERS, plane, run
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.errors import NotFound
from athena_core.event import Meta
from athena_core.log.engine import open_store
from athena_core.log.writer import Log
from athena_core.outside_text import HiddenSpan
from athena_core.services.asks.rules import PermissionRules, bound_to, without_revoked
from athena_core.tools.approval import call_sha256, canonical
from athena_core.values import RuleBound
from tests.support.event_samples import CODEC
from tests.support.events.ask import PERMISSION
from tests.support.events.run import CREATED

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")
SALT = bytes(range(16)).hex()
PUSH = '{"command":["git","push"]}'
REQUEST = replace(CREATED, session_id="s", harness_profile_id="hp_1", profile_named=True)
BOUND = bound_to(REQUEST, "shell", None)


class Plane:
    """A log with permission rules."""

    def __init__(self, log: Log, clock: FixedClock) -> None:
        self.log = log
        self.clock = clock
        self.rules = PermissionRules(log)

    async def allow(
        self,
        rule_id: str = "rule_1",
        arguments: str = PUSH,
        tool: str = "shell",
        credentials: tuple[str, ...] | None = None,
        bound: RuleBound | None = BOUND,
        ran: str | None = None,
        **target: str,
    ) -> int:
        """Create a rule for shell that is in force for a minute. Return its position. The run ``ran`` asked."""
        (field,) = target
        scope = {"run_id": "run", "session_id": "session", "harness_profile_id": "profile"}[field]
        digest = call_sha256(SALT, tool, canonical(arguments))
        created = PermissionRuleCreated(
            rule_id=rule_id,
            scope=scope,  # type: ignore[arg-type]
            tool_name=tool,
            call_sha256=digest,
            ask_id="ask_1",
            by="ada",
            expires_at_ms=self.clock.now() + 60_000,
            arguments=arguments,
            call_salt=SALT,
            credentials=credentials,
            bound=bound,
        )
        created = replace(created, **target)
        outcome = Outcome(facts=facts_of(rule_id, (created,), run_id=ran))
        return (await self.log.submit(lambda reader, context: outcome, META)).position

    async def match(self, arguments: str = PUSH, tool: str = "shell", run_id: str = "run_1") -> str | None:
        return await self.rules.match(run_id, REQUEST, replace(PERMISSION, tool_name=tool, arguments=arguments))


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Plane]:
    ids, clock = SystemIds(), FixedClock()
    log = Log(open_store(tmp_path, None, ids), CODEC, DECIDERS, clock=clock, ids=ids)
    log.start()
    found = Plane(log, clock)
    yield found
    found.rules.close()
    log.close()


async def test_a_rule_allows_the_same_call_however_its_json_is_written(at: Plane) -> None:
    assert await at.match() is None
    await at.allow(session_id="s")
    assert await at.match() == "rule_1"
    assert await at.match('{ "command" : ["git", "pu\\u0073h"] }') == "rule_1"


@pytest.mark.parametrize(
    "arguments",
    [
        '{"command":["git","push","--force"]}',
        '{"command":["git push"]}',
        '{"command":["git","push"],"timeoutMs":1}',
        '{"command":["push","git"]}',
        "not JSON",
        "",
    ],
)
async def test_a_rule_allows_no_other_call(at: Plane, arguments: str) -> None:
    await at.allow(session_id="s")
    assert await at.match(arguments) is None
    assert await at.match(tool="http") is None


async def test_a_rule_allows_a_call_with_its_own_credentials_only(at: Plane) -> None:
    await at.allow(session_id="s", credentials=("github",))
    for credentials in (None, ("jira",), ("github", "jira")):
        assert await at.rules.match("run_1", REQUEST, replace(PERMISSION, credentials=credentials)) is None
    assert await at.rules.match("run_1", REQUEST, replace(PERMISSION, credentials=("github",))) == "rule_1"


async def test_a_rule_allows_calls_in_its_place_only(at: Plane) -> None:
    await at.allow("rule_1", run_id="run_2")
    await at.allow("rule_2", session_id="elsewhere")
    await at.allow("rule_3", harness_profile_id="hp_2")
    assert await at.match() is None
    assert await at.match(run_id="run_2") == "rule_1"
    await at.allow("rule_4", harness_profile_id="hp_1")
    assert await at.match() == "rule_4"
    unnamed = replace(REQUEST, profile_named=False)
    assert await at.rules.match("run_1", unnamed, PERMISSION) is None


def under(**changes: Any) -> run.RunCreated:
    """Return the request with another profile."""
    return replace(REQUEST, harness_profile_snapshot=replace(REQUEST.harness_profile_snapshot, **changes))


OTHERS: dict[str, run.RunCreated] = {
    "profile": replace(REQUEST, harness_profile_id="hp_2"),
    "version of the profile": under(display_name="another"),
    "sandbox": under(sandbox=SandboxPolicy(mode="required")),
    "network": under(sandbox=SandboxPolicy(mode="off", network="egress")),
    "workspace": under(workspace="session"),
    "role": under(asks=AskPolicy(role="Admin")),
    "approvers": under(asks=AskPolicy(approvers=("root",))),
    "requester": under(asks=AskPolicy(not_requester=True)),
    "rules of the tool": under(tool_policies=ToolPolicies(files=FilesPolicy(write=True))),
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_rule_is_bound_to_what_the_person_saw(at: Plane, other: str) -> None:
    await at.allow(session_id="s")
    assert await at.rules.match("run_1", REQUEST, PERMISSION) == "rule_1"
    assert await at.rules.match("run_1", OTHERS[other], PERMISSION) is None


async def test_the_model_of_a_run_may_be_another_one(at: Plane) -> None:
    await at.allow(session_id="s")
    config = replace(REQUEST.harness_profile_snapshot.config, model="another")
    assert await at.rules.match("run_1", under(config=config), PERMISSION) == "rule_1"


async def test_the_workspace_of_a_workflow_run_is_of_another_kind(at: Plane) -> None:
    own = under(workspace="workflow-run")
    await at.allow(session_id="s", bound=bound_to(own, "shell", None))
    assert await at.rules.match("run_1", own, PERMISSION) == "rule_1"
    assert await at.rules.match("run_1", replace(own, workflow_run_id="wfr_1"), PERMISSION) is None


MCP = under(mcp={"issues": McpPolicy(tools=("*",))})
CLOSE = replace(PERMISSION, tool_name="issues__close", tool_sha256="aa")


async def test_a_rule_for_an_mcp_tool_ends_with_its_description(at: Plane) -> None:
    await at.allow(session_id="s", tool="issues__close", bound=bound_to(MCP, "issues__close", "aa"))
    assert await at.rules.match("run_1", MCP, CLOSE) == "rule_1"
    assert await at.rules.match("run_1", MCP, replace(CLOSE, tool_sha256="bb")) is None


async def test_a_rule_allows_a_call_with_the_same_secrets_only(at: Plane) -> None:
    await at.allow(session_id="s")
    assert await at.rules.match("run_1", REQUEST, replace(PERMISSION, secrets=("OPENAI",))) is None


async def test_a_rule_answers_no_call_of_which_a_part_is_hidden(at: Plane) -> None:
    await at.allow(session_id="s")
    hidden = replace(PERMISSION, hidden=(HiddenSpan(chars=3, sha256="ab"),), exact=PERMISSION.arguments)
    assert await at.rules.match("run_1", REQUEST, hidden) is None


async def begun(at: Plane, run_id: str, actor: str, request: run.RunCreated) -> None:
    outcome = Outcome(facts=facts_of(run_id, (request,), session_id="s", run_id=run_id))
    await at.log.submit(lambda reader, context: outcome, replace(META, actor=actor))


async def test_a_rule_answers_only_what_its_creator_could_answer(at: Plane) -> None:
    """A rule of ada's answers no ask of her own runs, if who started a run may not answer its asks."""
    request = under(asks=AskPolicy(not_requester=True))
    await at.allow(session_id="s", bound=bound_to(request, "shell", None))
    await begun(at, "run_1", "bob", request)
    await begun(at, "run_2", "ada", request)
    asked = replace(PERMISSION, not_requester=True)
    assert await at.rules.match("run_1", request, asked) == "rule_1"
    assert await at.rules.match("run_2", request, asked) is None
    assert await at.rules.match("run_1", request, replace(asked, approvers=("root",))) is None


# Rules of older releases


async def test_an_old_rule_is_bound_to_all_that_its_run_had(at: Plane) -> None:
    await begun(at, "run_0", "ada", REQUEST)
    await at.allow(session_id="s", bound=None, ran="run_0")
    assert await at.rules.match("run_1", REQUEST, PERMISSION) == "rule_1"
    for other in OTHERS.values():
        assert await at.rules.match("run_1", other, PERMISSION) is None


async def test_an_old_rule_whose_run_is_unknown_allows_nothing(at: Plane) -> None:
    await at.allow(session_id="s", bound=None)
    assert await at.rules.match("run_1", REQUEST, PERMISSION) is None


@pytest.mark.parametrize(("pins", "allowed"), [({"issues": {"close": "aa"}}, True), ({}, False), (None, False)])
async def test_an_old_rule_for_an_mcp_tool_needs_the_hash_of_its_run(at: Plane, pins: Any, allowed: bool) -> None:
    await begun(at, "run_0", "ada", replace(MCP, mcp_tools=pins))
    await at.allow(session_id="s", tool="issues__close", bound=None, ran="run_0")
    assert (await at.rules.match("run_1", MCP, CLOSE) == "rule_1") is allowed
    assert await at.rules.match("run_1", MCP, replace(CLOSE, tool_sha256=None)) is None


async def test_a_rule_is_over_once_it_is_revoked_or_its_time_has_come(at: Plane) -> None:
    await at.allow("rule_1", session_id="s")
    await at.rules.expire("rule_1", META)
    assert await at.match() == "rule_1", "it has time left"
    await at.rules.revoke("rule_1", "grace", META, None)
    assert await at.match() is None
    await at.allow("rule_2", session_id="s")
    at.clock.advance(60_000)
    assert await at.match() is None
    with pytest.raises(NotFound):
        await at.rules.revoke("rule_3", "grace", META, None)
    with pytest.raises(NotFound):
        await at.rules.revoke("run_1", "grace", META, None)


async def test_a_rule_whose_text_was_erased_allows_nothing(at: Plane) -> None:
    position = await at.allow(session_id="s")
    assert await at.match() == "rule_1"
    erased = Outcome(
        facts=facts_of(plane.STREAM, (plane.PayloadRedacted(target=position, note="gone"),)), erase=(position,)
    )
    await at.log.submit(lambda reader, context: erased, META)
    at.rules.forget()
    assert await at.match() is None


async def test_an_answer_by_a_rule_that_ended_meanwhile_is_left_out(at: Plane) -> None:
    await at.allow("rule_1", session_id="s")
    await at.allow("rule_2", session_id="s")
    steps = tuple(
        run.RunAnswered(ask_id=f"ask_{rule}", subject_sha256="00", cause="rule", option_id="allow", rule_id=rule)
        for rule in ("rule_1", "rule_2")
    )
    await at.rules.revoke("rule_1", "grace", META, None)

    def left(reader: Reader, context: Context) -> Outcome[tuple[str, ...]]:
        return Outcome(answer=tuple(step.rule_id or "" for step in without_revoked(reader, context, steps)))  # type: ignore[union-attr]

    assert (await at.log.submit(left, META)).answer == ("rule_2",)
