"""Broken traffic of an outside agent: each kind ends its run in a clear state, long before its timeout.

All runs begin together, so the deadlines pass at the same time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.agent_model import Calls, Refuses
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, agent_site

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite]

DENY_ALL = ({"match": {}, "approval": "deny"},)
ALLOW_ALL = ({"match": {}, "approval": "allow"},)
EDIT = Calls("edit", {"path": "out.txt", "text": "hi\n"})
TIMEOUT_MS = 120_000
EXPIRES: Json = {"expiresAfterMs": 30_000, "onExpiry": "cancel"}


class Habit(NamedTuple):
    """Switches of the fake agent, the error of its run (None if it completes), and words of the message."""

    switches: tuple[str, ...]
    code: str | None = None
    says: str = ""
    rules: tuple[Json, ...] = ALLOW_ALL


HABITS = {
    "bad-json": Habit(("bad-json",), "AGENT_BROKEN", "a line that is not JSON"),
    "old-protocol": Habit(("old-protocol",), "AGENT_BROKEN", "version 2 of the protocol"),
    "mode-drift": Habit(("mode-drift",), "AGENT_MODE_CHANGED", "left the mode 'default', which Athena had ordered"),
    "mode-refused": Habit(("mode-refused",), "AGENT_MODE_CHANGED", "refused the mode"),
    "die": Habit(("die",), "AGENT_GONE", "ended 4 times"),
    "exit": Habit(("exit=3",), "AGENT_GONE", "the agent gives up"),
    "deaf": Habit(("deaf",), "AGENT_MODE_CHANGED", "no answer to session/set_mode within 15 s"),
    "acts-early": Habit(("acts-early",), "AGENT_BROKEN", "made a call before its permission was given", ()),
    "ignores-refusal": Habit(("ignores-refusal",), "AGENT_BROKEN", "made a call that was refused", DENY_ALL),
    "end-turn-after-failure": Habit(("end-turn-after-failure",), "PROVIDER_ERROR"),
    "unknown-ids": Habit(("unknown-ids",)),
}


class Broken(NamedTuple):
    """A server that executes a run of each habit, and the ids of these."""

    site: AgentSite
    runs: dict[str, str]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    agents = {name: habit.switches for name, habit in HABITS.items()}
    with agent_site(tmp_path_factory.mktemp("agents"), agents) as site:
        runs = {}
        for name, habit in HABITS.items():
            profile = site.profile(name, permissions=habit.rules, asks=EXPIRES, policies={"timeoutMs": TIMEOUT_MS})
            steps = (Refuses(),) if name == "end-turn-after-failure" else (EDIT, "Done.")
            task = f"Misbehaves by {name}."
            runs[name] = site.start(task, *steps, profile=profile, sessionId=name)
        yield Broken(site, runs)


@pytest.mark.parametrize("name", HABITS)
def test_a_run_ends_in_a_clear_state_whatever_its_agent_sends(broken: Broken, name: str) -> None:
    habit, (site, runs) = HABITS[name], broken
    run_id = runs[name]
    ending = site.server.api.await_ending(run_id)
    if habit.code is None:
        assert ending == "run.completed", site.failure(run_id)
        assert (site.files(run_id) / "out.txt").read_text() == "hi\n"
        assert site.server.api.get(f"/runs/{run_id}")["output"] == "Done."
    else:
        assert ending == "run.failed"
        code, message = site.failure(run_id)
        assert code == habit.code
        assert habit.says in message
    assert len(site.payloads(run_id, "run.asked")) == (habit.rules == ())
    assert site.processes(name) == []


def test_a_call_that_was_never_mentioned_is_recorded_as_made_without_a_permission(broken: Broken) -> None:
    site, runs = broken
    site.server.api.await_ending(runs["unknown-ids"])
    unheard, edit = site.payloads(runs["unknown-ids"], "tool.called")
    assert (unheard["asked"], unheard["toolCallId"]) == (False, "unheard")
    assert edit["asked"] is True
    transcript = site.server.api.items("/sessions/unknown-ids/transcript")
    assert not [entry for entry in transcript if "not for you" in str(entry.get("content"))]
