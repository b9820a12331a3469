"""A client that builds workflows and waits for their runs."""

from typing import Any

from tests.api.examples import PROFILE
from tests.support.api import Api, Json, events_of


class Builder:
    def __init__(self, api: Api) -> None:
        self.api = api
        plain = PROFILE | {"verificationPolicies": None}
        self.mock = api.post("/harness-profiles", plain)["id"]
        gated = {"provider": "local-exec", "model": "script", "tools": ["none"]}
        quiet = {"toolPolicies": None, "allowedEgress": None}
        self.gated = api.post("/harness-profiles", plain | quiet | {"config": gated})["id"]

    def step(self, name: str, says: str = "hello", *, gated: bool = False, **fields: Any) -> Json:
        directive = self.api.post("/directives", {"input": says})["id"]
        return {"id": name, "directiveId": directive, "harnessProfileId": self.gated if gated else self.mock, **fields}

    def workflow(self, steps: list[Json], *edges: str | Json) -> str:
        named = [
            dict(zip(("from", "to"), edge.split(">"), strict=True)) if isinstance(edge, str) else edge for edge in edges
        ]
        made = self.api.post("/workflows", {"definition": {"steps": steps, "dependencies": named}})
        return str(made["id"])

    def chain(self, *names: str) -> str:
        pairs = zip(names, names[1:], strict=False)
        return self.workflow([self.step(name) for name in names], *(f"{a}>{b}" for a, b in pairs))

    def run(self, workflow_id: str, **values: Any) -> Json:
        found: Json = self.api.post(f"/workflows/{workflow_id}/run", {"input": values} if values else {})
        return found

    def resume(self, target: str, **body: Any) -> Json:
        found: Json = self.api.post(f"/workflows/run/{target}/resume", body)
        return found


def statuses(run: Json) -> dict[str, str]:
    return {step_id: state["status"] for step_id, state in run["stepStates"].items()}


def attempts(run: Json) -> dict[str, int]:
    return {step_id: state["attempt"] for step_id, state in run["stepStates"].items()}


def settled(build: Builder, run_id: str, *before: str) -> Json:
    """Return the run once it has settled, or once its status is not among ``before``."""
    kinds = ("workflow.run.completed", "workflow.run.failed", "workflow.run.cancelled", "workflow.run.suspended")
    with build.api.stream(types=",".join(kinds)) as blocks:
        for _ in events_of(blocks):
            run: Json = build.api.get(f"/workflows/run/{run_id}")["run"]
            if run["status"] not in (before or ("running",)):
                return run
    raise AssertionError("the stream ended")
