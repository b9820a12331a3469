"""TLS: the limits of connections hold as without it, and a renewed certificate is used without a restart."""

import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from athena_api.edge.protocol import HttpProtocol
from athena_api.edge.tls import TlsConnection, TlsServer
from athena_core.system.certificate import Certificate
from tests.support.api import PATIENCE_SECONDS, events_of, soon, until, until_caught_up
from tests.support.certificates import MISSING, OPENSSL, Pair, make_pair
from tests.support.connection import Application, Line, turns
from tests.support.server import Server
from tests.support.wire import ask, connect, exchange

pytestmark = pytest.mark.skipif(OPENSSL is None, reason=MISSING)

HEAD = b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\n"
GREETING = bytes.fromhex("1603010200010001fc0303")
"""The begin of a client's first message."""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Server]:
    """A server with short timeouts."""
    times = {"header_timeout_ms": "400", "body_timeout_ms": "400"}
    with Server(tmp_path_factory.mktemp("hasty"), **pair.settings, **times) as server:
        yield server


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Server]:
    """A server that takes large inputs, and cuts off clients that stop reading after a second."""
    limits = {"answers_in_flight_bytes_max": "2000000", "send_timeout_ms": "1000", "context_max_chars": "1000000"}
    with Server(tmp_path_factory.mktemp("roomy"), **pair.settings, **limits) as server:
        yield server


def plain(server: Server) -> socket.socket:
    """Return a connection to the server without TLS."""
    return connect(server.url.replace("https", "http"))


