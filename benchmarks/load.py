"""The load: a process with a minimal HTTP client that keeps a server busy and times its responses.

``python -m benchmarks.load SPEC`` takes a ``Spec`` as JSON and prints a ``Result`` as JSON.
"""

import asyncio
import base64
import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Literal, TypeAlias, cast

import msgspec
import uvloop

from benchmarks.machine import cores, cpu_seconds, pin, thread_seconds

WORDS = "Summarise the incidents of the last night, group them by service, and say which of them need a person today."
IDENTITY = "bench"
"""The identity of the client; only servers with authentication use it."""

DRAIN_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 30.0
RECONNECT_SECONDS = 0.01
TICK_SECONDS = 0.001
EVENT_PATTERN = re.compile(rb'"directiveId":"(dir_[0-9A-Z]{26})"')
MADE_PATTERN = re.compile(rb'"id":"(dir_[0-9A-Z]{26})"')
CURSOR_PATTERN = re.compile(rb'"nextCursor":"([^"]+)"')
LENGTH_PATTERN = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED_PATTERN = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
ACCEPT_LINES = "accept: application/x-ndjson"
NO_BODY = (b"204", b"304")
LAST_CHUNK = b"\r\n0\r\n\r\n"
LAST_CHUNK_BYTES = len(LAST_CHUNK)


Kind: TypeAlias = Literal[
    "directives", "keyed", "runs", "runs-async", "admissions", "summary", "events", "pages", "lines", "stream", "asked"
]


class Spec(msgspec.Struct, kw_only=True):
    """A load: ``kind`` selects the requests, ``pid`` is the process whose CPU time is measured.

    Posted by ``clients`` that wait for each response: ``directives``, ``keyed`` (with an ``Idempotency-Key``),
    ``runs``, ``runs-async`` and ``admissions`` (of runs that are not executed). Read by them: ``summary``, ``events``
    (one page), ``pages`` (one after another) and ``lines`` (all events in one answer). ``stream`` posts ``rate``
    directives a second, to ``write_port`` if set, and times their delivery to ``clients`` subscribers. ``asked`` sends
    GETs of ``paths`` in turn, or of the lines of the file ``paths_file``, or POSTs of ``body``; ``anew`` adds an unused
    number to each, so that no request is repeated.
    """

    kind: Kind
    port: int
    write_port: int = 0
    pid: int
    clients: int
    seconds: float
    warm_up_seconds: float = 0.5
    rate: int = 0
    limit: int = 0
    paths: Sequence[str] = ()
    paths_file: str = ""
    anew: bool = False
    body: str = ""
    fields: Sequence[str] = ()
    tokens: int = 0
    """Number of tokens that the GETs of ``asked`` send in turn, instead of the identity."""


class Result(msgspec.Struct, kw_only=True):
    """The result of a load: items a second, CPU time of the server per item, latencies; ``load_cpu`` is a share.

    ``loop_us``, ``writer_us`` and ``views_us`` are the CPU time of the first thread, the second, and all others.
    """

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    load_cpu: float
    errors: int
    loop_us: float = 0.0
    writer_us: float = 0.0
    views_us: float = 0.0


