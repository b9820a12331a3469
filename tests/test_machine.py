"""The plane against a model: whatever is asked, repeated, restarted or replayed leads where a small dictionary says."""

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from athena_core.clock import iso
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import policy
from athena_core.event import Fact
from projections.engine import replay
from tests.api.examples import PROFILE
from tests.scale import SCALE, sized
from tests.support.api import opened, soon
from tests.support.gate import Gate, Gates
from tests.support.inside import Inside
from tests.support.model import Profile, call, turn_of
from tests.support.records import META, judge
from tests.support.stub import Asked, Behaviour, standing

NAMES = ["red", "green", "blue"]
SESSIONS = st.sampled_from(NAMES)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(str.strip)
DATA: st.SearchStrategy[st.DataObject] = st.data()

PROOF = {"label": "Proof", "type": "text", "content": "it works"}
AGENT = {**Profile(tools=("evidence",), budget_usd=0.0001).body, "toolPolicies": None}
"""One whose first turn costs more than its budget."""


def shows_and_answers(asked: Asked) -> Behaviour:
    """The model of an agent: attach evidence, then answer."""
    roles = [message["role"] for message in asked.body["messages"]]
    return turn_of("all done" if roles[-1] == "tool" else call("evidence", **PROOF), 1)


class Run:
    """A run in the model; ``request`` and ``key`` started it."""

    def __init__(
        self, run_id: str, request: dict[str, str], said: str, *, key: str | None = None, gate: Gate | None = None
    ) -> None:
        self.run_id = run_id
        self.request = request
        self.session = request["sessionId"]
        self.said = said
        self.key = key
        self.gate = gate
        self.status = "running"
        self.output: str | None = None


