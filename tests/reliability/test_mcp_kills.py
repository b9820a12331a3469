"""MCP servers, Athena and workers killed during a call of a tool, or while a person is asked during one.

Each run ends once. A call is made again only where the operator trusts the server's hints, and no process is left.
"""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.scale import sized
from tests.support.api import Json, soon
from tests.support.mcp_servers import fake_server, processes
from tests.support.mcp_site import McpSite, mcp_site
from tests.support.model import Step, call
from tests.support.worker import Worker

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

BOTH = ("files", "postgres")
FOREVER = {"callTimeoutMs": 600_000}
HELD, PARKED = {"holdMs": 120_000}, {"holdMs": 0}


class Moment(NamedTuple):
    """A moment of a run: the server that is called then, the call, and what its result says after a kill of Athena.

    ``again`` is True if the call is made again.
    """

    name: str
    server: str
    step: Step
    says: str
    again: bool
    asks: Json | None = None


MOMENTS = (
    Moment("call", "mute", call("mute__echo", text="hi"), "outcome is unknown", False),
    Moment("repeatable", "trusted", call("trusted__echo", text="hi"), "hi", True),
    Moment("held", "plain", call("plain__ask", question="Which?"), "the answer of a person", False, HELD),
    Moment("held-repeatable", "calm", call("calm__ask", question="Which?"), "red", True, HELD),
    Moment("parked", "plain", call("plain__ask", question="Which?"), "the answer of a person", False, PARKED),
    Moment("parked-repeatable", "calm", call("calm__ask", question="Which?"), "red", True, PARKED),
)


class KilledRun(NamedTuple):
    """A run that stands at its moment."""

    run_id: str
    session: str
    moment: Moment


class Stage(NamedTuple):
    """The site, and the directory in which its servers write down what they hear and read whether they are silent."""

    site: McpSite
    directory: Path

    def heard(self, name: str) -> list[Json]:
        """Return the messages that a server received, with its process id."""
        path = self.directory / f"{name}.heard"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def calls(self, name: str) -> list[Json]:
        """Return the calls that a server received."""
        messages = [one["message"] for one in self.heard(name)]
        return [one["params"] for one in messages if one.get("method") == "tools/call"]

    def silence(self, on: bool) -> None:
        """Let the servers for calls answer none, or answer."""
        (self.directory / "silence").write_text("silence\n" if on else "")

    def gone(self) -> None:
        """Return once no process of a server is left."""
        for _ in soon():
            if not processes(str(self.directory)):
                return


def servers_of(directory: Path) -> Mapping[str, Mapping[str, object]]:
    """Return the file of servers: two are silent in a call if they should be, two are trusted."""
    silent = f"control={directory / 'silence'}"
    made = {}
    for name, trusted, switches in (
        ("plain", False, ()),
        ("calm", True, ()),
        ("mute", False, (silent,)),
        ("trusted", True, (silent,)),
    ):
        made[name] = fake_server(*switches, f"log={directory / f'{name}.heard'}", trustHints=trusted, **FOREVER)
    return made


def begin(stage: Stage, tag: str) -> list[KilledRun]:
    """Start a run for each moment. Return once each is at its moment."""
    site, api = stage.site, stage.site.server.api
    stage.silence(True)
    runs = []
    for moment in MOMENTS:
        more: Json = {"asks": moment.asks} if moment.asks else {}
        profile = site.profile("plain", moment.server, policies=POLICIES, **more)
        session = f"{tag}-{moment.name}"
        turns = (call("plain__append", line=session), moment.step, "Done.")
        runs.append(KilledRun(site.start(session, *turns, profile=profile), session, moment))
    for one in runs:
        if one.moment.asks is not None:
            api.await_event("run.asked" if one.moment.asks is HELD else "run.paused", runId=one.run_id)
            continue
        for _ in soon():
            if any(heard["name"] == "echo" for heard in stage.calls(one.moment.server)):
                break
    stage.silence(False)
    return runs


POLICIES = {"timeoutMs": 600_000, "retryLimit": 3, "budgetUsd": 0}


