"""Make ``tests/samples/state-0.2-workspaces``: a plane with workspaces and sandboxes, as a kill left it.

The program ran once, with the commit that ``expected.json`` names and with no other, beside PostgreSQL 15 and
bubblewrap::

    python -m tests.samples.make_state_0_2_workspaces tests/samples/state-0.2-workspaces

The files that it wrote are never rewritten: they stand for what installations hold.
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from athena_core.clock import FixedDate, milliseconds
from athena_core.event import Meta
from athena_core.services.erasure import redaction
from athena_core.system import sandbox
from tests.samples.make_state_0_2_asks import ROOT, athena, copied, dump, feed, pack
from tests.support.api import soon
from tests.support.inside import Inside
from tests.support.model import call, turn_of
from tests.support.stub import standing

ROLES = "ada:Admin,olga:Operator,vera:Viewer"
BEGINNING = milliseconds("2026-04-01T09:00:00Z")
HOUR_MS = 3_600_000
TYPES = {
    *("workspace.created", "workspace.opened", "workspace.changed", "workspace.applied", "workspace.retained"),
    *("workspace.cleaned", "sandbox.lifecycle"),
}
GUARDS = {"workspace", "workspace-run"}
ENDED = {"completed", "ok", "failed", "cancelled"}
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
AT = {"GIT_AUTHOR_DATE": "2026-03-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-03-01T00:00:00Z"}


def choose(asked):
    """Return the next turn: the command that the input names, then the answer. An input of "wait" gets none."""
    messages = asked.body["messages"]
    said = next(str(one["content"]) for one in reversed(messages) if one["role"] == "user").removeprefix("user: ")
    if messages[-1]["role"] == "tool":
        return turn_of("all done", 2)
    if said == "wait":
        return wait
    return turn_of(call("shell", command=["/bin/sh", "-c", said]), 1)


async def wait(stub, writer):
    await asyncio.sleep(3_600)


def shared(directory):
    """Make the shared workspace, a repository with one commit."""
    there = directory / "workspace"
    (there / "docs").mkdir(parents=True)
    (there / "app.py").write_text("print('one')\nprint('two')\nprint('three')\n")
    (there / "docs" / "plan.md").write_text("# Plan\n\nNothing yet.\n")
    (there / ".gitignore").write_text("*.log\n")
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "Begin")):
        subprocess.run([*GIT, *words], cwd=there, check=True, env=os.environ | AT)
    return there


class Story:
    """A part of the history of the plane, in one process."""

    def __init__(self, directory, model, clock, **settings):
        self.clock = clock
        self.directory = directory
        self.plane = Inside(
            directory,
            clock,
            workspace_root=str(directory / "workspace"),
            openai_base_url=model + "/v1",
            openai_api_key="none",
            scheduler="off",
            auth_enabled="true",
            auth_identity_role_map=ROLES,
            authz_mode="enforce",
            **settings,
        )
        self.plane.start()

    def send(self, method, path, body=None, who="ada", **headers):
        answer = self.plane.ask(method, path, body, x_athena_identity=who, **headers)
        data = answer.json()
        assert data["ok"], (method, path, body, data)
        return data["data"]

    def profile(self, name, workspace, mode, **asks):
        body = {
            "displayName": name,
            "version": "v1",
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["files", "shell"]},
            "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
            "toolPolicies": {
                "shell": {"commands": [["/bin/sh"]]} | ({"approval": "ask"} if asks else {}),
                "files": {"write": True},
            },
            "workspace": workspace,
            "sandbox": {"mode": mode},
        }
        return self.send("POST", "/harness-profiles", body | ({"asks": asks} if asks else {}))["id"]

    def begin(self, said, profile, session):
        self.clock.advance(1_000)
        body = {"input": said, "harnessProfileId": profile, "sessionId": session}
        return self.send("POST", "/runs", body, who="olga", prefer="respond-async")["runId"]

    def until(self, run_id, holds):
        for _ in soon():
            run = self.send("GET", f"/runs/{run_id}")
            if holds(run):
                return run
        raise AssertionError(run)

    def run(self, said, profile, session, status="completed"):
        run_id = self.begin(said, profile, session)
        assert self.until(run_id, lambda run: run["status"] in ENDED)["status"] == status
        return run_id

    def workspace(self, session):
        for _ in soon():
            found = self.send("GET", f"/workspaces?sessionId={session}")["items"]
            if found:
                return found[0]["workspaceId"]
        raise AssertionError(session)

    def erase(self, run_id):
        """Erase the text of a run, and its workspace."""
        plane = self.plane.app.plane

        async def redact():
            meta = Meta(actor="ada", correlation="c")
            text = redaction.text_of_run(plane.reader, plane.log.codec, run_id)
            await plane.workspace_cleaner.erase(text.workspaces, meta)
            await redaction.redact(plane.log, plane.reader, text, "asked", meta)

        self.plane.call(redact)

    def without_sandbox(self):
        """Tell the part on a machine without bubblewrap, with copies of the shared workspace."""
        preferred, required = (self.profile(mode, "session", mode) for mode in ("preferred", "required"))
        copied = self.run("echo copied > copied.txt; echo ignored > a.log", preferred, "copied")
        refused = self.run("echo never", required, "refused", status="failed")
        self.plane.stop()
        return {"copied": copied, "refused": refused}

    def with_sandbox(self, left):
        """Tell the part with sandboxes and clones, and kill the process."""
        boxed = self.profile("Boxed", "session", "required")
        stepping = self.profile("Stepping", "workflow-run", "required")
        asking = self.profile("Asking", "session", "required", holdMs=0)
        left["edited"] = self.run("sed -i s/two/zwei/ app.py; rm docs/plan.md; chmod +x app.py", boxed, "edited")
        left["same"] = self.run("true", boxed, "edited")
        left["binary"] = self.run("printf '\\000\\001' > pixel.bin", boxed, "edited")
        left["applied"] = self.run("echo applied > applied.txt", boxed, "applied")
        self.send("POST", f"/runs/{left['applied']}/apply", {}, who="olga")
        left["cleaned"] = self.run("echo cleaned > cleaned.txt", boxed, "cleaned")
        self.send("DELETE", f"/workspaces/{self.workspace('cleaned')}", who="olga")
        left["erased"] = self.run("echo secret > secret.txt", boxed, "erased")
        self.erase(left["erased"])
        steps = []
        for name, said in (("make", "echo made > made.txt"), ("use", "cat made.txt > used.txt")):
            directive = self.send("POST", "/directives", {"input": said})["id"]
            steps.append({"id": name, "directiveId": directive, "harnessProfileId": stepping})
        definition = {"steps": steps, "dependencies": [{"from": "make", "to": "use"}]}
        flow = self.send("POST", "/workflows", {"definition": definition})["id"]
        left["workflowRun"] = self.send("POST", f"/workflows/{flow}/run", {})["id"]
        for _ in soon():
            if self.send("GET", f"/workflows/run/{left['workflowRun']}")["run"]["status"] in ENDED:
                break
        kept = self.workspace("applied")
        path, body = f"/workspaces/{kept}/keep", {"keep": True}
        headers = {"x_athena_identity": "olga", "idempotency_key": "keep-old"}
        keyed = self.plane.ask("POST", path, body, **headers)
        one = {"who": "olga", "method": "POST", "path": path, "key": "keep-old", "body": body}
        one |= {"status": keyed.status_code, "answer": keyed.json()["data"]}
        left["parked"] = self.begin("echo parked > parked.txt", asking, "parked")
        self.until(left["parked"], lambda run: run["status"] == "paused")
        left["held"] = self.begin("wait", boxed, "edited")
        for _ in soon():
            events = self.send("GET", "/events?types=workspace.opened&cursor=0&limit=500")["events"]
            if any(event["runId"] == left["held"] for event in events):
                break
        left |= {"boxed": boxed, "asking": asking, "keptWorkspace": kept, "workspace": self.workspace("edited")}
        page = self.send("GET", "/runs?limit=3")
        runs = page["items"] + self.send("GET", f"/runs?limit=500&cursor={page['nextCursor']}")["items"]
        return {
            "redactedRun": left["erased"],
            "runs": [run["runId"] for run in runs],
            "runsCursor": page["nextCursor"],
            "keyed": [one],
            "open": left,
        }


def phase(directory):
    clock = FixedDate(BEGINNING)
    with standing(choose) as stub:
        try:
            shared(directory)
            works, sandbox.bubblewrap = sandbox.bubblewrap, lambda: None
            left = Story(directory, stub.url, clock, workspaces_source="copy").without_sandbox()
            sandbox.bubblewrap = works
            sandbox.probe.cache_clear()
            clock.advance(HOUR_MS)
            notes = Story(directory, stub.url, clock).with_sandbox(left)
            (directory / "notes.json").write_text(json.dumps(notes))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)


def main(out):
    """Make the whole state."""
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.2-workspaces-"))
    code = subprocess.run([sys.executable, "-m", __spec__.name, "--phase", str(directory)], cwd=ROOT, check=False)
    assert code.returncode == -signal.SIGKILL, code
    events = feed(directory)
    notes = json.loads((directory / "notes.json").read_text())
    report = json.loads(athena(copied(directory, "for-verify"), "verify", "-o", "json"))
    assert report["head"] == len(events), report
    types = {event["type"] for event in events}
    assert types >= TYPES, TYPES - types
    phases = {event["sandbox"]["phase"] for event in events if event["type"] == "sandbox.lifecycle"}
    assert phases == {"fallback", "required-unavailable", "ready", "cleaned"}, phases
    causes = {event["payload"]["cause"] for event in events if event["type"] == "workspace.cleaned"}
    assert causes == {"requested", "erasure"}, causes
    sources = {event["payload"]["source"] for event in events if event["type"] == "workspace.created"}
    assert sources == {"copy", "clone"}, sources
    with sqlite3.connect(copied(directory, "for-guards") / "log.db") as log:
        guards = {kind for (kind,) in log.execute("SELECT kind FROM guard")}
    assert guards >= GUARDS, guards
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pack(directory, out / "state.tar.xz")
    shutil.copy(directory / "state" / "log.anchor", out / "log.anchor")
    state, path = copied(directory, "for-bundles"), directory / "run.bundle"
    athena(state, "export", "--run", notes["open"]["edited"], "--out", str(path))
    (out / "run.bundle.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    dump(directory, out / "dump.sql.xz")
    ids = "".join(f"{event['id']}\n" for event in events)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    expected = {
        "commit": commit.decode().strip(),
        "lastRecordedAt": events[-1]["createdAt"],
        "events": len(events),
        "first": events[0]["id"],
        "last": events[-1]["id"],
        "pairs": [[events[number - 1]["id"], events[number]["id"]] for number in (1, 40, len(events) // 2)],
        "idsSha256": hashlib.sha256(ids.encode()).hexdigest(),
        "payloadsSha256": hashlib.sha256(json.dumps([event["payload"] for event in events]).encode()).hexdigest(),
        "types": sorted(types),
        "roles": ROLES,
        **notes,
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for path in sorted(out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    if sys.argv[1] == "--phase":
        phase(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]).absolute())
