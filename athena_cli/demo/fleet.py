"""The fleet of the demo: its agents, workflow and schedules, and what the people who use it ask."""

from collections.abc import Mapping
from typing import Any

import httpx2

from athena_cli.demo import script
from athena_core.clock import Ids

Json = dict[str, Any]

LIMIT = 5
"""Runs at once by the demo's policy. A burst of the nightly import is larger, so some of its runs are rejected."""

BURST = 7
MODEL, LARGE_MODEL = "gpt-4o-mini", "gpt-4o"
AUDIT_BUDGET_USD = 0.01
HOUR_MS = 3_600_000

PARK = {"holdMs": 0}
"""Runs of the demo that ask give their slot back at once."""

MUST_SHOW = {"id": "shows-report", "kind": "require-evidence", "label": "report"}
PROFILES: Mapping[str, Json] = {
    "Market analyst": {
        "tools": ["files", "shell", "evidence"],
        "toolPolicies": {"shell": {"commands": [["wc"], ["ls"]]}, "files": {"write": True}},
        "verificationPolicies": [MUST_SHOW],
        "budgetUsd": 0.5,
    },
    "Release reviewer": {"tools": ["shell"], "toolPolicies": {"shell": {"commands": [["ls"], ["wc"]]}}},
    "Auditor": {
        "tools": ["files"],
        "toolPolicies": {"files": {"write": True}},
        "model": LARGE_MODEL,
        "budgetUsd": AUDIT_BUDGET_USD,
    },
    "Archivist": {
        "tools": ["files", "shell"],
        "toolPolicies": {
            "shell": {
                "commands": [["ls"], ["rm", "-r", "drafts"]],
                "rules": [{"match": {"command": ["rm"]}, "approval": "ask"}],
            },
            "files": {"write": True},
        },
        "asks": PARK,
    },
    "Festival planner": {"tools": ["ask_user"], "asks": PARK},
    "Yearbook writer": {"tools": ["evidence"], "timeoutMs": HOUR_MS},
    "Support triage": {"tools": ["evidence"]},
    "Invoice reader": {"tools": ["evidence"], "model": LARGE_MODEL},
    "Price importer": {"tools": ["evidence"]},
}
"""The agents: fields of a profile, and ``model``, ``timeoutMs`` and ``budgetUsd`` where they differ."""

STEPS = {"collect": script.COLLECT, "count": script.COUNT, "draft": script.DRAFT}
APPROVAL = "Send this report to the 1,208 readers of the newsletter?"


