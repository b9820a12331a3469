"""Answers as of a position: what was answered then is answered again."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_api.operations import OPERATIONS
from tests.scale import sized
from tests.support.api import Api, Refused
from tests.support.server import Server

ASKED_AT = ("/fleet/series", "/fleet/summary", "/work-queue")
"""The ends of the paths of answers that name the time of asking."""

LISTS = tuple(row.path for row in OPERATIONS if row.past and ":" not in row.path)
WORKFLOW = {"steps": [{"id": "ask", "approval": {"message": "good?"}}], "dependencies": []}


class Fleet:
    """A fleet that is changed at random, and the paths of what it has."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api = api
        self.draw = random.Random(seed)
        self.paths = [
            f"/sessions/s{number}{rest}" for number in range(3) for rest in ("", "/transcript", "/work-queue")
        ]

    def change(self, number: int) -> None:
        session = f"s{self.draw.randrange(3)}"
        acts: list[Callable[[], Any]] = [
            lambda: self.run(f"hello {number}", session),
            lambda: self.api.post("/directives", {"input": f"do {number}"}),
            lambda: self.api.post("/work/enqueue", {"sessionId": session, "payload": f"{number}", "mode": "followup"}),
            lambda: self.api.send("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 9}}, method="PUT"),
            lambda: self.api.send(f"/schedules/{session}", {"cron": "0 3 * * *", "input": "x"}, method="PUT"),
            self.start,
        ]
        self.draw.choice(acts)()

    def run(self, said: str, session: str) -> None:
        run_id = self.api.run(said, sessionId=session)["runId"]
        self.paths += [f"/runs/{run_id}{rest}" for rest in ("", "/explain", "/evidence")]

    def start(self) -> None:
        workflow_id = self.api.post("/workflows", {"definition": WORKFLOW})["id"]
        self.api.post(f"/workflows/{workflow_id}/run", {"input": {}}, respond_async=True)
        self.paths += [f"/workflows/{workflow_id}", f"/workflows/{workflow_id}/runs"]

    def ask(self) -> httpx2.Response:
        return self.api.http.get(self.draw.choice([*LISTS, *self.paths[-30:]]), params={"limit": "7"})


def test_what_was_answered_then_is_answered_again(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        fleet = Fleet(server.api, 7)
        answers: list[httpx2.Response] = []
        for number in range(sized(quick=20, ci=125, full=1_000)):
            fleet.change(number)
            answers += [fleet.ask() for _ in range(8)]
        for first in fleet.draw.sample(answers, len(answers)):
            position = first.headers["athena-position"]
            again = server.api.http.get(first.url.copy_merge_params({"asOf": position}))
            assert again.status_code == first.status_code, first.url
            if first.is_success:
                assert again.headers["athena-position"] == position
                if not first.url.path.endswith(ASKED_AT):
                    assert again.content == first.content, first.url


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server with ten runs."""
    with Server(tmp_path_factory.mktemp("past")) as server:
        for number in range(10):
            server.api.run(f"hello {number}", sessionId="s")
        yield server.api


def test_a_time_means_the_last_event_until_then(past: Api) -> None:
    events = past.get("/events", limit=500)["events"]
    for event in events[::7]:
        assert past.http.get("/runs", params={"asOf": event["id"]}).is_success
        headers = past.http.get("/runs", params={"asOf": event["createdAt"]}).headers
        position = headers["athena-position"]
        assert headers["athena-as-of"] == event["createdAt"]
        last = max(number for number, other in enumerate(events, 1) if other["createdAt"] <= event["createdAt"])
        assert int(position) == last
    nothing = past.http.get("/runs", params={"asOf": "2020-01-01"})
    assert nothing.json()["data"]["items"] == []
    assert "athena-as-of" not in nothing.headers
    assert len(past.get("/runs", asOf="2999-01-01T00:00:00Z")["items"]) == 10


def test_a_page_of_the_past_is_continued_in_the_past(past: Api) -> None:
    position = past.get("/events", limit=500)["events"][60]["id"]
    whole = past.get("/runs", asOf=position, limit=500)["items"]
    page = past.get("/runs", asOf=position, limit=2)
    found = page["items"]
    while cursor := page.get("nextCursor"):
        page = past.get("/runs", asOf=position, limit=2, cursor=cursor)
        found += page["items"]
    assert found == whole
    assert 2 < len(whole) < 10


@pytest.mark.parametrize(
    ("path", "query", "code", "field"),
    [
        ("/workers", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/capabilities", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/caller", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/admin/health", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/admin/digests", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/halt", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/memory/search", {"asOf": "3", "query": "x"}, "CONFIG_ERROR", "asOf"),
        ("/events/stream", {"asOf": "3"}, "CONFIG_ERROR", "asOf"),
        ("/runs", {"asOf": ""}, "CONFIG_ERROR", "asOf"),
        ("/runs", {"asOf": "yesterday"}, "CONFIG_ERROR", "asOf"),
        ("/runs", {"asOf": "9" * 40}, "CONFIG_ERROR", "asOf"),
        ("/runs", {"asOf": "3", "minPosition": "2"}, "CONFIG_ERROR", "minPosition"),
        ("/runs", {"asOf": "3", "stale": "allow"}, "CONFIG_ERROR", "stale"),
        ("/runs/run_1", {"asOf": "3", "wait": "1"}, "CONFIG_ERROR", "wait"),
        ("/runs", {"asOf": "99999"}, "CURSOR_AHEAD", None),
        ("/runs", {"asOf": "AegbIU8anWWyAAAAAAAAAAFt1IH4"}, "CURSOR_FOREIGN", None),
    ],
)
def test_a_moment_that_cannot_be_shown_is_refused_by_name(
    past: Api, path: str, query: dict[str, str], code: str, field: str | None
) -> None:
    with pytest.raises(Refused) as refused:
        past.get(path, **query)
    assert refused.value.code == code
    if field is not None:
        assert [fault["field"] for fault in refused.value.error["details"]] == [field]


def test_a_command_has_no_past(past: Api) -> None:
    with pytest.raises(Refused) as refused:
        past.post("/runs?asOf=3", {"input": "hello"})
    assert refused.value.code == "CONFIG_ERROR"
