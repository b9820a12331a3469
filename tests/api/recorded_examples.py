"""Recorder of the examples in the API document: calls of a real plane, with short lists.

``python -m tests.api.recorded_examples`` writes ``athena_api/document/examples.json``. Ids differ between two
recordings, so ``make docs`` keeps the file.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from athena_api.document import examples
from athena_api.document.openapi import document
from athena_api.endpoint.operation import PREFIX
from athena_api.operations import OPERATIONS
from tests.support.inside import Inside, plane_on
from tests.support.machine import Machine

PROFILE = {
    "displayName": "Careful",
    "version": "v1",
    "config": {"provider": "mock", "model": "mock-model", "tools": ["files"]},
    "policies": {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0.5},
}
POLICY = {"schemaVersion": 1, "maxConcurrentRuns": 20, "costBudgetDailyUsd": 50.0}
MAPS = frozenset({"projections", "views", "stepStates"})
"""Maps of which an example has one entry."""
WITHOUT_STEPS = frozenset({"OptionalWorkflowRunAnswer"})
"""Answers whose steps the example of another answer shows, since the document must stay small."""
UUID = "00000000-0000-4000-8000-00000000"


def shortened(data: Any) -> Any:
    """Return the data with one item of each list."""
    if isinstance(data, list):
        return [shortened(item) for item in data[:1]]
    if not isinstance(data, dict):
        return data
    return {name: shortened(dict([*part.items()][:1]) if name in MAPS else part) for name, part in data.items()}


def renamed(text: str) -> str:
    """Return the JSON with ids and hashes that are numbered in their order, and without names of this machine."""
    known: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        prefix, rest = match["prefix"] or "", match[0].removeprefix(match["prefix"] or "")
        width = 4 if prefix else len(rest)
        return known.setdefault(match[0], f"{prefix}{len(known) + 1:0{width}}")

    text = re.sub(r"ath_[0-9A-Z]{26}_[A-Za-z0-9_-]{43}", "ath_0001_…", text)
    text = re.sub(r"(?P<prefix>[a-z]+_)[0-9A-HJKMNP-TV-Z]{26}", number, text)
    text = re.sub(r"(?P<prefix>)\b([0-9a-f]{64}|[0-9a-f]{16})\b", number, text)
    text = re.sub(r"(?P<prefix>[0-9a-f]{8}(-[0-9a-f]{4}){3}-)[0-9a-f]{12}", lambda one: UUID + number(one)[-4:], text)
    text = re.sub(r'"host": "[^"]*"', '"host": "athena.example.org"', text)
    return re.sub(r'"pid": [0-9]+', '"pid": 4711', text)


class Recorder:
    """The examples so far, by component."""

    def __init__(self, plane: Inside) -> None:
        self._plane = plane
        self._rows = [(row, re.compile(re.sub(r":\w+", "[^/]+", PREFIX + row.path))) for row in OPERATIONS]
        self._rows.sort(key=lambda one: one[0].path.count(":"))
        self._spec: Any = document(OPERATIONS, "")
        self.found: dict[str, Any] = {}

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call an operation, and keep its body and its answer, unless there are examples of them."""
        answer = self._plane.ask(method, path, body, **headers)
        plain = PREFIX + path.partition("?")[0]
        row = next(row for row, pattern in self._rows if row.method == method and pattern.fullmatch(plain))
        assert answer.status_code < 300, (row.id, answer.text)
        described = self._spec["paths"][PREFIX + re.sub(r":(\w+)", r"{\1}", row.path)][method.lower()]
        if body is not None:
            self._keep(described["requestBody"], body)
        self._keep(described["responses"][str(answer.status_code)], shortened(answer.json()))
        return answer.json()["data"]

    def _keep(self, described: Any, example: Any) -> None:
        schema = described["content"]["application/json"]["schema"]
        name = schema["$ref"].rpartition("/")[2]
        if name in WITHOUT_STEPS:
            example = {**example, "data": {**example["data"], "stepStates": {}}}
        self.found.setdefault(name, example)

    def read(self, *paths: str) -> None:
        for path in paths:
            self.call("GET", path)


