"""Tests of the egress proxy against raw servers on loopback: passed and refused requests, and every limit."""

import asyncio
import resource
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.definitions.profile import Egress
from athena_core.tools import egress_proxy
from athena_core.tools.destination import Resolve
from athena_core.tools.egress_proxy import (
    EgressLimits,
    EgressProxy,
    EgressRefused,
    EgressRequest,
    connections_of_all_max,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Host:
    """A server on loopback that echoes in capitals, or answers ``OK`` once ``until`` has arrived."""

    until: bytes = b""
    holds: bool = False
    port: int = 0
    connections: int = 0
    got: bytearray = field(default_factory=bytearray)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while piece := await reader.read(65_536):
                self.got += piece
                if not self.until:
                    writer.write(piece.upper())
                elif self.got.endswith(self.until):
                    writer.write(OK)
                    if not self.holds:
                        break
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def hosting(until: bytes = b"", *, holds: bool = False) -> AsyncIterator[Host]:
    host = Host(until, holds)
    listener = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    host.port = listener.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        listener.close()


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def proxy(
    *egress: Egress, limits: EgressLimits | None = None, resolve: Resolve = loopback, closed: bool = False
) -> EgressProxy:
    return EgressProxy(egress, limits, allow_loopback=not closed, resolve=resolve)


async def send(proxy: EgressProxy, *pieces: bytes) -> bytes:
    """Send a request on its own connection and return all that arrives."""
    reader, writer = await asyncio.open_unix_connection(str(proxy.socket))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def tunnel(proxy: EgressProxy, to: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(str(proxy.socket))
    writer.write(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def test_a_request_goes_to_its_host_with_the_host_as_only_host() -> None:
    async with hosting(b"\r\n\r\n") as host, proxy(Egress(host="a.example")) as way:
        answer = await send(
            way,
            f"GET http://a.example:{host.port}/x?q=1#f HTTP/1.1\r\nHost: inner.example\r\nHost: other\r\n"
            "Accept: */*\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nX-Hop: 1\r\n"
            "Connection: keep-alive, X-Hop, content-length\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n".encode(),
        )
    assert answer == OK
    authority = f"host: a.example:{host.port}".encode()
    assert bytes(host.got) == b"GET /x?q=1 HTTP/1.1\r\n" + authority + b"\r\nconnection: close\r\naccept: */*\r\n\r\n"


async def test_a_body_is_passed_on_to_its_last_byte() -> None:
    body = b"b" * 300_000
    async with hosting(b"bEND") as host, proxy(Egress(host="a.example")) as way:
        head = f"POST http://a.example:{host.port}/ HTTP/1.1\r\nContent-Length: {len(body) + 3}\r\n\r\n".encode()
        assert await send(way, head + body[:1], body[1:], b"END") == OK
    assert bytes(host.got).endswith(f"content-length: {len(body) + 3}\r\n\r\n".encode() + body + b"END")


async def test_a_second_request_on_a_connection_never_arrives() -> None:
    """The host of a shared address could take it as a request for another of its names."""
    async with hosting(b"body", holds=True) as host, proxy(Egress(host="a.example")) as way:
        head = f"POST http://a.example:{host.port}/ HTTP/1.1\r\nContent-Length: 4\r\n\r\n".encode()
        smuggled = b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"
        assert b" 400 " in await send(way, head + b"body" + smuggled)
        assert host.connections == 0
        reader, writer = await asyncio.open_unix_connection(str(way.socket))
        writer.write(head + b"body")
        assert await reader.readexactly(len(OK)) == OK
        writer.write(smuggled)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        await host.left.wait()
        writer.close()
    assert b"b.example" not in host.got


async def test_a_tunnel_passes_bytes_and_both_ends() -> None:
    async with hosting() as host, proxy(Egress(host="a.example", port=host.port)) as way:
        reader, writer = await tunnel(way, f"a.example:{host.port}")
        data = b"x" * 1_000_000
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data.upper()
        await host.left.wait()
        writer.close()
    assert len(host.got) == len(data)


async def test_what_follows_a_connect_at_once_is_passed_on() -> None:
    async with hosting(b"now") as host, proxy(Egress(host="a.example", port=host.port)) as way:
        answer = await send(way, f"CONNECT a.example:{host.port} HTTP/1.1\r\n\r\nnow".encode())
    assert answer == egress_proxy.ESTABLISHED + OK


MALFORMED = {
    "no request": b"hello",
    "origin form": b"GET / HTTP/1.1\r\nHost: a.example",
    "no scheme": b"GET a.example/ HTTP/1.1",
    "other scheme": b"GET ftp://a.example/ HTTP/1.1",
    "https without a tunnel": b"GET https://a.example/ HTTP/1.1",
    "user name": b"GET http://a.example@127.0.0.1/ HTTP/1.1",
    "backslash": b"GET http://a.example\\@127.0.0.1/ HTTP/1.1",
    "port 0": b"GET http://a.example:0/ HTTP/1.1",
    "port too high": b"CONNECT a.example:65536 HTTP/1.1",
    "port missing": b"CONNECT a.example HTTP/1.1",
    "port with a sign": b"CONNECT a.example:+443 HTTP/1.1",
    "tunnel to a URL": b"CONNECT http://a.example:443/ HTTP/1.1",
    "tunnel with a user name": b"CONNECT a.example@127.0.0.1:443 HTTP/1.1",
    "IPv6": b"CONNECT [::1]:443 HTTP/1.1",
    "mapped IPv4": b"CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1",
    "IPv6 in a URL": b"GET http://[::ffff:169.254.169.254]/ HTTP/1.1",
    "decimal address": b"CONNECT 2130706433:443 HTTP/1.1",
    "hexadecimal address": b"CONNECT 0x7f.1:443 HTTP/1.1",
    "octal address": b"CONNECT 0177.0.0.1:443 HTTP/1.1",
    "short address": b"CONNECT 127.1:443 HTTP/1.1",
    "percent in a host": b"GET http://%31%32%37.0.0.1/ HTTP/1.1",
    "lower-case method": b"connect a.example:443 HTTP/1.1",
    "HTTP/2": b"PRI http://a.example/ HTTP/2.0",
    "two spaces": b"GET  http://a.example/ HTTP/1.1",
    "tab": b"GET\thttp://a.example/ HTTP/1.1",
    "bare line feed": b"GET http://a.example/ HTTP/1.1\nX: y",
    "line feed in a value": b"GET http://a.example/ HTTP/1.1\r\nX: y\nHost: b",
    "carriage return in a value": b"GET http://a.example/ HTTP/1.1\r\nX: y\rHost: b",
    "zero byte": b"GET http://a.example/ HTTP/1.1\r\nX: \0",
    "folded header": b"GET http://a.example/ HTTP/1.1\r\nX: y\r\n z",
    "space before the colon": b"GET http://a.example/ HTTP/1.1\r\nContent-Length : 5",
    "header without a colon": b"GET http://a.example/ HTTP/1.1\r\nX",
    "two lengths": b"POST http://a.example/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5",
    "list of lengths": b"POST http://a.example/ HTTP/1.1\r\nContent-Length: 5, 5",
    "signed length": b"POST http://a.example/ HTTP/1.1\r\nContent-Length: +5",
    "empty length": b"POST http://a.example/ HTTP/1.1\r\nContent-Length:",
    "endless length": b"POST http://a.example/ HTTP/1.1\r\nContent-Length: " + b"9" * 16,
    "chunks": b"POST http://a.example/ HTTP/1.1\r\nTransfer-Encoding: chunked",
    "chunks and a length": b"POST http://a.example/ HTTP/1.1\r\nContent-Length: 5\r\ntransfer-encoding:\tidentity",
    "too many headers": b"GET http://a.example/ HTTP/1.1" + b"\r\nX: y" * (egress_proxy.HEADERS_MAX + 1),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_request_that_parsers_could_disagree_about_is_refused(name: str) -> None:
    with pytest.raises(EgressRefused) as refused:
        EgressRequest.parse(MALFORMED[name])
    assert refused.value.status in {400, 411}


def test_as_many_headers_as_the_limit_are_taken() -> None:
    EgressRequest.parse(b"GET http://a.example/ HTTP/1.1" + b"\r\nX: y" * egress_proxy.HEADERS_MAX)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_request_or_refused(data: bytes, begun: bool) -> None:
    try:
        request = EgressRequest.parse((b"GET http://a.example/ HTTP/1.1\r\n" if begun else b"") + data)
    except EgressRefused as refused:
        assert refused.answer().startswith(b"HTTP/1.1 4")
    else:
        lines = request.head.split(b"\r\n")
        assert [line for line in lines if line.lower().startswith(b"host:")] == [b"host: a.example"]
        assert not any(b"\n" in line or b"\r" in line for line in lines)


REACHED = (Egress(host="a.example"), Egress(host="*.b.example", port=8443), Egress(host="c.example", port=443))


@pytest.mark.parametrize(
    ("request_line", "allowed"),
    [
        ("CONNECT a.example:443", True),
        ("CONNECT A.Example.:443", True),
        ("CONNECT a.example:22", False),  # a tunnel carries anything
        ("CONNECT a.example:25", False),
        ("CONNECT a.example:80", False),
        ("GET http://a.example/", True),
        ("GET http://a.example:8080/", True),
        ("CONNECT x.b.example:8443", True),
        ("CONNECT x.b.example:443", False),
        ("CONNECT b.example:8443", False),
        ("CONNECT evilb.example:8443", False),
        ("CONNECT c.example:443", True),
        ("GET http://c.example/", False),
        ("CONNECT a.example.evil.example:443", False),
        ("CONNECT 127.0.0.1:443", False),
        ("CONNECT localhost:443", False),
        ("GET http://169.254.169.254/latest/meta-data/", False),
    ],
)
def test_only_hosts_and_ports_of_allowed_egress_are_reached(request_line: str, allowed: bool) -> None:
    request = EgressRequest.parse(f"{request_line} HTTP/1.1".encode())
    if allowed:
        request.check(REACHED)
        return
    with pytest.raises(EgressRefused) as refused:
        request.check(REACHED)
    assert refused.value.status == 403
    assert "allowedEgress" in refused.value.reason


async def test_a_host_that_is_not_allowed_is_not_even_looked_up() -> None:
    """A lookup carries data to the servers of the name."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with hosting() as host, proxy(Egress(host="a.example"), resolve=resolve) as way:
        for line in (f"GET http://b.example:{host.port}/", f"GET http://127.0.0.1:{host.port}/"):
            answer = await send(way, f"{line} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403 Not in allowedEgress\r\n")
        answer = await send(way, f"CONNECT a.example:{host.port} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 Port not in allowedEgress\r\n")
    assert (asked, host.connections) == ([], 0)


def test_without_entries_nothing_is_reached() -> None:
    with pytest.raises(EgressRefused):
        EgressRequest.parse(b"CONNECT a.example:443 HTTP/1.1").check(())


CLOSED = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "168.63.129.16",
          "fd00:ec2::254", "64:ff9b::7f00:1", "0.0.0.0", "224.0.0.1", "fe80::1%eth0")  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
async def test_a_name_with_an_address_that_is_not_public_is_refused(address: str) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14", address]

    async with proxy(Egress(host="a.example"), resolve=resolve, closed=True) as way:
        for line in ("CONNECT a.example:443", "GET http://a.example/"):
            answer = await send(way, f"{line} HTTP/1.1\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403 Address not public\r\n")
    assert asked == ["a.example", "a.example"]


async def test_this_machine_is_out_of_reach_although_it_is_allowed() -> None:
    async with hosting() as host:
        reached = Egress(host="127.0.0.1", port=host.port), Egress(host="localhost", port=host.port)
        async with EgressProxy(reached) as way:
            for name in ("127.0.0.1", "localhost", "LOCALHOST."):
                answer = await send(way, f"CONNECT {name}:{host.port} HTTP/1.1\r\n\r\n".encode())
                assert answer.startswith(b"HTTP/1.1 403 Address not public\r\n")
    assert host.connections == 0


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """The checked address is the one that is connected to: the name is resolved once for each request."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with hosting(b"\r\n\r\n") as host, proxy(Egress(host="a.example"), resolve=resolve) as way:
        head = f"GET http://a.example:{host.port}/ HTTP/1.1\r\n\r\n".encode()
        assert await send(way, head) == OK
        assert answers == [["10.0.0.1"]]
        assert b" 403 " in await send(way, head)


async def test_failures_of_the_network_have_a_sentence() -> None:
    unused = socket.create_server(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    unused.close()

    async def unknown(host: str, port: int) -> list[str]:
        if host == "empty.example":
            return []
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    head = "GET http://{}:{}/ HTTP/1.1\r\n\r\n"
    async with proxy(Egress(host="a.example")) as way:
        assert b"502 Host unreachable" in await send(way, head.format("a.example", port).encode())
    async with proxy(Egress(host="a.example"), Egress(host="empty.example"), resolve=unknown) as way:
        assert b"cannot be resolved" in await send(way, head.format("a.example", 80).encode())
        assert b"no address" in await send(way, head.format("empty.example", 80).encode())


async def test_a_name_that_is_not_resolved_in_time_is_given_up() -> None:
    """A lookup goes on in its thread, so it keeps its place: names cannot use up the threads of the server."""
    asked = 0

    async def never(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return []

    limits = EgressLimits(connect_seconds=0.01)
    async with proxy(Egress(host="*.a.example"), limits=limits, resolve=never) as way:
        heads = [f"CONNECT {number}.a.example:443 HTTP/1.1\r\n\r\n".encode() for number in range(5)]
        for answer in await asyncio.gather(*(send(way, head) for head in heads)):
            assert answer.startswith(b"HTTP/1.1 504 Host timed out\r\n")
    assert asked == egress_proxy.LOOKUPS_MAX


async def test_endless_headers_are_refused() -> None:
    async with proxy(Egress(host="a.example")) as way:
        endless = b"GET http://a.example/ HTTP/1.1\r\nX: " + b"y" * egress_proxy.HEAD_BYTES_MAX
        assert b" 431 " in await send(way, endless)
        assert b" 431 " in await send(way, b"\0" * egress_proxy.HEAD_BYTES_MAX)


async def test_a_slow_client_is_refused() -> None:
    async with proxy(Egress(host="a.example"), limits=EgressLimits(head_seconds=0.01)) as way:
        assert b" 408 " in await send(way, b"GET http://a.example/ HTTP/1.1\r\n")


async def test_connections_beyond_the_limit_wait_and_take_no_descriptors() -> None:
    async with (
        hosting() as host,
        proxy(Egress(host="a.example", port=host.port), limits=EgressLimits(connections_max=2)) as way,
    ):
        to = f"a.example:{host.port}"
        held = [await tunnel(way, to) for _ in range(2)]
        waiting = asyncio.create_task(tunnel(way, to))
        reader, writer = held[0]
        for _ in range(10):  # the loop has gone round: the third would be there
            writer.write(b"x")
            assert await reader.readexactly(1) == b"X"
        assert not waiting.done()
        assert host.connections == 2
        writer.close()
        _, third = await waiting
        for opened in (held[1][1], third):
            opened.close()
    assert host.connections == 3


async def test_the_proxies_of_a_server_leave_it_most_of_its_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that holds all its connections must not stop the log, which needs descriptors too."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    assert connections_of_all_max() == 128
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert connections_of_all_max() == 8_192
    monkeypatch.setattr(egress_proxy, "connections_of_all_max", lambda: 1)
    async with hosting() as host:
        reached = Egress(host="a.example", port=host.port)
        async with proxy(reached) as way, proxy(reached) as other:
            reader, writer = await tunnel(way, f"a.example:{host.port}")
            waiting = asyncio.create_task(tunnel(other, f"a.example:{host.port}"))
            for _ in range(10):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"X"
            assert host.connections == 1
            writer.close()
            (await waiting)[1].close()
    assert host.connections == 2


async def test_bytes_are_limited_over_all_connections() -> None:
    limits = EgressLimits(bytes_max=1_000)
    async with hosting() as host, proxy(Egress(host="a.example", port=host.port), limits=limits) as way:
        to = f"a.example:{host.port}"
        reader, writer = await tunnel(way, to)
        writer.write(b"x" * 400)
        assert len(await reader.readexactly(400)) == 400
        with pytest.raises(asyncio.IncompleteReadError):
            writer.write(b"x" * 400)
            await reader.readexactly(400)
        writer.close()
        answer = await send(way, f"CONNECT {to} HTTP/1.1\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 Egress bytes exceeded\r\n")
    assert b"1000 bytes" in answer
    assert host.connections == 1


@pytest.mark.parametrize("limits", [EgressLimits(idle_seconds=0.01), EgressLimits(connection_seconds=0.1)])
async def test_a_tunnel_ends_when_nothing_moves_or_after_its_longest_time(limits: EgressLimits) -> None:
    async with hosting() as host, proxy(Egress(host="a.example", port=host.port), limits=limits) as way:
        answer = await send(way, f"CONNECT a.example:{host.port} HTTP/1.1\r\n\r\n".encode())
    assert answer in {egress_proxy.ESTABLISHED, b""}


async def test_leaving_ends_tunnels_and_removes_the_socket() -> None:
    async with hosting() as host:
        async with proxy(Egress(host="a.example", port=host.port)) as way:
            reader, writer = await tunnel(way, f"a.example:{host.port}")
            half, half_writer = await tunnel(way, f"a.example:{host.port}")
            half_writer.write_eof()
            silent, silent_writer = await asyncio.open_unix_connection(str(way.socket))
        for end in (reader, half, silent):
            assert await end.read() == b""
        await host.left.wait()
        assert not way.socket.parent.parent.exists()
        with pytest.raises(OSError, match="No such file"):
            await asyncio.open_unix_connection(str(way.socket))
        for opened in (writer, half_writer, silent_writer):
            opened.close()


async def test_a_cancelled_run_leaves_nothing() -> None:
    places: list[Path] = []

    async def run() -> None:
        async with proxy(Egress(host="a.example")) as way:
            places.append(way.socket.parent.parent)
            await tunnel(way, "a.example:443")

    run_task = asyncio.create_task(run())
    while not places:
        await asyncio.sleep(0)
    run_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run_task
    assert not places[0].exists()


async def test_the_socket_is_private_and_its_path_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("d" * 100)
    long.mkdir()
    for place in (tmp_path, long):
        monkeypatch.setattr("tempfile.tempdir", str(place))
        async with proxy() as way, proxy() as other:
            unlisted, directory = way.socket.parent.parent, way.socket.parent
            assert unlisted != other.socket.parent.parent
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (unlisted, directory, way.socket)]
            assert modes == [0o100, 0o700, 0o600]
            assert len(str(way.socket)) <= 107
        assert not unlisted.exists()


async def test_a_directory_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/absent")  # a long path would be left for /tmp
    with pytest.raises(FileNotFoundError):
        async with proxy():
            raise AssertionError
