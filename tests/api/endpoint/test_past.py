"""Answers as of a position: what was answered then is answered again."""

import random
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import anyio
import httpx2
import pytest

from athena_api.endpoint.past import PastPlane
from athena_api.operations import OPERATIONS
from athena_core.log.port import BoundedReader, StoreReader
from athena_core.protocols import LogReader, StreamReader
from athena_core.services.erasure import redaction
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api, Refused
from tests.support.records import META, all_rows, wired
from tests.support.server import Server

NAMING_NOW: dict[str, tuple[str, ...]] = {
    "/fleet/series": (),
    "/fleet/summary": ("costSummary", "windowEnd"),
    "/work-queue": ("updatedAt",),
}
"""The answers that name the time of asking, by the ends of their paths, and where; the series is all about it."""

LISTS = tuple(row.path for row in OPERATIONS if row.past and ":" not in row.path)
WORKFLOW = {"steps": [{"id": "ask", "approval": {"message": "good?"}}], "dependencies": []}


class Fleet:
    """A fleet that is changed at random, and the paths of what it has."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api = api
        self.draw = random.Random(seed)
        self.notes: list[tuple[str, str]] = []
        self.gone: set[str] = set()
        """The texts that were erased, and of which no copy is left."""
        self.paths = [
            f"/sessions/s{number}{rest}" for number in range(3) for rest in ("", "/transcript", "/work-queue")
        ]

    def change(self, number: int) -> None:
        session, said = f"s{self.draw.randrange(3)}", f"said{number}"
        acts: list[Callable[[], Any]] = [
            lambda: self.run(said, session),
            lambda: self.api.post("/directives", {"input": said}),
            lambda: self.api.post("/work/enqueue", {"sessionId": session, "payload": said, "mode": "followup"}),
            lambda: self.api.send("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 9}}, method="PUT"),
            lambda: self.api.send(f"/schedules/{session}", {"cron": "0 3 * * *", "input": "x"}, method="PUT"),
            self.start,
            lambda: self.remember(f"note{number}"),
            self.forget,
        ]
        self.draw.choice(acts)()

    def run(self, said: str, session: str) -> None:
        run_id = self.api.run(said, sessionId=session)["runId"]
        self.paths += [f"/runs/{run_id}{rest}" for rest in ("", "/explain", "/evidence")]

    def start(self) -> None:
        workflow_id = self.api.post("/workflows", {"definition": WORKFLOW})["id"]
        self.api.post(f"/workflows/{workflow_id}/run", {"input": {}}, respond_async=True)
        self.paths += [f"/workflows/{workflow_id}", f"/workflows/{workflow_id}/runs"]

    def remember(self, said: str) -> None:
        entry_id = self.api.post("/memory", {"text": said})["id"]
        self.paths.append(f"/memory/{entry_id}")
        self.notes.append((f"/memory/{entry_id}", said))

    def forget(self) -> None:
        if self.notes:
            path, said = self.notes.pop(self.draw.randrange(len(self.notes)))
            self.api.send(path, method="DELETE").raise_for_status()
            self.gone.add(said)

    def ask(self) -> httpx2.Response:
        return self.api.http.get(self.draw.choice([*LISTS, *self.paths[-30:]]), params={"limit": "7"})

    def redact(self, server: Server) -> None:
        """Erase a third of all texts, as another process."""
        with server.opened_log() as log, closing(log.reader()) as reader:
            rows = [row for row in all_rows(reader) if row.text is not None and self.draw.random() < 0.3]
            found = redaction.ErasableText(tuple(rows), (), frozenset())
            anyio.run(redaction.redact, log, reader, found, "asked", META)
            left = {said for row in all_rows(reader) for said in SAID.findall((row.text or b"").decode())}
        self.gone.update(said for row in rows for said in SAID.findall((row.text or b"").decode()) if said not in left)


SAID = re.compile(r"(?:said|note)[0-9]+")
"""The texts of the fleet. A run repeats the history of its session, but no notes: it shares no word with them."""


def without_now(answer: httpx2.Response) -> Any:
    """Return the body without the time of asking."""
    for end, place in NAMING_NOW.items():
        if answer.url.path.endswith(end):
            if not place:
                return None
            body = part = answer.json()
            for name in ("data", *place[:-1]):
                part = part[name]
            del part[place[-1]]
            return body
    return answer.content


@pytest.mark.parametrize("changes", [20, pytest.param(sized(60, 60, 130), marks=pytest.mark.heavy)])
def test_what_was_answered_then_is_answered_again(serve: Serve, changes: int) -> None:
    """The exceptions are the answers that name the time of asking, and those whose text was erased since."""
    server = serve(memory_enabled="true")
    fleet = Fleet(server.api, 7)
    answers: list[httpx2.Response] = []
    for number in range(changes):
        fleet.change(number)
        answers += [fleet.ask() for _ in range(8)]
    same, redacted = again(fleet, answers)
    assert same > redacted > 0
    fleet.redact(server)
    assert redacted < again(fleet, answers)[1] < len(answers)


def again(fleet: Fleet, answers: list[httpx2.Response]) -> tuple[int, int]:
    """Ask for answers of the past again. Return how many are the same, and how many have lost a text since."""
    same = redacted = 0
    for first in fleet.draw.sample(answers, len(answers)):
        position = first.headers["athena-position"]
        answer = fleet.api.http.get(first.url.copy_merge_params({"asOf": position}))
        assert not fleet.gone.intersection(SAID.findall(answer.text)), first.url
        lost = fleet.gone.intersection(SAID.findall(first.text))
        if lost or answer.text.count(REDACTED) > first.text.count(REDACTED):
            redacted += 1
            continue
        same += 1
        assert answer.status_code == first.status_code, first.url
        if first.is_success:
            assert answer.headers["athena-position"] == position
            assert without_now(answer) == without_now(first), first.url
        else:
            assert answer.json()["error"]["code"] == first.json()["error"]["code"]
    return same, redacted


REDACTED = '"redacted":true'


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


def test_a_read_that_has_no_past_is_refused(serve: Serve) -> None:
    """The readers of the past have no other reads, so a new one cannot show the present."""
    server = serve()
    server.api.run("hello", sessionId="s1")
    server.stop()
    with wired(server.state_dir, server.database_url) as plane, closing(plane.log.reader()) as now:
        past = PastPlane.of(plane, 3)
        reads = {name for kind in (LogReader, BoundedReader, StreamReader, StoreReader) for name in vars(kind)}
        bounded = {name for kind in (LogReader, BoundedReader) for name in vars(kind)}
        for name in (name for name in sorted(reads) if not name.startswith("_")):
            assert (hasattr(now, name), hasattr(past.reader, name)) == (True, name in bounded), name
        assert past.reader.head() == 3 < now.head()
        with pytest.raises(TypeError, match="Use scan"):
            anyio.run(past.scan_now, lambda log: log.guards())
        with pytest.raises(TypeError, match="cannot accept"):
            past.clock.accept(0)


def test_an_answer_has_a_tag_until_text_is_erased(serve: Serve) -> None:
    server = serve(memory_enabled="true")
    entry = server.api.post("/memory", {"text": "note1"})["id"]
    position = str(server.api.head())

    def ask(path: str, tag: str, at: str = position) -> httpx2.Response:
        return server.api.http.get(path, params={"asOf": at}, headers={"if-none-match": tag})

    for path in ("/memory", "/policy", "/events", "/fleet/summary"):
        first = ask(path, "*")
        tag = first.headers["etag"]
        assert (first.status_code, first.headers["cache-control"]) == (200, "private, no-cache")
        again = ask(path, f'"x", {tag}')
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["athena-as-of"] == first.headers["athena-as-of"]
        assert "content-length" not in again.headers
        assert ask(path, tag, "1").headers["etag"] != tag
        assert ask(path, f'"{position}-0-00000000"').status_code == 200
    assert ask("/runs/run_unknown", "*").status_code == 404
    tag = ask("/memory", "*").headers["etag"]
    server.api.send(f"/memory/{entry}", method="DELETE")
    erased = ask("/memory", tag)
    assert (erased.status_code, erased.json()["data"]["items"]) == (200, [])
    assert erased.headers["etag"] != tag


def test_the_summary_of_the_past_knows_the_halt_of_then(serve: Serve) -> None:
    api = serve().api
    api.run("hello")
    before = api.head()
    api.post("/halt", {"reason": "wrong prices"})
    during = api.head()
    api.send("/halt", method="DELETE")
    found = [api.get("/fleet/summary", asOf=str(position))["halted"] for position in (before, during, api.head())]
    assert found == [False, True, False]
