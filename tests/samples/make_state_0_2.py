"""Make ``tests/samples/state-0.2``: a plane with the whole of release 0.2, as it was left when it was killed.

The program ran once, in a checkout of the commit that ``expected.json`` names into which this file and
``fleet_of_0_2.py`` were copied, and with no other commit, beside PostgreSQL 15 and bubblewrap::

    python -m tests.samples.make_state_0_2 tests/samples/state-0.2

The files that it wrote are never rewritten: they stand for what installations hold. The tokens in ``expected.json``
belong to the sample, and open nothing else.

The histories of the partial states of 0.2 happen on one plane, each in sessions of its own, beside a fleet like the one
of ``state-0.1``. Each phase is a process, because a killed process is part of the history. Every event type of the
release occurs. Ids in ``open`` are named after the part that left them.
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from athena_core.clock import FixedDate, milliseconds
from athena_core.domain import EVENTS
from athena_core.system import sandbox
from tests.samples import make_state_0_2_agents as agents_part
from tests.samples import make_state_0_2_asks as asks_part
from tests.samples import make_state_0_2_mcp as mcp_part
from tests.samples import make_state_0_2_tokens as tokens_part
from tests.samples import make_state_0_2_workspaces as workspaces_part
from tests.samples.fleet_of_0_2 import HOUR_MS, Fleet, furnish
from tests.samples.make_state_0_2_asks import ROOT, athena, copied, dump, feed, pack
from tests.support.agent_model import Calls
from tests.support.gate import Gates
from tests.support.inside import Inside
from tests.support.keyed_api import credentials_file, keyed
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.model import call, turn_of
from tests.support.outside_agents import DirectedAgentModel, agents_file
from tests.support.stub import refuses, standing

BEGINNING = milliseconds("2026-09-07T09:00:00Z")
HOURS = {"first": 0, "bare": 3, "crashing": 4, "crashed": 5, "lost": 6, "open": 24}
"""The phases, and the hours from the beginning to each."""
KILLED = {"first", "crashing", "open"}
GUARDS = {
    *(asks_part.GUARDS - {"halt"}),
    *agents_part.GUARDS,
    *mcp_part.GUARDS,
    *workspaces_part.GUARDS,
    *("child", "drain", "fired", "flow", "message", "redrive", "reserved", "review", "schedule", "scheduled", "step"),
    *("token", "groups"),
}
REVIEW = {
    "schemaVersion": 1,
    "mergeGate": "pass",
    "reportMarkdown": "# Fine\n",
    "findings": [{"priority": "P3", "confidence": 7, "title": "Name", "message": "A longer one", "line": None}],
}
PEARS = (
    call("files", action="write", path="report.md", content="# Pears\nSales of pears rose by 12 %."),
    (
        ("shell", {"command": ["/bin/sh", "-c", "wc -c report.md"]}),
        ("evidence", {"label": "report", "type": "text", "content": "Sales of pears rose, according to 40 receipts."}),
    ),
    call("teleport", to="the moon"),
    "The report is written: sales of pears rose by 12 %.",
)


class PassingDate(FixedDate):
    """A date that is set and passes as the machine's does."""

    def __init__(self, now):
        super().__init__(now)
        self._since = time.monotonic()

    def now(self):
        return self.time + round((time.monotonic() - self._since) * 1000)

    def elapsed(self):
        return self.now() / 1000