class Http(asyncio.Protocol):
    """A connection that sends one request at a time and delivers the complete response."""

    def __init__(self, answered: Callable[["Http", bytes], None]) -> None:
        """Deliver responses to a callback."""
        self.sent_at = 0.0
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._missing = 0
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's class does not inherit from it

    def send(self, request: bytes) -> None:
        """Send one request."""
        assert self._transport is not None
        self.sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Assemble the response."""
        if not self._chunks:
            end = data.find(b"\r\n\r\n") + 4
            length = LENGTH_PATTERN.search(data, 0, end)
            self._chunked = length is None and CHUNKED_PATTERN.search(data, 0, end) is not None
            if end < 4 or not (length or self._chunked or data[9:12] in NO_BODY):
                raise RuntimeError(f"a response without a length: {data[:200]!r}")
            self._missing = end + (int(length[1]) if length else 0)
        self._missing -= len(data)
        self._chunks.append(data)
        if b"".join(self._chunks[-LAST_CHUNK_BYTES:]).endswith(LAST_CHUNK) if self._chunked else self._missing <= 0:
            whole = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks = []
            self._answered(self, whole)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


class Watch:
    """The measured part of a load, after the warm-up."""

    def __init__(self, spec: Spec) -> None:
        """Start without measurements."""
        self.spec = spec
        self.measuring = False
        self.latencies: list[float] = []
        self.things = 0
        self.errors = 0
        self._began = self._cpu = self._own_cpu = 0.0
        self._seconds = self._server_cpu = self._load_cpu = 0.0
        self._threads: dict[int, float] = {}

    def start(self) -> None:
        """Start measuring."""
        self.measuring = True
        self._began = time.perf_counter()
        self._cpu, self._own_cpu = cpu_seconds(self.spec.pid), time.process_time()
        self._threads = thread_seconds(self.spec.pid)

    async def over(self, seconds: float) -> None:
        """Wait for some seconds, and until there is a response: a busy machine may pause."""
        await asyncio.sleep(seconds)
        while not self.things and time.perf_counter() < self._began + ANSWER_SECONDS_MAX:
            await asyncio.sleep(TICK_SECONDS)

    def stop(self) -> None:
        """Stop measuring."""
        self.measuring = False
        self._seconds = time.perf_counter() - self._began
        self._server_cpu = cpu_seconds(self.spec.pid) - self._cpu
        self._load_cpu = time.process_time() - self._own_cpu
        now = thread_seconds(self.spec.pid).items()
        self._threads = {thread: seconds - self._threads.get(thread, 0.0) for thread, seconds in now}

    def result(self) -> Result:
        """Return the figures."""
        latencies = sorted(self.latencies)
        things = max(self.things, 1)
        loop_us, writer_us, *others = [*(seconds / things * 1e6 for seconds in self._threads.values()), 0.0, 0.0]
        return Result(
            rate=self.things / self._seconds,
            cpu_us=self._server_cpu / things * 1e6,
            p50_ms=quantile(latencies, 0.5) * 1000,
            p99_ms=quantile(latencies, 0.99) * 1000,
            load_cpu=self._load_cpu / self._seconds,
            errors=self.errors + (not latencies),  # a server that never responded is also wrong
            loop_us=loop_us,
            writer_us=writer_us,
            views_us=sum(others),
        )


def quantile(ordered: list[float], share: float) -> float:
    """Return the value that a share of ordered values does not exceed."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def post(path: str, body: object, *fields: str) -> bytes:
    """Return a POST."""
    return _sent("POST", path, body, fields)


def put(path: str, body: object, *fields: str) -> bytes:
    """Return a PUT."""
    return _sent("PUT", path, body, fields)


def _sent(method: str, path: str, body: object, fields: Sequence[str]) -> bytes:
    content = msgspec.json.encode(body)
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: localhost",
        f"x-athena-identity: {IDENTITY}",
        "content-type: application/json",
        f"content-length: {len(content)}",
    ]
    return "\r\n".join([*lines, *fields, "", ""]).encode() + content


