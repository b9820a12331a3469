"""The peer with its own protocol: NATS JetStream, and its load.

``python -m benchmarks.peers.nats SPEC`` takes a ``Spec`` as JSON and prints a ``Result`` as JSON.
"""

import asyncio
import re
import sys
import time
from collections.abc import Callable
from typing import Literal, cast

import msgspec
import uvloop

from benchmarks import load
from benchmarks.load import DRAIN_SECONDS_MAX, TICK_SECONDS, Result, Watch, in_process_of_its_own
from benchmarks.peers import install
from benchmarks.peers.lab import BODY, CEILING, CLIENTS, DIRECTIVES, Lab, succeeded
from benchmarks.peers.program import Missing, Program
from benchmarks.report import Section
from benchmarks.server import free_port

PACKAGE = "nats-server"
STREAM, SUBJECT, INBOX = "BENCH", "bench", "inbox"
MESSAGE = re.compile(rb"(H?)MSG \S+ \d+ (?:\S+ )?(?:\d+ )?(\d+)\r\n")
PAGE, KEPT = 500, 20_000
HELLO = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
CONFIGURATION = """
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
jetstream {{ store_dir: "{place}", sync_interval: {sync} }}
"""


class Spec(msgspec.Struct, kw_only=True):
    """A load: publish and wait for each response, keep many messages in flight, or read them page by page."""

    kind: Literal["publish", "keep", "replay"]
    port: int
    pid: int
    clients: int = 1
    seconds: float = 0.0
    messages: int = 0
    body: str = ""


class Nats(asyncio.Protocol):
    """A connection with its own inbox. Sends requests and delivers the payload of each response."""

    def __init__(self, answered: Callable[["Nats", bytes], None]) -> None:
        """Deliver responses to a callback."""
        self.sent_at = 0.0
        self.inbox = f"{INBOX}{id(self):x}".encode()
        self._answered = answered
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Subscribe to the inbox."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(HELLO + b"SUB %b 1\r\n" % self.inbox)

    def ask(self, subject: str, body: bytes) -> None:
        """Publish a request with the inbox as the reply subject."""
        assert self._transport is not None
        self.sent_at = time.perf_counter()
        self._transport.write(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), self.inbox, len(body), body))

    def data_received(self, data: bytes) -> None:
        """Parse the messages of the byte stream."""
        content, place = self._rest + data, 0
        while (end := content.find(b"\r\n", place)) >= 0:
            match = MESSAGE.match(content, place)
            if match is None:
                if content.startswith(b"PING", place) and self._transport is not None:
                    self._transport.write(b"PONG\r\n")
                elif content.startswith(b"-ERR", place):
                    raise RuntimeError(content[place:end].decode())
                place = end + 2
                continue
            over = match.end() + int(match[2]) + 2
            if over > len(content):
                break
            self._answered(self, content[match.end() : over - 2])
            place = over
        self._rest = content[place:]

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


async def connect(spec: Spec, answered: Callable[[Nats, bytes], None]) -> Nats:
    """Open a connection."""
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: Nats(answered), "127.0.0.1", spec.port)
    return protocol


async def asked(spec: Spec, subject: str, body: object) -> bytes:
    """Return the response to one request."""
    found: asyncio.Queue[bytes] = asyncio.Queue()
    connection = await connect(spec, lambda _, data: found.put_nowait(data))
    connection.ask(subject, msgspec.json.encode(body))
    data = await found.get()
    connection.close()
    if b'"error"' in data:
        raise RuntimeError(data.decode())
    return data


async def publish(spec: Spec) -> Result:
    """Run clients that publish, wait until the message is stored, and publish again, or several messages at once."""
    watch, body = _watch(spec), spec.body.encode()
    left = spec.messages or sys.maxsize
    open_requests = 0

    def answered(connection: Nats, data: bytes) -> None:
        nonlocal open_requests
        open_requests -= 1
        if watch.measuring:
            watch.latencies.append(time.perf_counter() - connection.sent_at)
            watch.things += 1
        watch.errors += b'"seq"' not in data
        go_on(connection)

    def go_on(connection: Nats) -> None:
        nonlocal left, open_requests
        if left > 0:
            left -= 1
            open_requests += 1
            connection.ask(SUBJECT, body)

    connections = [await connect(spec, answered) for _ in range(spec.clients)]
    for connection in connections:
        go_on(connection)
    if spec.messages:
        watch.start()
        while open_requests:
            await asyncio.sleep(TICK_SECONDS)
    else:
        await asyncio.sleep(watch.spec.warm_up_seconds)
        watch.start()
        await asyncio.sleep(spec.seconds)
        left = 0
    watch.stop()
    for connection in connections:
        connection.close()
    return watch.result()


