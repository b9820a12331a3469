"""The load: clients that write with keys and retry, and readers of the feed; all outlive the server."""

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import httpx2
import msgspec

from tests.reliability.history import marked
from tests.reliability.oracle import Answer, Reading, Record
from tests.support.api import PATIENCE_SECONDS, events_of, frames, soon

CLIENTS = 8
SURELY_UNDONE = frozenset({"OVERLOADED", "STORE_FULL"})
UNDECIDED = frozenset(
    {
        "OUTCOME_UNKNOWN",
        "NOT_CAUGHT_UP",
        "IDEMPOTENCY_IN_PROGRESS",
        "STORE_DAMAGED",
        "STORE_MOVED",
        "STORE_UNREACHABLE",
    }
)
ENDED_BADLY = frozenset({"RUN_CRASHED", "RUN_CANCELLED", "RUN_TIMEOUT", "PROVIDER_ERROR"})
REPEATED_SHARE = 0.15


def client_of(url: str) -> httpx2.Client:
    """Return a client of a server, without the cost of loading certificates."""
    return httpx2.Client(base_url=url + "/api/v1", timeout=PATIENCE_SECONDS, verify=False, trust_env=False)


class Request(NamedTuple):
    """A request under a mark, which is its idempotency key as well."""

    mark: str
    path: str
    body: dict[str, Any]
    wait: bool


class Clients:
    """Clients that record their answers.

    Some runs use ``slow_provider``, so that they are open when a server is killed; ``runs`` is the share of runs.
    """

    def __init__(self, record: Record, seed: int, slow_provider: str | None = None, runs: float = 0.4) -> None:
        self.record = record
        self.answers: dict[str, int] = {}
        self._runs_share = runs
        self._slow_provider = slow_provider
        self._seed = seed
        self._requests: dict[str, Request] = {}
        self._numbers = iter(range(2**62))
        self._lock = threading.Lock()

    def burst(self, url: str, clients: int = CLIENTS) -> "Burst":
        """Begin to write, until the server is killed or the burst is stopped."""
        return Burst([self._writing(url, random.Random(f"{self._seed} {next(self._numbers)}")) for _ in range(clients)])

    def roam(self, urls: Callable[[], Sequence[str]], clients: int = CLIENTS) -> "Burst":
        """Begin to write to servers that start and stop, until the burst is stopped."""
        return Burst(
            [self._roaming(urls, random.Random(f"{self._seed} {next(self._numbers)}")) for _ in range(clients)]
        )

    def settle(self, url: str, repeats: int, rng: random.Random) -> None:
        """Repeat every request without a known outcome until it is answered, and some old ones again."""
        known = self.record.acknowledged()
        marks = self.record.undecided() + rng.sample(known, min(repeats, len(known)))
        parts = [marks[index::CLIENTS] for index in range(CLIENTS)]
        Burst([self._deciding(url, part) for part in parts if part]).join()
        assert not self.record.undecided()

    def _writing(self, url: str, rng: random.Random) -> Callable[[threading.Event], None]:
        def write(stop: threading.Event) -> None:
            with client_of(url) as client:
                while not stop.is_set():
                    request = self._new(rng)
                    while not self.send(client, request):
                        if stop.is_set():
                            return
                    if rng.random() < REPEATED_SHARE:
                        self.send(client, request)

        return write

    def _roaming(self, urls: Callable[[], Sequence[str]], rng: random.Random) -> Callable[[threading.Event], None]:
        def roam(stop: threading.Event) -> None:
            request: Request | None = None
            while not stop.is_set():
                try:
                    with client_of(rng.choice(urls())) as client:
                        for _ in range(rng.randrange(1, 20)):
                            request = request or self._new(rng)
                            if self.send(client, request):
                                if rng.random() < REPEATED_SHARE:
                                    self.send(client, request)
                                request = None
                            if stop.is_set():
                                return
                except httpx2.TransportError:
                    stop.wait(0.02)

        return roam

    def _deciding(self, url: str, marks: Iterable[str]) -> Callable[[threading.Event], None]:
        def decide(stop: threading.Event) -> None:
            with client_of(url) as client:
                for mark in marks:
                    for _ in soon():
                        if self.send(client, self._requests[mark]):
                            break

        return decide

    def _new(self, rng: random.Random) -> Request:
        with self._lock:
            mark = f"{self._seed}-{next(self._numbers)}"
        metadata = marked(mark)
        dice = rng.random()
        if dice >= self._runs_share:
            request = self.directive(mark)
        else:
            body: dict[str, Any] = {"input": f"run {mark}", "metadata": metadata}
            if self._slow_provider is not None and rng.random() < 0.3:
                body["provider"] = self._slow_provider
            request = Request(mark, "/runs", body, dice < self._runs_share * 0.6)
        self._requests[mark] = request
        return request

    def directive(self, mark: str) -> Request:
        body = {"input": f"do {mark}", "metadata": marked(mark)}
        request = self._requests[mark] = Request(mark, "/directives", body, True)
        return request

    def send(self, client: httpx2.Client, request: Request) -> bool:
        """Send once and record the result. Return whether it was an answer. Raise TransportError without one."""
        mark = request.mark
        headers = {"idempotency-key": mark} | ({} if request.wait else {"prefer": "respond-async"})
        self.record.attempt(mark)
        try:
            response = client.post(request.path, json=request.body, headers=headers)
        except httpx2.TransportError:
            self.record.lose(mark)
            raise
        body = response.json()
        position = int(response.headers.get("athena-position", 0))  # an error may have none
        if body["ok"]:
            self._count("answered")
            self.record.acknowledge(mark, _answer(request, body["data"], position))
            return True
        code = body["error"]["code"]
        self._count(code)
        if code in ENDED_BADLY:
            run_id = body["error"]["details"]["runId"]
            content = f"{code}: {body['error']['message']}"
            self.record.acknowledge(mark, Answer(run_id, position, exact=False, content=content))
            return True
        if code in SURELY_UNDONE:
            self.record.refuse(mark, code)
        elif code in UNDECIDED:
            self.record.lose(mark)
        else:
            raise AssertionError(f"{request}: {response.status_code} {body}")
        return False

    def _count(self, outcome: str) -> None:
        with self._lock:
            self.answers[outcome] = self.answers.get(outcome, 0) + 1