def get(path: str, *fields: str) -> bytes:
    """Return a GET."""
    lines = [f"GET {path} HTTP/1.1", "host: localhost", f"x-athena-identity: {IDENTITY}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


def token_text(number: int) -> str:
    """Return the text of a token; it is made up, and the same in every process."""
    secret = base64.urlsafe_b64encode(hashlib.sha256(b"%d" % number).digest()).rstrip(b"=").decode()
    return f"ath_01M8{number:022}_{secret}"


def closing(path: str) -> bytes:
    """Return a GET that closes the connection."""
    return get(path).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


def requests(spec: Spec) -> Iterator[bytes]:
    """Yield the requests of a kind forever."""
    if spec.kind == "keyed":
        start = time.time_ns()
        while True:
            start += 1
            yield post("/api/v1/directives", {"input": WORDS}, f"idempotency-key: bench-{start}")
    if spec.kind == "asked" and spec.tokens:
        lines = [f"authorization: Bearer {token_text(number)}" for number in range(spec.tokens)]
        for number, (path, line) in enumerate(zip(cycle(spec.paths), cycle(lines), strict=False)):
            anew = f"{'&' if '?' in path else '?'}number={number}" if spec.anew else ""
            yield f"GET {path}{anew} HTTP/1.1\r\nhost: localhost\r\n{line}\r\n\r\n".encode()
    if spec.kind == "asked" and spec.anew:
        for number, path in enumerate(cycle(spec.paths)):
            yield get(f"{path}{'&' if '?' in path else '?'}number={number}")
    if spec.paths_file:
        yield from cycle([get(path) for path in Path(spec.paths_file).read_text("ascii").splitlines()])
    if spec.kind == "asked":
        body = msgspec.Raw(spec.body.encode())
        yield from cycle([post(path, body, *spec.fields) if spec.body else get(path) for path in spec.paths])
    one = {
        "directives": post("/api/v1/directives", {"input": WORDS}),
        "stream": post("/api/v1/directives", {"input": WORDS}),
        "runs": post("/api/v1/runs", {"input": WORDS}),
        "runs-async": post("/api/v1/runs", {"input": WORDS}, "prefer: respond-async"),
        "admissions": post("/api/v1/runs", {"input": WORDS}, "prefer: respond-async"),
        "summary": get("/api/v1/fleet/summary"),
        "events": get("/api/v1/events"),
    }[spec.kind]
    while True:
        yield one


async def connect(spec: Spec, answered: Callable[[Http, bytes], None]) -> Http:
    """Open a connection."""
    port = spec.write_port or spec.port
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: Http(answered), "127.0.0.1", port)
    return protocol


async def closed_loop(spec: Spec) -> Result:
    """Run clients that post, wait for the response, and post again. Runs count once they have ended."""
    watch, source = Watch(spec), requests(spec)
    open_requests, stopping = 0, False

    def answered(connection: Http, data: bytes) -> None:
        nonlocal open_requests
        if watch.measuring:
            watch.latencies.append(time.perf_counter() - connection.sent_at)
            watch.things += 1
            watch.errors += data[9:10] != b"2"
        if stopping:
            open_requests -= 1
        else:
            connection.send(next(source))

    connections = [await connect(spec, answered) for _ in range(spec.clients)]
    open_requests = len(connections)
    for connection in connections:
        connection.send(next(source))
    await asyncio.sleep(spec.warm_up_seconds)
    if spec.kind == "runs-async":
        stopping = True
        await drained(spec, lambda: open_requests)
        stopping = False
        open_requests = len(connections)
        watch.start()
        for connection in connections:
            connection.send(next(source))
    else:
        watch.start()
    await watch.over(spec.seconds)
    stopping = True
    if spec.kind == "runs-async":
        await drained(spec, lambda: open_requests)
    watch.stop()
    for connection in connections:
        connection.close()
    return watch.result()


async def drained(spec: Spec, open_requests: Callable[[], int]) -> None:
    """Wait until all requests have responses and no run is active."""
    found: asyncio.Queue[bytes] = asyncio.Queue()
    connection = await connect(spec, lambda _, data: found.put_nowait(data))
    deadline = time.perf_counter() + DRAIN_SECONDS_MAX
    while time.perf_counter() < deadline:
        connection.send(get("/api/v1/runs/active?limit=1"))
        if b'"items":[]' in await found.get() and not open_requests():
            connection.close()
            return
        await asyncio.sleep(RECONNECT_SECONDS)
    raise RuntimeError("runs are still active")


async def walk(spec: Spec) -> Result:
    """Run clients that read the feed page by page or in lines, and start again at its end. Events count."""
    watch = Watch(spec)
    first = get("/api/v1/events", ACCEPT_LINES) if spec.kind == "lines" else get(f"/api/v1/events?limit={spec.limit}")
    stopping = False

    def answered(connection: Http, data: bytes) -> None:
        more = CURSOR_PATTERN.search(data, max(len(data) - 200, 0)) if spec.limit else None
        if watch.measuring:
            watch.latencies.append(time.perf_counter() - connection.sent_at)
            watch.things += spec.limit if more else data.count(b'"traceId":')
            watch.errors += data[9:10] != b"2"
        if not stopping:
            connection.send(get(f"/api/v1/events?limit={spec.limit}&cursor={more[1].decode()}") if more else first)

    connections = [await connect(spec, answered) for _ in range(spec.clients)]
    for connection in connections:
        connection.send(first)
    await asyncio.sleep(spec.warm_up_seconds)
    watch.start()
    await watch.over(spec.seconds)
    watch.stop()
    stopping = True
    for connection in connections:
        connection.close()
    return watch.result()