def record() -> dict[str, Any]:
    """Return the examples of all bodies and answers that the scenario reaches."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with plane_on(directory, Machine().still(), memory_enabled="true") as plane:
            recorder = Recorder(plane)
            _server_and_runs(recorder)
            _queues(recorder)
            _schedules(recorder)
            _workflows(recorder)
            _tokens(recorder)
            return dict(sorted(recorder.found.items()))


def _tokens(recorder: Recorder) -> None:
    body = {"identity": "ci", "role": "Operator", "scope": {"sessions": ["support-42"]}, "note": "Nightly build"}
    token = recorder.call("POST", "/tokens", body)["tokenId"]
    recorder.read(f"/tokens/{token}", "/tokens")
    recorder.call("POST", "/logout")


def _server_and_runs(recorder: Recorder) -> None:
    call = recorder.call
    call("PUT", "/policy", {"policy": POLICY, "auditComment": "a budget for the year"})
    profile = call("POST", "/harness-profiles", PROFILE)["id"]
    directive = call("POST", "/directives", {"input": "Sort the open tickets.", "metadata": {"team": "support"}})["id"]
    run = call("POST", "/runs", {"input": "Summarize ticket 7.", "sessionId": "support"})["runId"]
    call("POST", "/runs", {"input": "Summarize ticket 8.", "sessionId": "support"}, prefer="respond-async")
    call("POST", f"/runs/{run}/retry", {"input": "Summarize ticket 7 in one line."}, prefer="respond-async")
    template = call(
        "POST",
        "/run-templates",
        {
            "harnessProfileId": profile,
            "directiveTemplate": "Summarize {{what}}.",
            "defaultParams": {"what": "ticket 7"},
        },
    )["id"]
    call(
        "PUT",
        f"/run-templates/{template}",
        {
            "harnessProfileId": profile,
            "directiveTemplate": "Summarize {{what}} briefly.",
            "defaultParams": {"what": "ticket 7"},
        },
    )
    call("POST", f"/templates/{template}/run", {"params": {"what": "ticket 9"}})
    call("POST", f"/templates/{template}/run", {"params": {"what": "ticket 9"}}, prefer="respond-async")
    call("POST", f"/run-control/by-run/{run}/cancel", {"reason": "no longer needed"})
    call("POST", "/runs/support/cancel", {"reason": "no longer needed"})
    call("POST", "/runs/cancel", {"filter": {"sessionId": "support"}, "reason": "wrong prices"})
    changes = {"provider": "mock", "model": "mock-model"}
    call("POST", "/runs/retry", {"filter": {"status": "failed", "errorCode": "PROVIDER_ERROR"}, "changes": changes})
    call("POST", "/anchors", {"logId": "ab" * 8, "position": 7, "chain": "cd" * 32, "at": "2026-01-01T00:00:00.000Z"})
    call("POST", "/policy/simulate", {"policy": POLICY})
    entry = call("POST", "/memory", {"text": "Deploy on Mondays.", "metadata": {"team": "support"}})["id"]
    recorder.read("/memory", "/memory/search?query=deploy", f"/memory/{entry}")
    call("DELETE", f"/memory/{entry}")
    call("POST", "/admin/clock/accept")
    recorder.read("/capabilities", "/caller", "/admin/health", "/admin/digests", "/workers", "/anchors", "/policy")
    recorder.read("/directives", f"/directives/{directive}", "/harness-profiles", f"/harness-profiles/{profile}")
    recorder.read("/run-templates", f"/run-templates/{template}", "/runs", f"/runs/{run}", f"/runs/{run}/explain")
    recorder.read(f"/ids/{run[-8:]}")
    recorder.read(
        "/runs/facets",
        f"/runs/{run}/evidence",
        "/runs/active",
        "/runs/cancel-requests",
        "/sessions",
        "/sessions/support",
    )
    recorder.read(
        "/sessions/support/transcript", "/governance/audit-trail", "/fleet/summary", "/events", "/diff?from=0"
    )
    recorder.read("/fleet/series?step=1h", f"/runs/{run}/proof", f"/runs/{run}/turns/1/request")
    recorder.read("/policy/rejections", "/a2a/messages", "/a2a/dlq", "/personas/runs")


def _queues(recorder: Recorder) -> None:
    call = recorder.call
    call("POST", "/work/enqueue", {"sessionId": "queue", "payload": "Answer ticket 7.", "mode": "collect"})
    recorder.read("/sessions/queue/work-queue", "/work/queues")
    call("POST", "/work/queue/drain", {"provider": "mock"})
    call("POST", "/work/enqueue", {"sessionId": "queue", "payload": "Answer ticket 8.", "mode": "collect"})
    drain = call("POST", "/work/queue/drain", {}, prefer="respond-async")["drainId"]
    recorder.read(f"/work/drains/{drain}")
    call("POST", "/a2a/dlq/redrive", {"filter": {"source": "work"}, "ratePerSecond": 50, "dryRun": True})


def _schedules(recorder: Recorder) -> None:
    call = recorder.call
    schedule = {"sessionId": "nightly", "input": "Sort the open tickets.", "cron": "0 3 * * *", "timezone": "UTC"}
    call("POST", "/schedules", {"id": "nightly", **schedule})
    call("PUT", "/schedules/nightly", {**schedule, "jitterSeconds": 60})
    call("POST", "/schedules/nightly/run", {"provider": "mock"})
    for change in ("pause", "resume"):
        call("POST", f"/schedules/nightly/{change}", {"note": "as agreed"})
    for change in ("disable", "enable"):
        call("POST", f"/schedules/nightly/{change}")
    call("POST", "/schedules/tick", {"provider": "mock"})
    recorder.read("/schedules", "/schedules/nightly", "/schedules/nightly/logs", "/schedules/nightly/preview?count=1")
    call("DELETE", "/schedules/nightly")


def _workflows(recorder: Recorder) -> None:
    call = recorder.call
    profile = recorder.found["HarnessProfileAnswer"]["data"]["id"]
    directive = recorder.found["DirectiveAnswer"]["data"]["id"]
    draft = {"id": "draft", "directiveId": directive, "harnessProfileId": profile}
    definition = {
        "steps": [draft, {"id": "check", "approval": {"message": "Is it good?"}}],
        "dependencies": [{"from": "draft", "to": "check"}],
    }
    workflow = call("POST", "/workflows", {"definition": definition})["id"]
    started = call("POST", f"/workflows/{workflow}/run", {"input": {}})
    run, state = started["id"], started["stepStates"]["check"]
    recorder.read("/asks", f"/asks/{state['approval']['askId']}")
    judgement = {"subjectHash": state["approval"]["subjectHash"], "note": "fine"}
    call("POST", f"/workflows/run/{run}/steps/check/approve", judgement)
    second = call("POST", f"/workflows/{workflow}/run", {"input": {}})
    judgement = {"subjectHash": second["stepStates"]["check"]["approval"]["subjectHash"], "note": "too short"}
    call("POST", f"/workflows/run/{second['id']}/steps/check/reject", judgement)
    call("POST", f"/workflows/run/{second['id']}/resume", {"dryRun": True})
    call("POST", f"/workflows/run/{second['id']}/cancel", {"reason": "no longer needed"})
    recorder.read("/workflows", f"/workflows/{workflow}", f"/workflows/{workflow}/runs", f"/workflows/run/{run}")
    recorder.read(f"/workflows/run/{run}/steps/draft/items")


if __name__ == "__main__":
    examples.FILE.write_text(renamed(json.dumps(record(), indent=1, ensure_ascii=False, sort_keys=True)) + "\n")