def _answer(request: Request, data: Any, position: int) -> Answer:
    if request.path == "/directives":
        return Answer(data["id"], position, content=msgspec.json.encode(data).decode())
    if request.wait:
        return Answer(data["runId"], position, content=msgspec.json.encode(data).decode())
    return Answer(data["id"] if "id" in data else data["runId"], position, exact=False)


class Burst:
    """Threads that end on request or when their server is gone; any other error fails the test."""

    def __init__(self, works: Iterable[Callable[[threading.Event], None]]) -> None:
        self._stop = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def _run(self, work: Callable[[threading.Event], None]) -> None:
        try:
            work(self._stop)
        except httpx2.TransportError:
            pass
        except BaseException as error:
            self._errors.append(error)

    def stop(self) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait for the threads. Raise the error of the first that failed."""
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS * 2)
            assert not thread.is_alive()
        if self._errors:
            raise self._errors[0]


class Readers:
    """Readers of the feed, by pages and by streams, that continue after their last event across servers.

    ``patient`` readers accept that a server cannot answer for a while.
    """

    def __init__(self, seed: int, *, pages: int = 2, streams: int = 2, patient: bool = False) -> None:
        self._urls: Sequence[str] = ()
        self._patient = patient
        self._stop = threading.Event()
        self._readings: list[_Reading] = []
        self._lock = threading.Lock()
        self._current: dict[str, _Reading] = {}
        self.resumes = 0
        self._errors: list[BaseException] = []
        kinds = [("pages", self._page)] * pages + [("stream", self._stream)] * streams
        self._threads = []
        for index, (kind, step) in enumerate(kinds):
            name = f"{kind}-{index}"
            self._begin(name, 0)
            arguments = (name, step, random.Random(f"{seed} {name}"))
            self._threads.append(threading.Thread(target=self._run, args=arguments, daemon=True))
        for thread in self._threads:
            thread.start()

    def at(self, *urls: str) -> None:
        """Set the addresses of the servers; empty while there are none."""
        self._urls = urls

    def caught_up(self, head: int) -> None:
        for _ in soon():
            assert not self._errors, self._errors[0]
            if all(reading.position >= head for reading in self._current.values()):
                return

    def readings(self) -> list[Reading]:
        with self._lock:
            return [Reading(one.name, one.after, tuple(one.ids)) for one in self._readings]

    def close(self) -> None:
        """End the readers. Call it once their server is gone."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive()
        assert not self._errors, self._errors[0]

    def _begin(self, name: str, after: int, cursor: str = "0") -> None:
        with self._lock:
            reading = self._current[name] = _Reading(name, after, cursor)
            self._readings.append(reading)

    def _run(self, name: str, step: Callable[["_Reading", str, random.Random], None], rng: random.Random) -> None:
        while not self._stop.is_set():
            urls = self._urls
            if not urls:
                self._stop.wait(0.005)
                continue
            reading = self._current[name]
            if rng.random() < 0.02 and reading.ids:  # read again from somewhere in the past
                index = rng.randrange(len(reading.ids))
                self._begin(name, reading.after + index + 1, reading.ids[index])
                reading = self._current[name]
            with self._lock:
                self.resumes += 1
            try:
                step(reading, rng.choice(urls), rng)
            except httpx2.TransportError:
                self._stop.wait(0.005)  # the server is gone
            except BaseException as error:
                self._errors.append(error)
                return

    def _page(self, reading: "_Reading", url: str, rng: random.Random) -> None:
        with client_of(url) as client:
            for _ in range(rng.randrange(1, 20)):
                query = {"cursor": reading.cursor, "limit": str(rng.randrange(1, 500))}
                response = client.get("/events", params=query)
                if self._told_to_wait(response):
                    return
                data = response.json()["data"]
                reading.take([event["id"] for event in data["events"]])
                reading.cursor = data["cursor"]
                if not data["events"]:
                    self._stop.wait(0.005)

    def _stream(self, reading: "_Reading", url: str, rng: random.Random) -> None:
        header = rng.random() < 0.5
        headers = {"last-event-id": reading.cursor} if header else {}
        query = {} if header else {"after": reading.cursor}
        with (
            client_of(url) as client,
            client.stream("GET", "/events/stream", params=query, headers=headers) as response,
        ):
            if self._told_to_wait(response):
                return
            assert response.status_code == 200, response.read()
            with suppress(httpx2.StreamClosed):
                for event in islice(events_of(frames(response)), rng.randrange(1, 2_000)):
                    reading.take([event["id"]])
                    reading.cursor = event["id"]

    def _told_to_wait(self, response: httpx2.Response) -> bool:
        """Return whether the server cannot answer now, after a short wait."""
        late = self._patient and response.status_code == 503
        if late:
            self._stop.wait(0.02)
        return late


class _Reading:
    """The events that a reader has received since it began somewhere."""

    def __init__(self, name: str, after: int, cursor: str) -> None:
        self.name = name
        self.after = after
        self.cursor = cursor
        self.ids: list[str] = []

    @property
    def position(self) -> int:
        return self.after + len(self.ids)

    def take(self, ids: list[str]) -> None:
        self.ids += ids
