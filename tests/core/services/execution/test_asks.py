"""Asks of the loop: raised in the turn's commit, held, parked, answered, and the call that is made or not."""

from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import run
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.event import Fact
from athena_core.log.port import StoredGuard
from athena_core.services.asks import raising
from athena_core.services.asks.rules import bound_to
from athena_core.services.execution.requested_calls import ASKS_MAX
from athena_core.tools.approval import call_sha256, question_sha256
from athena_core.values import LOCAL, RunBody
from tests.core.services.execution.plane import META, Plane, at_work
from tests.support.api import PATIENCE_SECONDS
from tests.support.model import Profile, Step, call

ECHO: Step = call("shell", command=["/bin/sh", "-c", "echo done >> effects.txt"])
READ: Step = call("files", action="read", path="notes.txt")
ASKING = Profile(tools=("files", "shell", "ask_user"), approval="ask")
PARKING = ASKING._replace(asks={"holdMs": 0})
PATIENCE_MS = 20_000


def rows_at_start(plane: Plane) -> list[StoredGuard]:
    """Return the rows that a start of a server reads, beside the last row of the log."""
    reader = plane.parts.log.reader()
    try:
        return reader.guards()
    finally:
        reader.close()


async def test_an_allowed_call_is_made_once_while_the_run_keeps_its_lease(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        assert not plane.effects.exists()
        assert plane.parts.runs.state(run_id).executor
        await plane.answer(run_id)
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        assert plane.types(run_id)[4:] == [
            *("run.asked", "usage.recorded", "run.answered", "tool.called", "transcript.appended"),
            *("transcript.appended", "usage.recorded", "run.completed"),
        ]
        (asked,) = (event for event in plane.events(run_id) if isinstance(event, run.RunAsked))
        (called,) = (event for event in plane.events(run_id) if isinstance(event, run.ToolCalled))
        assert asked.subject_sha256 == call_sha256(asked.subject_salt or "", "shell", asked.arguments or "")
        assert (called.ask_id, called.arguments) == (asked.ask_id, asked.arguments)
        assert plane.effects.read_text() == "done\n"
        roles = [message["role"] for message in plane.model.requests[-1]["messages"]]
        assert roles == ["user", "assistant", "tool"], "the model requested one call"


async def test_the_shown_call_runs_though_the_model_names_a_member_twice(tmp_path: Path) -> None:
    twice = '{ "command": ["touch", "harmless.txt"], "command": ["/bin/sh", "-c", "echo done >> effects.txt"] }'
    async with at_work(tmp_path, (("shell", twice),), "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        (asked,) = (event for event in plane.events(run_id) if isinstance(event, run.RunAsked))
        assert asked.arguments == '{"command":["/bin/sh","-c","echo done >> effects.txt"]}'
        await plane.answer(run_id)
        await plane.ended(run_id)
        (called,) = (event for event in plane.events(run_id) if isinstance(event, run.ToolCalled))
        assert called.arguments == asked.arguments
        assert plane.effects.read_text() == "done\n"


async def test_a_run_is_parked_after_its_hold_and_continues_after_the_answer(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(PARKING)
        await plane.until(run_id, run.RunPaused.TYPE)
        state = plane.parts.runs.state(run_id)
        assert (state.status, state.paused, state.executor) == ("paused", "ask", None)
        about = [guard for guard in rows_at_start(plane) if run_id in map(str, (guard[1], *guard[2]))]
        assert sorted(kind for kind, *_ in about) == ["ask", "turn"], "its session's turn, and one row more"
        with anyio.fail_after(PATIENCE_SECONDS):
            while plane.parts.runner.busy:
                await anyio.sleep(0)
        await plane.answer(run_id)
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        assert plane.effects.read_text() == "done\n"
        assert plane.model.turns == {1: 1, 2: 1}


@pytest.mark.parametrize("profile", [ASKING, PARKING], ids=["held", "parked"])
async def test_a_refused_call_is_not_made_and_the_model_reads_why(tmp_path: Path, profile: Profile) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(profile)
        await plane.until(run_id, run.RunAsked.TYPE if profile is ASKING else run.RunPaused.TYPE)
        await plane.answer(run_id, "deny", note="use the other file")
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        assert not plane.effects.exists()
        assert run.ToolCalled.TYPE not in plane.types(run_id)
        (result,) = plane.results(run_id)
        assert (result.tool_call_id, result.is_error) == ("call_1_0", True)
        assert "refused" in (result.content or "")
        assert "use the other file" in plane.model.requests[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("expires", [False, True], ids=["refused", "expired"])
async def test_a_refusal_answers_the_same_call_for_the_rest_of_the_run(tmp_path: Path, expires: bool) -> None:
    profile = PARKING._replace(asks={"holdMs": 0, "expiresAfterMs": 1_000}) if expires else PARKING
    async with at_work(tmp_path, ECHO, READ, ECHO, READ, ECHO, "all done") as plane:
        (plane.effects.parent / "notes.txt").write_text("pears")
        run_id = await plane.start(profile)
        await plane.until(run_id, run.RunPaused.TYPE)
        if not expires:
            await plane.answer(run_id, "deny", note="use the other file")
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        assert plane.types(run_id).count(run.RunAsked.TYPE) == 1
        refused = [event for event in plane.events(run_id) if isinstance(event, run.ToolCalled) and event.refused]
        assert [(event.tool_name, event.refused) for event in refused] == [("shell", "denied")] * 2
        first, _, second, _, third = [result.content for result in plane.results(run_id)]
        assert second == third == f"{first} This was decided earlier in the run, so no person was asked again."
        assert not plane.effects.exists()


async def test_a_declined_question_is_not_put_again_but_another_one_is(tmp_path: Path) -> None:
    question, other = call("ask_user", question="Which branch?"), call("ask_user", question="Which fork?")
    async with at_work(tmp_path, question, question, other, "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        await plane.answer(run_id, "decline")
        with anyio.fail_after(PATIENCE_SECONDS):
            while plane.types(run_id).count(run.RunAsked.TYPE) < 2:
                await anyio.sleep(0)
        await plane.answer(run_id, "decline")
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        assert plane.types(run_id).count(run.RunAsked.TYPE) == 2
        first, again, _ = [result.content for result in plane.results(run_id)]
        assert again == f"{first} This was decided earlier in the run, so no person was asked again."


def edits(arguments: str) -> dict[str, Any]:
    """Return the fields of an answer that allows another call of the shell."""
    return {"arguments": arguments, "edited_sha256": call_sha256("ab", "shell", arguments), "edited_salt": "ab"}


async def test_an_edited_call_runs_as_edited_and_the_model_reads_how(tmp_path: Path) -> None:
    edited = msgspec.json.encode({"command": ["/bin/sh", "-c", "echo edited >> effects.txt"]}).decode()
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        await plane.answer(run_id, **edits(edited))
        await plane.ended(run_id)
        assert plane.effects.read_text() == "edited\n"
        (called,) = (event for event in plane.events(run_id) if isinstance(event, run.ToolCalled))
        assert called.arguments == edited
        _, wanted, result = plane.model.requests[-1]["messages"]
        assert "echo done" in wanted["tool_calls"][0]["function"]["arguments"]
        assert result["content"].startswith("A person changed the arguments of this call to: " + edited)


async def test_edited_arguments_that_the_profile_forbids_are_refused(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        await plane.answer(run_id, **edits('{"command":7}'))
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        (called,) = (event for event in plane.events(run_id) if isinstance(event, run.ToolCalled))
        assert (called.refused, called.ask_id is not None) == ("bad-arguments", True)
        assert not plane.effects.exists()


async def test_an_expired_call_is_not_made(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING._replace(asks={"expiresAfterMs": 1_000}))
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        (result,) = plane.results(run_id)
        assert result.content == "No person answered in time. The call was not made."
        assert not plane.effects.exists()


async def test_a_denied_call_is_refused_without_an_ask(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING._replace(approval="deny"))
        await plane.ended(run_id)
        (called,) = (event for event in plane.events(run_id) if isinstance(event, run.ToolCalled))
        assert called.refused == "denied"
        assert run.RunAsked.TYPE not in plane.types(run_id)
        assert not plane.effects.exists()


async def test_calls_of_a_turn_run_in_order_and_all_asks_are_raised_at_once(tmp_path: Path) -> None:
    turn: Step = (
        ("files", {"action": "read", "path": "notes.txt"}),
        *(("shell", {"command": ["/bin/sh", "-c", f"echo {word} >> effects.txt"]}) for word in ("one", "two")),
    )
    async with at_work(tmp_path, turn, "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE, count=2)
        await plane.answer(run_id, ask=1)
        await plane.answer(run_id)
        await plane.ended(run_id)
        assert plane.effects.read_text() == "one\ntwo\n"
        assert [result.tool_call_id for result in plane.results(run_id)] == ["call_1_0", "call_1_1", "call_1_2"]
        _, wanted, *_ = plane.model.requests[-1]["messages"]
        assert [asked["id"] for asked in wanted["tool_calls"]] == ["call_1_0", "call_1_1", "call_1_2"]


async def test_a_run_asks_at_most_so_much_at_a_time(tmp_path: Path) -> None:
    turn: Step = tuple(("shell", {"command": ["touch", str(number)]}) for number in range(ASKS_MAX + 1))
    async with at_work(tmp_path, turn, "all done") as plane:
        run_id = await plane.start(PARKING)
        await plane.until(run_id, run.RunPaused.TYPE)
        assert len(plane.parts.runs.state(run_id).asks) == ASKS_MAX
        (called,) = (event for event in plane.events(run_id) if isinstance(event, run.ToolCalled))
        assert called.refused == "too-many-asks"


async def test_a_plane_has_limited_asks_and_the_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raising, "ASKS_OPEN_MAX", 0)
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING)
        ending = await plane.ended(run_id)
        assert isinstance(ending, run.RunFailed)
        assert ending.code == "ASK_LIMIT"
        assert run.UsageRecorded.TYPE in plane.types(run_id), "the turn was paid for"


# Permission rules


def always(plane: Plane, run_id: str, rule_id: str) -> Fact:
    """Return a rule that allows the call that a run asks for, in every run of its profile."""
    asked = next(event for event in plane.events(run_id) if isinstance(event, run.RunAsked))
    request = plane.parts.runs.state(run_id).request
    assert request is not None
    created = PermissionRuleCreated(
        rule_id=rule_id,
        scope="profile",
        tool_name="shell",
        call_sha256=call_sha256("ab", "shell", asked.arguments or ""),
        ask_id=asked.ask_id,
        by="ada",
        expires_at_ms=asked.expires_at_ms,
        harness_profile_id=request.harness_profile_id,
        arguments=asked.arguments,
        call_salt="ab",
        bound=bound_to(request, "shell", None),
    )
    return Fact(stream=rule_id, event=created)


async def test_a_permission_rule_answers_in_the_commit_of_the_ask_and_is_named(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        first = await plane.start(ASKING)
        await plane.until(first, run.RunAsked.TYPE)
        await plane.answer(first, also=[always(plane, first, "rule_1")])
        await plane.ended(first)
        request = plane.parts.runs.state(first).request
        assert request is not None
        body = RunBody(input="go", harness_profile_id=request.harness_profile_id)
        second = (await plane.parts.runs.start(body, LOCAL, META, None, wait=True)).subject or ""
        assert plane.types(second)[4:8] == ["run.asked", "run.answered", "usage.recorded", "tool.called"]
        (answered,) = (event for event in plane.events(second) if isinstance(event, run.RunAnswered))
        assert (answered.cause, answered.rule_id, answered.by) == ("rule", "rule_1", None)
        assert plane.effects.read_text() == "done\n" * 2
        await plane.parts.permission_rules.revoke("rule_1", "ada", META, None)
        third = (await plane.parts.runs.start(body, LOCAL, META, None, wait=False)).subject or ""
        await plane.until(third, run.RunAsked.TYPE)
        assert plane.parts.runs.state(third).asks


# Questions


async def test_the_answer_to_a_question_is_the_result_of_the_call(tmp_path: Path) -> None:
    async with at_work(tmp_path, call("ask_user", question="Which branch?"), "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        (asked,) = (event for event in plane.events(run_id) if isinstance(event, run.RunAsked))
        assert (asked.kind, asked.title, asked.option_names) == ("question", "Which branch?", ("Answer", "Decline"))
        assert asked.subject_sha256 == question_sha256(asked.subject_salt or "", "Which branch?", (), asked.form)
        await plane.answer(run_id, "answer", values='{"answer":"main"}')
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        (result,) = plane.results(run_id)
        assert (result.content, result.is_error) == ('{"answer":"main"}', None)


@pytest.mark.parametrize(("option", "content"), [("2", '{"choice":"blue"}'), ("decline", "The person declined to")])
async def test_a_choice_is_answered_by_the_name_of_its_option(tmp_path: Path, option: str, content: str) -> None:
    step = call("ask_user", question="Which colour?", options=["red", "blue"])
    async with at_work(tmp_path, step, "all done") as plane:
        run_id = await plane.start(PARKING)
        await plane.until(run_id, run.RunPaused.TYPE)
        (asked,) = plane.parts.runs.state(run_id).asks
        assert [choice.id for choice in asked.options] == ["1", "2", "decline"]
        await plane.answer(run_id, option)
        await plane.ended(run_id)
        (result,) = plane.results(run_id)
        assert (result.content or "").startswith(content)
        assert (result.is_error or False) is (option == "decline")


# The end, and other executors


async def test_a_held_run_has_no_timeout(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING._replace(timeout_ms=PATIENCE_MS))
        await plane.until(run_id, run.RunAsked.TYPE)
        held = plane.parts.runner._held[run_id]
        assert held.due == held.scope.deadline == float("inf")
        await plane.answer(run_id)
        await plane.until(run_id, run.ToolCalled.TYPE)
        assert held.due < float("inf")
        await plane.ended(run_id)


async def test_a_drained_executor_parks_what_waits(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        run_id = await plane.start(ASKING)
        await plane.until(run_id, run.RunAsked.TYPE)
        await plane.parts.runner.drain(PATIENCE_SECONDS)
        assert plane.parts.runs.state(run_id).paused == "ask"


async def test_a_caller_that_waits_gets_no_result_once_the_run_is_parked(tmp_path: Path) -> None:
    async with at_work(tmp_path, ECHO, "all done") as plane:
        spec = msgspec.convert(msgspec.json.decode(msgspec.json.encode(PARKING.body)), HarnessSpec)
        profile_id = (await plane.parts.catalog.create_profile(spec, META, None)).subject
        body = RunBody(input="go", harness_profile_id=profile_id)
        started = await plane.parts.runs.start(body, LOCAL, META, None, wait=True)
        await plane.answer(started.subject or "")
        assert plane.parts.runs.answer(started).result is None, "it may be resumed meanwhile"
