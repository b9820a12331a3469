"""Outside agents, their servers and their workers killed at every moment of a run: it ends once, and repeats nothing.

All runs of a test are at their moment together, so one kill ends the work on all of them.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from athena_core.system.sandbox import probe
from tests.scale import sized
from tests.support.agent_model import Calls, Hangs, Step, shell
from tests.support.api import Json, soon
from tests.support.asks import answer
from tests.support.outside_agents import AgentSite, agent_site
from tests.support.worker import Worker

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

MADE = Calls("edit", {"path": "made.txt", "text": "made\n"})
PERMISSIONS: tuple[Json, ...] = ({"match": {"kind": "edit"}, "approval": "allow"},)
LONG = shell("echo begun >> long.txt; sleep 1000")
ASKED = shell("echo asked >> asked.txt")
BOXES = ("off", *(("required",) if probe().available else ()))
ROUNDS = sized(1, 1, 10)
BOTH = ("files", "postgres")


class Moment(NamedTuple):
    """A moment of a run: its steps up to there, its steps after the kill, and the files that prove its effects.

    ``after`` are the steps of an agent that remembers the interrupted turn: it makes up one answer for that.
    """

    name: str
    steps: tuple[Step, ...]
    after: tuple[Step, ...]
    effects: Json
    asks: Json | None = None


MOMENTS = (
    Moment("stream", (MADE, Hangs("Half an")), (MADE, "Done."), {}),
    Moment("tool", (MADE, LONG, "Done."), (MADE, LONG, "Done."), {"long.txt": "begun\n"}),
    Moment("held", (MADE, ASKED), (MADE, "", ASKED, "Done."), {"asked.txt": "asked\n"}, {"holdMs": 120_000}),
    Moment("parked", (MADE, ASKED), (MADE, "", ASKED, "Done."), {"asked.txt": "asked\n"}, {"holdMs": 0}),
)


class KilledRun(NamedTuple):
    """A run that stands at its moment."""

    run_id: str
    task: str
    session: str
    moment: Moment


def begin(site: AgentSite, tag: str, moments: Sequence[Moment]) -> list[KilledRun]:
    """Start a run for each moment, inside and outside of a sandbox. Return once each is at its moment."""
    runs = []
    for box in BOXES:
        for moment in moments:
            rules = (*PERMISSIONS, {"match": {}, "approval": "ask" if moment.asks else "allow"})
            more: Json = {"asks": moment.asks} if moment.asks else {}
            profile = site.profile(permissions=rules, sandbox={"mode": box}, policies={"retryLimit": 3}, **more)
            session = f"{tag}-{moment.name}-{box}"
            task = f"Work on {session}."
            run_id = site.start(task, *moment.steps, profile=profile, sessionId=session)
            runs.append(KilledRun(run_id, task, session, moment))
    for one in runs:
        await_moment(site, one)
    return runs


def await_moment(site: AgentSite, one: KilledRun) -> None:
    api = site.server.api
    if one.moment.asks is not None:
        api.await_event("run.asked" if one.moment.asks["holdMs"] else "run.paused", runId=one.run_id)
        return
    for _ in soon():
        if one.moment.name == "stream":
            if site.model.models[one.task].hung.is_set():
                return
        elif site.payloads(one.run_id, "workspace.opened") and (site.files(one.run_id) / "long.txt").exists():
            return


def prepare(site: AgentSite, runs: Sequence[KilledRun]) -> None:
    """Let the model go on with the next answer of each run."""
    for one in runs:
        site.model.script(one.task, *one.moment.after)


def gone(site: AgentSite, session_id: str | None = None) -> None:
    """Return once no process of an agent or of its tools is left."""
    for _ in soon():
        if not site.processes(session_id):
            return


def check(site: AgentSite, runs: Sequence[KilledRun]) -> None:
    """Answer the asks, and check that each run ends once, that each effect is there once, and nothing is left."""
    api = site.server.api
    for one in runs:
        if one.moment.asks is not None:
            answer(api, one.run_id)
    for one in runs:
        assert api.await_ending(one.run_id) == "run.completed", (one.task, api.get(f"/runs/{one.run_id}")["error"])
        types = site.types(one.run_id)
        assert [kind for kind in types if kind in {"run.completed", "run.failed", "run.cancelled"}] == ["run.completed"]
        calls = site.payloads(one.run_id, "tool.called")
        assert len({call["toolCallId"] for call in calls}) == len(calls)
        results = [
            entry["toolCallId"]
            for entry in site.payloads(one.run_id, "transcript.appended")
            if entry["kind"] == "tool-result"
        ]
        assert len(set(results)) == len(results), one.task
        assert {call["toolCallId"] for call in calls} == set(results), one.task
        files = site.files(one.run_id)
        for name, content in one.moment.effects.items():
            assert (files / name).read_text() == content, one.task
        assert (files / "made.txt").read_text() == "made\n"
        assert len([call for call in calls if call["kind"] == "edit"]) == 1, f"{one.task} made a recorded call again"
        shells = len([call for call in calls if call["kind"] == "execute"])
        assert shells == len(one.moment.effects), one.task
        assert len(site.payloads(one.run_id, "run.asked")) == (one.moment.asks is not None)
    gone(site)


@pytest.mark.parametrize("store", sized(("files",), ("files",), BOTH), indirect=True)
def test_runs_end_once_whether_their_agents_or_their_server_are_killed(tmp_path: Path, store: dict[str, str]) -> None:
    with agent_site(tmp_path, {"fake": ()}, **store) as site:
        for number in range(ROUNDS):
            runs = begin(site, f"agents-{number}", MOMENTS[:3])
            prepare(site, runs)
            agents = site.agents()
            assert len(agents) == len(runs)
            for pid in agents:
                os.kill(pid, signal.SIGKILL)
            for one in runs:
                if one.moment.asks is not None:  # an answer before Athena reads of the kill would count as given
                    gone(site, one.session)
            check(site, runs)
            for one in runs:
                assert len(site.payloads(one.run_id, "run.leased")) == 1

            runs = begin(site, f"server-{number}", MOMENTS)
            prepare(site, runs)
            site.server.kill()
            gone(site)
            site.server.start()
            for one in runs:
                if one.moment.asks is not None:
                    site.server.api.await_event("run.paused", runId=one.run_id)
            check(site, runs)


@pytest.mark.parametrize("store", sized(("postgres",), ("postgres",), BOTH), indirect=True)
def test_another_worker_ends_the_runs_of_one_that_was_killed(tmp_path: Path, store: dict[str, str]) -> None:
    with agent_site(tmp_path, {"fake": ()}, executor="off", **store) as site, ExitStack() as stack:
        settings = {"openai_base_url": site.model.url, "agents": str(tmp_path / "agents.toml"), **store}
        words = ("--concurrency", str(len(BOXES) * len(MOMENTS)))
        with ExitStack() as first:
            victim = first.enter_context(Worker(tmp_path, *words, **settings))
            runs = begin(site, "worker", MOMENTS)
            stack.enter_context(Worker(tmp_path, *words, **settings))
            prepare(site, runs)
            victim.kill()
        for one in runs:
            if one.moment.asks is not None:
                site.server.api.await_event("run.paused", runId=one.run_id)
        check(site, runs)
        for one in runs:
            assert len({lease["executor"] for lease in site.payloads(one.run_id, "run.leased")}) == 2