class Models:
    """The models of all parts. A request goes to the part that its text or its tools belong to."""

    def __init__(self):
        self.agents, self.mcp = DirectedAgentModel(), DirectedAgentModel()
        self.items = ""

    def choose(self, asked):
        """Return the next turn of a conversation."""
        text, messages = json.dumps(asked.body), asked.body["messages"]
        tools = {tool["function"]["name"] for tool in asked.body.get("tools", ())}
        calls = sum(1 for one in messages if one["role"] == "assistant" and one.get("tool_calls"))
        if any(task in text for task in self.agents.models):
            return self.agents.choose(asked)
        if found := re.search(r"between \S+ and (\S+)\.", text):
            return self.review(found[1], text)
        if "illegible" in text:
            return refuses(400, b'{"error": {"message": "the model of ada@example.org is illegible"}}')
        if asked.body["model"] == "gpt-5-mini":
            return turn_of(call("http", url=self.items) if not calls else "done", calls + 1)
        if "two turns" in text:
            return turn_of(call("files", action="read", path="notes.txt") if calls < 2 else "all done", calls + 1)
        if "memory" in tools:
            return turn_of(PEARS[min(calls, len(PEARS) - 1)], calls + 1)
        if "ask_user" in tools and "twice" in text:
            steps = (call("shell", command=["/bin/sh", "-c", "echo twice >> effects.txt"]), asks_part.QUESTION, "done")
            return turn_of(steps[min(calls, 2)], calls + 1)
        if "ask_user" in tools:
            return asks_part.choose(asked)
        if any(task in text for task in self.mcp.models):
            return self.mcp.choose(asked)
        return workspaces_part.choose(asked)

    def review(self, head, text):
        """Return a review: of one head after a mistake, of another never, and of a third not in this release."""
        if head == "held":
            return workspaces_part.wait
        good = head != "hopeless" and (head != "mended" or "could not be read" in text)
        return turn_of(json.dumps(REVIEW) if good else "I like it!", 1)


class Rooms:
    """The plane as one part uses it: the names of its sessions begin with the name of the part."""

    def __init__(self, plane, part):
        self._plane, self._part = plane, part
        self.app, self.call, self.client = plane.app, plane.call, plane.client

    def ask(self, method, path, body=None, **headers):
        return self._plane.ask(method, self.own(path), self.own(body), **headers)

    def own(self, value):
        """Return a path or a body with the part's own sessions."""
        if isinstance(value, str):
            return re.sub(r"(?<=[?&]sessionId=)", f"{self._part}-", value)
        if not isinstance(value, dict):
            return value
        named = {name: f"{self._part}-{one}" if name == "sessionId" else one for name, one in value.items()}
        return {name: self.own(one) if isinstance(one, dict) else one for name, one in named.items()}

    def keyed(self, found):
        return [one | {"body": self.own(one["body"])} for one in found]


class Tokens(tokens_part.Story):
    """The tokens, on the plane of the fleet."""

    def __init__(self, plane, clock, directory):
        self.plane, self.clock, self.texts = plane, clock, {}
        self.notes_file = directory / "tokens.json"

    def told(self):
        self.tell()
        return json.loads(self.notes_file.read_text())


class Workspaces(workspaces_part.Story):
    """The workspaces, on the plane of the fleet."""

    def __init__(self, plane, clock, directory):
        self.plane, self.clock, self.directory = Rooms(plane, "workspaces"), clock, directory

    def told(self, left):
        return self.with_sandbox(left)


