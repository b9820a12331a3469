"""The load: a process of its own that speaks just enough HTTP to keep a server busy and to time its answers.

``python -m benchmarks.load SPEC`` takes a ``Spec`` as JSON and prints a ``Result`` as JSON.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Literal, TypeAlias, cast

import msgspec
import uvloop

from benchmarks.machine import cores, cpu_seconds, pin

WORDS = "Summarise the incidents of the last night, group them by service, and say which of them need a person today."
IDENTITY = "bench"
"""Who asks; only a server with authentication wants to know."""

DRAIN_SECONDS_MAX = 60.0
ANSWER_SECONDS_MAX = 30.0
RECONNECT_SECONDS = 0.01
TICK_SECONDS = 0.001
EVENT_PATTERN = re.compile(rb'"directiveId":"(dir_[0-9A-Z]{26})"')
MADE_PATTERN = re.compile(rb'"id":"(dir_[0-9A-Z]{26})"')
CURSOR_PATTERN = re.compile(rb'"nextCursor":"([^"]+)"')
LENGTH_PATTERN = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED_PATTERN = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
NO_BODY = (b"204", b"304")
LAST_CHUNK = b"\r\n0\r\n\r\n"
LAST_CHUNK_BYTES = len(LAST_CHUNK)


Kind: TypeAlias = Literal[
    "directives", "keyed", "runs", "runs-async", "admissions", "summary", "events", "pages", "stream", "asked"
]


class Spec(msgspec.Struct, kw_only=True):
    """What to do: ``kind`` is what is asked for, ``pid`` the process whose CPU time counts.

    ``directives``, ``keyed`` (each with an ``Idempotency-Key``), ``runs``, ``runs-async`` and ``admissions`` (of runs
    that nobody executes) are posted by ``clients`` who wait for each answer, ``summary`` and ``events`` (one page) are
    read by them; ``pages`` are read one after another by each client; ``stream`` posts ``rate`` directives a second and
    times their way to ``clients`` subscribers; it posts to ``write_port`` where that is another server's. ``asked`` are
    GETs of ``paths`` in turn, or POSTs of ``body`` to them where there is one; ``anew`` gives each a number that nobody
    reads, so that no question is asked twice.
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
    anew: bool = False
    body: str = ""
    fields: Sequence[str] = ()


class Result(msgspec.Struct, kw_only=True):
    """What came of it: things a second, the server's CPU time for each, how long each took; ``load_cpu`` is a share."""

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    load_cpu: float
    errors: int


class Http(asyncio.Protocol):
    """One connection that sends a request and hands on the whole answer."""

    def __init__(self, answered: Callable[["Http", bytes], None]) -> None:
        """Take whom to tell."""
        self.sent_at = 0.0
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._missing = 0
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def send(self, request: bytes) -> None:
        """Send one request."""
        assert self._transport is not None
        self.sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Put the answer together."""
        if not self._chunks:
            end = data.find(b"\r\n\r\n") + 4
            length = LENGTH_PATTERN.search(data, 0, end)
            self._chunked = length is None and CHUNKED_PATTERN.search(data, 0, end) is not None
            if end < 4 or not (length or self._chunked or data[9:12] in NO_BODY):
                raise RuntimeError(f"an answer without a length: {data[:200]!r}")
            self._missing = end + (int(length[1]) if length else 0)
        self._missing -= len(data)
        self._chunks.append(data)
        if b"".join(self._chunks[-LAST_CHUNK_BYTES:]).endswith(LAST_CHUNK) if self._chunked else self._missing <= 0:
            whole = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks = []
            self._answered(self, whole)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Watch:
    """The measured part of a load: from the end of the warm-up on."""

    def __init__(self, spec: Spec) -> None:
        """Measure nothing yet."""
        self.spec = spec
        self.measuring = False
        self.latencies: list[float] = []
        self.things = 0
        self.errors = 0
        self._began = self._cpu = self._own_cpu = 0.0
        self._seconds = self._server_cpu = self._load_cpu = 0.0

    def start(self) -> None:
        """From now on."""
        self.measuring = True
        self._began = time.perf_counter()
        self._cpu, self._own_cpu = cpu_seconds(self.spec.pid), time.process_time()

    async def over(self, seconds: float) -> None:
        """Return after so many seconds, but not before something was answered: a busy machine may stand still."""
        await asyncio.sleep(seconds)
        while not self.things and time.perf_counter() < self._began + ANSWER_SECONDS_MAX:
            await asyncio.sleep(TICK_SECONDS)

    def stop(self) -> None:
        """Until now."""
        self.measuring = False
        self._seconds = time.perf_counter() - self._began
        self._server_cpu = cpu_seconds(self.spec.pid) - self._cpu
        self._load_cpu = time.process_time() - self._own_cpu

    def result(self) -> Result:
        """The figures."""
        latencies = sorted(self.latencies)
        things = max(self.things, 1)
        return Result(
            rate=self.things / self._seconds,
            cpu_us=self._server_cpu / things * 1e6,
            p50_ms=quantile(latencies, 0.5) * 1000,
            p99_ms=quantile(latencies, 0.99) * 1000,
            load_cpu=self._load_cpu / self._seconds,
            errors=self.errors + (not latencies),  # also a server that answered nothing is wrong
        )


def quantile(ordered: list[float], share: float) -> float:
    """The value that a share of ordered values does not exceed."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def post(path: str, body: object, *fields: str) -> bytes:
    """A POST."""
    return _sent("POST", path, body, fields)


