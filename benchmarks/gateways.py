"""The scenario of the model gateway: the time to the first token through it, beside the same call without it."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median, quantiles

import uvloop

from athena_core.clock import SystemClock, SystemIds
from athena_core.gateway.gateway import Gateway
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.upstream import model_servers
from athena_core.providers.prices import Prices
from benchmarks.report import Ratio, Section
from benchmarks.scenarios import Bench, Failed

BODY_BYTES = 45_000
"""The size of a request of Codex."""
CALLS_A_SECOND = 400
CALLS_MIN = 20
WARM_CALLS = 5
EVENTS = 20
MORE_MS = 5.0
TOLERANCE = 10.0
"""Only a multiple of the goal fails, because the machine may be busy."""
PATIENCE_SECONDS = 30.0

BODY = json.dumps({"model": "gpt-4o-mini", "stream": True, "messages": [{"content": "x" * BODY_BYTES}]}).encode()
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"token"},"finish_reason":null}]}\n\n'
USAGE = b'data: {"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":20}}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = b"data: "


def gateway(bench: Bench) -> list[Section]:
    """Measure calls with and without the gateway, in turn. Each process has one part: client, gateway, vendor."""
    calls = max(int(bench.seconds * CALLS_A_SECOND), CALLS_MIN)
    title = f"Time to the first token, {calls} calls of {len(BODY):,} bytes one after another"
    section = Section("gateway", title, "calls/s")
    with _part("vendor") as vendor:
        port = int(_line(vendor))
        with _part("gateway", str(port)) as ours:
            own_port, key, path = _line(ours).split(" ")
            places: dict[str, Callable[[], socket.socket]] = {
                "direct": lambda: _connected("127.0.0.1", port),
                "through a gateway, socket": lambda: _connected(path),
                "through a gateway, loopback": lambda: _connected("127.0.0.1", int(own_port)),
                "direct, twin": lambda: _connected("127.0.0.1", port),
            }
            for _ in range(WARM_CALLS):
                for connect in places.values():
                    _first_token_ms(connect, key)
            for turn in range(bench.rounds):
                _measure(section, places, key, calls, turn)
    direct, *through, twin = places
    for name in through:
        for figure in ("p50_ms", "p99_ms"):
            _more(section, name, direct, figure)
    _more(section, twin, direct, "p99_ms", label="A/A: ms more of the twin, p99", goal=None)
    section.ratio(through[0], direct, figure="p99_ms")
    worst = max(ratio.median for ratio in section.ratios if ratio.goal is not None)
    if worst > MORE_MS * TOLERANCE:
        raise Failed(f"the first token comes {worst:.0f} ms later through the gateway")
    return [section]


def _measure(section: Section, places: dict[str, Callable[[], socket.socket]], key: str, calls: int, turn: int) -> None:
    """Make one call of each kind in turn, so that all of them meet the same machine."""
    found: dict[str, list[float]] = {name: [] for name in places}
    names = list(places)
    for number in range(calls):
        start = (turn + number) % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(_first_token_ms(places[name], key))
    for name, times in found.items():
        figures = {"rate": 1_000 * len(times) / sum(times), "p50_ms": median(times)}
        figures["p99_ms"] = quantiles(times, n=100, method="inclusive")[98]
        for figure, value in figures.items():
            section.samples.setdefault(name, {}).setdefault(figure, []).append(value)


def _more(
    section: Section, name: str, direct: str, figure: str, *, label: str = "", goal: float | None = MORE_MS
) -> None:
    ours, theirs = section.samples[name][figure], section.samples[direct][figure]
    more = [one - other for one, other in zip(ours, theirs, strict=True)]
    text = label or f"ms more {name}, {figure.removesuffix('_ms')}"
    section.ratios.append(Ratio(text, more, goal, at_most=True, ours=median(ours), theirs=median(theirs)))


def _first_token_ms(connect: Callable[[], socket.socket], key: str) -> float:
    """Make a call on a connection of its own. Return the time from its first byte to the first event."""
    began = time.perf_counter()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    with closing(connect()) as connection:
        connection.sendall(f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
        data = b""
        while FIRST not in data:
            piece = connection.recv(65_536)
            if not piece:
                raise Failed(f"no event: {data[:200]!r}")
            data += piece
        found = (time.perf_counter() - began) * 1_000
        while USAGE not in data:
            if not (piece := connection.recv(65_536)):
                raise Failed("the answer is not complete")
            data += piece
    return found


def _connected(place: str, port: int | None = None) -> socket.socket:
    if port is not None:
        return socket.create_connection((place, port), PATIENCE_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(place)
    return connection


def _part(*arguments: str) -> subprocess.Popen[str]:
    """Start a part in a process of its own. It ends with its standard input."""
    command = [sys.executable, "-m", __name__, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(part: subprocess.Popen[str]) -> str:
    """Return the line with which a part says that it is ready."""
    assert part.stdout
    if not (line := part.stdout.readline().strip()):
        raise Failed("a part did not start")
    return line


class Free:
    """A ledger without limits and without records."""

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        """Allow any sum."""
        return most

    async def ended(self, ended: EndedCall) -> None:
        """Forget the call."""

    def live(self, call: int, text: str) -> None:
        """Show nothing."""


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the calls of a connection as a vendor does: an event at a time."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            writer.write(HEAD)
            for event in (*[EVENT] * EVENTS, USAGE):
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def _vendor() -> None:
    listener = await asyncio.start_server(_answer, "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _gateway(port: str) -> None:
    servers = model_servers(openai_base_url=f"http://127.0.0.1:{port}/v1", openai_api_key="sk-none-at-all")
    models, prices, clock, ids = {"*": "gpt-4o-mini"}, Prices.load(), SystemClock(), SystemIds()
    async with (
        Gateway(
            "openai-chat", servers["openai"], Free(), models, prices=prices, clock=clock, ids=ids, boxed=True
        ) as one,
        Gateway(
            "openai-chat", servers["openai"], Free(), models, prices=prices, clock=clock, ids=ids, boxed=False
        ) as other,
    ):
        print(other.url.rpartition(":")[2], other.key, one.socket, flush=True)
        await asyncio.to_thread(sys.stdin.read)


GATEWAYS: dict[str, Callable[[Bench], list[Section]]] = {"gateway": gateway}

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_vendor() if sys.argv[1] == "vendor" else _gateway(sys.argv[2]))
