"""Journeys of each kind of user through the plane, from beginning to end."""

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx2

from projections.engine import replay
from tests.conftest import Serve
from tests.support.api import Api, Json, events_of, refused_by, soon, until_caught_up
from tests.support.gate import Gates
from tests.support.records import REFUSAL, wired


def test_a_client_that_follows_with_cursors_ends_with_the_same_state_across_a_crash(serve: Serve) -> None:
    """The client keeps only a cursor and its state. Its connection may be cut anywhere."""
    server = serve()
    cursor = "0"
    statuses: dict[str, str] = {}

    def take(event: Json) -> None:
        nonlocal cursor
        if event["type"] in {"run.created", "run.completed", "run.failed", "run.crashed"}:
            statuses[event["runId"]] = event["type"]
        cursor = event["id"]

    def work(api: Api) -> None:
        try:
            while True:
                api.run("on and on")
        except httpx2.TransportError:
            return

    for count in (30, 80):
        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(work, server.client()) for _ in range(2)]
            page = server.api.get("/events", cursor=cursor, limit=20)  # by pages first
            for event in page["events"]:
                take(event)
            with server.api.stream(last_event_id=cursor) as blocks:  # then live
                for event in islice(events_of(blocks), count):
                    take(event)
            server.signal(signal.SIGKILL)
            for writer in writers:
                writer.result()
        server.kill()
        server.start()
    with server.api.stream(last_event_id=cursor) as blocks:
        for event in events_of(iter(until_caught_up(blocks))):
            take(event)
        live = events_of(blocks)
        while "run.created" in statuses.values():  # the new server resumes the runs of the killed one
            take(next(live))
    shown = {run["runId"]: run["status"] for run in server.api.items("/runs", limit=500)}
    assert {run_id: kind.removeprefix("run.") for run_id, kind in statuses.items()} == shown
    assert list(statuses) == list(shown)[::-1]


def test_an_auditor_finds_every_refusal(serve: Serve, gates: Gates, tmp_path: Path) -> None:
    """Every 403 and 429 is in the feed once, with the caller and the reason, and nothing else looks like it."""
    server = serve(auth_enabled="true", auth_identity_role_map="olga:Operator,ada:Admin", **gates.settings)
    olga, vera, ada = (server.client(name) for name in ("olga", "vera", "ada"))
    ada.put_policy(maxConcurrentRuns=1)
    held = olga.start(gates["held"].order)
    told: dict[str, tuple[str, str]] = {}
    for name, api in (("olga", olga), ("vera", vera)):
        for method, path, body in (
            ("POST", "/runs", {"input": "one more"}),
            ("POST", "/directives", {"input": "write"}),
            ("POST", "/runs/session/cancel", {}),
            ("GET", "/runs", None),
        ):
            answer = api.http.request(method, path, json=body)
            if answer.status_code in {403, 429}:
                told[answer.headers["x-trace-id"]] = (name, answer.json()["error"]["code"])
    assert sorted(told.values()) == [
        ("olga", "POLICY_CONCURRENCY_LIMIT_EXCEEDED"),
        ("vera", "AUTHZ_DENIED"),
        ("vera", "AUTHZ_DENIED"),
        ("vera", "POLICY_CONCURRENCY_LIMIT_EXCEEDED"),
    ]
    server.stop()  # the auditor comes later
    server.start()
    ada = server.client("ada")
    kinds = {"AUTHZ_DENIED": ["authz.denied", "safety.violation"], "POLICY_CONCURRENCY_LIMIT_EXCEEDED": REFUSAL}
    seen = ada.events(types=",".join({kind for group in kinds.values() for kind in group}))
    assert list(dict.fromkeys(event["traceId"] for event in seen)) == list(told)
    for trace, (name, code) in told.items():
        mine = [event for event in seen if event["traceId"] == trace]
        assert [event["type"] for event in mine] == kinds[code]
        violation = mine[1]
        assert violation["payload"]["actor"]["subject"] == name
        source = violation["payload"]["source"]["eventId"]
        assert source == mine[0]["id"]
        assert ada.get("/events", cursor=source, limit=1)["events"] == [violation], "an id is the place after its event"
        if code != "AUTHZ_DENIED":
            assert ada.http.get(f"/runs/{mine[0]['runId']}").status_code == 404
    assert ada.get(f"/runs/{held['runId']}")["status"] == "running"  # it goes on where it was


def test_views_that_are_lost_come_back_the_same_while_the_log_is_served(serve: Serve) -> None:
    """Delete, rebuild and compare the views; a replay beside the live server changes no answer."""
    server = serve()
    for number in range(6):
        server.api.run(f"{number}", sessionId=f"session-{number % 2}")
    paths = ("/runs", "/sessions", "/directives", "/sessions/session-1/transcript")
    before = {path: server.api.get(path) for path in paths}
    digests = {}
    for step in ("as it was", "deleted", "replayed beside the server"):
        if step == "deleted":
            server.stop()
            shutil.rmtree(server.state_dir / "views")
            server.start()
        elif step != "as it was":
            with wired(server.state_dir) as parts:
                old = parts.views.generations.current()
                *_, last = replay.rebuild(parts.views)
                assert last.outcome == "candidate", "the server keeps the views"
                for _ in soon():
                    assert {path: server.api.get(path) for path in paths} == before
                    if parts.views.generations.current() != old:
                        break
        assert {path: server.api.get(path) for path in paths} == before
        with wired(server.state_dir) as parts:
            verdicts = replay.verify(parts.views)
        assert all(verdict.equal for verdict in verdicts)
        shown = [
            verdict for verdict in verdicts if verdict.projection not in {"audit", "feed"}
        ]  # they show every start
        digests[step] = {verdict.projection: verdict.replayed_digest for verdict in shown}
    assert digests["deleted"] == digests["as it was"] == digests["replayed beside the server"]
    assert len(server.api.items("/runs")) == 6, "a replay starts nothing"


def test_a_newcomer_finds_the_way_from_the_first_answer(serve: Serve) -> None:
    """Follow every link from the capabilities and the documentation to a first run and its events."""
    server = serve()
    site = httpx2.Client(base_url=server.url)
    for _ in soon():  # the views of an empty log are made beside the first requests
        if site.get("/readyz").status_code == 200:
            break
    assert site.get("/readyz").json()["data"] == {"status": "ready"}
    assert "swagger" in site.get("/docs").text
    described = site.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    told = server.api.get("/capabilities")
    assert told["stateStore"] == "sqlite"
    assert "mock" in told["providers"]
    result = server.api.run("hello")
    assert result["output"] == "Echo: user: hello"
    record = server.api.get(f"/runs/{result['runId']}")
    for name in ("self", "session", "events"):
        assert site.get(record["links"][name]).status_code == 200, name
    assert site.post(record["links"]["cancel"]).json()["data"]["status"] == "not-running"
    for path in [path for path, item in described["paths"].items() if "get" in item and "{" not in path]:
        if not path.endswith("/stream"):
            needed = [one for one in described["paths"][path]["get"].get("parameters", ()) if one.get("required")]
            query = {one["name"]: "0" for one in needed}
            assert site.get(path, params=query).status_code == 200, path
    assert refused_by(server.api.get, "/nothing")[1] == "UNKNOWN_ERROR"
    site.close()
