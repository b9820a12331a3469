"""The client of the tests: the API over real HTTP, its envelopes opened, its events followed."""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2
import msgspec

Json = dict[str, Any]

IDLE_SECONDS = 2.0  # servers close connections after five idle seconds, which no request may meet
NOTHING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no authority: a client of plain HTTP needs none, and reading the authorities of the machine takes 6 ms."""

PATIENCE_SECONDS = 60.0  # far above anything measured: a test that waits so long has failed


class Frame(NamedTuple):
    """One block of a stream; the first one also has the reconnection delay."""

    id: str | None
    event: str | None
    data: Any
    retry: str | None = None


class Refused(Exception):
    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.error: Json = response.json()["error"]
        self.code: str = self.error["code"]
        super().__init__(f"{self.status} {self.code}: {self.error['message']}")


class Patient(httpx2.HTTPTransport):
    """Repeats a GET while the views are behind the log, for which a server waits two seconds only."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        ask = super().handle_request
        return caught_up(lambda: ask(request)) if request.method == "GET" else ask(request)


class Api:
    """A client of one server, safe from several threads."""

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, *, trust: ssl.SSLContext | None = None
    ) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=IDLE_SECONDS)
        self.url = url
        self.http = httpx2.Client(
            base_url=url + "/api/v1",
            headers=dict(headers or {}),
            timeout=PATIENCE_SECONDS,
            transport=Patient(limits=limits, verify=trust or NOTHING),
        )

    def close(self) -> None:
        self.http.close()

    # Requests

    def get(self, path: str, **query: Any) -> Any:
        """Return the data of a GET. Raise Refused."""
        return opened(self.http.get(path, params={name: value for name, value in query.items() if value is not None}))

    def post(self, path: str, body: Any = None, *, key: str | None = None, respond_async: bool = False) -> Any:
        """Return the data of a POST. Raise Refused."""
        return opened(self.send(path, body, key=key, respond_async=respond_async))

    def send(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        respond_async: bool = False,
        method: str = "POST",
        **headers: str,
    ) -> httpx2.Response:
        """Return the answer to a command; further headers are spelt with underscores."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            headers["idempotency-key"] = key
        if respond_async:
            headers["prefer"] = "respond-async"
        return self.http.request(method, path, json={} if body is None else body, headers=headers)

    def put(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        return opened(self.send(path, body, key=key, method="PUT"))

    def run(self, said: str = "hello", *, key: str | None = None, **fields: Any) -> Any:
        """Start a run and wait for it. Return its result."""
        return self.post("/runs", {"input": said, **fields}, key=key)

    def start(self, said: str = "hello", *, key: str | None = None, **fields: Any) -> Any:
        """Start a run without waiting. Return its record."""
        return self.post("/runs", {"input": said, **fields}, key=key, respond_async=True)

    def put_policy(self, **fields: Any) -> None:
        """Replace the policy."""
        self.put("/policy", {"schemaVersion": 1, **fields})

    # Events

    def pages(self, path: str, **query: Any) -> Iterator[Any]:
        while True:
            page = self.get(path, **query)
            yield page
            if "nextCursor" not in page:
                return
            query["cursor"] = page["nextCursor"]

    def items(self, path: str, **query: Any) -> list[Json]:
        return [item for page in self.pages(path, **query) for item in page["items"]]

    def events(self, **query: Any) -> list[Json]:
        """Return all matching events, from the first page to the head."""
        return [event for page in self.pages("/events", **{"limit": 500, **query}) for event in page["events"]]

    def types(self, **query: Any) -> list[str]:
        return [event["type"] for event in self.events(**query)]

    def head(self) -> int:
        return int(self.get("/events", limit=1)["head"])

    @contextmanager
    def stream(
        self, path: str = "/events/stream", *, last_event_id: str | None = None, **query: Any
    ) -> Iterator[Iterator[Frame]]:
        """Yield the frames of a stream. Raise Refused."""
        headers = {} if last_event_id is None else {"last-event-id": last_event_id}
        with self.http.stream("GET", path, params=query, headers=headers) as response:
            if response.status_code != 200:
                response.read()
                raise Refused(response)
            yield frames(response)

    def await_event(self, *types: str, **query: Any) -> Json:
        """Return the first event of these types, now or once there is one."""
        with self.stream(types=",".join(types), **query) as blocks:
            return next(events_of(blocks))

    def await_ending(self, run_id: str) -> str:
        """Return the type of the terminal event of a run."""
        return str(self.await_event(*ENDINGS, runId=run_id)["type"])


ENDINGS = ("run.completed", "run.failed", "run.cancelled", "run.timed-out", "run.crashed")


def opened(response: httpx2.Response) -> Any:
    """Return the data of an envelope. Raise Refused."""
    body = response.json()
    assert set(body) == ({"ok", "data"} if body["ok"] else {"ok", "error"})
    assert response.headers["x-trace-id"]
    if not body["ok"]:
        assert body["error"]["traceId"] == response.headers["x-trace-id"]
        raise Refused(response)
    assert response.status_code < 300
    return body["data"]


def caught_up(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """Return the first answer that does not report views behind the log."""
    for _ in soon():
        answer = ask()
        if answer.status_code != 503:
            return answer
        answer.read()
        if "views lag behind" not in answer.text:
            return answer
    raise AssertionError


def frames(response: httpx2.Response) -> Iterator[Frame]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, colon, value = line.partition(": ")
        if line.startswith(":"):
            assert line == ": heartbeat"
        elif line:
            assert colon, line
            assert name not in fields, line
            fields[name] = value
        else:  # each block has data: some clients would report another as an empty event
            data = msgspec.json.decode(fields["data"])
            yield Frame(fields.get("id"), fields.get("event"), data, fields.get("retry"))
            fields = {}


MARKS = ("bookmark", "caught-up")


def events_of(blocks: Iterator[Frame]) -> Iterator[Json]:
    for block in blocks:
        if block.event is not None and block.event not in MARKS:
            assert block.data["ok"] is True
            record: Json = block.data["data"]
            assert block.id == record["id"]
            assert block.event == record["type"]
            yield record


def until_caught_up(blocks: Iterator[Frame]) -> list[Frame]:
    """Return the blocks up to the one that reports that the head was reached."""
    found = []
    for block in blocks:
        found.append(block)
        if block.event == "caught-up":
            return found
    raise AssertionError("the stream ended before it reached the head")


def soon(seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Yield at intervals of 2 ms to poll something outside of the API. Fail after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.002)
    raise AssertionError(f"it did not happen within {seconds} s")


def until(condition: Callable[[], bool]) -> None:
    for _ in soon():
        if condition():
            return


def refused_by(ask: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[int, str]:
    """Call something that must be refused. Return the status and the code."""
    try:
        ask(*arguments, **named)
    except Refused as error:
        return error.status, error.code
    raise AssertionError("it was not refused")