def give_answers(stage: Stage, runs: Sequence[KilledRun]) -> None:
    """Answer each question that is open."""
    api = stage.site.server.api
    for one in runs:
        if one.moment.asks is not None:
            (ask,) = api.items("/asks", runId=one.run_id)
            body = {"subjectHash": ask["subjectHash"], "values": {"color": "red"}}
            api.post(f"/asks/{ask['id']}/answer", body)


def check(stage: Stage, runs: Sequence[KilledRun]) -> None:
    """Check that each run ends once, that the recorded call before was made once, and that nothing is left."""
    site, api = stage.site, stage.site.server.api
    lines = (site.server.workspace / "notes.txt").read_text().splitlines()
    for one in runs:
        assert api.await_ending(one.run_id) == "run.completed", (one.session, api.get(f"/runs/{one.run_id}")["error"])
        types = api.types(runId=one.run_id)
        assert [kind for kind in types if kind in {"run.completed", "run.failed", "run.cancelled"}] == ["run.completed"]
        assert lines.count(one.session) == 1, f"{one.session} made a recorded call again"
        called = site.payloads(one.run_id, "tool.called")
        results = site.results(one.session)
        assert [result["toolCallId"] for result in results] == [each["toolCallId"] for each in called]
        assert len(site.payloads(one.run_id, "run.asked")) == (one.moment.asks is not None)
    stage.gone()


def check_after_restart(stage: Stage, runs: Sequence[KilledRun], before: Mapping[str, int]) -> None:
    """Check what the kill of Athena did to each call."""
    for one in runs:
        _, result = stage.site.results(one.session)
        assert one.moment.says in result["content"], (one.session, result)
        made = len([each for each in stage.calls(one.moment.server) if each["name"] != "append"])
        if one.moment.asks is None:
            assert made - before[one.moment.server] == one.moment.again, one.session


@pytest.mark.parametrize("store", sized(("files",), BOTH, BOTH), indirect=True)
def test_a_run_ends_once_whether_its_servers_or_athena_are_killed(tmp_path: Path, store: dict[str, str]) -> None:
    (tmp_path / "silence").touch()
    with mcp_site(tmp_path, servers_of(tmp_path), **store) as site:
        stage = Stage(site, tmp_path)
        runs = begin(stage, "servers")
        for name in ("mute", "trusted", "plain", "calm"):
            for pid in {one["pid"] for one in stage.heard(name)}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for one in runs[:2]:
            assert site.server.api.await_ending(one.run_id) == "run.completed"
            assert "killed by signal 9" in site.results(one.session)[1]["content"]
        give_answers(stage, runs)
        check(stage, runs)
        for one in runs:
            assert len(site.payloads(one.run_id, "run.leased")) <= 2

        runs = begin(stage, "athena")
        before = {name: len([c for c in stage.calls(name) if c["name"] != "append"]) for name in ("mute", "trusted")}
        site.server.kill()
        stage.gone()
        site.server.start()
        for one in runs:
            if one.moment.asks is not None:
                site.server.api.await_event("run.paused", runId=one.run_id)
        give_answers(stage, runs)
        check(stage, runs)
        check_after_restart(stage, runs, before)


@pytest.mark.parametrize("store", sized(("postgres",), ("postgres",), BOTH), indirect=True)
def test_another_worker_ends_the_runs_of_one_that_was_killed(tmp_path: Path, store: dict[str, str]) -> None:
    (tmp_path / "silence").touch()
    with mcp_site(tmp_path, servers_of(tmp_path), executor="off", **store) as site, ExitStack() as stack:
        stage = Stage(site, tmp_path)
        settings = {"openai_base_url": site.model.url, "mcp_servers": str(tmp_path / "mcp-servers.toml"), **store}
        words = ("--concurrency", str(len(MOMENTS)))
        with ExitStack() as first:
            victim = first.enter_context(Worker(tmp_path, *words, **settings))
            runs = begin(stage, "worker")
            before = {name: len(stage.calls(name)) for name in ("mute", "trusted")}
            stack.enter_context(Worker(tmp_path, *words, **settings))
            victim.kill()
        for one in runs:
            if one.moment.asks is not None:
                site.server.api.await_event("run.paused", runId=one.run_id)
        give_answers(stage, runs)
        check(stage, runs)
        check_after_restart(stage, runs, before)
