"""The scene of the console's tests and pictures: a server with a past, made by real runs of every kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.api import Api, Json, Refused
from tests.support.gate import Gates
from tests.support.model import Model, Profile, call
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, refuses, standing

SCRIPT = (
    call("files", action="write", path="report.md", content="# Pears\nSales of pears rose by 12 %."),
    call("shell", command=["/bin/sh", "-c", "sleep 0.2; wc -c report.md"]),
    call("evidence", label="report", type="text", content="Sales of pears rose by 12 %, according to 40 receipts."),
    "The report is written: sales of pears rose by 12 % against last week, according to 40 receipts.",
)
PAUSE_SECONDS = 0.15
TURN_MICRO_USD = 210  # of the model, for what it says that it read and wrote
PLAIN: Json = {
    "displayName": "Plain",
    "version": "v1",
    "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["evidence"]},
    "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0},
}


WOBBLY = "read what is hard to read"


class Wobbly(Model):
    """The model of the script. It fails an input that is hard to read until it is ``healed``."""

    healed = False

    def choose(self, asked: Asked) -> Behaviour:
        """The next turn, or an error."""
        if WOBBLY in asked.raw and not self.healed:
            return refuses(400, b'{"error": {"message": "illegible"}}')
        return super().choose(asked)


class Scene:
    """A server, the models that it asks, and the ids of what happened."""

    def __init__(self, server: Server, model: Wobbly, gates: Gates, agent_id: str) -> None:
        self.server = server
        self.model = model
        self.api: Api = server.api
        self.gates = gates
        self.agent_id = agent_id

    def local(self, **fields: Any) -> Json:
        """The provider whose model stops at gates."""
        return {"provider": "local-exec", "model": "script", **fields}

    def agent_run(self, session: str) -> str:
        """A run that calls tools, shows evidence and passes."""
        started = self.api.run("Report how pears sold this week.", sessionId=session, harnessProfileId=self.agent_id)
        return str(started["runId"])

    def hold(self, gate: str, session: str) -> str:
        """Start a run whose model waits at a gate."""
        order = self.gates[gate].order
        run_id = str(self.api.start(order, **self.local(sessionId=session))["runId"])
        self.gates[gate].arrival()
        return run_id

    def refused(self, session: str) -> str:
        """Start a run that the policy rejects because the limit equals the running runs (at least one)."""
        with self.full():
            try:
                self.api.run("one too many", sessionId=session)
            except Refused as refused:
                return str(refused.error["details"]["runId"])
        raise AssertionError("it was not refused")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Meanwhile limit the runs to those that are running (at least one)."""
        before = self.api.get("/policy") or {"schemaVersion": 1}
        running = self.api.get("/fleet/summary")["running"]
        self.api.put("/policy", {**before, "maxConcurrentRuns": running})
        try:
            yield
        finally:
            self.api.put("/policy", before)

    def paused(self, session: str) -> str:
        """Start a run that pauses after its second turn because its budget is spent."""
        profile = self.api.post("/harness-profiles", Profile(budget_usd=(2 * TURN_MICRO_USD - 1) / 1e6).body)["id"]
        fields = {"sessionId": session, "harnessProfileId": profile}
        run_id = str(self.api.start("Report how pears sold this week.", **fields)["runId"])
        self.api.await_event("run.paused", runId=run_id)
        return run_id

    def failing(self, session: str) -> str:
        """A run whose model fails."""
        started = self.api.start("fail", **self.local(sessionId=session))
        self.api.await_ending(started["runId"])
        return str(started["runId"])

    def letter(self, session: str) -> str:
        """Make a dead letter: an item that failed too often."""
        self.api.post("/work/enqueue", {"sessionId": session, "payload": "fail", "mode": "followup"})
        for _ in range(3):
            try:
                self.api.post(f"/work/{session}/drain", {"provider": "local-exec", "model": "script"})
            except Refused:
                continue
        found = self.api.items("/a2a/dlq", sessionId=session)
        return str(found[-1]["id"])

    def schedule(self, name: str, **fields: Any) -> str:
        """Make a schedule of the mock, by default at two every night."""
        trigger = {} if "everyMinutes" in fields else {"cron": "0 2 * * *", "timezone": "Europe/Berlin"}
        body = {"id": name, "sessionId": f"schedule-{name}", "input": "Summarise the day.", **trigger, **fields}
        self.api.post("/schedules", body)
        return name

    def workflow(self, *, approval: bool = False) -> str:
        """Make a diamond of four steps, one of which fails until the model is healed, and perhaps an approval."""
        api = self.api
        profile = api.post("/harness-profiles", PLAIN)["id"]
        words = {"collect": "collect receipts", "count": "count receipts", "read": WOBBLY, "write": "write it"}
        steps: list[Json] = [
            {"id": name, "directiveId": api.post("/directives", {"input": said})["id"], "harnessProfileId": profile}
            for name, said in words.items()
        ]
        edges = [("collect", "count"), ("collect", "read"), ("count", "write"), ("read", "write")]
        if approval:
            steps.append({"id": "publish", "approval": {"message": "Publish the report?"}})
            edges.append(("write", "publish"))
        definition = {"steps": steps, "dependencies": [{"from": start, "to": end} for start, end in edges]}
        return str(api.post("/workflows", {"definition": definition})["id"])


@contextmanager
def set_up(directory: Path, identity: str | None = None, **settings: str) -> Iterator[Scene]:
    """Yield a server with nothing but an agent's profile; ``identity`` is the caller of all requests."""
    gates = Gates(directory / "gates")
    local = {name: value for name, value in gates.settings.items() if name.startswith("local")}
    model = Wobbly(SCRIPT, PAUSE_SECONDS)
    with standing(model.choose) as stub:
        asks = {"openai_base_url": stub.url + "/v1", "openai_api_key": "none", **local, **settings}
        with Server(directory, **asks) as server:
            if identity is not None:
                server.api = server.client(identity)
            must = {"id": "shown", "kind": "require-evidence", "label": "report"}
            profile = Profile(budget_usd=0.01, verification=(must,)).body
            agent_id = str(server.api.post("/harness-profiles", profile)["id"])
            yield Scene(server, model, gates, agent_id)
    gates.close()
