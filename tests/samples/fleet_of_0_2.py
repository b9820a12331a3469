"""The part of ``make_state_0_2`` that ``state-0.1`` has too: runs, policies, workflows, schedules, queues, letters.

It follows the program that made ``state-0.1`` (``make_state_0_1.py`` in commit 83c6256).
"""
# mypy: ignore-errors
# It is written against one commit; later releases may rename what it imports.

import json
import threading

from tests.support import repository
from tests.support.api import soon
from tests.support.model import Profile

HOUR_MS = 3_600_000
TURN_MICRO_USD = 210
LETTERS_OPEN = 3
LOG_ELSEWHERE = "ab" * 8
PLAIN = {
    "displayName": "Plain",
    "version": "v1",
    "config": {"provider": "mock", "model": "mock-model", "tools": ["none"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0},
}
GATED = PLAIN | {"displayName": "Gated", "config": {"provider": "local-exec", "model": "script", "tools": ["none"]}}
LOCAL = {"provider": "local-exec", "model": "script"}


def furnish(workspace):
    """Write the personas, the memory and the repository to review."""
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


class Fleet:
    """The history of ordinary work. ``notes`` holds ids that later phases need."""

    def __init__(self, plane, clock, gates, directory, notes):
        self.plane, self.clock, self.gates, self.directory, self.notes = plane, clock, gates, directory, notes

    # Requests

    def send(self, method, path, body=None, who="ada", key=None, wait=True, refused=None):
        """Return the data of an answer; with ``refused``, its error, which must have that code."""
        headers = {"x_athena_identity": who} | ({"idempotency_key": key} if key else {})
        headers |= {} if wait else {"prefer": "respond-async"}
        answer = self.plane.ask(method, path, {} if body is None and method != "GET" else body, **headers)
        data = answer.json()
        if refused is not None:
            assert not data["ok"] and data["error"]["code"] == refused, (path, data)
            return data["error"]
        assert data["ok"], (method, path, body, data)
        return data["data"]

    def get(self, path):
        return self.send("GET", path)

    def post(self, path, body=None, **fields):
        return self.send("POST", path, body, **fields)

    def put(self, path, body, **fields):
        return self.send("PUT", path, body, **fields)

    def until(self, kind, **query):
        """Return an event of a type with these members, once it is there."""
        for _ in soon():
            for event in self.get(f"/events?types={kind}&limit=500&cursor=0")["events"]:
                if all(event.get(name, event["payload"].get(name)) == value for name, value in query.items()):
                    return event
        raise AssertionError(kind)

    def keyed(self, method, path, body, key, who):
        headers = {"x_athena_identity": who, "idempotency_key": key}
        answer = self.plane.ask(method, path, body, **headers)
        assert answer.status_code < 300, answer.text
        one = {"method": method, "path": path, "body": body, "key": key, "who": who}
        return one | {"status": answer.status_code, "answer": answer.json()["data"]}

    def hold(self, name, session, who="ada", **fields):
        """Start a run that waits at a gate."""
        body = {"input": self.gates[name].order, **LOCAL, "sessionId": session, **fields}
        run_id = self.post("/runs", body, who=who, wait=False)["runId"]
        self.gates[name].arrival()
        return run_id

    def step(self, name, says="hello", profile="mock", **fields):
        directive = self.post("/directives", {"input": says})["id"]
        return {"id": name, "directiveId": directive, "harnessProfileId": self.notes[profile], **fields}

    def workflow(self, steps, *edges):
        named = [dict(zip(("from", "to"), edge.split(">"), strict=True)) for edge in edges]
        return self.post("/workflows", {"definition": {"steps": steps, "dependencies": named}})["id"]

    def settled(self, run, status):
        for _ in soon():
            if self.get(f"/workflows/run/{run}")["run"]["status"] == status:
                return

    def judge(self, run, verb, note):
        asked = self.get(f"/workflows/run/{run}")["run"]["stepStates"]["ask"]["approval"]
        self.post(f"/workflows/run/{run}/steps/ask/{verb}", {"subjectHash": asked["subjectHash"], "note": note})

    # The past

    def past(self):
        """Tell everything that has ended."""
        must = {"id": "shown", "kind": "require-evidence", "label": "report"}
        hasty = GATED | {"policies": {**GATED["policies"], "timeoutMs": 60}}
        patient = GATED | {"displayName": "Patient", "policies": {**GATED["policies"], "timeoutMs": 12 * HOUR_MS}}
        bodies = {
            "mock": PLAIN,
            "gated": GATED,
            "agent": Profile(budget_usd=0.01, verification=(must,)).body,
            "short": Profile(budget_usd=(2 * TURN_MICRO_USD - 1) / 1e6).body,
            "hasty": hasty,
            "patient": patient,
        }
        self.notes |= {name: self.post("/harness-profiles", body)["id"] for name, body in bodies.items()}
        self.runs()
        self.memory()
        self.policies()
        self.workflows()
        self.schedules()
        self.work()
        self.messages()
        self.reviews()
        self.anchors()

    def runs(self):
        context = {"input": "greet {{name}}", "metadata": {"team": "red"}, "contextRefs": ["file:notes.txt"]}
        directive = self.post("/directives", context)["id"]
        self.notes["first"] = self.post("/runs", {"input": "hello", "sessionId": "desk"})["runId"]
        self.post("/runs", {"input": "grüße, 世界 \u202e 🚀", "sessionId": "desk"})
        said = {"directiveId": directive, "sessionId": "desk", "harnessProfileId": self.notes["mock"]}
        self.post("/runs", said)
        self.post("/runs", {"input": "when do we deploy the harbour?", "sessionId": "reminded"})
        pears = {"input": "Report how pears sold.", "sessionId": "pears", "harnessProfileId": self.notes["agent"]}
        self.notes["agentRun"] = self.post("/runs", pears)["runId"]
        self.post("/runs", {"input": "fail", **LOCAL, "sessionId": "failing"}, refused="PROVIDER_ERROR")
        illegible = {"input": "illegible", "provider": "openai", "model": "gpt-4o-mini"}
        self.post("/runs", illegible, refused="PROVIDER_ERROR")
        late = {"input": self.gates["late"].order, "harnessProfileId": self.notes["hasty"], "sessionId": "late"}
        self.post("/runs", late, refused="RUN_TIMEOUT")
        stopped = self.hold("stopped", "stopped")
        self.post("/runs/stopped/cancel", {"reason": "Bob (bob@example.org) says that it costs too much"})
        self.until("run.cancelled", runId=stopped)
        held = self.hold("busy", "busy")
        line = {"input": "in line", "sessionId": "busy", "sessionStrategy": "enqueue"}
        queued = self.post("/runs", line, wait=False)
        full = {"input": "no room", "sessionId": "busy", "sessionStrategy": "reject"}
        self.post("/runs", full, refused="SESSION_LOCK_TIMEOUT")
        self.gates["busy"].release()
        self.until("run.completed", runId=queued["runId"])
        assert self.get(f"/runs/{held}")["status"] == "completed"
        two = {"input": "two turns", "harnessProfileId": self.notes["short"], "sessionId": "short"}
        paused = self.post("/runs", two, wait=False)["runId"]
        self.until("run.paused", runId=paused)
        self.post(f"/runs/{paused}/resume", {"budgetUsd": 0.01})
        spec = {"harnessProfileId": self.notes["mock"], "directiveTemplate": "say {{what}}"}
        spec |= {"defaultParams": {"what": "hello"}}
        template = self.post("/run-templates", spec)["id"]
        self.put(f"/run-templates/{template}", spec | {"directiveTemplate": "shout {{what}}"})
        self.post(f"/templates/{template}/run", {"params": {"what": "bye"}, "sessionId": "templates"})
        self.notes["template"] = template

    def memory(self):
        self.post("/memory", {"text": "The lighthouse keeper is Zebulon.", "metadata": {"by": "ada"}})
        gone = self.post("/memory", {"text": "Forget me."})["id"]
        self.send("DELETE", f"/memory/{gone}")

    def policies(self):
        go = {"input": "go", "harnessProfileId": self.notes["agent"]}
        self.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 1}, "auditComment": "a trial"})
        full = self.hold("full", "full")
        self.post("/runs", {"input": "one too many"}, refused="POLICY_CONCURRENCY_LIMIT_EXCEEDED")
        self.gates["full"].release()
        self.until("run.completed", runId=full)
        self.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 0.0001})
        self.post("/runs", go, refused="POLICY_BUDGET_EXCEEDED")
        self.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 1})
        self.post("/runs", go | {"sessionId": "budget"})
        self.put("/policy", {"schemaVersion": 1, "retryBudgetPerRun": 0})
        self.post("/runs", go | {"sessionId": "no-budget"})

    def workflows(self):
        on = {"step": "good", "op": "contains"}
        again = {"maxAttempts": 2, "metadata": {"team": "red"}}
        steps = [
            self.step("good"),
            self.step("bad", "{{order}}", "gated", execution=again),
            self.step("no", when={**on, "value": "bye"}),
            self.step("each", "{{item}}", map={"input": "orders", "maxParallel": 2}),
            {"id": "ask", "approval": {"message": "ship it?"}},
            self.step("after"),
        ]
        main = self.workflow(steps, "good>bad", "good>no", "good>each", "each>ask", "ask>after")
        said = {"input": {"order": "fail", "orders": ["x", "y"]}}
        run = self.post(f"/workflows/{main}/run", said, wait=False)["id"]
        self.settled(run, "waiting")
        self.judge(run, "approve", "fine")
        self.settled(run, "failed")
        self.post(f"/workflows/run/{run}/resume", {"inputOverrides": {"order": "well"}})
        self.settled(run, "ok")
        turned = self.workflow([{"id": "ask", "approval": {"message": "really?"}}, self.step("b")], "ask>b")
        run = self.post(f"/workflows/{turned}/run", wait=False)["id"]
        self.settled(run, "waiting")
        self.judge(run, "reject", "not on a Friday")
        self.settled(run, "failed")
        held = self.workflow([self.step("a", self.gates["flow"].order, "gated"), self.step("b")], "a>b")
        run = self.post(f"/workflows/{held}/run", wait=False)["id"]
        self.gates["flow"].arrival()
        self.post(f"/workflows/run/{run}/cancel", {"reason": "ordered twice by ada@example.org"})
        self.settled(run, "cancelled")
        self.notes["workflow"] = main

    def schedules(self):
        hourly = {"sessionId": "hourly", "input": "Summarise the hour.", "cron": "0 * * * *"}
        hourly["timezone"] = "Europe/Berlin"
        self.post("/schedules", {"id": "hourly", **hourly})
        self.put("/schedules/hourly", hourly | {"input": "Summarise."})
        said = {"broken": "fail", "buffered": self.gates["buffer"].order, "skipping": self.gates["skip"].order}
        more = {
            "broken": {"pauseOnFailure": True},
            "buffered": {"overlapPolicy": "buffer-one"},
            "skipping": {"overlapPolicy": "skip"},
        }
        for name, text in said.items():
            directive = self.post("/directives", {"input": text})["id"]
            body = {"id": name, "sessionId": name, "directiveId": directive, "everyMinutes": 60}
            self.post("/schedules", body | {"harnessProfileId": self.notes["gated"], **more[name]})
        for name in ("disable", "enable", "pause", "resume"):
            self.post(f"/schedules/hourly/{name}", {"note": "a holiday"} if name == "pause" else {})
        self.post("/schedules/hourly/run")
        self.post("/schedules", {"id": "gone", **hourly})
        self.send("DELETE", "/schedules/gone")
        ticks = [self.tick("2026-09-07T10:30:00Z")]
        self.gates["buffer"].arrival()
        self.gates["skip"].arrival()
        ticks.append(self.tick("2026-09-07T11:30:00Z"))
        self.until("schedule.run.buffered")
        self.until("schedule.run.skipped")
        self.gates["buffer"].release(3)
        self.gates["skip"].release(3)
        for tick in ticks:
            tick.join()
        self.until("schedule.run.failed")
        for name in ("broken", "buffered", "skipping"):
            self.send("DELETE", f"/schedules/{name}")
        self.post("/schedules/hourly/pause", {"note": "over night"})

    def tick(self, at):
        thread = threading.Thread(target=self.post, args=("/schedules/tick", {"at": at}), daemon=True)
        thread.start()
        return thread

    def work(self):
        def enqueue(session, payload, mode="followup"):
            self.post("/work/enqueue", {"sessionId": session, "payload": payload, "mode": mode})

        for payload, mode in (("a", "collect"), ("b", "collect"), ("c", "followup")):
            enqueue("invoices", payload, mode)
        self.post("/work/invoices/drain")
        for number in range(4 + LETTERS_OPEN):
            session = f"dead-{number}" if number < 4 else "dead"
            enqueue(session, f"fail {number}")
            for _ in range(3):
                self.post(f"/work/{session}/drain", LOCAL, refused="PROVIDER_ERROR")
        letters = [self.get(f"/a2a/dlq?sessionId=dead-{number}")["items"][0]["id"] for number in range(4)]
        self.post(f"/a2a/dlq/{letters[0]}/requeue")
        self.post(f"/a2a/dlq/{letters[1]}/discard", {"auditNote": "no use"})
        self.post(f"/a2a/dlq/{letters[2]}/discard")
        self.post(f"/a2a/dlq/{letters[2]}/restore", {"auditNote": "of use"})
        done = self.post("/a2a/dlq/redrive", {"filter": {"sessionId": "dead-3"}, "ratePerSecond": 500})
        for _ in soon():
            if self.get(f"/a2a/dlq/redrive/{done['id']}")["status"] == "completed":
                break
        slow = self.post("/a2a/dlq/redrive", {"filter": {"sessionId": "dead"}, "ratePerSecond": 1})
        self.send("DELETE", f"/a2a/dlq/redrive/{slow['id']}")

    def messages(self):
        def sent(to, payload):
            body = {"fromPersona": "ada", "toPersona": to, "payload": payload, "taskId": "task-7"}
            message = self.post("/a2a/messages", body)["messageId"]
            for _ in soon():
                found = self.get(f"/a2a/messages/{message}")
                if found["status"] in {"completed", "failed"}:
                    return found["status"]
            raise AssertionError(message)

        assert sent("bob", "look at this") == "completed"
        unknown = {"schemaVersion": 1, "id": "carl", "harnessProfileId": "hp_unknown"}
        (self.directory / "workspace" / "personas" / "carl.json").write_text(json.dumps(unknown))
        assert sent("carl", {"do": ["it"]}) == "failed"

    def review(self, head, **fields):
        body = {"name": "critic", "repoPath": "library", "headRef": head, "sessionId": f"review-{head}"}
        return self.post("/personas/run", body | {"provider": "openai", "model": "gpt-4o-mini"}, **fields)

    def reviews(self):
        for head in ("good", "mended", "hopeless"):
            self.review(head)
        self.review("nowhere", refused="CONFIG_ERROR")

    def anchors(self):
        """Keep an anchor of another log, and refuse another chain at its position. Accept the clock."""
        body = {"logId": LOG_ELSEWHERE, "position": 7, "chain": "cd" * 32, "at": "2026-09-01T00:00:00.000Z"}
        self.post("/anchors", body)
        self.post("/anchors", body | {"chain": "ef" * 32}, refused="ANCHOR_CONFLICT")
        self.post("/admin/clock/accept")

    # Open work

    def refusals(self):
        codes = set()
        for _ in range(8):
            answer = self.plane.ask("POST", "/directives", {"input": "no"}, x_athena_identity="vera")
            codes.add(answer.json()["error"]["code"])
        assert codes == {"AUTHZ_DENIED", "RATE_LIMITED"}, codes
        self.until("requests.suppressed")

    def bulk(self):
        """Return the keyed answers of a bulk retry and a bulk cancel."""
        retry = {
            "filter": {"sessionId": "failing"},
            "changes": {"provider": "mock", "model": "mock-model"},
            "dryRun": False,
        }
        cancel = {"filter": {"sessionId": "nobody"}, "reason": "the nightly ones", "dryRun": False}
        found = [self.keyed("POST", "/runs/retry", retry, "bulk-retry-1", "olga")]
        return [*found, self.keyed("POST", "/runs/cancel", cancel, "bulk-cancel-1", "olga")]

    def once(self):
        """Return the answers of keyed requests."""
        order = {"input": {"order": "well", "orders": []}}
        policy = {"policy": {"schemaVersion": 1}, "auditComment": "as it was"}
        wanted = (
            ("POST", "/directives", {"input": "once only"}, "directive-1", "olga"),
            ("POST", "/runs", {"input": "only once", "sessionId": "keyed"}, "run-1", "olga"),
            ("POST", "/memory", {"text": "The harbour master is Ruth."}, "note-1", "olga"),
            ("PUT", "/policy", policy, "policy-1", "ada"),
            ("POST", f"/workflows/{self.notes['workflow']}/run", order, "workflow-1", "olga"),
            ("POST", f"/templates/{self.notes['template']}/run", {"params": {"what": "hi"}}, "template-1", "olga"),
        )
        return [self.keyed(*one) for one in wanted] + self.bulk()

    def halted_schedule(self):
        """Leave a paused schedule with slots that came due meanwhile."""
        body = {"id": "halted", "sessionId": "halted", "input": "What happened?", "everyMinutes": 10}
        self.post("/schedules", body, who="olga")
        self.clock.advance(15 * 60_000)
        self.post("/schedules/tick", who="olga")
        self.post("/schedules/halted/pause", {"note": "until the harbour thaws"}, who="olga")
        self.clock.advance(2 * HOUR_MS)
        self.post("/schedules/tick", who="olga")
        return "halted"

    def approvals(self):
        """Leave two workflow runs with an open approval: one without an end, one that expires in a day."""
        found = {}
        due = {"expiresAfterMs": 24 * HOUR_MS, "onExpiry": "reject"}
        for name, more in (("waiting", {}), ("expiring", due)):
            ask = {"id": "ask", "approval": {"message": "ship it?", **more}}
            workflow = self.workflow([self.step("a"), ask, self.step("b")], "a>ask", "ask>b")
            found[name] = self.post(f"/workflows/{workflow}/run", who="olga", wait=False)["id"]
            self.settled(found[name], "waiting")
        return found

    def left(self):
        """Leave work of every kind that waits or is done. Return its ids."""
        short, patient = self.notes["short"], self.notes["patient"]
        two = {"input": "two turns", "harnessProfileId": short, "sessionId": "paused"}
        paused = self.post("/runs", two, who="olga", wait=False)["runId"]
        self.until("run.paused", runId=paused)
        self.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 1})
        review = self.review("held", who="olga", wait=False)["runId"]
        leased = self.hold("leased", "leased", who="olga")
        line = {"input": "my turn", "sessionId": "leased", "sessionStrategy": "enqueue"}
        waits = self.post("/runs", line, who="olga", wait=False)["runId"]
        for payload in (self.gates["drain"].order, "after"):
            body = {"sessionId": "drained", "payload": payload, "mode": "followup"}
            self.post("/work/enqueue", body, who="olga")
        drain = self.post("/work/drained/drain", LOCAL, who="olga", wait=False)["drainId"]
        self.gates["drain"].arrival()
        child = self.hold("child", "child", who="olga", parentRunId=leased)
        dora = {"schemaVersion": 1, "id": "dora", "harnessProfileId": patient}
        (self.directory / "workspace" / "personas" / "dora.json").write_text(json.dumps(dora))
        messages = []
        for payload in (self.gates["message"].order, "behind it"):
            body = {"fromPersona": "ada", "toPersona": "dora", "payload": payload}
            messages.append(self.post("/a2a/messages", body, who="olga")["messageId"])
        self.gates["message"].arrival()
        directive = self.post("/directives", {"input": self.gates["flight"].order}, who="olga")["id"]
        body = {"id": "in-flight", "sessionId": "in-flight", "directiveId": directive, "cron": "0 0 1 1 *"}
        self.post("/schedules", body | {"harnessProfileId": patient}, who="olga")
        self.post("/schedules/in-flight/run", who="olga", wait=False)
        self.gates["flight"].arrival()
        flight = self.until("schedule.run.started", sessionId="in-flight")["payload"]["targetRunId"]
        stepping = self.workflow([self.step("a", self.gates["step"].order, "patient"), self.step("b")], "a>b")
        step = self.post(f"/workflows/{stepping}/run", who="olga", wait=False)["id"]
        self.gates["step"].arrival()
        limit = {"scope": "provider", "key": "local-exec", "max": 6, "strategy": "enqueue"}
        self.put("/policy", {"schemaVersion": 1, "costBudgetDailyUsd": 5, "limits": [limit]})
        crowd = {"input": "a place, please", **LOCAL, "sessionId": "crowded"}
        crowded = self.post("/runs", crowd, who="olga", wait=False)["runId"]
        redrive = self.post("/a2a/dlq/redrive", {"filter": {"sessionId": "dead"}, "ratePerSecond": 1}, who="olga")["id"]
        for _ in soon():
            if self.get(f"/a2a/dlq/redrive/{redrive}")["done"]:
                break
        return {
            **{"paused": paused, "review": review, "leased": leased, "inLine": waits, "drain": drain, "child": child},
            **{"message": messages[0], "behind": messages[1], "flight": flight, "step": step, "crowded": crowded},
            "redrive": redrive,
        }
