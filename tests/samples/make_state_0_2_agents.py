"""Make ``tests/samples/state-0.2-agents``: a plane with runs of outside agents, as a kill left it.

The program ran once, with the commit that ``expected.json`` names and with no other, beside PostgreSQL 15 and
bubblewrap::

    python -m tests.samples.make_state_0_2_agents tests/samples/state-0.2-agents

The files that it wrote are never rewritten: they stand for what installations hold.
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

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
from tests.samples.make_state_0_2_asks import ROOT, athena, copied, dump, feed, pack
from tests.samples.make_state_0_2_workspaces import ENDED, ROLES, Story, shared
from tests.support.agent_model import Calls, Hangs, Refuses, shell
from tests.support.api import soon
from tests.support.outside_agents import DirectedAgentModel, agents_file
from tests.support.stub import standing

BEGINNING = milliseconds("2026-06-01T09:00:00Z")
TYPES = {
    *("agent.attached", "tool.called", "run.asked", "run.answered", "permission-rule.created", "usage.recorded"),
    *("budget.reserved", "run.paused", "workspace.changed", "sandbox.lifecycle", "workspace.cleaned"),
}
GUARDS = {"lease", "ask", "permission-rule", "spent"}
AGENTS = {"fake": (), "pretends": ("end-turn-after-failure",), "dies": ("die=tool",), "quiet": ("never-asks",)}
EDIT = Calls("edit", {"path": "out.txt", "text": "hi\n"})
ASKED = shell("echo allowed >> allowed.txt")
LONG = shell("echo begun >> long.txt; sleep 1000")
ALLOW_ALL = ({"match": {}, "approval": "allow"},)


class Agents(Story):
    """The history of the plane, in one process."""

    def __init__(self, directory, model, clock):
        self.model = model
        super().__init__(directory, model.url, clock, agents=str(agents_file(directory, AGENTS)))
        self.send("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 5})

    def agent(self, name, permissions=(), **fields):
        body = {
            "displayName": name,
            "version": "v1",
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["evidence"]},
            "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": fields.pop("budget", 0)},
            "sandbox": {"mode": fields.pop("sandbox", "off")},
            "agent": {"name": name} | ({"permissions": list(permissions)} if permissions else {}),
        }
        return self.send("POST", "/harness-profiles", body | fields)["id"]

    def task(self, said, profile, session, *turns, status=None):
        """Start a run whose input is the task. With ``status``, wait for its end."""
        run_id = self.begin(self.model.script(said, *turns), profile, session)
        if status is not None:
            assert self.until(run_id, lambda run: run["status"] in ENDED)["status"] == status
        return run_id

    def ask(self, run_id):
        for _ in soon():
            found = self.send("GET", f"/asks?status=open&runId={run_id}")["items"]
            if found:
                return found[0]
        raise AssertionError(run_id)

    def answer(self, run_id, option, **fields):
        ask = self.ask(run_id)
        body = {"subjectHash": ask["subjectHash"], "optionId": option, **fields}
        self.send("POST", f"/asks/{ask['id']}/answer", body, who="olga")

    def tell(self):
        """Tell the whole story, up to the kill."""
        left = {}
        verified = {
            "verificationPolicies": [
                {"id": "c", "kind": "command", "label": "Made", "command": ["/bin/cat", "out.txt"]}
            ],
            "toolPolicies": {"shell": {"commands": [["/bin/cat"]]}},
        }
        free = self.agent("fake", ALLOW_ALL)
        asking = self.agent("fake")
        left["edited"] = self.task(
            "agent edits",
            self.agent("fake", ALLOW_ALL, **verified),
            "edited",
            EDIT,
            shell("cat out.txt"),
            "It is done.",
            status="completed",
        )
        boxed = self.agent("fake", ALLOW_ALL, sandbox="required")
        left["boxed"] = self.task("agent in a box", boxed, "boxed", EDIT, "Done.", status="completed")
        left["quiet"] = self.task("agent is quiet", self.agent("quiet"), "quiet", EDIT, "Done.", status="completed")
        denying = self.agent("fake", ({"match": {"kind": "edit"}, "approval": "deny"}, *ALLOW_ALL))
        left["denied"] = self.task("agent is denied", denying, "denied", EDIT, "Not done.", status="completed")
        left["allowed"] = self.task("agent asks", asking, "asks", ASKED, "Done.")
        self.answer(left["allowed"], "allow", remember="session")
        self.until(left["allowed"], lambda run: run["status"] in ENDED)
        left["ruled"] = self.task("agent asks again", asking, "asks", "", ASKED, "Done.", status="completed")
        left["refused"] = self.task("agent is refused", asking, "refused", ASKED, "Not done.")
        self.answer(left["refused"], "deny", note="not this one")
        self.until(left["refused"], lambda run: run["status"] in ENDED)
        pretends = self.agent("pretends", ALLOW_ALL)
        left["failed"] = self.task("agent pretends", pretends, "pretends", Refuses(), status="failed")
        dies = self.agent("dies", ALLOW_ALL)
        left["gone"] = self.task("agent dies", dies, "dies", shell("true"), status="failed")
        left["cancelled"] = self.task("agent is cancelled", free, "cancelled", Hangs("Half"))
        self.hung("agent is cancelled")
        self.send("POST", f"/run-control/by-run/{left['cancelled']}/cancel", {}, who="olga")
        self.until(left["cancelled"], lambda run: run["status"] in ENDED)
        left["erased"] = self.task("agent tells a secret", free, "erased", EDIT, "secret words", status="completed")
        self.erase(left["erased"])
        poor = self.agent("fake", ALLOW_ALL, budget=0.000001)
        left["poor"] = self.task("agent is poor", poor, "poor", EDIT, "Done.")
        self.until(left["poor"], lambda run: run["status"] == "paused")
        parks = self.agent("fake", asks={"holdMs": 0})
        left["parked"] = self.task("agent is parked", parks, "parked", ASKED, "Done.")
        self.until(left["parked"], lambda run: run["status"] == "paused")
        left["parkedAsk"] = self.ask(left["parked"])["id"]
        holds = self.agent("fake", asks={"holdMs": 600_000})
        left["held"] = self.task("agent is held", holds, "held", ASKED, "Done.")
        left["heldAsk"] = self.ask(left["held"])["id"]
        left["tool"] = self.task("agent is in a tool", free, "tool", EDIT, LONG, "Done.")
        self.until_called(left["tool"], 2)
        left["stream"] = self.task("agent is in a stream", free, "stream", EDIT, Hangs("Half an answer"))
        self.hung("agent is in a stream")
        body = {"input": "never mind", "harnessProfileId": denying, "sessionId": "keyed"}
        self.model.script("never mind", "Done.")
        keyed = self.plane.ask("POST", "/runs", body, x_athena_identity="olga", idempotency_key="agent-old")
        one = {"who": "olga", "method": "POST", "path": "/runs", "key": "agent-old", "body": body}
        one |= {"status": keyed.status_code, "answer": keyed.json()["data"]}
        page = self.send("GET", "/runs?limit=3")
        runs = page["items"] + self.send("GET", f"/runs?limit=500&cursor={page['nextCursor']}")["items"]
        return {
            "redactedRun": left["erased"],
            "runs": [run["runId"] for run in runs],
            "runsCursor": page["nextCursor"],
            "keyed": [one],
            "open": left,
        }

    def hung(self, task):
        """Return once the model of a task hangs."""
        for _ in soon():
            if self.model.models[task].hung.is_set():
                return

    def until_called(self, run_id, count):
        for _ in soon():
            events = self.send("GET", f"/events?types=tool.called&runId={run_id}&cursor=0&limit=500")["events"]
            if len(events) == count:
                return


def phase(directory):
    clock = FixedDate(BEGINNING)
    model = DirectedAgentModel()
    with standing(model.choose) as stub:
        try:
            model.url = stub.url
            shared(directory)
            notes = Agents(directory, model, clock).tell()
            (directory / "notes.json").write_text(json.dumps(notes))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)


def main(out):
    """Make the whole state."""
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.2-agents-"))
    code = subprocess.run([sys.executable, "-m", __spec__.name, "--phase", str(directory)], cwd=ROOT, check=False)
    assert code.returncode == -signal.SIGKILL, code
    events = feed(directory)
    notes = json.loads((directory / "notes.json").read_text())
    report = json.loads(athena(copied(directory, "for-verify"), "verify", "-o", "json"))
    assert report["head"] == len(events), report
    types = {event["type"] for event in events}
    assert types >= TYPES, TYPES - types
    with sqlite3.connect(copied(directory, "for-guards") / "log.db") as log:
        guards = {kind for (kind,) in log.execute("SELECT kind FROM guard")}
    assert guards >= GUARDS, GUARDS - guards
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
