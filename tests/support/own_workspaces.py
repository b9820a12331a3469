"""A server with a shared workspace whose runs work in workspaces of their own, by scripts of a model."""

from pathlib import Path
from typing import Any, NamedTuple

from tests.support.api import Json
from tests.support.directed import DirectedModel
from tests.support.model import Profile, Step, call
from tests.support.server import Server


def sh(script: str) -> Step:
    return call("shell", command=["/bin/sh", "-c", script])


def at(profile: str, session_id: str) -> Json:
    return {"harnessProfileId": profile, "sessionId": session_id}


class Site(NamedTuple):
    """A server whose shared workspace is a repository, and its model."""

    server: Server
    model: DirectedModel

    def profile(self, workspace: str | None = "session", *, sandbox: str | None = None, **fields: Any) -> str:
        body = Profile(**fields).body
        body |= {} if workspace is None else {"workspace": workspace}
        body |= {} if sandbox is None else {"sandbox": {"mode": sandbox}}
        return str(self.server.api.post("/harness-profiles", body)["id"])

    def run(self, name: str, *turns: Step, ending: str = "run.completed", **fields: Any) -> str:
        """Run a script. Return the id of the run."""
        said = self.model.script(name, *turns, "done")
        run_id = str(self.server.api.start(said, **fields)["runId"])
        assert self.server.api.await_ending(run_id) == ending
        return run_id

    def events(self, run_id: str) -> list[Json]:
        """Return what a run recorded of its workspace."""
        return self.server.api.events(runId=run_id, types="workspace.opened,workspace.changed")

    def changed(self, run_id: str) -> Json:
        """Return the last record of what a run has changed."""
        return next(one["payload"] for one in reversed(self.events(run_id)) if one["type"] == "workspace.changed")

    def diff(self, run_id: str) -> str:
        """Return the recorded diff of a run."""
        evidence = self.changed(run_id)["evidenceId"]
        return str(self.server.api.get(f"/runs/{run_id}/evidence/{evidence}")["content"]["text"])

    def files(self, run_id: str) -> Path:
        """Return the directory in which a run worked."""
        (opened,) = [one["payload"] for one in self.events(run_id) if one["type"] == "workspace.opened"]
        return self.server.state_dir / "workspaces" / str(opened["workspaceId"]) / "files"
