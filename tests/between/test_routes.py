"""Two ways to the same thing: starting a run, lists and records, pages and streams, tools and verifiers."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from athena_api.operations import OPERATIONS
from athena_core.text import preview
from athena_core.values import PREVIEW_CHARS
from tests.between.conftest import Planes, Servers, hold
from tests.between.life import SCRIPT, lived, with_personas
from tests.support.api import MARKS, Json, Refused, until_caught_up
from tests.support.gate import Gates
from tests.support.inside import Inside
from tests.support.model import Model, Profile, acting, call

LIMITS: dict[str, dict[str, Any]] = {
    "maxConcurrentRuns": {"maxConcurrentRuns": 1},
    "limits": {"limits": [{"scope": "provider", "key": "openai", "max": 1, "strategy": "reject"}]},
    "costBudgetDailyUsd": {"costBudgetDailyUsd": 0.0002},
}
WAYS = ("run", "template", "schedule", "drain", "resume")


class Starter:
    """Starts a run of a priced model in each possible way."""

    def __init__(self, plane: Inside) -> None:
        self._plane = plane
        self._profile = self._agent(0)
        agent = {"harnessProfileId": self._profile}
        template = {**agent, "directiveTemplate": "go", "defaultParams": {}}
        self._template = plane.data("POST", "/run-templates", template)["id"]
        schedule = {**agent, "id": "often", "sessionId": "often", "input": "go", "everyMinutes": 60}
        plane.data("POST", "/schedules", schedule)
        item = {"sessionId": "queue", "payload": "go", "mode": "followup"}
        plane.data("POST", "/work/enqueue", item)
        thrifty = {"input": "go", "harnessProfileId": self._agent(0.0001)}
        self._paused = plane.data("POST", "/runs", thrifty)["runId"]

    def _agent(self, budget_usd: float) -> str:
        return str(self._plane.data("POST", "/harness-profiles", Profile(budget_usd=budget_usd).body)["id"])

    def holder(self) -> str:
        """Start the run that uses up the limits."""
        return self._plane.begin("go", "holder", harnessProfileId=self._profile)

    def start(self, way: str) -> Any:
        """Start a run; return the answer. Raise Refused."""
        plane = self._plane
        match way:
            case "run":
                return plane.data("POST", "/runs", {"input": "go", "harnessProfileId": self._profile})
            case "template":
                return plane.data("POST", f"/templates/{self._template}/run", {})
            case "schedule":
                return plane.data("POST", "/schedules/often/run", {})
            case "drain":
                return plane.data("POST", "/work/queue/drain", {"provider": "openai", "model": "gpt-4o-mini"})
            case _:
                return plane.data("POST", f"/runs/{self._paused}/resume", {})


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_start_a_run_obeys_every_limit(way: str, planes: Planes, model: Model, gates: Gates) -> None:
    model.script = [call("files", action="list", path="."), "done"]
    with planes(openai_base_url=model.url) as plane:
        starter, gate = Starter(plane), gates["holder"]
        model.script = [hold(gate), "done"]
        holder = starter.holder()
        gate.arrival()
        for number, (name, limit) in enumerate(LIMITS.items(), 1):
            plane.data("PUT", "/policy", {"schemaVersion": 1, **limit})
            try:
                message = str(starter.start(way))
            except Refused as refused:
                message = str(refused)
            assert f"policy.{name} exceeded" in message
            assert len(plane.data("GET", "/policy/rejections")["items"]) == number
        plane.data("PUT", "/policy", {"schemaVersion": 1})
        model.script = ["done"]
        assert starter.start(way).get("status", "ok") in {"ok", "completed"}
        gate.release()
        assert plane.until(f"/runs/{holder}", "status", "completed")


def test_a_tool_and_a_verifier_record_the_same_output_of_a_command(planes: Planes, tmp_path: Path) -> None:
    secret, command = "an-own-key-without-a-shape", ["/bin/sh", "-c", "cat notes.txt; exit 3"]
    (tmp_path / "notes.txt").write_text(f"{secret}\n" + "x" * 5_000)
    policy = {"id": "v", "kind": "command", "label": "Shown", "command": command}
    body = Profile(verification=(policy,)).body
    body["toolPolicies"]["shell"]["outputBytesMax"] = 1_000
    script = [call("shell", command=command, evidence="Shown"), "done"]
    settings = {"workspace_root": str(tmp_path), "openai_api_key": secret}
    with acting(script) as model, planes(openai_base_url=model.url, **settings) as plane:
        profile = plane.data("POST", "/harness-profiles", body)["id"]
        run = plane.data("POST", "/runs", {"input": "go", "harnessProfileId": profile})
        path = f"/runs/{run['runId']}/evidence"
        one, other = (plane.data("GET", f"{path}/{item['id']}") for item in plane.data("GET", path)["items"])
    assert {one["source"], other["source"]} == {"tool", "verifier"}
    assert (one["content"], one["exitCode"]) == (other["content"], other["exitCode"])
    assert (one["exitCode"], secret in one["content"], 1_000 <= one["sizeBytes"] < 1_200) == (3, False, True)
    assert run["verificationStatus"] == "verification-failed"


def pairs() -> Iterator[tuple[str, str]]:
    """Yield the path of each list, and the name of the id in the path of its records."""
    reads = {row.path for row in OPERATIONS if row.method == "GET" and not row.stream and row.id != "listMcpServers"}
    for path in sorted(reads):
        parent, _, last = path.rpartition("/")
        if last.startswith(":") and parent in reads and ":" not in parent:
            yield parent, last[1:]


def test_list_items_equal_their_records(planes: Planes, tmp_path: Path) -> None:
    settings = {"workspace_root": with_personas(tmp_path), "memory_enabled": "true", "a2a_retry_ms": "1"}
    with acting(SCRIPT) as model, planes(openai_base_url=model.url, **settings) as plane:
        lived(plane)
        plane.data("POST", "/memory", {"text": "a note"})
        profile = plane.data("GET", "/harness-profiles")["items"][0]["id"]
        template = {"harnessProfileId": profile, "directiveTemplate": "x", "defaultParams": {}}
        plane.data("POST", "/run-templates", template)
        compared = set()
        for path, name in pairs():
            for item in plane.data("GET", path)["items"]:
                record = plane.data("GET", f"{path}/{item.get(name) or item['id']}")
                record = record.get("session", record)
                if path == "/runs":
                    output = record.get("output", "")
                    shown = preview(output, PREVIEW_CHARS)
                    record |= {"outputPreview": shown, "outputChars": len(output)} if output else {}
                assert item == {field: record[field] for field in item}
                compared.add(path)
    assert len(compared) >= 8


def filters(events: list[Json]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Yield queries of pages with the equal queries of the stream."""
    last, middle = events[-1], events[len(events) // 2]
    for query in ({}, {"types": "run.created,run.completed"}, {"sessionId": "one"}, {"runId": last["runId"]}):
        yield query, query
        yield query | {"cursor": middle["id"]}, query | {"last_event_id": middle["id"]}
    yield {"createdAfter": middle["createdAt"]}, {"after": middle["createdAt"]}


def test_pages_and_streams_of_two_servers_are_equal(servers: Servers) -> None:
    one, two = servers().api, servers().api
    for number in range(4):
        (one, two)[number % 2].run(f"{number}", sessionId=("one", "other")[number // 2])
    one.get("/events", minPosition=two.head())
    for query, live in filters(one.events()):
        pages = [event for page in one.pages("/events", limit=2, **query) for event in page["events"]]
        assert pages == two.events(**query)
        for api in (one, two):
            with api.stream(**live) as blocks:
                found = [block.data["data"] for block in until_caught_up(blocks) if block.event not in (*MARKS, None)]
            assert found == pages, query
    for session in ("one", "other"):
        entries = one.get(f"/sessions/{session}/transcript")["items"]
        assert len(entries) == 4
        with two.stream(f"/sessions/{session}/transcript/stream") as blocks:
            shown = (block.data["data"] for block in blocks if block.event == "transcript.entry")
            assert list(islice(shown, len(entries))) == entries


def test_a_position_that_the_other_server_wrote_is_not_ahead(servers: Servers) -> None:
    one, two = servers().api, servers().api
    for number in range(20):
        written = one.send("/directives", {"input": f"{number}"})
        position, directive = int(written.headers["athena-position"]), written.json()["data"]
        assert two.get(f"/directives/{directive['id']}", minPosition=position) == directive
    with pytest.raises(Refused) as ahead:
        two.get("/directives", minPosition=position + 1)
    assert (ahead.value.status, ahead.value.code) == (409, "CURSOR_AHEAD")
