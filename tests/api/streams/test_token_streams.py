"""Streams of tokens: they end with the token, with its parent, and with the rights of its identity."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import anyio
import pytest

from athena_api.edge.asgi import Message
from athena_core.clock import FixedDate
from tests.support.api import PATIENCE_SECONDS, soon
from tests.support.gate import Gates
from tests.support.inside import Inside

FEED, TRANSCRIPT, LINES = "/events/stream", "/sessions/s/transcript/stream", "/events"


class Listener:
    """A client of one stream inside of this process."""

    def __init__(self, door: "Door", path: str, headers: dict[str, str]) -> None:
        self.received = bytearray()
        self.status = 0
        self._door = door
        self.over: Future[None] = door.portal.start_task_soon(self._listen, path, headers)
        door.call(self._until_open)

    async def _listen(self, path: str, headers: dict[str, str]) -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/api/v1{path}",
            "raw_path": b"",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 1),
            "scheme": "http",
        }
        gone = anyio.Event()

        async def receive() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            self.received.extend(message.get("body", b""))

        await self._door.app(scope, receive, send)

    async def _until_open(self) -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            while not self.received:
                await anyio.sleep(0)

    @property
    def open(self) -> bool:
        return not self.over.done()

    def ended(self) -> bool:
        self.over.result(PATIENCE_SECONDS)
        return True


class Door(Inside):
    """A plane that demands an identity, on a clock of its own."""

    def __init__(self, directory: Path, model: dict[str, str]) -> None:
        self.clock = FixedDate()
        self.roles = directory / "roles"
        self.roles.write_text("ada:Admin\notto:Operator\n")
        super().__init__(
            directory, self.clock, auth_enabled="true", auth_role_map_file=str(self.roles), scheduler="off", **model
        )

    @property
    def portal(self) -> Any:
        return self._portal

    def create(self, identity: str = "otto", **more: Any) -> tuple[str, str]:
        made = self.data("POST", "/tokens", {"identity": identity, "role": "Operator"} | more, x_athena_identity="ada")
        return str(made["token"]), str(made["tokenId"])

    def listen(self, path: str = FEED, **headers: str) -> Listener:
        return Listener(self, path, headers)

    def session_of(self, token: str) -> str:
        answer = self.ask("POST", "/login", authorization=f"Bearer {token}")
        return str(answer.headers["set-cookie"]).partition(";")[0]

    def revoke(self, token_id: str) -> None:
        self.data("DELETE", f"/tokens/{token_id}", x_athena_identity="ada")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, shared_gates: Gates) -> Iterator[Door]:
    inside = Door(tmp_path_factory.mktemp("door"), shared_gates.settings)
    inside.start()
    inside.data("POST", "/runs", {"input": "hello", "sessionId": "s"}, x_athena_identity="ada")
    yield inside
    inside.stop()


@pytest.mark.parametrize("path", [FEED, TRANSCRIPT])
def test_a_revoked_token_ends_its_streams_and_its_sessions_and_no_others(door: Door, path: str) -> None:
    token, token_id = door.create()
    other, _ = door.create()
    its = [
        door.listen(path, authorization=f"Bearer {token}"),
        door.listen(path, authorization=f"Bearer {token}"),
        door.listen(path, cookie=door.session_of(token)),
    ]
    others = [
        door.listen(path, authorization=f"Bearer {other}"),
        door.listen(path, cookie=door.session_of(other)),
        door.listen(path, **{"x-athena-identity": "otto"}),
    ]
    door.revoke(token_id)
    assert all(listener.ended() for listener in its)
    assert all(listener.open for listener in others)
    assert door.ask("GET", "/caller", authorization=f"Bearer {token}").status_code == 401
    assert door.ask("GET", "/caller", authorization=f"Bearer {other}").status_code == 200


@pytest.mark.parametrize("way", ["token", "session"])
def test_a_revoked_token_ends_its_waits_and_the_run_goes_on(door: Door, shared_gates: Gates, way: str) -> None:
    gate, (token, token_id), (other, _) = shared_gates[f"waits-{way}"], door.create(), door.create()
    page = {"cookie": door.session_of(token), "origin": "http://plane"}
    its = page if way == "session" else {"authorization": f"Bearer {token}"}
    body = {"input": gate.order, "sessionId": f"waits-{way}"}
    sent = [door.portal.start_task_soon(lambda: door.send("POST", "/runs", body, **its))]
    gate.arrival()
    (run,) = door.data("GET", f"/runs?sessionId={body['sessionId']}", x_athena_identity="ada")["items"]
    waits, before = door.app.plane.streams.waits, len(door.app.plane.streams.waits)
    path = f"/runs/{run['runId']}?wait=30"
    sent.append(door.portal.start_task_soon(lambda: door.send("GET", path, **its)))
    kept = door.portal.start_task_soon(lambda: door.send("GET", path, authorization=f"Bearer {other}"))
    for _ in soon():
        if len(waits) == before + 2:
            break
    door.revoke(token_id)
    for answer in sent:
        found = answer.result(PATIENCE_SECONDS)
        assert (found.status_code, found.json()["error"]["code"]) == (401, "AUTH_TOKEN_INVALID")
    assert not kept.done()
    gate.release()
    assert kept.result(PATIENCE_SECONDS).json()["data"]["status"] == "completed"


def test_an_expired_token_ends_its_streams(door: Door) -> None:
    token, _ = door.create(expiresAfterMs=60_000)
    other, _ = door.create(expiresAfterMs=60_001)
    its = [door.listen(authorization=f"Bearer {token}"), door.listen(cookie=door.session_of(token))]
    others = door.listen(authorization=f"Bearer {other}")
    door.call(door.app.plane.tokens.tick)
    assert all(listener.open for listener in its)
    door.clock.advance(60_000)
    door.call(door.app.plane.tokens.tick)
    assert all(listener.ended() for listener in its)
    assert others.open


def test_a_stream_that_opens_after_its_token_ended_ends_at_once(door: Door) -> None:
    token, token_id = door.create()
    tokens = door.app.plane.tokens
    revoked: list[bool] = []

    def identify_then_revoke(text: bytes, peer: str | None = None) -> Any:
        who = identify(text, peer)
        tokens._tokens.pop(token_id, None)  # as a revocation of another server that arrives meanwhile
        revoked.append(True)
        return who

    identify, tokens.identify = tokens.identify, identify_then_revoke  # type: ignore[method-assign]
    try:
        assert door.listen(authorization=f"Bearer {token}").ended()
    finally:
        tokens.identify = identify  # type: ignore[method-assign]
    assert revoked
