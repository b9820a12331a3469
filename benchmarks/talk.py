"""The load of slow models: a model stub, runs that call it, and subscribers to its output.

``python -m benchmarks.talk SPEC`` takes a ``Spec`` as JSON and prints the result as JSON. The stub serves OpenAI's chat
completions in the process of the load, so that one clock times a token from its write to its arrival.
"""

import asyncio
import re
import sys
import time
from functools import partial
from typing import Literal, cast

import msgspec
import uvloop

from benchmarks.load import Http, Result, Watch, connect, get, in_process_of_its_own, post
from benchmarks.load import Spec as LoadSpec
from benchmarks.machine import resident_kib

MARK = re.compile(rb"<(\d+-\d+):(\d+)>")
ASKED = re.compile(rb"talk (\d+-\d+)\.")
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
LAST = (
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}}\n\ndata: [DONE]\n\n'
)
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.05


class Spec(msgspec.Struct, kw_only=True):
    """A load: ``first`` times tokens to the subscriber of each session, ``crowd`` runs all sessions at once.

    ``model_port`` is the port of the stub, which writes ``tokens`` tokens with a pause between them.
    """

    kind: Literal["first", "crowd"]
    port: int
    pid: int
    model_port: int
    sessions: int
    seconds: float = 0.0
    tokens: int
    pause_ms: int


class Crowd(msgspec.Struct):
    """The result of a crowd: concurrent and total runs, their duration, and the memory of the server."""

    at_once: int
    runs: int
    seconds: float
    peak_mib: float
    errors: int


class Model:
    """A model stub that responds with numbered tokens, and records when it wrote each."""

    def __init__(self, tokens: int, pause_seconds: float) -> None:
        """Start without requests."""
        self.written: dict[bytes, float] = {}
        self.at_work = self.at_once = 0
        self._tokens = tokens
        self._pause_seconds = pause_seconds

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to one request and close the connection."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            name = ASKED.findall(body)[-1]
            self.at_work += 1
            self.at_once = max(self.at_once, self.at_work)
            writer.write(HEAD)
            for number in range(self._tokens):
                mark = b"%b:%d" % (name, number)
                self.written[mark] = time.perf_counter()
                writer.write(b'data: {"choices":[{"delta":{"content":"<%b> "}}]}\n\n' % mark)
                await asyncio.sleep(self._pause_seconds)
            writer.write(LAST)
            self.at_work -= 1
            await writer.drain()
        finally:
            writer.close()


class Follower(asyncio.Protocol):
    """A stream of one transcript that records the arrival of each token."""

    def __init__(self, session_id: str) -> None:
        """Start without arrivals."""
        self.arrivals: dict[bytes, float] = {}
        self._session_id = session_id
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request all new entries."""
        path = f"/api/v1/sessions/{self._session_id}/transcript/stream?after=latest"
        cast(asyncio.Transport, transport).write(get(path))

    def data_received(self, data: bytes) -> None:
        """Record the tokens."""
        now = time.perf_counter()
        content = self._rest + data
        for match in MARK.finditer(content):
            self.arrivals.setdefault(b"%b:%b" % (match[1], match[2]), now)
        self._rest = content[-64:]


def ask(session: int, number: int, *fields: str) -> bytes:
    """Return the request for a run."""
    body = {"sessionId": f"talk-{session}", "input": f"talk {session}-{number}."}
    return post("/api/v1/runs", body, *fields)


def _given(follower: Follower) -> Follower:
    return follower


async def first(spec: Spec, model: Model) -> Result:
    """Run sessions that talk sequentially, each with a subscriber. Tokens count; the first one of each is timed."""
    loop = asyncio.get_running_loop()
    load = LoadSpec(kind="runs", port=spec.port, pid=spec.pid, clients=spec.sessions, seconds=spec.seconds)
    watch, counts, counted = Watch(load), dict.fromkeys(range(spec.sessions), 0), set[bytes]()
    stopping, open_requests = False, spec.sessions
    followers: list[Follower] = []
    for session in range(spec.sessions):
        follower = Follower(f"talk-{session}")
        await loop.create_connection(partial(_given, follower), "127.0.0.1", spec.port)
        followers.append(follower)
    sessions: dict[Http, int] = {}

    def next_run(connection: Http) -> None:
        session = sessions[connection]
        counts[session] += 1
        if watch.measuring:
            counted.add(b"%d-%d" % (session, counts[session]))
        connection.send(ask(session, counts[session]))

    def answered(connection: Http, data: bytes) -> None:
        nonlocal open_requests
        watch.errors += data[9:10] != b"2"
        if stopping:
            open_requests -= 1
        else:
            next_run(connection)

    for session in range(spec.sessions):
        connection = await connect(load, answered)
        sessions[connection] = session
    for connection in sessions:
        next_run(connection)
    await asyncio.sleep(load.warm_up_seconds)
    watch.start()
    await asyncio.sleep(spec.seconds)
    while not counted:  # one run may take longer than that
        await asyncio.sleep(LOOK_SECONDS)
    watch.stop()
    stopping = True
    while open_requests:
        await asyncio.sleep(LOOK_SECONDS)
    for follower in followers:
        for mark, at in follower.arrivals.items():
            name, _, number = mark.partition(b":")
            if name in counted:
                watch.things += 1
                if number == b"0":
                    watch.latencies.append(at - model.written[mark])
    watch.errors += len(counted) - len(watch.latencies)
    return watch.result()


async def crowd(spec: Spec, model: Model) -> Crowd:
    """Run all sessions at once, one run each."""
    load = LoadSpec(kind="runs-async", port=spec.port, pid=spec.pid, clients=1, seconds=0.0)
    found: asyncio.Queue[bytes] = asyncio.Queue()
    connection = await connect(load, lambda _, data: found.put_nowait(data))

    async def asked(request: bytes) -> bytes:
        connection.send(request)
        return await found.get()

    began, errors, peak = time.perf_counter(), 0, 0.0
    first_number = time.time_ns()
    for session in range(spec.sessions):
        answer = await asked(ask(session, first_number, "prefer: respond-async"))
        errors += not answer.startswith(b"HTTP/1.1 202")
    while b'"items":[]' not in await asked(get("/api/v1/runs/active?limit=1")):
        if time.perf_counter() - began > PATIENCE_SECONDS:
            raise RuntimeError("runs are still active")
        peak = max(peak, resident_kib(spec.pid) / 1_024)
        await asyncio.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    failed = await asked(get("/api/v1/runs?status=failed&limit=1"))
    errors += b'"items":[]' not in failed
    connection.close()
    return Crowd(model.at_once, spec.sessions, seconds, peak, errors)


async def apply(spec: Spec) -> Result | Crowd:
    """Run the load with the stub."""
    model = Model(spec.tokens, spec.pause_ms / 1000)
    server = await asyncio.start_server(model.answer, "127.0.0.1", spec.model_port, backlog=2_048)
    try:
        return await (first(spec, model) if spec.kind == "first" else crowd(spec, model))
    finally:
        server.close()


def measured(spec: Spec) -> Result:
    """Time tokens, in another process."""
    return msgspec.json.decode(in_process_of_its_own("benchmarks.talk", spec), type=Result)


def crowded(spec: Spec) -> Crowd:
    """Run a crowd, from another process."""
    return msgspec.json.decode(in_process_of_its_own("benchmarks.talk", spec), type=Crowd)


def main() -> None:
    """Run the load of the argument."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(apply(msgspec.json.decode(sys.argv[1], type=Spec)))
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()
