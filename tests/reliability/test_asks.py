"""Asks whose server is killed at every moment between the question of a run and the result of its call."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from athena_core.domain import run
from athena_core.event import Event
from tests.reliability.history import await_events, events_of, killed_after
from tests.scale import sized
from tests.support.api import Json, Refused
from tests.support.asks import answer
from tests.support.model import Model, Profile, acting, call
from tests.support.records import judge, verified
from tests.support.server import Server

SCRIPT = (call("shell", command=["/bin/sh", "-c", "echo done >> effects.txt; sleep 0.05"]), "all done")
EDITED = {"command": ["/bin/sh", "-c", "echo edited >> effects.txt; sleep 0.05"]}
TURN_SECONDS = 0.02


class Kill(NamedTuple):
    """A journey: whether the run is parked before the answer, and the events after which its server is killed."""

    parked: bool
    after: int
    edited: bool = False


ASKED, PARKED = 6, 7
"""The events of a run that waits, held and parked. Its answer is event 7, or 8."""
KILLS = sized(
    (Kill(False, ASKED), Kill(False, 8, True), Kill(True, 12)),
    (
        *(Kill(False, count, count % 2 == 0) for count in (6, 7, 8, 9)),
        *(Kill(True, count) for count in (7, 11, 12, 13)),
    ),
    tuple(
        Kill(parked, count, edited)
        for parked, count in (*((False, count) for count in range(4, 13)), *((True, count) for count in range(4, 17)))
        for edited in (False, True)
    ),
)


def journey(directory: Path, model: Model, kill: Kill) -> str:
    """Ask, answer, and kill the server after some events of the run. Return what became of the call."""
    model.forget()
    waits = PARKED if kill.parked else ASKED
    edit: Json = {"editedArguments": EDITED} if kill.edited else {}
    server = Server(directory, openai_base_url=model.url)
    profile = Profile(approval="ask", asks={"holdMs": 0 if kill.parked else 60_000})
    with server:
        profile_id = server.api.post("/harness-profiles", profile.body)["id"]
        run_id = server.api.start("go", harnessProfileId=profile_id)["runId"]
        if kill.after <= waits:
            killed_after(server, run_id, kill.after)
            server.start()
            server.api.await_event("run.paused", runId=run_id)  # at once: its executor was lost
            answer(server.api, run_id, **edit)
        else:
            await_events(server.state_dir, run_id, waits)
            answer(server.api, run_id, **edit)
            killed_after(server, run_id, kill.after)
            server.start()
        assert server.api.await_ending(run_id) == "run.completed"
    return outcome(server, run_id, "edited\n" if kill.edited else "done\n")


def outcome(server: Server, run_id: str, effect: str) -> str:
    """Check that the call was made once as approved, or that the run says that it may not have been."""
    events = events_of(server.state_dir, run_id)
    effects = server.workspace / "effects.txt"
    assert sum(isinstance(event, run.RunAnswered) for event in events) == 1
    assert sum(isinstance(event, run.ToolCalled) for event in events) == 1
    (result,) = (event for event in events if isinstance(event, run.TranscriptAppended) and event.role == "tool")
    if not result.interrupted:
        assert effects.read_text() == effect
    assert not effects.exists() or effects.read_text() == effect
    judge(server.state_dir)
    report = verified(server.state_dir)
    assert report.ok, report.violations
    return f"{'interrupted' if result.interrupted else 'made once'}, {leases(events)} leases"


def leases(events: list[Event]) -> int:
    return sum(isinstance(event, run.RunLeased) for event in events)


@pytest.mark.heavy
@pytest.mark.timeout(3_600)
def test_a_call_that_a_person_allowed_is_made_once_wherever_its_server_is_killed(tmp_path: Path) -> None:
    with acting(SCRIPT, pause_seconds=TURN_SECONDS) as model:
        outcomes = Counter(journey(tmp_path / f"{number}", model, kill) for number, kill in enumerate(KILLS))
    print("\n".join(f"{count} x {what}" for what, count in sorted(outcomes.items())))


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_an_ask_that_a_server_left_open_is_refused_or_too_late(tmp_path: Path) -> None:
    with acting(SCRIPT) as model, Server(tmp_path, openai_base_url=model.url) as server:
        profile_id = server.api.post("/harness-profiles", Profile(approval="ask").body)["id"]
        run_id = server.api.start("go", harnessProfileId=profile_id)["runId"]
        killed_after(server, run_id, ASKED)
        server.start()
        answer(server.api, run_id, "deny", note="not now")
        assert server.api.await_ending(run_id) == "run.completed"
        assert not (server.workspace / "effects.txt").exists()
        assert "not now" in model.requests[-1]["messages"][-1]["content"]
        with pytest.raises(Refused) as late:
            answer(server.api, run_id)
        assert late.value.code == "ASK_DECIDED"
