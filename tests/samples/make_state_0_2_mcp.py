"""Make ``tests/samples/state-0.2-mcp``: a plane with MCP servers and runs that use them, as a kill left it.

The program ran once, with the commit that ``expected.json`` names and with no other, beside PostgreSQL 15::

    python -m tests.samples.make_state_0_2_mcp tests/samples/state-0.2-mcp

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
from athena_core.event import Meta
from athena_core.services.erasure import redaction
from tests.samples.make_state_0_2_asks import ROOT, athena, copied, dump, feed, pack
from tests.samples.make_state_0_2_workspaces import ENDED, ROLES, Story, shared
from tests.support.agent_model import Calls
from tests.support.api import soon
from tests.support.mcp_posts import answer_of, modern
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.outside_agents import DirectedAgentModel, agents_file
from tests.support.stub import standing

BEGINNING = milliseconds("2026-07-01T09:00:00Z")
TYPES = {
    *("mcp-server.listed", "mcp-server.accepted", "mcp.attached", "tool.called", "run.asked", "run.answered"),
    *("permission-rule.created", "evidence.attached", "run.paused", "agent.attached", "payload.redacted"),
}
GUARDS = {"lease", "ask", "mcp-server", "permission-rule"}
ALLOW = {"tools": ["*"], "approval": "allow"}
ECHO = Calls("fake__echo", {"text": "hi"})
ASK = Calls("fake__ask", {"question": "Which color?"})


class McpStory(Story):
    """The history of the plane, in one process."""

    def __init__(self, directory, model, clock):
        self.model = model
        self.switches = directory / "switches"
        self.silence = directory / "silence"
        self.switches.touch()
        self.silence.touch()
        servers = {
            "fake": fake_server(f"control={self.switches}", callTimeoutMs=600_000),
            "calm": fake_server(f"control={self.silence}", trustHints=True, callTimeoutMs=600_000),
            "mute": fake_server(f"control={self.silence}", f"log={directory / 'mute'}", callTimeoutMs=600_000),
            "broken": fake_server("exit=start"),
            "bad": fake_server("crash=call"),
        }
        settings = {"mcp_servers": str(mcp_servers_file(directory, servers))}
        super().__init__(directory, model.url, clock, agents=str(agents_file(directory, {"agent": ()})), **settings)

    def using(self, policy=ALLOW, servers=("fake",), **fields):
        body = {
            "displayName": "Uses tools",
            "version": "v1",
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["evidence"]},
            "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
            "mcp": dict.fromkeys(servers, policy),
        }
        return self.send("POST", "/harness-profiles", body | fields)["id"]

    def task(self, said, profile, *turns, status="completed"):
        """Start a run whose input is the task, in a session of its name. With ``status``, wait for its end."""
        run_id = self.begin(self.model.script(said, *turns), profile, said.replace(" ", "-"))
        if status is not None:
            assert self.until(run_id, lambda run: run["status"] in ENDED)["status"] == status
        return run_id

    def ask(self, run_id):
        for _ in soon():
            found = self.send("GET", f"/asks?status=open&runId={run_id}")["items"]
            if found:
                return found[0]
        raise AssertionError(run_id)

    def answer(self, run_id, **fields):
        ask = self.ask(run_id)
        self.send("POST", f"/asks/{ask['id']}/answer", {"subjectHash": ask["subjectHash"], **fields}, who="olga")
        return self.until(run_id, lambda run: run["status"] in ENDED)

    def accept(self):
        found = self.send("GET", "/mcp-servers/fake")
        body = {"listingSha256": found["listingSha256"], "note": "looks fine"}
        self.send("POST", "/mcp-servers/fake/accept", body, who="olga")

    def tell(self):
        """Tell the whole story, up to the kill."""
        left = {}
        free, asking = self.using(), self.using({"tools": ["*"]})
        shown = Calls("fake__echo", {"text": "shown", "evidence": "Greeting"})
        left["called"] = self.task("calls a tool", free, shown, Calls("fake__add", {"a": 1, "b": 2}), "Done.")
        left["allowed"] = self.task("asks for a tool", asking, ECHO, "Done.", status=None)
        self.answer(left["allowed"], optionId="allow", remember="session")
        left["edited"] = self.task("is edited", asking, ECHO, "Done.", status=None)
        self.answer(left["edited"], optionId="allow", editedArguments={"text": "edited"}, note="better so")
        left["refused"] = self.task("is refused", asking, ECHO, "Not done.", status=None)
        self.answer(left["refused"], optionId="deny")
        rules = {"tools": ["echo", "append"], "rules": [{"match": {"tool": "app*"}, "approval": "deny"}]}
        append = Calls("fake__append", {"line": "never"})
        left["denied"] = self.task("is denied", self.using(rules), append, "Not done.")
        left["unknown"] = self.task("knows no such tool", self.using(rules), Calls("fake__add", {}), "Not done.")
        left["failed"] = self.task("meets an error", free, Calls("fake__fail", {}), "Not done.")
        broken = self.using(servers=("broken", "bad"))
        left["broken"] = self.task("meets a crash", broken, Calls("bad__echo", {"text": "hi"}), "Not done.")
        left["asked"] = self.task("answers a server", free, ASK, "Done.", status=None)
        self.answer(left["asked"], values={"color": "green", "note": "a leaf"})
        left["declined"] = self.task("declines a server", free, ASK, "Done.", status=None)
        self.answer(left["declined"], optionId="decline")
        left["erased"] = self.task("is erased", free, Calls("fake__echo", {"text": "secret words"}), "secret words")
        self.erase(left["erased"])
        agent = {"agent": {"name": "agent"}, "sandbox": {"mode": "off"}}
        tool = Calls("athena_attach_evidence", {"label": "Report", "type": "text", "content": "All is well."})
        left["agent"] = self.task(
            "is an agent", self.using(**agent), tool, Calls("athena_fake__echo", {"text": "a"}), "Done."
        )
        self.switches.write_text("changed\nadded\n")
        left["changed"] = self.task("meets a change", free, ECHO, Calls("fake__extra", {}), "Not done.")
        left["keptOut"] = self.task("is bound to what was accepted", free, ECHO, "Not done.")
        self.accept()
        left["accepted"] = self.task("uses what was accepted", free, ECHO, "Done.")
        self.switches.write_text("changed\nadded\nremoved\n")
        self.send("POST", "/mcp-servers/fake/check", {}, who="olga")
        self.switches.write_text("changed\nadded\n")
        self.send("POST", "/mcp-servers/fake/check", {}, who="olga")
        self.erase_listing()
        start = modern("tools/call", name="start_run", arguments={"input": "over mcp", "harnessProfileId": free})
        self.model.script("over mcp", "Done.")
        left["overMcp"] = self.post(start)["runId"]
        left["parked"] = self.task("is parked", self.using(asks={"holdMs": 0}), ASK, "Done.", status=None)
        self.until(left["parked"], lambda run: run["status"] == "paused")
        again = self.using(servers=("calm",), asks={"holdMs": 0})
        calm = Calls("calm__ask", {"question": "Which color?"})
        left["parkedAgain"] = self.task("is parked and repeated", again, calm, "Done.", status=None)
        self.until(left["parkedAgain"], lambda run: run["status"] == "paused")
        left["held"] = self.task("is held", self.using(asks={"holdMs": 600_000}), ASK, "Done.", status=None)
        self.ask(left["held"])
        self.silence.write_text("silence\n")
        for name, server in (("once", "mute"), ("again", "calm")):
            step = Calls(f"{server}__echo", {"text": "hi"})
            left[name] = self.task(f"is called {name}", self.using(servers=(server,)), step, "Done.", status=None)
            self.until_called(left[name], 1)
        body = {"input": "never mind", "harnessProfileId": free, "sessionId": "keyed"}
        self.model.script("never mind", "Done.")
        keyed = self.plane.ask("POST", "/runs", body, x_athena_identity="olga", idempotency_key="mcp-old")
        one = {"who": "olga", "method": "POST", "path": "/runs", "key": "mcp-old", "body": body}
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

    def post(self, asked):
        """Send a message to /mcp as Olga. Return the structured result, or the task."""

        async def send():
            headers = {**asked.headers, "content-type": "application/json", "x-athena-identity": "olga"}
            return await self.plane.client.post("http://plane/mcp", content=asked.body, headers=headers)

        result = answer_of(self.plane.call(send))["result"]
        run_id = result.get("taskId") or result["structuredContent"]["runId"]
        self.until(run_id, lambda run: run["status"] in ENDED)
        return {"runId": run_id}

    def erase_listing(self):
        """Erase the text of the first listing of ``bad``, which only a run has seen."""
        plane = self.plane.app.plane

        async def redact():
            rows = plane.reader.of_types(("mcp-server.listed",), 0, plane.reader.head(), 500)
            rows = tuple(row for row in rows if row.stream.endswith("bad"))
            found = redaction.ErasableText(rows, (), frozenset())
            await redaction.redact(plane.log, plane.reader, found, "asked", Meta(actor="ada", correlation="c"))

        self.plane.call(redact)

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
            notes = McpStory(directory, model, clock).tell()
            (directory / "notes.json").write_text(json.dumps(notes))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)


def main(out):
    """Make the whole state."""
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.2-mcp-"))
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
    athena(state, "export", "--run", notes["open"]["called"], "--out", str(path))
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
