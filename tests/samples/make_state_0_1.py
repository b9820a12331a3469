"""Make ``tests/samples/state-0.1``: a plane as release 0.1.0 (commit 87db9ee) left it when it was killed.

The program runs with the code of that commit and with no other. It was run once, in a checkout of 87db9ee into which
this file was copied, with PostgreSQL 15 (its ``pg_dump`` included) installed::

    python -m tests.samples.make_state_0_1 tests/samples/state-0.1

The files that it wrote are never rewritten: they stand for what installations hold. A release that stores something
new adds a state of its own beside this one.

Each phase is a process of its own, because a killed process is part of the history. Dates are set (the first phase is
on 5 January 2026, the last one on 7 January) and pass as the machine's do; ids are ULIDs of those dates, drawn from a
seed. Two runs of this program still differ in a few positions, because threads of the plane take turns.
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

import asyncio
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
from pathlib import Path

import httpx2
from anyio.from_thread import start_blocking_portal

from athena_api import app
from athena_api.access_log import AccessLog
from athena_api.app import build, running
from athena_core.clock import ALPHABET, SystemClock, milliseconds
from athena_core.domain import EVENTS
from athena_core.event import Meta
from athena_core.services import redaction
from athena_core.settings import load
from tests.support import postgres, repository
from tests.support.gate import Gates
from tests.support.model import Profile, call, turn_of
from tests.support.stub import refuses, standing

COMMIT = "87db9ee"
ROOT = Path(__file__).resolve().parents[2]
DAYS = {"ordinary": 5, "taken-over": 5, "crashed": 5, "lost": 6, "open": 7}
HOUR = 3_600_000
ROLES = "ada:Admin,olga:Operator,vera:Viewer"
TURN_MICRO_USD = 210
GOOD = {
    "schemaVersion": 1,
    "mergeGate": "pass",
    "reportMarkdown": "# Fine\n",
    "findings": [{"priority": "P3", "confidence": 7, "title": "Name", "message": "A longer one", "line": None}],
}
SCRIPT = (
    call("files", action="write", path="report.md", content="# Pears\nSales of pears rose by 12 %."),
    (
        ("shell", {"command": ["/bin/sh", "-c", "wc -c report.md"]}),
        ("evidence", {"label": "report", "type": "text", "content": "Sales of pears rose, according to 40 receipts."}),
    ),
    call("teleport", to="the moon"),
    "The report is written: sales of pears rose by 12 %.",
)
PATIENCE_SECONDS = 30.0
GUARDS = {
    "child",
    "drain",
    "fired",
    "flow",
    "lease",
    "message",
    "redrive",
    "reserved",
    "review",
    "schedule",
    "scheduled",
}
GUARDS |= {"slot", "spent", "step", "turn", "waiting"}
LETTERS_OPEN = 5


class SetClock(SystemClock):
    """The machine's clock, set to another date; ``ahead`` is how far it was set forward since, in milliseconds."""

    def __init__(self, start):
        self._start, self._since, self.ahead = start, time.monotonic(), 0

    def now(self):
        return self._start + self.ahead + round((time.monotonic() - self._since) * 1000)


class SeededIds:
    """ULIDs of a clock, with their random part drawn from a seed."""

    def __init__(self, clock, seed):
        self._clock, self._random, self._lock = clock, random.Random(seed), threading.Lock()

    def new(self, prefix):
        stamp = "".join(ALPHABET[self._clock.now() >> shift & 31] for shift in range(45, -1, -5))
        with self._lock:
            return f"{prefix}_{stamp}{''.join(self._random.choices(ALPHABET, k=16))}"

    def trace(self):
        digits = self.salt(16).hex()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def salt(self, size):
        with self._lock:
            return self._random.randbytes(size)

    def fraction(self):
        with self._lock:
            return self._random.random()


class Refusal(Exception):
    """An answer that is an error."""


