"""Memory: what strangers send and leave unread has a bound, and the memory of a peak comes back."""

import gc
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from athena_core.system import gc_tuning
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS, soon
from tests.support.server import Server

MIB = 1 << 20
PACKET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n" * 8_000
HALF = b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 900_000


def resident(server: Server) -> int:
    """Return the resident memory of the server, in bytes."""
    return int(Path(f"/proc/{server.pid}/statm").read_bytes().split()[1]) * gc_tuning.PAGE_BYTES


def crowd(server: Server, count: int, data: bytes) -> Iterator[socket.socket]:
    """Clients that send something, read nothing and stay."""
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.create_connection((host, int(port)), PATIENCE_SECONDS))
            with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
                client.sendall(data)
            yield client


def test_the_same_flood_thrice_costs_no_memory(shared: Server) -> None:
    before = resident(shared)
    sizes: list[int] = []
    for _ in range(3):
        for _ in crowd(shared, 20, PACKET):
            pass
        shared.api.get("/admin/health")
        sizes.append(resident(shared))
    assert max(sizes) - before < 40 * MIB, sizes
    assert sizes[2] - sizes[0] < 16 * MIB, sizes


def test_trailers_without_an_end_cost_no_memory(shared: Server) -> None:
    before = resident(shared)
    head = b"GET /livez HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
    for _ in crowd(shared, 10, head + b"a: b\r\n" * 300_000):
        pass
    shared.api.get("/admin/health")
    assert resident(shared) - before < 40 * MIB


@pytest.mark.heavy
def test_half_bodies_stay_in_their_budget_and_their_memory_comes_back(serve: Serve) -> None:
    server = serve(bodies_in_flight_bytes_max=str(40 * MIB))
    before = resident(server)
    for _ in range(2):
        peak = max(resident(server) for _ in crowd(server, 300, HALF))
        assert peak - before < 200 * MIB
        for _ in soon():
            if resident(server) - before < 40 * MIB:
                break
        assert server.api.send("/runs", {"input": "x" * 20_000}).status_code == 200


class Knot:
    """Garbage that only a full collection finds, once it is old."""

    def __init__(self) -> None:
        self.itself = self
        self.content = bytearray(MIB)


def test_the_memory_of_old_garbage_comes_back_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc_tuning, "GROWTH_BYTES_MIN", 32 * MIB)
    gc.collect()
    gc_tuning.release_memory()  # else what follows may fit into what tests before it left, and nothing grows
    found = gc_tuning.GcTuner()
    assert not found.collect(idle=True), "nothing has grown"
    size = max(gc_tuning.resident_bytes() // 2, 64 * MIB)
    knots = [Knot() for _ in range(size // MIB)]
    gc.collect(1)
    peak = gc_tuning.resident_bytes()
    del knots
    assert not found.collect(idle=False), "a busy server waits for longer"
    assert found.collect(idle=True)
    assert peak - gc_tuning.resident_bytes() > size // 2
    assert not found.collect(idle=True)