class Refused(Exception):
    """An answer with an error."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status = status


class Fleet:
    """The fleet on a plane that ``http`` calls. Methods raise Refused, or httpx2.HTTPError without a server."""

    def __init__(self, http: httpx2.AsyncClient, ids: Ids) -> None:
        self.http = http
        self._ids = ids
        self.profiles: dict[str, str] = {}
        self.workflow_id = ""
        self.waiting = ""
        """The newest run of the workflow."""

    # Requests

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request. Return its data."""
        answer = await self.http.request(method, "/api/v1" + path, json=body, headers=headers)
        content = answer.json()
        if answer.status_code >= 300:
            raise Refused(answer.status_code, content.get("error", {}))
        return content["data"]

    async def start(self, agent: str, said: str, session: str, *, wait: bool = False) -> Json:
        """Start a run, and return its record; with ``wait`` return its result."""
        body = {"input": said, "sessionId": session, "harnessProfileId": self.profiles[agent]}
        headers = {} if wait else {"prefer": "respond-async"}
        found: Json = await self.call("POST", "/runs", body, **headers)
        return found

    def pick(self, below: int) -> int:
        """Return a random number from 0."""
        return int(self._ids.fraction() * below)

    async def running(self) -> list[Json]:
        found = await self.call("GET", "/runs?status=running&limit=50")
        return list(found["items"])

    async def run(self, run_id: str) -> Json:
        found: Json = await self.call("GET", f"/runs/{run_id}")
        return found

    async def workflow_run(self, run_id: str) -> Json:
        """Return a run of the workflow."""
        found: Json = (await self.call("GET", f"/workflows/run/{run_id}"))["run"]
        return found

    # The set-up

    async def set_up(self) -> None:
        """Create the policy, the agents, the workflow and the schedules."""
        await self.limit(LIMIT, "the demo's limit")
        for name, about in PROFILES.items():
            fields: Json = {key: about[key] for key in ("toolPolicies", "verificationPolicies", "asks") if key in about}
            policies: Json = {"timeoutMs": about.get("timeoutMs", 600_000), "retryLimit": 2}
            body: Json = {
                "displayName": name,
                "version": "v1",
                "config": {"provider": "openai", "model": about.get("model", MODEL), "tools": about["tools"]},
                "policies": policies | {"budgetUsd": about.get("budgetUsd", 0)},
                **fields,
            }
            self.profiles[name] = (await self.call("POST", "/harness-profiles", body))["id"]
        steps: list[Json] = []
        for name, said in STEPS.items():
            directive = (await self.call("POST", "/directives", {"input": said}))["id"]
            steps.append({"id": name, "directiveId": directive, "harnessProfileId": self.profiles["Support triage"]})
        send = (await self.call("POST", "/directives", {"input": script.SEND}))["id"]
        steps.append({"id": "publish", "approval": {"message": APPROVAL}})
        steps.append({"id": "send", "directiveId": send, "harnessProfileId": self.profiles["Support triage"]})
        names = [step["id"] for step in steps]
        edges = [{"from": one, "to": other} for one, other in zip(names, names[1:], strict=False)]
        made = await self.call("POST", "/workflows", {"definition": {"steps": steps, "dependencies": edges}})
        self.workflow_id = made["id"]

    async def schedule(self, name: str, said: str, **trigger: Any) -> None:
        """Create a schedule of the triage agent."""
        body = {"id": name, "sessionId": name, "input": said, "harnessProfileId": self.profiles["Support triage"]}
        await self.call("POST", "/schedules", body | trigger)

    # What the fleet does

    async def limit(self, most: int, why: str) -> None:
        """Set the limit of concurrent runs."""
        policy = {"schemaVersion": 1, "maxConcurrentRuns": most, "costBudgetDailyUsd": 25}
        await self.call("PUT", "/policy", {"policy": policy, "auditComment": why})

    async def errand(self, *, wait: bool = False, reports: float = 0.3) -> None:
        """Start a run of some agent, as people do all day. ``reports`` is the share of the market analyst."""
        draw = self._ids.fraction()
        if self._ids.fraction() < reports:
            await self.start("Market analyst", script.REPORT, f"pears-{self.pick(8) + 1}", wait=wait)
        elif draw < 0.1:
            await self.start("Release reviewer", script.CLEAN_UP, f"release-{self.pick(5) + 1}", wait=wait)
        elif draw < 0.3:
            scan = script.ILLEGIBLE if self._ids.fraction() < 0.25 else f"scan-{1_000 + self.pick(9_000)}.pdf"
            await self.start("Invoice reader", f"{script.INVOICE} {scan}.", "invoices", wait=wait)
        else:
            ticket = list(script.TICKETS)[self.pick(len(script.TICKETS))]
            await self.start("Support triage", ticket, f"support-{self.pick(40):02d}", wait=wait)

    async def burst(self) -> int:
        """Start more runs at once than the limit allows. Return the number of the rejected ones."""
        rejected = 0
        for number in range(1, BURST + 1):
            try:
                await self.start("Price importer", f"{script.IMPORT} {number}.", f"import-{number}")
            except Refused as refused:
                if refused.status != 429:
                    raise
                rejected += 1
        return rejected

    async def cancel(self, run_id: str) -> None:
        await self.call("POST", f"/run-control/by-run/{run_id}/cancel", {"reason": "started twice"})

    async def write_yearbook(self) -> None:
        """Start the run that writes for long, in a new session."""
        await self.start("Yearbook writer", script.YEARBOOK, f"yearbook-{self.pick(10**6):06d}")

    async def audit(self) -> None:
        """Start the run that pauses on its budget, in a new session."""
        await self.start("Auditor", script.AUDIT, f"audit-{self.pick(10**6):06d}")

    async def tidy(self) -> None:
        """Start the run that asks for permission to delete files, in a new session."""
        await self.start("Archivist", script.TIDY, f"archive-{self.pick(10**6):06d}")

    async def invite(self) -> None:
        """Start the run that asks a question, in a new session."""
        await self.start("Festival planner", script.INVITE, f"festival-{self.pick(10**6):06d}")

    async def asks(self, kind: str) -> list[Json]:
        """Return the open asks of a kind."""
        found = await self.call("GET", f"/asks?kind={kind}&limit=10")
        return list(found["items"])

    async def answer(self, ask: Json, option: str) -> None:
        body = {"subjectHash": ask["subjectHash"], "optionId": option}
        await self.call("POST", f"/asks/{ask['id']}/answer", body)

    async def publish(self) -> str:
        """Start the workflow that will wait for an approval. Return the id of its run."""
        found = await self.call("POST", f"/workflows/{self.workflow_id}/run", {}, prefer="respond-async")
        return str(found["id"])

    async def lose_work(self) -> None:
        """Queue an item that fails until it is a dead letter."""
        item = {"sessionId": "invoices-inbox", "payload": f"{script.INVOICE} {script.ILLEGIBLE}.", "mode": "followup"}
        await self.call("POST", "/work/enqueue", item)
        for _ in range(3):
            try:
                await self.call("POST", "/work/invoices-inbox/drain", {"provider": "openai", "model": MODEL})
            except Refused:
                continue