async def replay(spec: Spec) -> Result:
    """Run a client that reads everything in batches, and starts again at the end. Messages count."""
    watch = _watch(spec)
    seen, stopped = 0, False
    asking = b'{"batch":%d,"no_wait":true}' % PAGE
    name, number = f"c{time.time_ns()}", 0

    def answered(connection: Nats, data: bytes) -> None:
        nonlocal seen
        seen += 1
        watch.things += watch.measuring
        if seen % PAGE == 0:
            if watch.measuring:
                watch.latencies.append(time.perf_counter() - connection.sent_at)
            if not stopped and seen % spec.messages:
                connection.ask(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}{number}", asking)

    connection = await connect(spec, answered)
    until, began = time.perf_counter() + watch.spec.warm_up_seconds + spec.seconds, False
    while time.perf_counter() < until:
        config = {
            "name": f"{name}{number}",
            "ack_policy": "none",
            "deliver_policy": "all",
            "inactive_threshold": 60 * 10**9,
        }
        await asked(spec, f"$JS.API.CONSUMER.CREATE.{STREAM}.{name}{number}", {"stream_name": STREAM, "config": config})
        if not began and time.perf_counter() > until - spec.seconds:
            began = True
            watch.start()
        wanted = seen + spec.messages
        connection.ask(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}{number}", asking)
        while seen < wanted and time.perf_counter() < until + DRAIN_SECONDS_MAX:
            await asyncio.sleep(TICK_SECONDS)
        number += 1
    stopped = True
    watch.stop()
    connection.close()
    return watch.result()


def _watch(spec: Spec) -> Watch:
    return Watch(load.Spec(kind="asked", port=spec.port, pid=spec.pid, clients=spec.clients, seconds=spec.seconds))


async def apply(spec: Spec) -> Result:
    """Run the load."""
    if spec.kind == "keep":
        config = {"name": STREAM, "subjects": [SUBJECT], "storage": "file", "retention": "limits"}
        await asked(spec, f"$JS.API.STREAM.CREATE.{STREAM}", config)
    return await (replay(spec) if spec.kind == "replay" else publish(spec))


def measured(spec: Spec) -> Result:
    """Run the load in another process, on the core of the load."""
    return msgspec.json.decode(in_process_of_its_own("benchmarks.peers.nats", spec), type=Result)


def nats(lab: Lab) -> list[Section]:
    """Measure a server with a file stream, synced before each acknowledgement, and one with its defaults."""
    folder = install.debian("nats", PACKAGE)
    binary = folder / "usr" / "sbin" / "nats-server"
    version = install.run(str(binary), "--version").split()[-1]
    programs = {sync: _started(lab, str(binary), sync) for sync in ("always", "2m")}
    server, ours = lab.athena()
    names = {"always": "JetStream, `sync_interval: always`", "2m": "JetStream, its default (synced every two minutes)"}
    published = {DIRECTIVES: ours[DIRECTIVES], CEILING: ours[CEILING]}
    for sync, (program, port) in programs.items():
        published[names[sync]] = _measurement(
            lab, program, Spec(kind="publish", port=port, pid=program.pid, clients=CLIENTS)
        )
    title = f"NATS JetStream {version}: publish, 64 clients with a message each"
    section = lab.section("nats", title, "messages/s", published)
    lab.ratios(section, names["always"], {DIRECTIVES: 2})
    lab.ratios(section, names["2m"], {DIRECTIVES: None})
    section.notes.append("JetStream speaks a protocol of its own, which costs less than HTTP.")
    program, port = programs["2m"]
    pages = "Athena, `GET /api/v1/events?limit=500`, page after page"
    read = f"JetStream, batches of {PAGE}"
    variants = {
        pages: lab.bench.load(server, "pages", 1, limit=PAGE),
        read: _measurement(lab, program, Spec(kind="replay", port=port, pid=program.pid, messages=KEPT)),
    }
    replayed = lab.section("nats-replay", f"NATS JetStream {version}: replay, 1 client", "messages/s", variants)
    lab.ratios(replayed, read, {pages: None})
    return [section, replayed]


def _started(lab: Lab, binary: str, sync: str) -> tuple[Program, int]:
    port, monitor, place = free_port(), free_port(), lab.bench.place("nats")
    place.mkdir(parents=True)
    path = place / "nats.conf"
    path.write_text(CONFIGURATION.format(port=port, monitor=monitor, place=place / "data", sync=sync), "utf-8")
    program = lab.program("nats", [binary, "-c", path], directory=place)
    program.wait_for(monitor, "/healthz")
    keep = Spec(kind="keep", port=port, pid=program.pid, clients=CLIENTS, messages=KEPT, body=BODY)
    kept = measured(keep)
    if kept.errors:
        raise Missing(f"JetStream did not store {kept.errors} of {KEPT} messages")
    program.halt()
    return program, port


def _measurement(lab: Lab, program: Program, spec: Spec) -> Callable[[], dict[str, float]]:
    spec.seconds, spec.body = lab.bench.seconds, BODY

    def measure() -> dict[str, float]:
        disk = lab.bench.sync()
        program.go_on()
        result = measured(spec)
        program.halt()
        return succeeded(result, spec.seconds) | disk

    return measure


def main() -> None:
    """Run the load of the argument."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(apply(msgspec.json.decode(sys.argv[1], type=Spec)))
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
