"""Answers: who may give them, what fits, the first one wins, and the run goes on or waits in line."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from athena_core.decider import Key
from athena_core.domain import plane, run
from athena_core.domain.halt import HaltBody
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.errors import (
    AskChanged,
    AskDecided,
    AskEnded,
    AskExpired,
    AskNotEditable,
    AthenaError,
    AuthzDeniedError,
    ConfigError,
    ExactNotOpened,
    NotFound,
)
from athena_core.event import Position
from athena_core.outside_text import HiddenSpan
from athena_core.services.asks.answers import DAY_MS, EDITED_BYTES_MAX
from athena_core.services.halts import Halts
from athena_core.tools.approval import call_sha256
from athena_core.values import Identity, Role, Scope
from tests.core.services.asks.plane import ADA, GRACE, META, AskingPlane
from tests.support.events.ask import DRY, PERMISSION, PUSH
from tests.support.events.run import COMPLETED

RESUMED = ["run.answered", "run.resumed", "run.leased", "run.started"]
ROOT = Identity(subject="root", role=Role.ADMIN)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[AskingPlane]:
    found = AskingPlane(tmp_path)
    yield found
    found.close()


# The run goes on


async def test_a_parked_run_goes_on_in_the_commit_of_its_last_answer(at: AskingPlane) -> None:
    await at.begin("run_1", "s")
    first, second = await at.ask("run_1", "s", "ask_1"), await at.ask("run_1", "s", "ask_2")
    await at.park("run_1", "s")
    await at.answer(first, note="fine")
    assert at.types() == ["run.answered"]
    await at.answer(second, "deny")
    assert at.types() == ["run.answered", *RESUMED]
    assert at.executor.taken_up == ["run_1", "run_1"]
    answered = [event for event in at.recorded("run_1") if isinstance(event, run.RunAnswered)]
    assert [(one.ask_id, one.option_id, one.by, one.note) for one in answered] == [
        ("ask_1", "allow", "grace", "fine"),
        ("ask_2", "deny", "grace", None),
    ]


async def test_a_held_run_is_left_to_its_executor(at: AskingPlane) -> None:
    await at.begin("run_1", "s")
    await at.answer(await at.ask("run_1", "s"))
    assert at.types(after="run.asked") == ["run.answered"]


async def test_an_answer_during_a_halt_is_recorded_and_its_run_goes_on_after_it(at: AskingPlane) -> None:
    halts = Halts(at.log, at.reader, at.executor)
    first, second = await at.parked(), await at.parked("run_2", "t")
    await halts.start(HaltBody(reason="wrong prices"), GRACE, META, None)
    await at.answer(second)
    await at.answer(first)
    for run_id in ("run_1", "run_2"):
        assert at.types(run_id) == ["run.answered", "run.requeued"]
        requeued = at.recorded(run_id)[-1]
        assert isinstance(requeued, run.RunRequeued)
        assert requeued.reason == "halted"
    await halts.lift(ROOT, META, None)
    last = [row for run_id in ("run_1", "run_2") for row in at.reader.stream(run_id)[-1:]]
    assert [row.type for row in last] == ["run.resumed"] * 2
    assert last[1].position < last[0].position, "in the order of their answers"


async def test_without_a_slot_the_run_waits_in_line_and_goes_on_before_later_ones(at: AskingPlane) -> None:
    asked = await at.parked()
    await at.begin("run_2", "t")
    await at.limit(1)
    await at.answer(asked)
    assert at.types() == ["run.answered", "run.requeued"]
    queued = run.RunQueued(
        reason="concurrency",
        **{name: getattr(at.recorded("run_2")[0], name) for name in run.RunRequest.__struct_fields__},
    )
    await at.record("run_3", "u", msgspec.structs.replace(queued, session_id="u"))
    await at.command("run_2", run.EndRun(token=1, last=(), ending=COMPLETED))
    assert at.types() == ["run.answered", "run.requeued", "run.resumed"]
    assert at.types("run_3", "run.queued") == []
    resumed = at.recorded("run_1")[-1]
    assert isinstance(resumed, run.RunResumed)
    assert resumed.requested_by == "exe_1"


async def test_without_room_at_the_executor_the_run_waits_for_it(tmp_path: Path) -> None:
    at = AskingPlane(tmp_path, runs_max=1)
    try:
        asked = await at.parked()
        await at.begin("run_2", "t")
        await at.answer(asked)
        requeued = at.recorded("run_1")[-1]
        assert isinstance(requeued, run.RunRequeued)
        assert requeued.reason == "executor"
        await at.command("run_2", run.EndRun(token=1, last=(), ending=COMPLETED))
        assert at.types()[-1] == "run.resumed"
    finally:
        at.close()


async def test_a_run_that_waits_in_line_is_cancelled_like_any_other(at: AskingPlane) -> None:
    asked = await at.parked()
    await at.begin("run_2", "t")
    await at.limit(1)
    await at.answer(asked)
    await at.command("run_1", run.CancelRun(by_run="run_1"))
    await at.command("run_2", run.EndRun(token=1, last=(), ending=COMPLETED))
    assert at.types() == ["run.answered", "run.requeued", "run.cancel.requested", "run.cancelled"]


# The first answer wins


async def test_of_answers_at_once_one_wins_and_the_others_learn_who_was_first(at: AskingPlane) -> None:
    asked = await at.parked()
    people = [Identity(subject=f"op{number}", role=Role.OPERATOR) for number in range(8)]
    results = await asyncio.gather(*(at.answer(asked, who=one) for one in people), return_exceptions=True)
    lost = [one for one in results if isinstance(one, AskDecided)]
    assert len(lost) == 7
    (winner,) = [event for event in at.recorded("run_1") if isinstance(event, run.RunAnswered)]
    for error in lost:
        details: Any = error.details
        assert details["by"] == winner.by
        assert details["optionId"] == "allow"
        assert f"{winner.by} chose 'allow'" in error.message
        assert details["at"] in error.message


async def test_the_same_key_gets_the_same_answer_again(at: AskingPlane) -> None:
    asked = await at.parked()
    key = Key.of("grace", "answerAsk", "key", b"body")
    first = await at.answer(asked, key=key)
    again = await at.answer(asked, key=key)
    assert not first.replayed
    assert again.replayed
    assert again.subject == first.subject == "ask_run_1"


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (run.CancelRun(by_run="run_1"), AskEnded),
        (run.EndRun(token=1, last=(), ending=run.RunFailed(code="X", retryable=False)), AskEnded),
    ],
    ids=["cancelled", "failed"],
)
async def test_an_ask_of_a_run_that_ended_is_over(
    at: AskingPlane, ending: run.RunCommand, error: type[AthenaError]
) -> None:
    await at.begin("run_1", "s")
    asked = await at.ask("run_1", "s")
    await at.command("run_1", ending)
    with pytest.raises(error):
        await at.answer(asked)


async def test_no_timeout_ends_a_run_while_it_asks(at: AskingPlane) -> None:
    await at.begin("run_1", "s")
    asked = await at.ask("run_1", "s")
    await at.command("run_1", run.EndRun(token=1, last=(), ending=run.RunTimedOut(timeout_ms=1)))
    await at.answer(asked)
    assert at.types(after="run.asked") == ["run.answered"]


async def test_an_answer_at_the_moment_of_the_expiry_comes_too_late(at: AskingPlane) -> None:
    asked = await at.parked()
    at.clock.advance(60_000)
    with pytest.raises(AskExpired):
        await at.answer(asked)
    await at.expire()
    assert at.types() == RESUMED
    with pytest.raises(AskExpired):
        await at.answer(asked)


async def test_an_expiry_before_its_time_changes_nothing(at: AskingPlane) -> None:
    await at.parked()
    at.clock.advance(59_999)
    await at.expire()
    assert at.types() == []


async def test_an_expiry_cancels_a_run_that_says_so(at: AskingPlane) -> None:
    await at.parked(on_expiry="cancel")
    at.clock.advance(60_000)
    await at.expire()
    assert at.types() == ["run.answered", "run.cancel.requested", "run.cancelled"]


async def test_an_expiry_asks_the_executor_of_a_held_run_to_cancel_it(at: AskingPlane) -> None:
    await at.begin("run_1", "s")
    await at.ask("run_1", "s", on_expiry="cancel")
    at.clock.advance(60_000)
    await at.expire()
    assert at.types(after="run.asked") == ["run.answered", "run.cancel.requested"]


async def test_another_hash_or_an_erased_text_is_not_approved(at: AskingPlane) -> None:
    asked = await at.parked()
    with pytest.raises(AskChanged):
        await at.answer(asked, subject_hash="00" * 32)
    await at.erase(asked)
    with pytest.raises(AskChanged, match="only be refused"):
        await at.answer(asked)
    await at.answer(asked, "deny")
    assert at.types() == RESUMED


async def test_a_position_without_an_ask_is_not_found(at: AskingPlane) -> None:
    await at.parked()
    for position in (1, 1_000):
        with pytest.raises(NotFound):
            await at.answer(position)


# What fits


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"option": None}, "optionId: is missing"),
        ({"option": "yes"}, "no option 'yes'"),
        ({"option": "allow", "values": {"a": 1}}, "values: only the answer to a question"),
        ({"option": "deny", "edited_arguments": {"command": ["git"]}}, "editedArguments: only an allowed call"),
        ({"edited_arguments": {}}, "editedArguments: "),
        ({"edited_arguments": {"command": "git"}}, "editedArguments: "),
        ({"edited_arguments": {"command": ["git"], "more": 1}}, "editedArguments: "),
        ({"edited_arguments": {"command": ["git", "push", "--force"]}}, "the profile denies this call"),
        ({"edited_arguments": {"command": ["x" * EDITED_BYTES_MAX]}}, "are larger than"),
        ({"edited_arguments": {"command": ["git"]}, "remember": "run"}, "cannot be combined"),
        ({"option": "deny", "remember": "run"}, "only an allowed call can be remembered"),
        ({"remember_for_ms": 60_000}, "rememberForMs: needs remember"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused(at: AskingPlane, body: dict[str, Any], error: str) -> None:
    asked = await at.parked()
    with pytest.raises(ConfigError, match=error):
        await at.answer(asked, **body)
    assert at.types() == []


async def test_edited_arguments_have_a_hash_of_their_own(at: AskingPlane) -> None:
    asked = await at.parked()
    await at.answer(asked, edited_arguments=msgspec.json.decode(DRY))
    (answered,) = [event for event in at.recorded("run_1") if isinstance(event, run.RunAnswered)]
    assert answered.arguments == DRY
    assert answered.edited_sha256 == call_sha256(answered.edited_salt or "", "shell", answered.arguments)


@pytest.mark.parametrize("part", ["hunter2-secret", "before hunter2-secret"])
async def test_what_a_person_enters_is_sent_as_it_is_or_refused(at: AskingPlane, part: str) -> None:
    asked = await at.parked()
    with pytest.raises(ConfigError, match="editedArguments: .*a secret"):
        await at.answer(asked, edited_arguments={"command": ["git", "push", "--dry-run", "-o", part]})
    await at.begin("run_2", "t")
    question = await at.question("run_2", "t")
    with pytest.raises(ConfigError, match="values: .*a secret") as refused:
        await at.answer(question, "answer", values={"branch": part})
    assert "credential" in str(refused.value.details)
    assert run.RunAnswered.TYPE not in at.types("run_2", run.RunStarted.TYPE)


# A hidden part

HIDING: dict[str, Any] = {
    "hidden": (HiddenSpan(chars=3, sha256="ab" * 32),),
    "exact": PUSH,
    "arguments": '{"command":["git","[hidden: 4 characters, sha256 abababababab]"]}',
}


async def opened(at: AskingPlane, asked: Position, who: Identity = GRACE) -> str | None:
    return (await at.answers.open_exact(asked, who, META))[0]


async def test_a_hidden_part_is_allowed_by_who_opened_it(at: AskingPlane) -> None:
    asked = await at.parked(**HIDING)
    with pytest.raises(ExactNotOpened, match=r"hides 3 characters.*asks/ask_run_1\?exact=true"):
        await at.answer(asked)
    assert await opened(at, asked, ROOT) == PUSH
    with pytest.raises(ExactNotOpened, match="grace has not opened"):
        await at.answer(asked)
    assert await opened(at, asked) == await opened(at, asked) == PUSH
    assert at.types() == ["run.ask.opened"] * 2, "one for each identity"
    with pytest.raises(ConfigError, match="can only be allowed once"):
        await at.answer(asked, remember="run")
    await at.answer(asked)
    assert at.types("run_1", "run.ask.opened") == RESUMED


async def test_a_hidden_part_is_denied_unopened(at: AskingPlane) -> None:
    asked = await at.parked(**HIDING)
    await at.answer(asked, "deny")
    assert at.types() == RESUMED


async def test_who_may_not_answer_opens_nothing(at: AskingPlane) -> None:
    asked = await at.parked(**HIDING)
    with pytest.raises(AuthzDeniedError):
        await opened(at, asked, ADA)
    assert run.RunAskOpened.TYPE not in at.types()


async def test_what_hides_nothing_or_is_decided_is_not_opened(at: AskingPlane) -> None:
    asked = await at.parked()
    assert await opened(at, asked) == PUSH
    hidden = await at.parked("run_2", "t", **HIDING)
    await at.answer(hidden, "deny")
    await opened(at, hidden)
    assert run.RunAskOpened.TYPE not in [row.type for row in at.reader.rows(0, 1_000)]


async def test_an_opening_counts_after_a_restart(tmp_path: Path) -> None:
    at = AskingPlane(tmp_path)
    asked = await at.parked(**HIDING)
    await opened(at, asked)
    at.close()
    at = AskingPlane(tmp_path)
    await at.answer(asked)
    await opened(at, asked)
    assert at.types().count("run.ask.opened") == 1
    at.close()


async def test_arguments_edited_to_what_they_were_are_not_edited(at: AskingPlane) -> None:
    asked = await at.parked()
    await at.answer(asked, edited_arguments=msgspec.json.decode(PUSH))
    (answered,) = [event for event in at.recorded("run_1") if isinstance(event, run.RunAnswered)]
    assert (answered.arguments, answered.edited_sha256) == (None, None)


async def test_a_call_that_another_program_makes_cannot_be_edited(at: AskingPlane) -> None:
    asked = await at.parked(origin="agent")
    with pytest.raises(AskNotEditable):
        await at.answer(asked, edited_arguments=msgspec.json.decode(DRY))


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (None, "are missing"),
        ({}, "values: "),
        ({"branch": 1}, "values: "),
        ({"branch": "main", "more": 1}, "values: "),
        ({"branch": {"$ref": "#"}}, "values: "),
        ({"branch": "x" * 70_000}, "are larger than"),
    ],
)
async def test_values_that_do_not_fill_in_the_form_are_refused(at: AskingPlane, values: Any, error: str) -> None:
    await at.begin("run_1", "s")
    asked = await at.question("run_1", "s")
    with pytest.raises(ConfigError, match=error):
        await at.answer(asked, "answer", values=values)


async def test_values_alone_answer_a_question(at: AskingPlane) -> None:
    await at.begin("run_1", "s")
    asked = await at.question("run_1", "s")
    await at.answer(asked, None, values={"force": True, "branch": "main"})
    (answered,) = [event for event in at.recorded("run_1") if isinstance(event, run.RunAnswered)]
    assert (answered.option_id, answered.values) == ("answer", '{"branch":"main","force":true}')


# Always


@pytest.mark.parametrize(("scope", "days"), [("run", 1), ("session", 7), ("profile", 30)])
async def test_always_creates_a_rule_with_the_answer(at: AskingPlane, scope: Any, days: int) -> None:
    asked = await at.parked()
    await at.answer(asked, remember=scope)
    request = at.recorded("run_1")[0]
    assert isinstance(request, run.RunCreated)
    (row,) = [row for row in at.reader.rows(0, 1_000) if row.type == PermissionRuleCreated.TYPE]
    (rule,) = at.recorded(row.stream)
    assert isinstance(rule, PermissionRuleCreated)
    assert (rule.scope, rule.ask_id, rule.by, rule.arguments) == (scope, "ask_run_1", "grace", PUSH)
    assert rule.expires_at_ms == at.clock.now() + days * DAY_MS
    assert (row.session_id, row.run_id) == ("s", "run_1"), "so that erasing the run erases it"
    assert await at.rules.match("run_1", request, PERMISSION) == rule.rule_id
    assert await at.rules.match("run_1", request, replace(PERMISSION, arguments=DRY)) is None
    others = {name for name in ("run_id", "session_id", "harness_profile_id") if getattr(rule, name)}
    assert len(others) == 1


async def test_a_lost_answer_creates_no_rule(at: AskingPlane) -> None:
    asked = await at.parked()
    await at.answer(asked, "deny")
    with pytest.raises(AskDecided):
        await at.answer(asked, remember="session")
    assert [row.type for row in at.reader.rows(0, 1_000) if row.stream.startswith("rule_")] == []


async def test_a_run_without_a_profile_of_its_own_has_no_rule_for_it(at: AskingPlane) -> None:
    await at.begin("run_1", "s", profile_named=False)
    asked = await at.ask("run_1", "s")
    with pytest.raises(ConfigError, match="no profile of its own"):
        await at.answer(asked, remember="profile")


# Who may answer

VIEWER = Identity(subject="vic", role=Role.VIEWER)
LOCKED_OUT = Identity(subject="ada", role=Role.NONE)


@pytest.mark.parametrize(
    ("who", "changes", "permission", "question"),
    [
        (GRACE, {}, True, True),
        (ROOT, {}, True, True),
        (VIEWER, {}, False, False),
        (ADA, {}, False, True),  # she started the run, and is a Viewer
        (GRACE, {"role": "Admin"}, False, False),
        (ROOT, {"role": "Admin"}, True, True),
        (ADA, {"role": "Admin"}, False, True),
        (GRACE, {"approvers": ("ada",)}, False, False),
        (ADA, {"approvers": ("ada",)}, False, True),  # a Viewer never allows a call
        (VIEWER, {"approvers": ("vic",)}, False, False),
        (GRACE, {"approvers": ("grace",)}, True, True),
        (ADA, {"not_requester": True}, False, False),
        (Identity(subject="ada", role=Role.ADMIN), {"not_requester": True}, False, False),
        (GRACE, {"not_requester": True}, True, True),
        (LOCKED_OUT, {}, False, False),
    ],
)
async def test_who_may_answer(
    at: AskingPlane, who: Identity, changes: dict[str, Any], permission: bool, question: bool
) -> None:
    for run_id, may in (("run_1", permission), ("run_2", question)):
        await at.begin(run_id, run_id)
        if run_id == "run_1":
            asked, given = await at.ask(run_id, run_id, "ask_1", **changes), {"option": "deny"}
        else:
            asked, given = await at.question(run_id, run_id, ask_id="ask_2", **changes), {"option": "decline"}
        if may:
            await at.answer(asked, who=who, **given)  # type: ignore[arg-type]
            continue
        with pytest.raises(AuthzDeniedError):
            await at.answer(asked, who=who, **given)  # type: ignore[arg-type]
        assert at.types(plane.STREAM, plane.AuthzDenied.TYPE) == ["safety.violation"]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (Scope(sessions=frozenset({"s"})), {"run", "session"}),
        (Scope(sessions=frozenset({"t"})), set()),
        (Scope(runs=frozenset({"run_1"})), {"run"}),
        (Scope(sessions=frozenset({"s"}), runs=frozenset({"run_1"})), {"run"}),
        (None, {"run", "session", "profile"}),
    ],
)
async def test_a_rule_reaches_no_further_than_the_scope_of_who_creates_it(
    at: AskingPlane, scope: Scope | None, allowed: set[str]
) -> None:
    await at.begin("run_1", "s")
    who = Identity(subject="grace", role=Role.OPERATOR, scope=scope)
    for target in ("profile", "session", "run"):
        asked = await at.ask("run_1", "s", f"ask_{target}")
        if target in allowed:
            await at.answer(asked, who=who, remember=target)
            continue
        with pytest.raises(AuthzDeniedError):
            await at.answer(asked, who=who, remember=target)
