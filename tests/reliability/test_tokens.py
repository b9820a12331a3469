"""Tokens on two servers of one log: what one creates the other accepts, and what one revokes ends on both."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from tests.scale import sized
from tests.support.api import Json
from tests.support.process import Process
from tests.support.server import Server

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300)]

ROUNDS = sized(3, 5, 50)
STREAMS = 4
END_SECONDS = 1.0
"""The promise; asserted at ten times its value, because the machine of the test may be busy."""


class Listener(threading.Thread):
    """A client of a stream, which notes when it ended."""

    def __init__(self, server: Server, **headers: str) -> None:
        super().__init__(daemon=True)
        self._server, self._headers = server, headers
        self.opened = threading.Event()
        self.ended_at = 0.0

    def run(self) -> None:
        with httpx2.stream(
            "GET", f"{self._server.url}/api/v1/events/stream", headers=self._headers, timeout=60
        ) as answer:
            for _ in answer.iter_raw():
                self.opened.set()
        self.ended_at = time.monotonic()


class Second(Server):
    """Another server of a log, which the first one judges."""

    def check(self) -> None:
        Process.check(self)


@pytest.fixture
def servers(tmp_path: Path, store: dict[str, str]) -> Iterator[tuple[Server, Server]]:
    roles = {"auth_enabled": "true", "auth_identity_role_map": "ada:Admin,otto:Operator", **store}
    with ExitStack() as stack:
        first = stack.enter_context(Server(tmp_path, **roles))
        more = tmp_path / "second"
        more.mkdir()
        place = {} if store else {"state_dir": str(first.state_dir)}
        second = stack.enter_context(Second(more, **roles, **place))
        yield first, second


@pytest.mark.parametrize("store", ["files", "database"], indirect=True)
def test_a_token_counts_at_once_and_ends_within_a_second_on_both_servers(
    servers: tuple[Server, Server], capsys: pytest.CaptureFixture[str]
) -> None:
    ada = [server.client("ada") for server in servers]
    slowest = 0.0
    for number in range(ROUNDS):
        made: Json = ada[number % 2].post("/tokens", {"identity": "otto", "role": "Operator"})
        its = {"authorization": f"Bearer {made['token']}"}
        for server in reversed(servers) if number % 2 == 0 else servers:  # the other one first
            answer = httpx2.get(f"{server.url}/api/v1/caller", headers=its)
            assert answer.status_code == 200, f"round {number}: {answer.text}"
        login = httpx2.post(f"{servers[0].url}/api/v1/login", headers=its)
        session = {"cookie": login.headers["set-cookie"].partition(";")[0]}
        listeners = [Listener(server, **headers) for server in servers for headers in (its, session) * STREAMS]
        for listener in listeners:
            listener.start()
        assert all(listener.opened.wait(30) for listener in listeners)
        began = time.monotonic()
        ada[1 - number % 2].send(f"/tokens/{made['tokenId']}", method="DELETE").raise_for_status()
        for listener in listeners:
            listener.join(30)
        slowest = max(slowest, *(listener.ended_at - began for listener in listeners))
        for server in servers:
            answer = httpx2.get(f"{server.url}/api/v1/caller", headers=its)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AUTH_TOKEN_INVALID")
    with capsys.disabled():
        print(f"\n{ROUNDS} revocations: the last of {4 * STREAMS} streams ended after {slowest * 1000:.0f} ms at most")
    assert slowest < 10 * END_SECONDS