class Subscriber(asyncio.Protocol):
    """A stream that records the arrival of each directive."""

    def __init__(self) -> None:
        """Start without arrivals."""
        self.arrivals: list[tuple[bytes, float]] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request all new events."""
        cast(asyncio.Transport, transport).write(get("/api/v1/events/stream?after=latest"))

    def data_received(self, data: bytes) -> None:
        """Record the directives of complete frames."""
        now = time.perf_counter()
        content = self._rest + data
        end = content.rfind(b"\n\n") + 2
        if end < 2:
            self._rest = content
            return
        self._rest = content[end:]
        self.arrivals += [(match[1], now) for match in EVENT_PATTERN.finditer(content, 0, end)]


async def stream(spec: Spec) -> Result:
    """Post directives at a rate. Measure the time from each post to each subscriber."""
    loop, watch, source = asyncio.get_running_loop(), Watch(spec), requests(spec)
    subscribers: list[Subscriber] = []
    for _ in range(spec.clients):
        _, subscriber = await loop.create_connection(Subscriber, "127.0.0.1", spec.port)
        subscribers.append(subscriber)
    due: dict[bytes, float] = {}
    asked_at: dict[Http, tuple[float, bool]] = {}
    idle: list[Http] = []
    behind: list[tuple[float, bool]] = []

    def begin(connection: Http, at: float, counts: bool) -> None:
        asked_at[connection] = at, counts
        connection.send(next(source))

    def answered(connection: Http, data: bytes) -> None:
        at, counts = asked_at.pop(connection)
        made = MADE_PATTERN.search(data)
        if made is None:
            watch.errors += 1
        elif counts:
            due[made[1]] = at
        if behind:
            begin(connection, *behind.pop(0))
        else:
            idle.append(connection)

    idle += [await connect(spec, answered) for _ in range(64)]
    await asyncio.sleep(0.2)
    began, posted = time.perf_counter(), 0
    end = began + spec.warm_up_seconds + spec.seconds
    while (now := time.perf_counter()) < end or not (due or now > end + ANSWER_SECONDS_MAX):
        if not watch.measuring and now >= began + spec.warm_up_seconds:
            watch.start()
        while posted < (now - began) * spec.rate:
            posted += 1
            if idle:
                begin(idle.pop(), time.perf_counter(), watch.measuring)
            else:
                behind.append((time.perf_counter(), watch.measuring))
        await asyncio.sleep(TICK_SECONDS)
    deadline = time.perf_counter() + ANSWER_SECONDS_MAX
    while asked_at or min(len(subscriber.arrivals) for subscriber in subscribers) < posted:
        if time.perf_counter() > deadline:
            break
        await asyncio.sleep(TICK_SECONDS)
    watch.stop()
    for subscriber in subscribers:
        arrived = [at - due[made] for made, at in subscriber.arrivals if made in due]
        watch.latencies += arrived
        watch.errors += len(due) - len(arrived)
    watch.things = len(watch.latencies)
    return watch.result()


def apply(spec: Spec) -> Result:
    """Run the load in this process."""
    how = {"pages": walk, "lines": walk, "stream": stream}.get(spec.kind, closed_loop)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(how(spec))


def measured(spec: Spec) -> Result:
    """Run the load in another process."""
    return msgspec.json.decode(in_process_of_its_own("benchmarks.load", spec), type=Result)


def in_process_of_its_own(module: str, spec: msgspec.Struct) -> bytes:
    """Return the output of a load in another process, on the core of the load."""
    command = [sys.executable, "-m", module, msgspec.json.encode(spec).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=lambda: pin(cores()[1]))
    return done.stdout


def main() -> None:
    """Run the load of the argument."""
    sys.stdout.write(msgspec.json.encode(apply(msgspec.json.decode(sys.argv[1], type=Spec))).decode())


if __name__ == "__main__":
    main()