class Asks(asks_part.Story):
    """The asks, on the plane of the fleet. The halt is lifted."""

    def __init__(self, plane, clock, directory):
        self.plane = Rooms(plane, "asks")
        self.notes_file = directory / "asks.json"

    def told(self):
        self.tell()
        notes = json.loads(self.notes_file.read_text())
        self.send("DELETE", "/halt")
        self.send("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 5})
        for name in ("inLine", "later"):
            self.until(notes["open"].pop(name), lambda run: run["status"] == "completed")
        notes["open"] |= self.rules()
        return notes

    def rules(self):
        """Leave a permission rule of each scope in force, one of them for a call with a credential."""
        found = {}
        holding, parking = self.profile("Rules", holdMs=600_000), self.profile("Rules parked", holdMs=0)
        found["alwaysProfile"] = holding
        self.answered("for the profile", holding, "rule-profile", optionId="allow", remember="profile")
        self.answered("for the session", holding, "rule-session", optionId="allow", remember="session")
        found["twice"], ask = self.parked("twice", parking, "rule-run")
        self.answer(ask, optionId="allow", remember="run")
        self.until(found["twice"], lambda run: run["status"] == "paused" and run["waiting"]["asks"] != [ask["id"]])
        body = tokens_part.PROFILE | {"displayName": "Asks for its API", "asks": {"holdMs": 600_000}}
        body |= {"toolPolicies": {"http": {"methods": ["GET"], "approval": "ask"}}}
        found["api"] = self.send("POST", "/harness-profiles", body)["id"]
        self.answered("call the API", found["api"], "rule-api", optionId="allow", remember="profile")
        return found


class Agents(agents_part.Agents):
    """The outside agents, on the plane of the fleet."""

    def __init__(self, plane, clock, directory, model):
        self.plane, self.clock, self.directory, self.model = Rooms(plane, "agents"), clock, directory, model

    def told(self):
        return self.tell()


class McpServers(mcp_part.McpStory):
    """The MCP servers, on the plane of the fleet. One listing waits for its acceptance at the end."""

    def __init__(self, plane, clock, directory, model):
        self.plane, self.clock, self.directory, self.model = Rooms(plane, "mcp"), clock, directory, model
        self.switches, self.silence = directory / "switches", directory / "silence"

    def told(self):
        notes = self.tell()
        asking = self.using({"tools": ["*"]})
        again = Calls("fake__echo", {"text": "for good"})
        notes["open"]["ruled"] = self.task("remembers a tool", asking, again, "Done.", status=None)
        self.answer(notes["open"]["ruled"], optionId="allow", remember="profile")
        self.switches.write_text("changed\nadded\nremoved\n")
        self.send("POST", "/mcp-servers/fake/check", {}, who="olga")
        self.switches.write_text("")
        self.send("POST", "/mcp-servers/fake/check", {}, who="olga")
        return notes


class Release:
    """The phases of the history."""

    def __init__(self, name, directory, models, api):
        self.name, self.directory, self.models = name, directory, models
        self.clock = PassingDate(BEGINNING + HOURS[name] * HOUR_MS)
        self.notes_file = directory / "notes.json"
        self.notes = json.loads(self.notes_file.read_text()) if self.notes_file.exists() else {}
        self.gates = Gates(directory / "gates" / name)
        self.api = api

    def start(self, stub, **settings):
        directory = self.directory
        vault = {"header": "Authorization: Bearer {secret}", "hosts": [f"127.0.0.1:{self.api.port}"]}
        vault |= {"private": True, "secret": tokens_part.SECRET}
        local = {name: value for name, value in self.gates.settings.items() if name.startswith("local")}
        self.plane = Inside(
            directory,
            self.clock,
            workspace_root=str(directory / "workspace"),
            openai_base_url=stub.url + "/v1",
            openai_api_key="none",
            scheduler="off",
            auth_enabled="true",
            auth_identity_role_map=tokens_part.ROLES,
            auth_group_role_map="platform:Admin,support:Operator",
            auth_api_token=tokens_part.API_TOKEN,
            authz_mode="enforce",
            credentials_file=str(credentials_file(directory, vault=vault)),
            agents=str(agents_file(directory, agents_part.AGENTS | {"agent": ()})),
            mcp_servers=str(self.servers()),
            requests_per_second="10000",
            runtime_run_timeout_ms=str(12 * HOUR_MS),
            a2a_max_hops="2",
            a2a_retry_ms="1",
            **local,
            **settings,
        )
        self.plane.start()
        self.fleet = Fleet(self.plane, self.clock, self.gates, directory, self.notes)

    def servers(self):
        directory = self.directory
        for name in ("switches", "silence"):
            (directory / name).touch()
        fake, calm = f"control={directory / 'switches'}", f"control={directory / 'silence'}"
        servers = {
            "fake": fake_server(fake, callTimeoutMs=600_000),
            "calm": fake_server(calm, trustHints=True, callTimeoutMs=600_000),
            "mute": fake_server(calm, f"log={directory / 'mute'}", callTimeoutMs=600_000),
            "broken": fake_server("exit=start"),
            "bad": fake_server("crash=call"),
        }
        return mcp_servers_file(directory, servers)

    def tell(self, stub):
        getattr(self, self.name)(stub)
        self.notes_file.write_text(json.dumps(self.notes))

    def first(self, stub):
        """Tell the past of the fleet. Leave a run that the next process takes over."""
        workspaces_part.shared(self.directory)
        furnish(self.directory / "workspace")
        self.start(stub, memory_enabled="true")
        self.fleet.past()
        self.notes["over"] = self.fleet.hold("over", "over")

    def bare(self, stub):
        """Take the run over, then run without bubblewrap in copies of the shared workspace."""
        gate = self.gates["over"]
        sandbox.bubblewrap = lambda: None
        sandbox.probe.cache_clear()
        self.start(stub, workspaces_source="copy")
        gate.arrival()
        gate.release()
        self.fleet.until("run.completed", runId=self.notes["over"])
        part = Workspaces(self.plane, self.clock, self.directory)
        part.plane.stop = self.plane.stop
        self.notes["bare"] = part.without_sandbox()

    def crashing(self, stub):
        """Leave a run that may not be started again."""
        self.start(stub)
        self.fleet.put("/policy", {"schemaVersion": 1, "maxRunAttempts": 1})
        self.notes["crashed"] = self.fleet.hold("crash", "crash")

    def crashed(self, stub):
        """The run ends as crashed. The clock is wrong for a while."""
        self.start(stub)
        self.fleet.until("run.crashed", runId=self.notes["crashed"])
        self.fleet.put("/policy", {"schemaVersion": 1, "retryBudgetPerRun": 0})
        self.fleet.post("/schedules/hourly/resume")
        self.fleet.until("schedule.slots.missed")
        self.fleet.post("/schedules/hourly/disable")
        self.clock.advance(HOUR_MS // 2)
        self.fleet.post("/runs", {"input": "ahead", "sessionId": "ahead"})
        self.clock.advance(-HOUR_MS // 2)
        for number in range(3):
            self.fleet.post("/runs", {"input": f"behind the log {number}", "sessionId": "ahead"})
        self.plane.stop()

    def lost(self, stub):
        """Write what a restore takes back."""
        self.start(stub)
        self.fleet.post("/runs", {"input": "soon forgotten", "sessionId": "lost"})
        self.plane.stop()

    def open(self, stub):
        """Tell the parts, and leave everything that can be open."""
        self.start(stub, accept_fork="true", refusals_per_second="3", memory_enabled="true")
        fleet, plane, clock, directory = self.fleet, self.plane, self.clock, self.directory
        self.models.agents.url = self.models.mcp.url = stub.url
        fleet.refusals()
        Workspaces(plane, clock, directory).erase(self.notes["first"])
        once = fleet.once()
        left = {"fleet": {"schedule": fleet.halted_schedule()}}
        parts = {
            "tokens": Tokens(plane, clock, directory).told(),
            "asks": Asks(plane, clock, directory).told(),
            "workspaces": Workspaces(plane, clock, directory).told(dict(self.notes["bare"])),
            "agents": Agents(plane, clock, directory, self.models.agents).told(),
            "mcp": McpServers(plane, clock, directory, self.models.mcp).told(),
        }
        for name, part in parts.items():
            left[name] = part["open"]
            once += Rooms(plane, name).keyed(part["keyed"]) if name != "tokens" else part["keyed"]
        left["fleet"] |= fleet.approvals() | fleet.left()
        page = fleet.get("/runs?limit=3")
        runs, cursor = page["items"], page["nextCursor"]
        while page.get("nextCursor"):
            page = fleet.get(f"/runs?limit=500&cursor={page['nextCursor']}")
            runs += page["items"]
        self.notes["expected"] = {
            "redactedRun": self.notes["first"],
            "runs": [run["runId"] for run in runs],
            "runsCursor": cursor,
            "keyed": once,
            "open": {f"{part}.{name}": one for part, ids in left.items() for name, one in ids.items()},
            "tokens": parts["tokens"]["tokens"],
        }


def phase(name, directory):
    models = Models()
    with keyed(f"Bearer {tokens_part.SECRET}") as api, standing(models.choose) as stub:
        models.items = f"{api.url}/items"
        release = Release(name, directory, models, api)  # kept until the kill, because its end would stop the plane
        try:
            release.tell(stub)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        if name in KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def run_phase(name, directory):
    line = [sys.executable, "-m", __spec__.name, "--phase", name, str(directory)]
    code = subprocess.run(line, cwd=ROOT, check=False).returncode
    assert code == (-signal.SIGKILL if name in KILLED else 0), (name, code)


def history(directory):
    """Tell the whole history. Return the events."""
    for name in ("first", "bare", "crashing", "crashed"):
        run_phase(name, directory)
    backup = directory / "backup.db"
    athena(directory / "state", "backup", str(backup))
    run_phase("lost", directory)
    athena(directory / "state", "restore", str(backup))
    for old in (directory / "state").glob("log-*.db*"):
        old.unlink()
    run_phase("open", directory)
    events = feed(directory)
    report = json.loads(athena(copied(directory, "for-verify"), "verify", "-o", "json"))
    assert (report["ok"], report["head"]) == (True, len(events)), report
    return events


def check(directory, events):
    """Fail unless every event type and guard of the release is there, and each scope of a permission rule."""
    types = {event["type"] for event in events}
    assert types == {event.TYPE for event in EVENTS}, sorted({event.TYPE for event in EVENTS} ^ types)
    with sqlite3.connect(copied(directory, "for-guards") / "log.db") as log:
        guards = {kind for (kind,) in log.execute("SELECT kind FROM guard")}
    assert guards >= GUARDS, GUARDS - guards
    scopes = {event["payload"]["scope"] for event in events if event["type"] == "permission-rule.created"}
    assert scopes == {"run", "session", "profile"}, scopes
    phases = {event["sandbox"]["phase"] for event in events if event["type"] == "sandbox.lifecycle"}
    assert phases >= {"fallback", "required-unavailable", "ready", "cleaned"}, phases
    carried = [event for event in events if event["type"] == "tool.called" and event["payload"].get("credentials")]
    assert len(carried) == 3, carried


def bundles(directory, notes, head, out):
    """Export slices of the log."""
    state = copied(directory, "for-bundles")
    wanted = {
        "run": ("--run", notes["agentRun"]),
        "session": ("--session", "desk"),
        "range": ("--since", str(head - 40)),
        "redacted": ("--run", notes["agentRun"], "--redact"),
        "agent": ("--run", notes["expected"]["open"]["agents.edited"]),
    }
    for name, words in wanted.items():
        path = directory / f"{name}.bundle"
        athena(state, "export", *words, "--out", str(path))
        (out / f"{name}.bundle.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def main(out):
    """Make the whole state."""
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.2-"))
    events = history(directory)
    notes = json.loads((directory / "notes.json").read_text())
    check(directory, events)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pack(directory, out / "state.tar.xz")
    shutil.copy(directory / "state" / "log.anchor", out / "log.anchor")
    bundles(directory, notes, len(events), out)
    dump(directory, out / "dump.sql.xz")
    ids = "".join(f"{event['id']}\n" for event in events)
    words = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    expected = {
        "commit": commit,
        "lastRecordedAt": events[-1]["createdAt"],
        "events": len(events),
        "first": events[0]["id"],
        "last": events[-1]["id"],
        "pairs": [[events[number - 1]["id"], events[number]["id"]] for number in (1, 100, len(events) // 2)],
        "idsSha256": hashlib.sha256(ids.encode()).hexdigest(),
        "payloadsSha256": hashlib.sha256(json.dumps([event["payload"] for event in events]).encode()).hexdigest(),
        "types": sorted({event["type"] for event in events}),
        "roles": tokens_part.ROLES,
        **notes["expected"],
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for path in sorted(out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    if sys.argv[1] == "--phase":
        phase(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]).absolute())