def put(path: str, body: object, *fields: str) -> bytes:
    """A PUT."""
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


def get(path: str) -> bytes:
    """A GET."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\nx-athena-identity: {IDENTITY}\r\n\r\n".encode()


def closing(path: str) -> bytes:
    """A GET after which the connection is closed."""
    return get(path).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


def requests(spec: Spec) -> Iterator[bytes]:
    """The requests of a kind, for ever."""
    if spec.kind == "keyed":
        start = time.time_ns()
        while True:
            start += 1
            yield post("/api/v1/directives", {"input": WORDS}, f"idempotency-key: bench-{start}")
    if spec.kind == "asked" and spec.anew:
        for number, path in enumerate(cycle(spec.paths)):
            yield get(f"{path}{'&' if '?' in path else '?'}number={number}")
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
    """A connection."""
    port = spec.write_port or spec.port
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: Http(answered), "127.0.0.1", port)
    return protocol


async def closed_loop(spec: Spec) -> Result:
    """Clients that post, wait for the answer, and post again; runs count once they have ended."""
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
    """Wait until every request is answered and no run is active."""
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
    """Clients that read the feed page by page, and begin anew at its end; events count."""
    watch = Watch(spec)
    first = get(f"/api/v1/events?limit={spec.limit}")
    stopping = False

    def answered(connection: Http, data: bytes) -> None:
        more = CURSOR_PATTERN.search(data, max(len(data) - 200, 0))
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
    """One stream: when which directive arrived."""

    def __init__(self) -> None:
        """Nothing arrived."""
        self.arrivals: list[tuple[bytes, float]] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for everything new."""
        cast(asyncio.Transport, transport).write(get("/api/v1/events/stream?after=latest"))

    def data_received(self, data: bytes) -> None:
        """Note the directives of whole frames."""
        now = time.perf_counter()
        content = self._rest + data
        end = content.rfind(b"\n\n") + 2
        if end < 2:
            self._rest = content
            return
        self._rest = content[end:]
        self.arrivals += [(match[1], now) for match in EVENT_PATTERN.finditer(content, 0, end)]


async def stream(spec: Spec) -> Result:
    """Directives posted at a rate, and the time from the post until each subscriber has each of them."""
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
    """Do it in this process."""
    how = {"pages": walk, "stream": stream}.get(spec.kind, closed_loop)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(how(spec))


def measured(spec: Spec) -> Result:
    """Do it in a process of its own."""
    return msgspec.json.decode(in_process_of_its_own("benchmarks.load", spec), type=Result)


def in_process_of_its_own(module: str, spec: msgspec.Struct) -> bytes:
    """What a load prints that runs on the core of the load."""
    command = [sys.executable, "-m", module, msgspec.json.encode(spec).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, preexec_fn=lambda: pin(cores()[1]))
    return done.stdout


def main() -> None:
    """Do what the argument says."""
    sys.stdout.write(msgspec.json.encode(apply(msgspec.json.decode(sys.argv[1], type=Spec))).decode())


if __name__ == "__main__":
    main()
