"""Broken and unknown traffic of an outside agent: each run ends in a clear state, long before its timeout.

All runs begin together, so the deadlines pass at the same time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.scale import sized
from tests.support.agent_model import Calls, Refuses
from tests.support.api import Json
from tests.support.outside_agents import AgentSite, agent_site

pytestmark = [pytest.mark.heavy, pytest.mark.sqlite]

DENY_ALL = ({"match": {}, "approval": "deny"},)
ALLOW_ALL = ({"match": {}, "approval": "allow"},)
EDIT = Calls("edit", {"path": "out.txt", "text": "hi\n"})
TIMEOUT_MS = 120_000
EXPIRES: Json = {"expiresAfterMs": 30_000, "onExpiry": "cancel"}
FLOOD = sized(10_000, 30_000, 100_000)


class Habit(NamedTuple):
    """Switches of the fake agent, the error of its run (None if it completes), and words of the message."""

    switches: tuple[str, ...]
    code: str | None = None
    says: str = ""
    rules: tuple[Json, ...] = ALLOW_ALL


HABITS = {
    "bad-json": Habit(("bad-json",), "AGENT_BROKEN", "a line that is not JSON"),
    "bad-utf8": Habit(("bad-utf8",), "AGENT_BROKEN", "of another shape than the protocol"),
    "deep-json": Habit(("deep-json",), "AGENT_BROKEN", "a line that is not JSON"),
    "half-line": Habit(("half-line",), "AGENT_GONE", "ended 4 times"),
    "not-rpc": Habit(("not-rpc",), "AGENT_BROKEN", "not a JSON-RPC 2.0 message"),
    "huge-line": Habit(("huge-line=17000000",), "AGENT_BROKEN", "a line of more than 16777216 bytes"),
    "endless-line": Habit(("endless-line",), "AGENT_BROKEN", "a line of more than 16777216 bytes"),
    "bad-update": Habit(("bad-update",), "AGENT_BROKEN", "of another shape than the protocol"),
    "unasked-answer": Habit(("unasked-answer",), "AGENT_BROKEN", "a request that was never sent"),
    "same-id": Habit(("same-id",), "AGENT_BROKEN", "the id of an open one"),
    "old-protocol": Habit(("old-protocol",), "AGENT_BROKEN", "version 2 of the protocol"),
    "mode-drift": Habit(("mode-drift",), "AGENT_MODE_CHANGED", "left the mode 'default', which Athena had ordered"),
    "mode-refused": Habit(("mode-refused",), "AGENT_MODE_CHANGED", "refused the mode"),
    "mode-deaf": Habit(("mode-deaf",), "AGENT_MODE_CHANGED", "reports 'auto'"),
    "no-modes": Habit(("no-modes",), "AGENT_MODE_CHANGED", "no modes"),
    "die": Habit(("die",), "AGENT_GONE", "ended 4 times"),
    "exit": Habit(("exit=3",), "AGENT_GONE", "the agent gives up"),
    "close-output": Habit(("close-output",), "AGENT_GONE", "ended 4 times"),
    "deaf": Habit(("deaf",), "AGENT_MODE_CHANGED", "no answer to session/set_mode within 15 s"),
    "acts-early": Habit(("acts-early",), "AGENT_BROKEN", "made a call before its permission was given", ()),
    "ignores-refusal": Habit(("ignores-refusal",), "AGENT_BROKEN", "made a call that was refused", DENY_ALL),
    "end-turn-after-failure": Habit(("end-turn-after-failure",), "PROVIDER_ERROR"),
    "unknown-methods": Habit(("unknown-methods",)),
    "unknown-ids": Habit(("unknown-ids",)),
    "fs-write": Habit(("fs-write",)),
    "answers-twice": Habit(("answers-twice",)),
    "late-updates": Habit(("late-updates",)),
    "blank-lines": Habit(("blank-lines",)),
    "split-writes": Habit(("split-writes",)),
    "flood": Habit((f"flood={FLOOD}",)),
    "complains": Habit(("complains=5000000",)),
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
