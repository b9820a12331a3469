"""The activity of an outside agent: bounded, masked, and shown only a few times a second."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from athena_core.agents.acp_messages import PlanEntry, PlanUpdate
from athena_core.agents.tool_calls import AgentToolCall
from athena_core.mask import Mask
from athena_core.services.execution.live_text import ACTIVITY_CHARS_MAX, AgentActivity, PlanStep
from athena_core.services.execution.outside import activity as activities
from athena_core.services.execution.outside.activity import LiveActivity
from athena_core.services.execution.outside.agent_transcript import TranscriptCall

SECRET = "ghp_" + "a1" * 18


class Shown:
    """A live activity, and what it showed. ``calls`` are the open calls of the agent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(activities, "CHANGES_A_SECOND", 1_000)
        self.calls: list[TranscriptCall] = []
        self.all: list[AgentActivity | None] = []
        run = type("Run", (), {"run_id": "run_1", "request": type("Request", (), {"session_id": "one"})})
        self.turn = 1
        self.live = LiveActivity(cast("Any", run), cast("Any", self), Mask(()), self._show)

    def open_calls(self) -> list[TranscriptCall]:
        return self.calls

    def _show(self, session_id: str, run_id: str, turn: int, shown: AgentActivity | None) -> None:
        assert (session_id, run_id, turn) == ("one", "run_1", 1)
        self.all.append(shown)

    async def newest(self) -> AgentActivity:
        await asyncio.sleep(0.005)
        assert self.all[-1] is not None
        return self.all[-1]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(monkeypatch)


async def test_a_flood_of_reasoning_is_shown_at_a_time_and_only_its_end(shown: Shown) -> None:
    for number in range(10_000):
        shown.live.think(f"{number} ")
    activity = await shown.newest()
    assert len(shown.all) == 1
    assert activity.thoughts is not None and activity.thoughts.endswith("9998 9999")
    assert len(activity.thoughts) <= activities.THOUGHTS_CHARS_MAX


async def test_reasoning_ends_with_words_and_begins_anew_after_a_call(shown: Shown) -> None:
    shown.live.think("First.")
    shown.live.calls_changed()
    assert (await shown.newest()).thoughts == "First."
    shown.live.think("Second.")
    assert (await shown.newest()).thoughts == "Second."
    shown.live.speak()
    await asyncio.sleep(0.005)
    assert shown.all[-1] is None


async def test_a_secret_in_pieces_of_reasoning_in_a_plan_and_in_a_call_is_hidden(shown: Shown) -> None:
    for piece in ("The token ", SECRET[:9], SECRET[9:], " is here"):
        shown.live.think(piece)
    shown.live.plan(PlanUpdate([PlanEntry(f"Use {SECRET}")]))
    content: list[dict[str, Any]] = [
        {"type": "content", "content": {"type": "text", "text": f"found {SECRET}"}},
        {"type": "diff", "path": "a", "oldText": None, "newText": SECRET},
    ]
    shown.calls = [TranscriptCall(AgentToolCall("1", title=f"echo {SECRET}", content=content), "call_1")]
    activity = await shown.newest()
    assert SECRET not in str(activity)
    assert str(activity).count("***") == 5


@pytest.mark.parametrize("before", range(0, len(SECRET) - 8, 5))
async def test_no_part_of_a_secret_is_shown_at_a_cut(shown: Shown, before: int) -> None:
    part = "a1a1a1a1"
    text = "." * 9 * activities.CUT_CHARS
    for chars in (activities.STEP_CHARS_MAX, 200, 500, activities.OUTPUT_CHARS_MAX, activities.DIFF_CHARS_MAX - 100):
        shown.live.plan(PlanUpdate([PlanEntry("." * (chars - before) + SECRET)]))
        assert part not in str(shown.live._plan)
        said = "." * (chars - before) + SECRET
        content: list[dict[str, Any]] = [
            {"type": "content", "content": {"type": "text", "text": text + SECRET + "." * (chars - before)}},
            {"type": "diff", "path": said, "oldText": None, "newText": said + text},
        ]
        call = AgentToolCall("1", title=said, content=content)
        assert part not in str(shown.live._call(TranscriptCall(call, "call_1")))
    for chars in (activities.CUT_CHARS, 20_000, activities.THOUGHTS_CHARS_MAX):
        shown.live.think(f"{text} {(SECRET + ' ') * (chars // len(SECRET))}{'.' * before}")
        shown.live.think(" and more")
        assert part not in shown.live._thoughts
        shown.live.calls_changed()


async def test_a_plan_is_cut_and_odd_statuses_are_pending(shown: Shown) -> None:
    entries = [PlanEntry("Look\nhere\x07", "completed"), PlanEntry("Guess", "maybe"), *[PlanEntry("x" * 9_000)] * 90]
    shown.live.plan(PlanUpdate(entries))
    plan = (await shown.newest()).plan or ()
    assert plan[:2] == (PlanStep(text="Look here", status="completed"), PlanStep(text="Guess", status="pending"))
    assert len(plan) == activities.PLAN_STEPS_MAX
    assert len(plan[-1].text) == activities.STEP_CHARS_MAX


async def test_the_newest_calls_are_shown_and_all_of_it_fits_in_the_relay(shown: Shown) -> None:
    large: list[dict[str, Any]] = [
        {"type": "content", "content": {"type": "text", "text": '"\n' * 900_000}},
        {"type": "diff", "path": "a", "oldText": ('"' * 30 + "\n") * 100, "newText": ("'" * 30 + "\n") * 100},
        {"type": "diff", "path": "b", "oldText": "", "newText": "\\" * 90_000},
    ]
    made = (AgentToolCall(str(at), title='"' * 9_000, status="in_progress", content=large) for at in range(9))
    shown.calls = [TranscriptCall(call, f"call_{call.id}") for call in made]
    shown.live.think('"' * 9_000)
    shown.live.plan(PlanUpdate([PlanEntry('"' * 9_000)] * 90))
    activity = await shown.newest()
    calls = activity.calls or ()
    assert [call.tool_call_id for call in calls] == ["call_5", "call_6", "call_7", "call_8"]
    assert all(len(call.diff or "") == activities.DIFF_CHARS_MAX for call in calls)
    assert len(msgspec.json.encode(activity).decode()) <= ACTIVITY_CHARS_MAX


async def test_the_end_withdraws_what_was_shown_and_shows_nothing_later(shown: Shown) -> None:
    shown.live.end()
    shown.live.think("Perhaps")
    await shown.newest()
    shown.live.think(" not")
    shown.live.end()
    await asyncio.sleep(0.005)
    assert shown.all == [AgentActivity(thoughts="Perhaps"), None]