class Machine(RuleBasedStateMachine):
    """The rules, and the model beside the plane."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="machine"))
        self.gates = Gates(self.directory / "gates")
        local = {name: value for name, value in self.gates.settings.items() if name.startswith("local")}
        self.stack = ExitStack()
        local["openai_base_url"] = self.stack.enter_context(standing(shows_and_answers)).url
        self.plane = Inside(self.directory, session_wait_ms="1", runtime_run_timeout_ms="3600000", **local)
        self.plane.start()
        self.limit: int | None = None
        self.directives: dict[str, str] = {}
        self.profiles: dict[str, str] = {}
        self.runs: dict[str, Run] = {}
        self.waiting: list[Run] = []
        self.transcripts: dict[str, list[tuple[str, str, str]]] = {}
        self.answers: dict[str, tuple[str, Any, Any]] = {}
        self.stopped = False

    # The model

    def running(self) -> list[Run]:
        """Return the runs that hold a slot and their session."""
        return [run for run in self.runs.values() if run.status == "running"]

    def paused(self) -> list[Run]:
        """Return the runs that hold their session and no slot."""
        return [run for run in self.runs.values() if run.status == "paused"]

    def holds(self, session: str) -> bool:
        """Return True if a session has an admitted run."""
        return any(run.session == session for run in [*self.running(), *self.paused()])

    def busy(self, session: str) -> bool:
        """Return True if a new run of a session has to wait."""
        return self.holds(session) or any(run.session == session for run in self.waiting)

    def full(self) -> bool:
        """Return True if a new run is rejected."""
        return self.limit is not None and len(self.running()) >= self.limit

    def begin(self, run: Run) -> None:
        run.status = "running"
        self.transcripts[run.session].append((run.run_id, "user", run.said))

    def end(self, run: Run, status: str, output: str | None = None) -> None:
        was_admitted = run.status != "queued"
        run.status, run.output = status, output
        if output is not None:
            self.transcripts[run.session].append((run.run_id, "assistant", output))
        if was_admitted:
            self.settle()
        else:
            self.waiting.remove(run)

    def settle(self) -> None:
        """Admit waiting runs, oldest first, after a slot or a session became free."""
        for other in list(self.waiting):
            if not self.full() and not self.holds(other.session):
                self.waiting.remove(other)
                self.begin(other)
                assert other.gate is not None
                other.gate.arrival()  # it is admitted in the commit that freed its place, and executed soon after

    # Requests

    def post(self, path: str, body: Any = None, key: str | None = None, **headers: str) -> httpx2.Response:
        if key is not None:
            headers["idempotency_key"] = key
        return self.plane.ask("POST", path, body or {}, **headers)

    def get(self, path: str) -> Any:
        return opened(self.plane.ask("GET", path))

    def remember(self, key: str, path: str, body: Any, answer: httpx2.Response) -> None:
        """Keep an accepted command for a repeat."""
        assert "idempotency-replayed" not in answer.headers
        self.answers[key] = (path, body, opened(answer))

    def new_key(self) -> str:
        return f"key-{len(self.answers)}-{len(self.runs)}"

    # Rules

    @initialize(limit=st.sampled_from([None, 1, 2, 2]))
    def begin_with_a_limit(self, limit: int | None) -> None:
        self.put_policy(limit)
        self.agent = str(opened(self.post("/harness-profiles", AGENT))["id"])
        self.profiles[self.agent] = AGENT["displayName"]

    @rule(limit=st.sampled_from([None, 1, 2, 2]))
    def put_policy(self, limit: int | None) -> None:
        wanted = policy.Policy(schema_version=1, max_concurrent_runs=limit)

        def put(reader: Reader, context: Context) -> Outcome:
            command = policy.PutPolicy(policy=wanted, at=iso(context.now), by="test")
            events = policy.decide(command, reader.state(policy.DECIDER, policy.STREAM), context)
            return Outcome(facts=tuple(Fact(stream=policy.STREAM, event=event) for event in events))

        self.plane.app.plane.log.submit_in_thread(put, META)
        self.limit = limit

    @rule(said=WORDS)
    def create_a_directive(self, said: str) -> None:
        key, body = self.new_key(), {"input": said}
        answer = self.post("/directives", body, key)
        self.directives[opened(answer)["id"]] = said.strip()
        self.remember(key, "/directives", body, answer)

    @rule(name=WORDS)
    def create_a_profile(self, name: str) -> None:
        key, body = self.new_key(), {**PROFILE, "displayName": name}
        answer = self.post("/harness-profiles", body, key)
        self.profiles[opened(answer)["id"]] = name.strip()
        self.remember(key, "/harness-profiles", body, answer)

    @rule(session=SESSIONS, said=WORDS, data=DATA)
    def run_and_wait(self, session: str, said: str, data: st.DataObject) -> None:
        body = {"input": said, "sessionId": session}
        by_reference: bool = data.draw(st.booleans())
        if self.directives and by_reference:
            directive = data.draw(st.sampled_from(sorted(self.directives)))
            said, body = self.directives[directive], {"directiveId": directive, "sessionId": session}
        key = self.new_key()
        answer = self.post("/runs", body, key)
        if self.full():
            assert answer.status_code == 429
            assert self.plane.ask("GET", f"/runs/{answer.json()['error']['details']['runId']}").status_code == 404
            return
        new_session = session not in self.transcripts
        self.transcripts.setdefault(session, [])
        if self.busy(session):
            assert not new_session
            run = self.withdrawn(answer, body, said)
        else:
            result = opened(answer)
            run = self.runs[result["runId"]] = Run(result["runId"], body, said.strip())
            self.begin(run)
            assert result["output"].endswith(f"user: {run.said}")
            self.end(run, "completed", result["output"])
            self.remember(key, "/runs", body, answer)
        if "directiveId" not in body:
            self.directives[self.get(f"/runs/{run.run_id}")["directiveId"]] = run.said

    def withdrawn(self, answer: httpx2.Response, body: dict[str, str], said: str) -> Run:
        """Return the run of a caller that did not wait for the session."""
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SESSION_LOCK_TIMEOUT")
        run = Run(answer.json()["error"]["details"]["runId"], body, said.strip())
        run.status = "cancelled"
        self.runs[run.run_id] = run
        return run

    @rule(said=WORDS, data=DATA)
    def spend_a_budget(self, said: str, data: st.DataObject) -> None:
        free = [session for session in NAMES if not self.busy(session)]
        session = data.draw(st.sampled_from(free * 3 + NAMES))
        key, body = self.new_key(), {"input": said, "sessionId": session, "harnessProfileId": self.agent}
        answer = self.post("/runs", body, key)
        if self.full():
            assert answer.status_code == 429
            return
        self.transcripts.setdefault(session, [])
        if self.busy(session):
            run = self.withdrawn(answer, body, said)
        else:
            record = opened(answer)
            assert (answer.status_code, record["status"]) == (202, "paused")
            run = self.runs[record["runId"]] = Run(record["runId"], body, said.strip(), key=key)
            self.begin(run)
            shown = [("assistant", json.dumps(PROOF, separators=(",", ":"))), ("tool", "Attached as 'Proof'.")]
            self.transcripts[session] += [(run.run_id, role, content) for role, content in shown]
            run.status = "paused"
            self.settle()
        self.directives[self.get(f"/runs/{run.run_id}")["directiveId"]] = run.said

    @rule(said=WORDS, data=DATA)
    def spend_a_budget_and_get_another(self, said: str, data: st.DataObject) -> None:
        self.spend_a_budget(said, data)
        if self.paused():
            self.resume_a_run(data, data.draw(st.sampled_from([None, 1])))

    @precondition(lambda self: any(run.status != "paused" for run in self.runs.values()))
    @rule(data=DATA)
    def resume_what_is_not_paused(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.runs.values() if run.status != "paused"]))
        answer = self.post(f"/runs/{run.run_id}/resume", {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RUN_NOT_PAUSED")

    @precondition(lambda self: self.paused())
    @rule(data=DATA, budget=st.sampled_from([None, 1, 0.0001]))
    def resume_a_run(self, data: st.DataObject, budget: float | None) -> None:
        run = data.draw(st.sampled_from(self.paused()))
        answer = self.post(f"/runs/{run.run_id}/resume", {} if budget is None else {"budgetUsd": budget})
        if budget is not None and budget < 1:
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CONFIG_ERROR")
        elif self.full():
            assert answer.status_code == 429
        else:
            record = opened(answer)
            assert (record["status"], record["output"]) == ("completed", "all done")
            self.end(run, "completed", "all done")
            assert opened(self.wait_for(run))["output"] == "all done"

    @rule(first=SESSIONS, second=SESSIONS)
    def start_two_at_gates(self, first: str, second: str) -> None:
        self.start_at_a_gate(first)
        self.start_at_a_gate(second)

    @rule(session=SESSIONS)
    def start_at_a_gate(self, session: str) -> None:
        gate = self.gates[f"g{len(self.runs)}-{len(self.answers)}-{self.plane.app.plane.log.signal.position}"]
        body = {"input": gate.order, "sessionId": session, "provider": "local-exec"}
        run = Run("", body, gate.order, key=gate.order.replace(" ", "-"), gate=gate)
        answer = self.post("/runs", body, run.key, prefer="respond-async")
        if self.full():
            assert answer.status_code == 429
            return
        record = opened(answer)
        run.run_id = record["runId"]
        self.directives[record["directiveId"]] = run.said
        self.transcripts.setdefault(session, [])
        if self.busy(session):
            run.status = "queued"
            self.waiting.append(run)
        else:
            self.begin(run)
        self.runs[run.run_id] = run
        assert (answer.status_code, record["status"]) == (202, run.status)

    def wait_for(self, run: Run) -> httpx2.Response:
        """Return the answer of a run by repeating the request that started it."""
        assert run.key is not None
        answer = self.post("/runs", run.request, run.key)
        assert answer.headers["idempotency-replayed"] == "true"
        return answer

    @precondition(lambda self: self.running())
    @rule(data=DATA)
    def let_a_run_go_on(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.running()))
        assert run.gate is not None
        run.gate.release()
        result = opened(self.wait_for(run))
        assert (result["runId"], result["output"]) == (run.run_id, run.said.replace("hold", "released by"))
        self.end(run, "completed", result["output"])

    @precondition(lambda self: self.runs)
    @rule(data=DATA)
    def cancel_a_run(self, data: st.DataObject) -> None:
        open_ones = [*self.running(), *self.waiting, *self.paused()]
        run = data.draw(st.sampled_from(open_ones * 3 + list(self.runs.values())))
        done = opened(self.post(f"/run-control/by-run/{run.run_id}/cancel", {"reason": "model"}))
        if run.status not in {"queued", "running", "paused"}:
            assert done == {"runId": run.run_id, "status": "not-running"}
            return
        assert done == {"runId": run.run_id, "sessionId": run.session, "status": "cancelled"}
        answer = self.wait_for(run)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RUN_CANCELLED")
        self.end(run, "cancelled")

    @rule(session=SESSIONS)
    def cancel_a_session(self, session: str) -> None:
        done = opened(self.post(f"/runs/{session}/cancel"))
        holders = [run for run in [*self.running(), *self.paused()] if run.session == session]
        assert done == {"sessionId": session, "status": "cancelled" if holders else "not-running"}
        for run in holders:
            self.wait_for(run)
            self.end(run, "cancelled")

    @precondition(lambda self: self.answers)
    @rule(data=DATA)
    def repeat_a_command(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.answers)))
        path, body, expected = self.answers[key]
        answer = self.post(path, body, key)
        assert opened(answer) == expected
        assert answer.headers["idempotency-replayed"] == "true"

    @precondition(lambda self: self.answers)
    @rule(data=DATA)
    def use_a_key_for_something_else(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.answers)))
        path, body, _ = self.answers[key]
        name = next(name for name in ("displayName", "input", "directiveId") if name in body)
        other = dict(body) | (
            {"input": "x", "directiveId": None} if name == "directiveId" else {name: "something else"}
        )
        if other[name] != body[name]:
            answer = self.post(path, other, key)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "IDEMPOTENCY_MISMATCH")

    @rule(body=st.sampled_from([{}, {"input": 1}, {"directiveId": "dir_x"}, {"input": "a", "provider": "nobody"}]))
    def ask_for_nonsense(self, body: dict[str, Any]) -> None:
        head = self.plane.app.plane.log.signal.position
        assert self.post("/runs", body, "nonsense").status_code in {400, 404}
        assert self.plane.app.plane.log.signal.position == head

    @rule()
    def restart(self) -> None:
        self.plane.stop()
        self.plane.start()
        for run in self.running():  # they go on where they were
            assert run.gate is not None
            run.gate.arrival()

    @rule()
    def compare_with_a_replay(self) -> None:
        verdicts = replay.verify(self.plane.app.plane.views)
        assert all(verdict.live_digest == verdict.replayed_digest for verdict in verdicts), verdicts

    @rule()
    def replay_and_switch(self) -> None:
        views = self.plane.app.plane.views
        before = views.generations.current()
        *_, last = replay.rebuild(views)
        assert last.outcome in {"candidate", "switched"}
        for _ in soon():
            if views.generations.current() != before:
                break

    # What must hold after each of them

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        shown = {run["runId"]: run for run in self.get("/runs?limit=500&include=output")["items"]}
        assert {run_id: run["status"] for run_id, run in shown.items()} == {
            run_id: run.status for run_id, run in self.runs.items()
        }
        assert {run_id: run.get("output") for run_id, run in shown.items()} == {
            run_id: run.output for run_id, run in self.runs.items()
        }
        assert {run["runId"] for run in self.get("/runs/active?limit=500")["items"]} == {
            run.run_id for run in self.running()
        }
        directives = {item["id"]: item["input"] for item in self.get("/directives?limit=500")["items"]}
        assert directives == self.directives
        profiles = {item["id"]: item["displayName"] for item in self.get("/harness-profiles?limit=500")["items"]}
        assert profiles == self.profiles
        assert {item["id"] for item in self.get("/sessions")["items"]} == set(self.transcripts)
        for session, expected in self.transcripts.items():
            entries = self.get(f"/sessions/{session}/transcript?limit=500")["items"]
            assert [(entry["runId"], entry["role"], entry["content"]) for entry in entries] == expected

    def teardown(self) -> None:
        try:
            self.plane.stop()
            judge(self.plane.state_dir)
        finally:
            self.stack.close()
            self.gates.close()
            shutil.rmtree(self.directory)


@pytest.mark.heavy
@pytest.mark.timeout(sized(120, 900, 7_200))
def test_the_plane_does_what_the_model_says() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=sized(8, 10, 300),
            stateful_step_count=sized(30, 40, 100),
            deadline=None,
            database=None,
            derandomize=SCALE != "full",
            phases=[Phase.generate, *([Phase.shrink] if SCALE == "full" else [])],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