class Plane:
    """The application of 0.1.0 in this process, under a set clock."""

    def __init__(self, directory, phase, **settings):
        self.clock = SetClock(milliseconds(f"2026-01-0{DAYS[phase]}T09:00:00Z") + HOUR * list(DAYS).index(phase))
        self.ids = SeededIds(self.clock, phase)
        names = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
        self._settings = load(names, directory)
        app.gethostname = lambda: "plane.example.org"
        self._portal_of = start_blocking_portal()

    def start(self):
        self.portal = self._portal_of.__enter__()
        self.app = self.portal.call(self._build)
        self.plane = self.app.plane
        self._running = self.portal.wrap_async_context_manager(running(self.plane, serving=True))
        self._running.__enter__()
        self._client = self.portal.call(self._connect)
        return self

    def stop(self):
        self._running.__exit__(None, None, None)
        self._portal_of.__exit__(None, None, None)

    async def _build(self):
        return build(
            self._settings, clock=self.clock, ids=self.ids, access_log=AccessLog(SystemClock(), bytearray().extend)
        )

    async def _connect(self):
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1", timeout=PATIENCE_SECONDS)

    def send(self, method, path, body=None, who=None, key=None, wait=True, **query):
        headers = {"x-athena-identity": who} if who else {}
        headers |= {"idempotency-key": key} if key else {}
        headers |= {} if wait else {"prefer": "respond-async"}
        if method != "GET" and body is None:
            body = {}

        async def send():
            return await self._client.request(method, path, json=body, headers=headers, params=query or None)

        return self.portal.call(send)

    def ask(self, *arguments, refused=None, **fields):
        """Return the data of an answer; with ``refused``, the code of the expected error."""
        answer = self.send(*arguments, **fields)
        data = answer.json()
        if refused is not None:
            assert not data["ok"] and data["error"]["code"] == refused, (arguments, data)
            return data["error"]
        if not data["ok"]:
            raise Refusal(arguments, data)
        return data["data"]

    def get(self, path, **fields):
        return self.ask("GET", path, **fields)

    def post(self, path, body=None, **fields):
        return self.ask("POST", path, body, **fields)

    def events(self, **query):
        found, cursor = [], None
        while True:
            page = self.get("/events", limit=500, **({"cursor": cursor} if cursor else {}), **query)
            found += page["events"]
            if "nextCursor" not in page or not page["events"]:
                return found
            cursor = page["nextCursor"]

    def until(self, what, who=None, **query):
        """Wait for an event of a type with these members."""
        for _ in soon():
            page = self.get("/events", types=what, limit=500, who=who)["events"]
            for event in page:
                if all(event.get(name, event["payload"].get(name)) == value for name, value in query.items()):
                    return event
        return None


def soon():
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(0.01)
    raise AssertionError("it did not happen")


class Reviewer:
    """The model of provider ``openai``: it follows the script of an agent, or reviews."""

    def choose(self, asked):
        messages = asked.body["messages"]
        said = " ".join(str(one.get("content")) for one in messages)
        if "could not be read" in said:
            return turn_of(json.dumps(GOOD) if "and mended" in said else "still no JSON", 1)
        found = re.search(r"between \S+ and (\S+)\.", said)
        if found and found[1] == "held":
            return self.hold
        if found:
            return turn_of("I like it!" if found[1] in {"mended", "hopeless"} else json.dumps(GOOD), 1)
        if "illegible" in said:
            return refuses(400, b'{"error": {"message": "the model of ada@example.org is illegible"}}')
        if "just wait" in said:
            return self.hold
        if "two turns" in said:
            number = sum(1 for one in messages if one["role"] == "assistant" and one.get("tool_calls"))
            return turn_of(call("files", action="read", path="notes.txt") if number < 2 else "all done", number + 1)
        number = sum(1 for one in messages if one["role"] == "assistant" and one.get("tool_calls"))
        return turn_of(SCRIPT[min(number, len(SCRIPT) - 1)], number + 1)

    async def hold(self, stub, writer):
        await asyncio.Event().wait()


# The workspace


def furnish(workspace):
    (workspace / "personas").mkdir(parents=True)
    for name in ("critic", "ada", "bob", "carl"):
        (workspace / "personas" / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name}))
    (workspace / "MEMORY.md").write_text("# Habits\n\nWe deploy the harbour on Mondays.\n")
    (workspace / "notes.txt").write_text("remember the milk\n")
    library = repository.make(workspace / "library")
    for name in ("good", "mended", "hopeless", "held"):
        repository.branch(library, name, a_py="def add(a, b):\n    return a - b\n")
    for path in (library / ".git" / "hooks").glob("*.sample"):
        path.unlink()


