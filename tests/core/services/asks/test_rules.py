"""Permission rules: they allow one exact call, in their place, until they end or their text is erased."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from athena_core.clock import FixedClock, SystemIds
from athena_core.decider import Context, Outcome, Reader, facts_of
from athena_core.domain import DECIDERS, plane, run
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.errors import NotFound
from athena_core.event import Meta
from athena_core.log.engine import open_store
from athena_core.log.writer import Log
from athena_core.services.asks.rules import PermissionRules, without_revoked
from athena_core.tools.approval import call_sha256, canonical
from tests.support.event_samples import CODEC
from tests.support.events.run import CREATED

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")
SALT = bytes(range(16)).hex()
PUSH = '{"command":["git","push"]}'
REQUEST = replace(CREATED, session_id="s", harness_profile_id="hp_1", profile_named=True)


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
        credentials: tuple[str, ...] | None = None,
        **target: str,
    ) -> int:
        """Create a rule for shell that is in force for a minute. Return its position."""
        (field,) = target
        scope = {"run_id": "run", "session_id": "session", "harness_profile_id": "profile"}[field]
        digest = call_sha256(SALT, "shell", canonical(arguments))
        created = PermissionRuleCreated(
            rule_id=rule_id,
            scope=scope,  # type: ignore[arg-type]
            tool_name="shell",
            call_sha256=digest,
            ask_id="ask_1",
            by="ada",
            expires_at_ms=self.clock.now() + 60_000,
            arguments=arguments,
            call_salt=SALT,
            credentials=credentials,
        )
        created = replace(created, **target)
        outcome = Outcome(facts=facts_of(rule_id, (created,)))
        return (await self.log.submit(lambda reader, context: outcome, META)).position

    async def match(self, arguments: str = PUSH, tool: str = "shell", run_id: str = "run_1") -> str | None:
        return await self.rules.match(run_id, REQUEST, tool, arguments)


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
        assert await at.rules.match("run_1", REQUEST, "shell", PUSH, credentials) is None
    assert await at.rules.match("run_1", REQUEST, "shell", PUSH, ("github",)) == "rule_1"


async def test_a_rule_allows_calls_in_its_place_only(at: Plane) -> None:
    await at.allow("rule_1", run_id="run_2")
    await at.allow("rule_2", session_id="elsewhere")
    await at.allow("rule_3", harness_profile_id="hp_2")
    assert await at.match() is None
    assert await at.match(run_id="run_2") == "rule_1"
    await at.allow("rule_4", harness_profile_id="hp_1")
    assert await at.match() == "rule_4"
    unnamed = replace(REQUEST, profile_named=False)
    assert await at.rules.match("run_1", unnamed, "shell", PUSH) is None


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