def test_requests_are_answered_as_without_it(roomy: Server, hasty: Server) -> None:
    assert roomy.api.run("hello")["output"] == "Echo: user: hello"
    assert ask(roomy.url, "GET", b"/livez").status == 200
    pieces = [HEAD + b"connection: close\r\ncontent-length: 13\r\n\r\n", *(b"%c" % byte for byte in b'{"input":"x"}')]
    answer = exchange(roomy.url, pieces)  # each piece is a record of its own
    assert answer.status == 200
    two = exchange(hasty.url, [b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n" * 2 + b"GET /live"])
    assert two.status == 200
    assert two.body.count(b"HTTP/1.1 200 ") == 1
    assert b"HTTP/1.1 408 " in two.body


def test_a_large_body_and_a_large_answer_pass(roomy: Server) -> None:
    said = "x" * 900_000
    run = roomy.api.send("/runs", {"input": said}).json()["data"]
    assert run["output"].endswith(said)
    assert roomy.api.get(f"/runs/{run['runId']}")["output"] == run["output"]


def test_an_old_version_of_tls_is_refused(roomy: Server) -> None:
    hello = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x06\xc0\x13\xc0\x14\x00\x2f" + b"\x01\x00"  # TLS 1.1
    message = b"\x01" + len(hello).to_bytes(3) + hello
    with plain(roomy) as connection:
        connection.sendall(b"\x16\x03\x01" + len(message).to_bytes(2) + message)
        alert = connection.recv(1_000)
        assert (alert[0], alert[5:]) == (21, bytes((2, 70))), "fatal: protocol version"
        assert connection.recv(1_000) == b""


def test_it_speaks_http_1_1_only(roomy: Server) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(plain(roomy), server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


# Clients that do not complete the handshake


def test_http_without_tls_gets_the_remedy(roomy: Server) -> None:
    answer = exchange(roomy.url.replace("https", "http"), [b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"])
    assert (answer.status, answer.error["code"]) == (400, "CONFIG_ERROR")
    assert answer.error["message"] == "This port expects TLS. Use https:// in the URL."
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("sent", [b"\x00" * 100, b"\xff", b"\x80\x2e\x01\x00\x02", b"\r\n\r\n"])
def test_bytes_that_are_neither_are_closed_without_an_answer(hasty: Server, sent: bytes) -> None:
    with plain(hasty) as connection:
        connection.sendall(sent)
        assert connection.recv(1_000) == b""


@pytest.mark.parametrize("sent", [GREETING + b"\xff" * 600, b"\x16" + b"G" * 600, b"\x16\x03\x01\x00\x05hello"])
def test_a_malformed_handshake_ends_with_an_alert(hasty: Server, sent: bytes) -> None:
    with plain(hasty) as connection:
        connection.sendall(sent)
        received = connection.recv(1_000)
        assert received[:1] in {b"", b"\x15"}
        assert not received or connection.recv(1_000) == b""


@pytest.mark.parametrize("sent", [b"", GREETING])
def test_handshakes_that_never_complete_end_at_the_timeout_of_heads(hasty: Server, sent: bytes) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(plain(hasty)) for _ in range(200)]
        for connection in opened:
            connection.sendall(sent)
        assert hasty.api.http.get(f"{hasty.url}/livez").status_code == 200
        for connection in opened:
            connection.settimeout(PATIENCE_SECONDS)
            with suppress(ConnectionResetError):  # what it sent was not read
                assert connection.recv(1) == b""
    assert hasty.api.get("/admin/health")["status"] == "ok"


def test_a_client_that_is_silent_after_the_handshake_is_closed(hasty: Server) -> None:
    with connect(hasty.url) as connection:
        assert connection.recv(1) == b""


# Clients that stop reading


def stalled(server: Server, target: bytes) -> ssl.SSLSocket:
    """Return a client that has read the status of an answer, and reads no more."""
    client = connect(server.url)
    assert isinstance(client, ssl.SSLSocket)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.sendall(b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    return client


def test_clients_that_stop_reading_have_a_budget_and_are_cut_off(roomy: Server) -> None:
    run = roomy.api.send("/runs", {"input": "x" * 900_000}).json()["data"]["runId"]
    target = f"/api/v1/runs/{run}".encode()
    with stalled(roomy, target) as first, stalled(roomy, target) as second:
        assert (first.recv(12), second.recv(12)) == (b"HTTP/1.1 200", b"HTTP/1.1 200")
        statuses = set()
        for _ in soon():  # they stay open, so only the server can end them
            answer = ask(roomy.url, "GET", target)
            statuses.add(answer.status)
            if answer.status == 200 and 503 in statuses:
                break


# Renewal


def names_of(server: Server) -> str:
    """Return the name in the certificate that a new connection gets."""
    assert OPENSSL is not None
    with connect(server.url) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        certificate = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
    command = [OPENSSL, "x509", "-noout", "-subject", "-nameopt", "multiline"]
    shown = subprocess.run(command, input=certificate, check=True, capture_output=True, text=True).stdout
    return shown.rpartition(" = ")[2].strip()


def problems(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.client().get("/admin/health")["problems"]
    return found


def test_sighup_reloads_the_certificate_and_open_streams_go_on(pair: Pair, tmp_path: Path) -> None:
    used = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    used.replace(pair)
    with Server(tmp_path / "server", **used.settings) as server, server.api.stream(types="run.completed") as stream:
        until_caught_up(stream)
        assert names_of(server) == "first"

        used.key.write_text("half a key")  # a renewal that fails
        server.signal(signal.SIGHUP)
        until(lambda: bool(problems(server)))
        (problem,) = problems(server)
        assert problem["loop"] == "tls.certificate"
        assert "has no private key in PEM" in problem["message"]
        assert names_of(server) == "first"

        used.replace(make_pair(tmp_path / "second"))
        server.signal(signal.SIGHUP)
        until(lambda: names_of(server) == "second")
        run = server.client().run("after the renewal")  # it trusts the new one
        assert next(events_of(stream))["runId"] == run["runId"]
        assert not problems(server)
        shown = server.client().http.get(server.url + "/metrics").text
        (expiry,) = re.findall(r"^athena_tls_certificate_expiry_timestamp_seconds (\d+)$", shown, re.MULTILINE)
        assert int(expiry) * 1000 == Certificate(*used).current.not_after
        assert "tls.certificate works again" in server.log_path.read_text()


def test_a_stop_waits_for_no_client(pair: Pair, tmp_path: Path) -> None:
    with Server(tmp_path / "server", **pair.settings) as server:
        with connect(server.url) as idle, plain(server), plain(server) as greeted:
            greeted.sendall(GREETING)
            idle.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            assert server.stop() == 0
        assert "Cancel" not in server.log_path.read_text()  # uvicorn reports it after its timeout


# The connection on its own, without a socket


class Wire(Line):
    """A socket whose kernel takes as many bytes as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.unread = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = self.closed = True


class Client:
    """A TLS client of a connection."""

    def __init__(self, application: Application, pair: Pair) -> None:
        self.wire = Wire()
        config = Config(application, http=HttpProtocol, ws="none", lifespan="off", log_config=None, log_level="error")
        config.load()
        self.state = ServerState()
        self.server = TlsServer(Certificate(*pair), 10)
        self.connection = self.server(config, self.state, {})
        self.connection.connection_made(self.wire)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing)

    def pump(self) -> None:
        """Carry the bytes of both sides to the other one."""
        assert isinstance(self.connection, TlsConnection)
        if self._outgoing.pending:
            self.connection.data_received(self._outgoing.read())
        written, self.wire.written = self.wire.written, b""
        self._incoming.write(written)

    def shake_hands(self) -> Self:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.pump()
            else:
                break
        self.pump()
        return self

    @property
    def protocol(self) -> HttpProtocol:
        (found,) = self.state.connections
        assert isinstance(found, HttpProtocol)
        return found

    async def ask(self) -> bytes:
        """Send a request. Return the first bytes of the answer."""
        self.tls.write(b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n")
        self.pump()
        await turns()
        self.pump()
        return self.tls.read(12)


async def test_unread_bytes_are_counted_by_the_socket(pair: Pair) -> None:
    client = Client(Application(), pair).shake_hands()
    assert await client.ask() == b"HTTP/1.1 200"
    assert not client.server.handshakes
    client.wire.unread = 500_000
    assert client.protocol.flow.unread == 500_000
    client.connection.pause_writing()
    now = client.protocol.loop.time()
    for second in range(60):  # a slow client takes what it must
        client.wire.unread -= 5_000
        client.protocol.check(now + second)
    assert not client.wire.aborted
    for second in range(60, 80):  # then it stops
        client.protocol.check(now + second)
    assert client.wire.aborted


async def test_an_answer_that_closes_the_connection_is_sent_whole_first(pair: Pair) -> None:
    client = Client(Application(), pair).shake_hands()
    client.tls.write(b"GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    client.pump()
    await turns()
    assert client.wire.closed
    assert not client.wire.aborted
    client.wire.unread = 500_000
    protocol = client.protocol
    now = protocol.loop.time()
    for second in range(60):
        client.wire.unread -= 5_000
        protocol.check(now + second)
    assert not client.wire.aborted
    client.pump()
    answer = client.tls.read(10_000)
    assert answer.startswith(b"HTTP/1.1 200")
    assert client.tls.read(1) == b"", "the goodbye, without which an attacker could cut an answer"
    client.connection.connection_lost(None)
    assert not client.state.connections


async def test_nothing_is_sent_or_read_after_the_end(pair: Pair) -> None:
    client = Client(Application(), pair).shake_hands()
    connection = client.connection
    assert isinstance(connection, TlsConnection)
    connection.close()
    goodbye = client.wire.written
    connection.close()
    connection.write(b"late")
    connection.data_received(b"\x17\x03\x03\x00\x01x")
    assert client.wire.written == goodbye


@pytest.mark.parametrize("damage", [b"\x17\x03\x03\x00\x05hello", b"\x00" * 50, b"GET / HTTP/1.1\r\n\r\n"])
async def test_a_damaged_record_ends_the_connection(pair: Pair, damage: bytes) -> None:
    application = Application()
    client = Client(application, pair).shake_hands()
    assert isinstance(client.connection, TlsConnection)
    client.connection.data_received(damage)
    await turns()
    assert client.wire.closed
    assert not application.seen


async def test_a_handshake_has_one_limit_however_it_trickles(pair: Pair) -> None:
    client = Client(Application(), pair)
    assert isinstance(client.connection, TlsConnection)
    due = client.connection.due
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    for byte in client._outgoing.read()[:-1]:
        client.connection.data_received(bytes((byte,)))
    assert client.connection.due == due
    client.server.check(due)
    assert not client.wire.closed
    client.server.check(due + 0.01)
    assert client.wire.aborted
    client.connection.connection_lost(None)
    assert not client.server.handshakes


async def test_a_client_that_says_goodbye_is_answered_and_closed(pair: Pair) -> None:
    application = Application()
    client = Client(application, pair).shake_hands()
    client.tls.write(b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.pump()
    await turns()
    assert client.wire.closed