PLAIN = {
    "displayName": "Plain",
    "version": "v1",
    "config": {"provider": "mock", "model": "mock-model", "tools": ["none"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0},
}
GATED = PLAIN | {"displayName": "Gated", "config": {"provider": "local-exec", "model": "script", "tools": ["none"]}}


class Story:
    """The history, phase by phase; ``notes`` keeps what a later phase or the test needs."""

    def __init__(self, directory, gates, model_url):
        self.directory, self.gates, self.notes_file = directory, gates, directory / "notes.json"
        self.notes = json.loads(self.notes_file.read_text()) if self.notes_file.exists() else {}
        local = {name: value for name, value in gates.settings.items() if name.startswith("local")}
        self.settings = {
            "state_dir": str(directory / "state"),
            "workspace_root": str(directory / "workspace"),
            "openai_base_url": model_url + "/v1",
            "openai_api_key": "none",
            "scheduler": "off",  # it would look at the machine's date
            "memory_enabled": "true",
            "runtime_run_timeout_ms": str(12 * HOUR),
            "a2a_max_hops": "2",
            "a2a_retry_ms": "1",
            **local,
        }

    def begin(self, phase, **settings):
        return Plane(self.directory, phase, **self.settings | settings).start()

    def keep(self, **found):
        self.notes |= found
        self.notes_file.write_text(json.dumps(self.notes))

    def local(self, **fields):
        return {"provider": "local-exec", "model": "script", **fields}

    def aside(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        return thread

    def hold(self, p, name, session, who=None, **fields):
        body = {"input": self.gates[name].order, **self.local(sessionId=session), **fields}
        run_id = p.post("/runs", body, who=who, wait=False)["runId"]
        self.gates[name].arrival()
        return run_id

    # The phases

    def ordinary(self):
        p = self.begin("ordinary")
        mock = p.post("/harness-profiles", PLAIN)["id"]
        gated = p.post("/harness-profiles", GATED)["id"]
        must = {"id": "shown", "kind": "require-evidence", "label": "report"}
        agent = p.post("/harness-profiles", Profile(budget_usd=0.01, verification=(must,)).body)["id"]
        short = p.post("/harness-profiles", Profile(budget_usd=(2 * TURN_MICRO_USD - 1) / 1e6).body)["id"]
        hasty = GATED | {"policies": {**GATED["policies"], "timeoutMs": 60}}
        hasty = p.post("/harness-profiles", hasty)["id"]
        patient = GATED | {"displayName": "Patient", "policies": {**GATED["policies"], "timeoutMs": 12 * HOUR}}
        patient = p.post("/harness-profiles", patient)["id"]
        self.keep(patient=patient, mock=mock, gated=gated, agent=agent, short=short)
        directive = p.post(
            "/directives",
            {"input": "greet {{name}}", "metadata": {"team": "red"}, "contextRefs": ["file:notes.txt"]},
            key="directive-old",
        )["id"]
        # runs
        first = p.post("/runs", {"input": "hello", "sessionId": "desk"}, key="run-old")
        p.post("/runs", {"input": "grüße, 世界 \u202e 🚀", "sessionId": "desk"})
        p.post("/runs", {"directiveId": directive, "sessionId": "desk", "harnessProfileId": mock})
        p.post("/runs", {"input": "when do we deploy the harbour?", "sessionId": "reminded"})
        agented = p.post("/runs", {"input": "Report how pears sold.", "sessionId": "pears", "harnessProfileId": agent})
        self.keep(first=first["runId"], agent_run=agented["runId"])
        p.post("/runs", {"input": "fail", **self.local(sessionId="failing")}, refused="PROVIDER_ERROR")
        p.post("/runs", {"input": "illegible", "provider": "openai", "model": "gpt-4o-mini"}, refused="PROVIDER_ERROR")
        p.post(
            "/runs",
            {"input": self.gates["late"].order, "harnessProfileId": hasty, "sessionId": "late"},
            refused="RUN_TIMEOUT",
        )
        stopped = self.hold(p, "stopped", "stopped")
        p.post("/runs/stopped/cancel", {"reason": "Bob (bob@example.org) says that it costs too much"})
        p.until("run.cancelled", runId=stopped)
        p.post(f"/run-control/by-run/{stopped}/cancel", {"reason": "once more"})
        # sessions that are busy
        held = self.hold(p, "busy", "busy")
        queued = p.post("/runs", {"input": "in line", "sessionId": "busy", "sessionStrategy": "enqueue"}, wait=False)
        p.post(
            "/runs",
            {"input": "no room", "sessionId": "busy", "sessionStrategy": "reject"},
            refused="SESSION_LOCK_TIMEOUT",
        )
        self.gates["busy"].release()
        p.until("run.completed", runId=queued["runId"])
        assert p.get(f"/runs/{held}")["status"] == "completed"
        # budgets
        paused = p.post("/runs", {"input": "two turns", "harnessProfileId": short, "sessionId": "short"}, wait=False)
        p.until("run.paused", runId=paused["runId"])
        p.post(f"/runs/{paused['runId']}/resume", {"budgetUsd": 0.01})
        # templates
        spec = {"harnessProfileId": mock, "directiveTemplate": "say {{what}}", "defaultParams": {"what": "hello"}}
        template = p.post("/run-templates", spec)["id"]
        p.ask("PUT", f"/run-templates/{template}", spec | {"directiveTemplate": "shout {{what}}"})
        p.post(f"/templates/{template}/run", {"params": {"what": "bye"}, "sessionId": "templates"})
        self.keep(template=template)
        self.memory(p)
        self.policies(p, agent)
        self.workflows(p)
        self.schedules(p)
        self.work(p)
        self.messages(p)
        self.reviews(p)
        self.keep(over=self.hold(p, "over", "over"))
        kill()

    def memory(self, p):
        p.post("/memory", {"text": "The lighthouse keeper is Zebulon.", "metadata": {"by": "ada"}}, key="note-old")
        gone = p.post("/memory", {"text": "Forget me."})["id"]
        p.ask("DELETE", f"/memory/{gone}")

    def policies(self, p, agent):
        p.ask("PUT", "/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 1}, "auditComment": "a trial"})
        self.hold(p, "full", "full")
        p.post("/runs", {"input": "one too many"}, refused="POLICY_CONCURRENCY_LIMIT_EXCEEDED")
        self.gates["full"].release()
        p.until("run.completed", sessionId="full")
        p.ask("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0.0001})
        p.post("/runs", {"input": "go", "harnessProfileId": agent}, refused="POLICY_BUDGET_EXCEEDED")
        p.ask("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 1})
        p.post("/runs", {"input": "go", "harnessProfileId": agent, "sessionId": "budget"})
        p.ask("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0, "retryBudgetPerRun": 0})
        p.post("/runs", {"input": "go", "harnessProfileId": agent, "sessionId": "no-budget"})

    def step(self, p, name, says="hello", gated=False, **fields):
        directive = p.post("/directives", {"input": says})["id"]
        profile = self.notes["gated" if gated else "mock"]
        return {"id": name, "directiveId": directive, "harnessProfileId": profile, **fields}

    def workflow(self, p, steps, *edges, who=None):
        named = [dict(zip(("from", "to"), edge.split(">"), strict=True)) for edge in edges]
        return p.post("/workflows", {"definition": {"steps": steps, "dependencies": named}}, who=who)["id"]

    def workflows(self, p):
        on = {"step": "good", "op": "contains"}
        steps = [
            self.step(p, "good"),
            self.step(p, "bad", "{{order}}", gated=True, execution={"maxAttempts": 2, "metadata": {"team": "red"}}),
            self.step(p, "no", when={**on, "value": "bye"}),
            self.step(p, "each", "{{item}}", map={"input": "orders", "maxParallel": 2}),
            {"id": "ask", "approval": {"message": "ship it?"}},
            self.step(p, "after"),
        ]
        main = self.workflow(p, steps, "good>bad", "good>no", "good>each", "each>ask", "ask>after")
        run = p.post(f"/workflows/{main}/run", {"input": {"order": "fail", "orders": ["x", "y"]}}, wait=False)["id"]
        for _ in soon():
            found = p.get(f"/workflows/run/{run}")["run"]
            if found["status"] == "waiting":
                break
        self.judge(p, run, "approve", "fine")
        self.settled(p, run, "failed")
        p.post(f"/workflows/run/{run}/resume", {"inputOverrides": {"order": "well"}})
        self.settled(p, run, "ok")
        turned = self.workflow(p, [{"id": "ask", "approval": {"message": "really?"}}, self.step(p, "b")], "ask>b")
        run = p.post(f"/workflows/{turned}/run", wait=False)["id"]
        self.settled(p, run, "waiting")
        self.judge(p, run, "reject", "not on a Friday")
        self.settled(p, run, "failed")
        held = self.workflow(p, [self.step(p, "a", self.gates["flow"].order, gated=True), self.step(p, "b")], "a>b")
        run = p.post(f"/workflows/{held}/run", wait=False)["id"]
        self.gates["flow"].arrival()
        p.post(f"/workflows/run/{run}/cancel", {"reason": "ordered twice by ada@example.org"})
        self.settled(p, run, "cancelled")
        self.keep(workflow=main)

    def judge(self, p, run, verb, note, who=None):
        asked = p.get(f"/workflows/run/{run}", who=who)["run"]["stepStates"]["ask"]["approval"]
        p.post(f"/workflows/run/{run}/steps/ask/{verb}", {"subjectHash": asked["subjectHash"], "note": note}, who=who)

    def settled(self, p, run, status, who=None):
        for _ in soon():
            if p.get(f"/workflows/run/{run}", who=who)["run"]["status"] == status:
                return

    def schedules(self, p):
        hourly = {
            "sessionId": "hourly",
            "input": "Summarise the hour.",
            "cron": "0 * * * *",
            "timezone": "Europe/Berlin",
        }
        p.post("/schedules", {"id": "hourly", **hourly})
        p.ask("PUT", "/schedules/hourly", hourly | {"input": "Summarise."})
        said = {"broken": "fail", "buffered": self.gates["buffer"].order, "skipping": self.gates["skip"].order}
        more = {
            "broken": {"pauseOnFailure": True},
            "buffered": {"overlapPolicy": "buffer-one"},
            "skipping": {"overlapPolicy": "skip"},
        }
        for name, text in said.items():
            directive = p.post("/directives", {"input": text})["id"]
            p.post(
                "/schedules",
                {
                    "id": name,
                    "sessionId": name,
                    "directiveId": directive,
                    "everyMinutes": 60,
                    "harnessProfileId": self.notes["gated"],
                    **more[name],
                },
            )
        for name in ("disable", "enable", "pause", "resume"):
            p.post(f"/schedules/hourly/{name}", {"note": "a holiday"} if name == "pause" else {})
        p.post("/schedules/hourly/run", key="by-hand-old")
        p.post("/schedules", {"id": "gone", **hourly})
        p.ask("DELETE", "/schedules/gone")
        p.ask("DELETE", "/schedules/gone")
        ticks = [self.aside(p.post, "/schedules/tick", {"at": "2026-01-05T10:30:00Z"})]
        self.gates["buffer"].arrival()
        self.gates["skip"].arrival()
        ticks.append(self.aside(p.post, "/schedules/tick", {"at": "2026-01-05T11:30:00Z"}))
        p.until("schedule.run.buffered")
        p.until("schedule.run.skipped")
        self.gates["buffer"].release(3)
        self.gates["skip"].release(3)
        for tick in ticks:
            tick.join()
        p.until("schedule.run.failed")
        for name in ("broken", "buffered", "skipping"):
            p.ask("DELETE", f"/schedules/{name}")
        p.post("/schedules/hourly/pause", {"note": "over night"})

    def work(self, p):
        def enqueue(session, payload, mode="followup"):
            p.post("/work/enqueue", {"sessionId": session, "payload": payload, "mode": mode})

        for payload, mode in (("a", "collect"), ("b", "collect"), ("c", "followup")):
            enqueue("invoices", payload, mode)
        p.post("/work/invoices/drain", key="drain-old")
        for number in range(4 + LETTERS_OPEN):
            session = f"dead-{number}" if number < 4 else "dead"
            enqueue(session, f"fail {number}")
            for _ in range(3):
                p.post(f"/work/{session}/drain", self.local(), refused="PROVIDER_ERROR")
        letters = [p.get("/a2a/dlq", sessionId=f"dead-{number}")["items"][0]["id"] for number in range(4)]
        p.post(f"/a2a/dlq/{letters[0]}/requeue")
        p.post(f"/a2a/dlq/{letters[1]}/discard", {"auditNote": "no use"})
        p.post(f"/a2a/dlq/{letters[2]}/discard")
        p.post(f"/a2a/dlq/{letters[2]}/restore", {"auditNote": "of use"})
        done = p.post("/a2a/dlq/redrive", {"filter": {"sessionId": "dead-3"}, "ratePerSecond": 500})
        for _ in soon():
            if p.get(f"/a2a/dlq/redrive/{done['id']}")["status"] == "completed":
                break
        slow = p.post("/a2a/dlq/redrive", {"filter": {"sessionId": "dead"}, "ratePerSecond": 1})
        p.ask("DELETE", f"/a2a/dlq/redrive/{slow['id']}")

    def messages(self, p):
        def send(to, payload):
            message = p.post(
                "/a2a/messages", {"fromPersona": "ada", "toPersona": to, "payload": payload, "taskId": "task-7"}
            )["messageId"]
            for _ in soon():
                found = p.get(f"/a2a/messages/{message}")
                if found["status"] in {"completed", "failed"}:
                    return found
            return None

        assert send("bob", "look at this")["status"] == "completed"
        unknown = {"schemaVersion": 1, "id": "carl", "harnessProfileId": "hp_unknown"}
        (self.directory / "workspace" / "personas" / "carl.json").write_text(json.dumps(unknown))
        assert send("carl", {"do": ["it"]})["status"] == "failed"

    def reviews(self, p):
        for head in ("good", "mended", "hopeless"):
            p.post(
                "/personas/run",
                {
                    "name": "critic",
                    "repoPath": "library",
                    "headRef": head,
                    "provider": "openai",
                    "model": "gpt-4o-mini",
                    "sessionId": f"review-{head}",
                },
            )
        p.post("/personas/run", {"name": "critic", "repoPath": "library", "headRef": "nowhere"}, refused="CONFIG_ERROR")

    def taken_over(self):
        """This process executes the held run to its end. Another run is held when it is killed."""
        gate = self.gates["over"]  # before the plane begins, because the run asks at once
        p = self.begin("taken-over")
        gate.arrival()
        gate.release()
        p.until("run.completed", runId=self.notes["over"])
        p.ask("PUT", "/policy", {"schemaVersion": 1, "maxRunAttempts": 1, "costBudgetDailyUsd": 0})
        self.keep(crashed=self.hold(p, "crash", "crash"))
        kill()

    def crashed(self):
        """The run that lost its executor ends as crashed. The clock is wrong for a while."""
        p = self.begin("crashed")
        p.until("run.crashed", runId=self.notes["crashed"])
        p.ask("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0, "retryBudgetPerRun": 0})
        p.clock.ahead = 5 * HOUR
        p.post("/runs", {"input": "five hours ahead", "sessionId": "ahead"})
        p.post("/schedules/hourly/resume")
        p.until("schedule.slots.missed")
        p.post("/schedules/hourly/disable")
        p.clock.ahead = 0
        for number in range(3):
            p.post("/runs", {"input": f"clamped {number}", "sessionId": "ahead"})
        p.stop()

    def lost(self):
        """Events of this phase are lost: the log is restored from an earlier backup."""
        p = self.begin("lost")
        p.post("/runs", {"input": "soon forgotten", "sessionId": "lost"})
        p.stop()

    def open(self):
        """Leave work of every kind open when the last process is killed."""
        p = self.begin(
            "open",
            accept_fork="true",
            auth_enabled="true",
            auth_identity_role_map=ROLES,
            authz_mode="enforce",
            refusals_per_second="3",
        )
        codes = [p.send("POST", "/directives", {"input": "no"}, who="vera").json()["error"]["code"] for _ in range(8)]
        assert set(codes) == {"AUTHZ_DENIED", "RATE_LIMITED"}, codes
        p.until("requests.suppressed", who="ada")
        self.erase(p)
        kept = [self.keyed(p, *wanted) for wanted in (
            ("POST", "/directives", {"input": "once only"}, "directive-1", "olga"),
            ("POST", "/runs", {"input": "only once", "sessionId": "keyed"}, "run-1", "olga"),
            ("POST", "/memory", {"text": "The harbour master is Ruth."}, "note-1", "olga"),
            ("PUT", "/policy", {"policy": {"schemaVersion": 1, "costBudgetDailyUsd": 0}, "auditComment": "as it was"},
             "policy-1", "ada"),
            ("POST", f"/workflows/{self.notes['workflow']}/run", {"input": {"order": "well", "orders": []}},
             "workflow-1", "olga"),
            ("POST", f"/templates/{self.notes['template']}/run", {"params": {"what": "hi"}}, "template-1", "olga"),
            ("POST", "/schedules/hourly/run", {}, "by-hand-1", "olga"),
        )]  # fmt: skip
        hung = self.hang(p)
        p.post(
            "/schedules",
            {"id": "halted", "sessionId": "halted", "input": "What happened?", "everyMinutes": 10},
            who="olga",
        )
        p.clock.ahead += 15 * 60_000
        p.post("/schedules/tick", who="olga")
        p.post("/schedules/halted/pause", {"note": "until the harbour thaws"}, who="olga")
        p.clock.ahead += 2 * HOUR  # twelve slots come due; nothing says so in the log
        p.post("/schedules/tick", who="olga")
        approved = self.workflow(
            p,
            [self.step2(p, "a"), {"id": "ask", "approval": {"message": "ship it?"}}, self.step2(p, "b")],
            "a>ask",
            "ask>b",
            who="olga",
        )
        waiting = p.post(f"/workflows/{approved}/run", who="olga", wait=False)["id"]
        self.settled(p, waiting, "waiting", who="ada")
        expiring = self.workflow(
            p,
            [
                {"id": "ask", "approval": {"message": "today?", "expiresAfterMs": 24 * HOUR, "onExpiry": "reject"}},
                self.step2(p, "b"),
            ],
            "ask>b",
            who="olga",
        )
        expiring_run = p.post(f"/workflows/{expiring}/run", who="olga", wait=False)["id"]
        self.settled(p, expiring_run, "waiting", who="ada")
        paused = p.post(
            "/runs",
            {"input": "two turns", "harnessProfileId": self.notes["short"], "sessionId": "paused"},
            who="olga",
            wait=False,
        )["runId"]
        p.until("run.paused", who="ada", runId=paused)
        p.ask(
            "PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 1}, who="ada"
        )  # what a call costs is reserved
        review = p.post(
            "/personas/run",
            {
                "name": "critic",
                "repoPath": "library",
                "headRef": "held",
                "provider": "openai",
                "model": "gpt-4o-mini",
                "sessionId": "reviewed",
            },
            who="olga",
            wait=False,
        )["runId"]
        leased = self.hold(p, "leased", "leased", who="olga")
        waits = p.post(
            "/runs", {"input": "my turn", "sessionId": "leased", "sessionStrategy": "enqueue"}, who="olga", wait=False
        )["runId"]
        for payload in (self.gates["drain"].order, "after"):
            p.post("/work/enqueue", {"sessionId": "drained", "payload": payload, "mode": "followup"}, who="olga")
        drain = p.post("/work/drained/drain", self.local(), who="olga", wait=False)["drainId"]
        self.gates["drain"].arrival()
        child = self.hold(p, "child", "child", who="olga", parentRunId=leased)
        dora = {"schemaVersion": 1, "id": "dora", "harnessProfileId": self.notes["patient"]}
        (self.directory / "workspace" / "personas" / "dora.json").write_text(json.dumps(dora))
        message, behind = (
            p.post("/a2a/messages", {"fromPersona": "ada", "toPersona": "dora", "payload": payload}, who="olga")
            for payload in (self.gates["message"].order, "behind it")
        )
        self.gates["message"].arrival()
        directive = p.post("/directives", {"input": self.gates["flight"].order}, who="olga")["id"]
        p.post(
            "/schedules",
            {
                "id": "in-flight",
                "sessionId": "in-flight",
                "directiveId": directive,
                "harnessProfileId": self.notes["patient"],
                "cron": "0 0 1 1 *",
            },
            who="olga",
        )
        p.post("/schedules/in-flight/run", who="olga", wait=False)
        self.gates["flight"].arrival()
        flight = p.until("schedule.run.started", who="ada", sessionId="in-flight")["payload"]["targetRunId"]
        stepping = self.workflow(
            p, [self.step2(p, "a", self.gates["step"].order, profile="patient"), self.step2(p, "b")], "a>b", who="olga"
        )
        step = p.post(f"/workflows/{stepping}/run", who="olga", wait=False)["id"]
        self.gates["step"].arrival()
        limit = {"scope": "provider", "key": "local-exec", "max": 6, "strategy": "enqueue"}
        p.ask("PUT", "/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0, "limits": [limit]}, who="ada")
        crowded = p.post(
            "/runs", {"input": "a place, please", **self.local(sessionId="crowded")}, who="olga", wait=False
        )["runId"]
        runs, runs_page = (p.get("/runs", limit=limit, who="ada") for limit in (500, 3))
        redrive = p.post("/a2a/dlq/redrive", {"filter": {"sessionId": "dead"}, "ratePerSecond": 1}, who="olga")["id"]
        for _ in soon():
            if p.get(f"/a2a/dlq/redrive/{redrive}", who="ada")["done"]:
                break
        assert p.get(f"/a2a/dlq/redrive/{redrive}", who="ada")["status"] == "running"
        self.keep(
            keyed=kept,
            open={
                "hung": hung,
                "schedule": "halted",
                "waiting": waiting,
                "expiring": expiring_run,
                "paused": paused,
                "review": review,
                "leased": leased,
                "child": child,
                "message": message["messageId"],
                "behind": behind["messageId"],
                "flight": flight,
                "step": step,
                "inLine": waits,
                "drain": drain,
                "crowded": crowded,
                "redrive": redrive,
            },
            runs=runs["items"],
            runs_page=runs_page,
        )
        kill()

    def step2(self, p, name, says="hello", profile="mock"):
        directive = p.post("/directives", {"input": says}, who="olga")["id"]
        return {"id": name, "directiveId": directive, "harnessProfileId": self.notes[profile]}

    def keyed(self, p, method, path, body, key, who):
        answer = p.send(method, path, body, who=who, key=key)
        assert answer.status_code < 300, answer.text
        return {
            "method": method,
            "path": path,
            "body": body,
            "key": key,
            "who": who,
            "status": answer.status_code,
            "answer": answer.json()["data"],
        }

    def erase(self, p):
        positions = redaction.text_of_run(p.plane.reader, p.plane.log.codec, self.notes["first"])

        async def erase():
            meta = Meta(actor="ada", correlation=p.ids.trace())
            return await redaction.redact(p.plane.log, positions, "asked to forget", meta)  # type: ignore[arg-type]

        p.portal.call(erase)

    def hang(self, p):
        """A workflow run that was cancelled between the expansion of its maps and the first item: it never ends.

        The window is a few milliseconds, so the cancel is sent from the walker's own thread.
        """
        orders = {"input": "orders", "maxParallel": 1}
        steps = [self.step2(p, name, "{{item}}") | {"map": orders} for name in ("left", "right")]
        workflow = self.workflow(p, steps, who="olga")
        walker, start = p.plane.walker, p.plane.walker._start

        async def started(key, seen, ended, moves, wanted):
            committed = await start(key, seen, ended, moves, wanted)
            if seen.state.workflow_id == workflow and moves:
                meta = Meta(actor="olga", correlation=p.ids.trace())
                await p.plane.workflows.cancel(key, "the receipts of Bob are private", meta, None)
            return committed

        walker._start = started
        run = p.post(f"/workflows/{workflow}/run", {"input": {"orders": ["x", "y"]}}, who="olga", wait=False)["id"]
        p.until("workflow.run.cancel.requested", who="ada")
        for _ in soon():
            if p.plane.reactors.idle:
                break
        assert p.get(f"/workflows/run/{run}", who="ada")["run"]["status"] == "running"
        return run


def kill():
    """End this process as a power cut would, with its models."""
    os.kill(os.getpid(), signal.SIGKILL)


def phase(name, directory):
    gates = Gates(directory / "gates" / name)
    with standing(Reviewer().choose) as stub:
        try:
            getattr(Story(directory, gates, stub.url), name.replace("-", "_"))()
        except BaseException:
            traceback.print_exc()
            os._exit(1)


# Around the phases


def run_phase(name, directory):
    line = [sys.executable, "-m", "tests.samples.make_state_0_1", "--phase", name, str(directory)]
    killed = name in {"ordinary", "taken-over", "open"}
    code = subprocess.run(line, cwd=ROOT, check=False).returncode
    assert code == (-signal.SIGKILL if killed else 0), (name, code)


def athena(state, *words, **settings):
    """Run a command of 0.1.0 on a state directory. Return its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    given = {"ATHENA_STATE_DIR": str(state)} | {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
    line = [sys.executable, "-m", "athena_cli", *words]
    return subprocess.run(
        line, cwd=state.parent, env=kept | {"PYTHONPATH": str(ROOT)} | given, check=True, stdout=subprocess.PIPE
    ).stdout


def copied(directory, name):
    there = directory / name
    shutil.copytree(directory / "state", there / "state")
    return there / "state"


def feed(directory):
    """Return the whole feed as 0.1.0 serves it, without appending a row."""
    state = copied(directory, "for-feed")
    athena(state, "replay")
    events, cursor = [], "0"
    while True:
        words = ["events", "list", "--limit", "500", "--cursor", cursor, "--transport", "local"]
        page = json.loads(athena(state, *words))
        events += page["events"]
        if not page["events"] or "nextCursor" not in page:
            return events
        cursor = page["nextCursor"]


def dump(directory, out):
    """Move the state into a database with 0.1.0, and dump it as statements that any PostgreSQL accepts."""
    state = copied(directory, "for-postgres")
    with postgres.cluster() as cluster, cluster.database() as url:
        athena(state, "move", "--to", url, database_url="")
        program = postgres.binaries() / "pg_dump"
        line = [program, "--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=50", url]
        text = subprocess.run(list(map(str, line)), check=True, stdout=subprocess.PIPE).stdout.decode()
    unwanted = re.compile(
        r"^(\\(un)?restrict .*|SET (transaction_timeout|idle_in_transaction_session_timeout|"
        r"default_table_access_method) = .*|SELECT pg_catalog.set_config\('search_path'.*)\n",
        re.M,
    )
    out.write_bytes(lzma.compress(unwanted.sub("", text).encode(), preset=9 | lzma.PRESET_EXTREME))


def pack(directory, out):
    """Pack the state as the killed process left it, and its workspace."""
    buffer = io.BytesIO()

    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = milliseconds("2026-01-07T16:00:00Z") // 1000
        return None if entry.name.endswith("-shm") else entry

    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("state", "workspace"):
            archive.add(directory / name, name, filter=plain)
    out.write_bytes(lzma.compress(buffer.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def bundles(directory, notes, out):
    """Export slices of the log with 0.1.0."""
    state = copied(directory, "for-bundles")
    wanted = {
        "run": ("--run", notes["agent_run"]),
        "session": ("--session", "desk"),
        "range": ("--since", str(notes["head"] - 40)),
        "redacted": ("--run", notes["agent_run"], "--redact"),
    }
    for name, words in wanted.items():
        path = directory / f"{name}.bundle"
        athena(state, "export", *words, "--out", str(path))
        (out / f"{name}.bundle.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def main(out):
    directory = Path(tempfile.mkdtemp(prefix="athena-state-0.1-"))
    furnish(directory / "workspace")
    for name in ("ordinary", "taken-over", "crashed"):
        run_phase(name, directory)
    backup = directory / "backup.db"
    athena(directory / "state", "backup", str(backup))
    run_phase("lost", directory)
    athena(directory / "state", "restore", str(backup))
    for old in (directory / "state").glob("log-*.db*"):
        old.unlink()
    run_phase("open", directory)
    events = feed(directory)
    notes = json.loads((directory / "notes.json").read_text())
    notes["head"] = json.loads(athena(copied(directory, "for-verify"), "verify"))["head"]
    assert len(events) == notes["head"], (len(events), notes["head"])
    kinds = {event["type"] for event in events}
    assert kinds == {event.TYPE for event in EVENTS}, sorted({event.TYPE for event in EVENTS} - kinds)
    with sqlite3.connect(copied(directory, "for-guards") / "log.db") as log:
        guards = {kind for (kind,) in log.execute("SELECT kind FROM guard")}
    assert guards == GUARDS, guards ^ GUARDS
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pack(directory, out / "state.tar.xz")
    shutil.copy(directory / "state" / "log.anchor", out / "log.anchor")
    bundles(directory, notes, out)
    dump(directory, out / "dump.sql.xz")
    ids = "".join(f"{event['id']}\n" for event in events)
    expected = {
        "commit": COMMIT,
        "lastRecordedAt": events[-1]["createdAt"],
        "events": len(events),
        "first": events[0]["id"],
        "last": events[-1]["id"],
        "pairs": [[events[number - 1]["id"], events[number]["id"]] for number in (1, 100, len(events) // 2)],
        "idsSha256": hashlib.sha256(ids.encode()).hexdigest(),
        "payloadsSha256": hashlib.sha256(json.dumps([event["payload"] for event in events]).encode()).hexdigest(),
        "types": sorted(kinds),
        "redactedRun": notes["first"],
        "roles": ROLES,
        "keyed": notes["keyed"],
        "open": notes["open"],
        "runs": [run["runId"] for run in notes["runs"]],
        "runsCursor": notes["runs_page"]["nextCursor"],
    }
    (out / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for path in sorted(out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    if sys.argv[1] == "--phase":
        phase(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]).absolute())
