"""Redaction of runs and sessions with a workspace of their own: no file of it holds the text afterwards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import Result, Terminal
from tests.support.api import soon
from tests.support.directed import DirectedModel, directed
from tests.support.model import Profile, Step, call
from tests.support.server import Server
from tests.support.traces import traces

CANARY = "canary-b6e0-sings"


def sh(script: str) -> Step:
    """Return a call whose result no other run repeats."""
    return call("shell", command=["/bin/sh", "-c", f"echo $$; {script}"])


class Scene(NamedTuple):
    """A server whose runs have workspaces of their own, and a command line beside it."""

    server: Server
    model: DirectedModel
    here: Here
    profile: str

    def run(self, said: str, session: str, *turns: Step) -> str:
        """Run a script to its end."""
        run_id = self.begin(said, session, *turns)
        assert self.server.api.await_ending(run_id) == "run.completed"
        return run_id

    def begin(self, said: str, session: str, *turns: Step) -> str:
        body = {"harnessProfileId": self.profile, "sessionId": session}
        return str(self.server.api.start(self.model.script(said, *turns, "done"), **body)["runId"])

    def redact(self, *arguments: str) -> Result:
        return self.here("redact", *arguments, "--reason", "asked to forget")

    def workspace(self, session: str) -> Path:
        (found,) = self.server.api.items("/workspaces", sessionId=session, status="active")
        return self.server.state_dir / "workspaces" / str(found["workspaceId"])


@contextmanager
def staged(terminal: Terminal, here: Here, **settings: str) -> Iterator[Scene]:
    (terminal.directory / "workspace").mkdir()
    (terminal.directory / "workspace" / "plan.md").write_text("# Plan\n")
    with (
        directed() as model,
        terminal.served(
            openai_base_url=model.url,
            openai_api_key="none",
            workspace_root=str(terminal.directory / "workspace"),
            **settings,
        ) as server,
    ):
        profile = server.api.post("/harness-profiles", Profile().body | {"workspace": "session"})["id"]
        yield Scene(server, model, here, str(profile))


@pytest.mark.parametrize("what", ["run", pytest.param("session", marks=pytest.mark.heavy)])
def test_the_workspace_leaves_every_file_with_the_text(terminal: Terminal, here: Here, what: str) -> None:
    with staged(terminal, here) as scene:
        write = sh(f"echo {CANARY} > a.txt; mkdir closed; cp a.txt closed/b.txt; chmod 000 closed")
        run_id = scene.run("write it", "a", write)
        other = scene.run("write another", "b", sh("echo stays > a.txt"))
        there, stays = scene.workspace("a"), scene.workspace("b")
        assert len(traces(terminal.state_dir, CANARY)) >= 2

        done = scene.redact(f"--{what}", run_id if what == "run" else "a")
        assert (done.code, f"The workspace {there.name} is deleted" in done.err) == (0, True), done.err
        assert traces(terminal.state_dir, CANARY) == []
        assert not there.exists()
        assert (stays / "files" / "a.txt").read_text() == "stays\n"
        cleaned = scene.server.api.get(f"/workspaces/{there.name}")
        assert (cleaned["status"], bool(cleaned["cleanedAt"])) == ("cleaned", True)
        (event,) = [one["payload"] for one in scene.server.api.events(types="workspace.cleaned")]
        assert (event["workspaceId"], event["cause"], event["by"]) == (there.name, "erasure", "local")
        assert scene.redact(f"--{what}", run_id if what == "run" else "a").code == 0
        again = scene.run("look again", "a", sh("ls -A"))
        assert (scene.workspace("a").name != there.name, other != again) == (True, True)
    assert here("verify").code == 0


def test_nothing_is_erased_while_a_run_is_open_in_the_workspace(terminal: Terminal, here: Here) -> None:
    with staged(terminal, here) as scene:
        first = scene.run("write it", "a", sh(f"echo {CANARY} > a.txt"))
        working = scene.begin("wait", "a", sh("while [ ! -e go ]; do sleep 0.05; done"))
        there = scene.workspace("a")
        for _ in soon():
            if scene.server.api.events(types="tool.called", runId=working):
                break
        for words in (("--session", "a"), ("--run", first)):
            refused = scene.redact(*words)
            assert (refused.code, f"Run {working} uses workspace {there.name}" in refused.err) == (1, True), refused.err
        assert (there / "files" / "a.txt").read_text() == f"{CANARY}\n"
        assert scene.server.api.events(types="payload.redacted") == []
        (there / "files" / "go").touch()
        scene.server.api.await_ending(working)
        assert scene.redact("--session", "a").code == 0
        assert traces(terminal.state_dir, CANARY) == []


def test_the_erasure_of_one_event_names_the_workspace_of_its_run(terminal: Terminal, here: Here) -> None:
    with staged(terminal, here) as scene:
        scene.run("write it", "a", sh(f"echo {CANARY} > a.txt"))
        there = scene.workspace("a")
        types = scene.server.api.types()
        position = str(types.index("evidence.attached") + 1)
        found = scene.redact("--position", position)
        left = {one["place"]: one["remedy"] for one in json.loads(found.out)["left"]}
        assert (found.code, left.get(there.name)) == (1, f"athena workspaces clean {there.name}")
        assert there.exists()


def test_a_workspace_on_another_machine_is_named(terminal: Terminal, here: Here) -> None:
    with staged(terminal, here) as scene:
        scene.run("write it", "a", sh(f"echo {CANARY} > a.txt"))
        there = scene.workspace("a")
        there.rename(terminal.directory / "elsewhere")
        found = scene.redact("--session", "a")
        assert found.code == 1
        left = {one["place"]: one["reason"] for one in json.loads(found.out)["left"]}
        assert left == {there.name: "the directory of the workspace is not on this machine"}
        (terminal.directory / "elsewhere").rename(there)  # as the server of that machine has it
    with terminal.served():
        for _ in soon():
            if not there.exists():
                break
