"""Slow clients: hundreds of them delay no others, and are disconnected."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api, soon

CLIENTS = sized(100, 500, 500)
REQUESTS = sized(600, 1_500, 5_000)
PARTS = (
    b"",
    b"G",
    b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ",
    b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{",
)


def seconds(api: Api) -> float:
    began = time.perf_counter()
    api.get("/runs", limit=1)
    return time.perf_counter() - began


@pytest.mark.heavy
def test_slow_clients_delay_no_others_and_are_disconnected(serve: Serve, tmp_path: Path) -> None:
    """Two servers are measured in turn, so that other load on this machine affects both."""
    quiet = serve(tmp_path / "quiet")
    crowded = serve(tmp_path / "crowded", header_timeout_ms="60000", body_timeout_ms="60000")
    host, port = crowded.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(CLIENTS)]
        for number, client in enumerate(slow):
            client.sendall(PARTS[number % len(PARTS)])
        times = [(seconds(quiet.api), seconds(crowded.api)) for _ in range(REQUESTS)]
        alone, among = (sorted(column)[REQUESTS * 99 // 100] for column in zip(*times, strict=True))
        print(f"p99 alone {alone * 1000:.2f} ms, among {CLIENTS} slow clients {among * 1000:.2f} ms")
        assert among < 2 * alone
    for _ in soon():
        if crowded.api.get("/admin/health")["status"] == "ok":
            break
