"""Tests of the tool http against a raw server on loopback that counts connections: sent and refused requests."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.definitions.profile import Egress, HttpPolicy, ToolPolicies
from athena_core.mask import Mask
from athena_core.tools.destination import is_public
from athena_core.tools.http import REQUEST_HEADERS, RESPONSE_BYTES, HttpTool
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ToolContext, ToolResult
from athena_core.tools.toolbox import Toolbox
from athena_core.tools.workspace import Workspace
from tests.core.tools.bench import Workbench
from tests.support.canaries import SECRETS

HELLO = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nset-cookie: a=b\r\nx-inside: 1\r\n\r\nhello"
)
Answer = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]


def says(*pieces: bytes) -> Answer:
    """Write and hang up."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


def body(content: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


async def silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@dataclass
class Server:
    """A port that keeps what arrives, counts connections, and records when the client hung up."""

    answer: Answer
    port: int = 0
    connections: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            size = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
            self.bodies.append(await reader.readexactly(size))
            self.asked.set()
            answer = asyncio.create_task(self.answer(writer))
            with suppress(ConnectionError):
                if self.answer is silent:
                    await reader.read()
                    self.left.set()
                    answer.cancel()
                else:
                    await answer
        except asyncio.IncompleteReadError as short:
            self.heads.append(short.partial)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        server.port = listener.sockets[0].getsockname()[1]
        yield server
    finally:
        listener.close()


class Names:
    """A resolver that answers from a list, one entry for each question, and counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.questions: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.questions.append((host, port))
        return self.answers.pop(0)


def reach(workbench: Workbench, names: Names | None = None, *, loopback: bool = True) -> None:
    """Give the workbench a tool http that may reach loopback, with a resolver of the test."""
    workbench.tools = Toolbox((HttpTool(allow_loopback=loopback, resolve=names),))


async def get(workbench: Workbench, server: Server, policy: HttpPolicy | None = None, **arguments: Any) -> ToolResult:
    reach(workbench)
    bench = workbench.reaching(Egress(host="127.0.0.1", port=server.port), http=policy)
    arguments.setdefault("url", f"http://127.0.0.1:{server.port}/")
    return await workbench.call(bench, "http", **arguments)


async def test_a_request_is_sent_as_it_was_asked_for_with_nothing_of_ours(workbench: Workbench) -> None:
    policy = HttpPolicy(methods=("GET", "POST"))
    async with serving(says(HELLO)) as server:
        url = f"HTTP://127.0.0.1:{server.port}/a%20b;c?q=1&q=%2e#part"
        result = await get(
            workbench, server, policy, url=url, method="POST", headers={"Content-Type": "text/x"}, body="zwölf"
        )
    head = server.heads[0].decode().lower().split("\r\n")
    assert head[0] == "post /a%20b;c?q=1&q=%2e http/1.1"
    assert {line.partition(":")[0] for line in head[1:] if line} == {
        "host", "accept", "accept-encoding", "connection", "user-agent", "content-type", "content-length",
    }  # fmt: skip
    assert f"host: 127.0.0.1:{server.port}" in head
    assert "accept-encoding: identity" in head
    assert server.bodies == ["zwölf".encode()]
    assert result.content == "HTTP 200 OK\ncontent-type: text/plain\ncontent-length: 5\n\nhello"
    assert (result.is_error, result.changed, result.truncated) == (False, False, False)


async def test_an_answer_is_evidence_as_what_it_is(workbench: Workbench) -> None:
    for answer, kind, content in (
        (body(b"hello"), "text", "HTTP 200 OK\ncontent-length: 5\n\nhello"),
        (body(b'{"a": 1}'), "json", '{"a": 1}'),
        (body(b"\x00\xff", "content-type: image/png"), "binary", "AP8="),
        (body(b"\x1f\x8b", "content-encoding: gzip"), "binary", "H4s="),
        (body(b"z\xf6lf", "content-type: text/plain; charset=ISO-8859-1"), "text", None),
        (body(b"+AGE-", "content-type: text/plain; charset=utf-7"), "binary", "K0FHRS0="),
    ):
        async with serving(says(answer)) as server:
            result = await get(workbench, server, evidence="answer")
        assert result.shown is not None
        assert (result.shown.type, result.shown.workspace, result.shown.label) == (kind, False, "answer")
        assert content is None or result.shown.content == content
        assert content is not None or "zölf" in result.content


async def test_an_error_status_is_an_error_with_its_text(workbench: Workbench) -> None:
    async with serving(says(body(b"no such thing", status="404 Gibberish"))) as server:
        result = await get(workbench, server)
    assert result.is_error
    assert result.content == "HTTP 404 Not Found\ncontent-length: 13\n\nno such thing"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_the_result_and_not_followed(workbench: Workbench, status: int) -> None:
    async with serving(says(HELLO)) as elsewhere:
        location = f"location: http://127.0.0.1:{elsewhere.port}/secret"
        async with serving(says(body(b"", location, status=f"{status} Go"))) as server:
            result = await get(workbench, server)
    assert location in result.content
    assert "not followed" in result.content
    assert (server.connections, elsewhere.connections, result.is_error) == (1, 0, False)


# Allowed hosts


@pytest.mark.parametrize(
    ("egress", "allowed"),
    [
        (Egress(host="api.example.org"), True),
        (Egress(host="API.example.org"), True),
        (Egress(host="*.example.org"), True),
        (Egress(host="*.org"), True),
        (Egress(host="example.org"), False),
        (Egress(host="*.api.example.org"), False),
        (Egress(host="*.xample.org"), False),
        (Egress(host="pi.example.org"), False),
        (Egress(host="api.example.org", port=1), False),
        (Egress(host="api.example.or"), False),
    ],
)
async def test_a_host_must_be_in_the_list_and_its_port_if_one_is_named(
    workbench: Workbench, egress: Egress, allowed: bool
) -> None:
    names = Names(["127.0.0.1"])
    reach(workbench, names)
    async with serving(says(HELLO)) as server:
        url = f"http://api.example.org:{server.port}/"
        if allowed:
            assert "hello" in (await workbench.call(workbench.reaching(egress), "http", url=url)).content
            assert f"host: api.example.org:{server.port}" in server.heads[0].decode().lower()
        else:
            told = await workbench.refusal(workbench.reaching(egress), "http", url=url)
            assert "allowedEgress" in told
            assert (names.questions, server.connections) == ([], 0)
    assert "it is empty" in await workbench.refusal(workbench.bench(), "http", url=url)


async def test_a_name_is_resolved_once_and_just_that_address_is_connected_to(workbench: Workbench) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    reach(workbench, names)
    async with serving(says(HELLO)) as server:
        bench = workbench.reaching(Egress(host="rebinding.example.org"))
        url = f"http://Rebinding.example.org.:{server.port}/"
        assert "hello" in (await workbench.call(bench, "http", url=url)).content
        assert names.questions == [("rebinding.example.org", server.port)]
        assert "10.0.0.1" in await workbench.refusal(bench, "http", url=url)
    assert server.connections == 1
    assert f"host: rebinding.example.org:{server.port}".encode() in server.heads[0].lower()


CLOSED = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200",
    "169.254.169.254", "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1",
)  # fmt: skip


@pytest.mark.parametrize("address", CLOSED)
async def test_a_name_with_an_address_that_is_not_public_is_refused(workbench: Workbench, address: str) -> None:
    for answer in ([address], ["93.184.215.14", address], [address, "93.184.215.14"]):
        names = Names(answer)
        reach(workbench, names, loopback=False)
        bench = workbench.reaching(Egress(host="*.example.org"))
        told = await workbench.refusal(bench, "http", url="http://a.example.org/")
        assert "not public" in told
        assert len(names.questions) == 1


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_our_own_machine_is_out_of_reach_by_whatever_name(workbench: Workbench) -> None:
    reach(workbench, loopback=False)
    async with serving(says(HELLO)) as server:
        for host in ("127.0.0.1", "localhost", "LOCALHOST", "localhost."):
            bench = workbench.reaching(Egress(host=host.lower().removesuffix(".")))
            told = await workbench.refusal(bench, "http", url=f"http://{host}:{server.port}/")
            assert "not public" in told
    assert server.connections == 0


URLS = (
    "file:///etc/passwd", "ftp://a.example.org/", "gopher://a.example.org/", "//a.example.org/", "a.example.org", "",
    "javascript:alert(1)", "unix:///var/run/docker.sock", "http:", "http://", "http:///path", "http://?", "http://#",
    "http://user@a.example.org/", "http://user:pw@a.example.org/", "http://a.example.org@127.0.0.1/", "http://@/",
    "http://a.example.org\\@127.0.0.1/", "http://127.0.0.1\\.a.example.org/", "http://a.example.org\t/", "http://a b/",
    "http://a.example.org/\r\nhost: b", "http://a.example.org/ü", "http://ａ.example.org/", "http://a。example.org/",
    "http://a.example.org:0/", "http://a.example.org:65536/", "http://a.example.org:x/", "http://a.example.org:-1/",
    "http://a.example.org:٣/", "http://a..example.org/", "http://.example.org/", "http://-a.example.org/",
    "http://a.example.org%2f.b/", "http://a%00.example.org/", "http://a.example.org../", "http://*.example.org/",
    "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fe80::1%25eth0]/", "http://[::1", "http://[a]/",
    "http://0x7f.1/", "http://0x7f000001/", "http://2130706433/", "http://0177.0.0.1/", "http://127.1/", "http://1/",
    "http://127.0.0.1.0x1/", "http://127.0.0.01/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://0x/",
    "http://" + "a" * 64 + ".example.org/", "http://" + "a." * 130 + "example.org/",
)  # fmt: skip


@pytest.mark.parametrize("url", URLS)
async def test_a_url_that_could_be_read_in_two_ways_is_refused_before_anything_is_asked(
    workbench: Workbench, url: str
) -> None:
    names = Names(["127.0.0.1"])
    reach(workbench, names)
    everything = (
        Egress(host="*.org"),
        Egress(host="*.example.org"),
        Egress(host="127.0.0.1"),
        Egress(host="localhost"),
    )
    assert await workbench.refusal(workbench.reaching(*everything), "http", url=url)
    assert names.questions == []


@given(st.text() | st.text(alphabet="htp:/@\\.[]%?#0x127ab*-").map("http://{}".format))
def test_any_url_is_requested_at_a_listed_host_or_refused(url: str) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["10.0.0.1"]

    http = HttpTool(resolve=resolve)
    egress = (Egress(host="*.ab"), Egress(host="a"))
    bench = ToolContext(workspace=Workspace(Path()), mask=Mask(), policies=ToolPolicies(), allowed_egress=egress)

    async def call() -> None:
        with pytest.raises(ToolRefused):
            await http.call({"url": url}, bench)

    asyncio.run(call())
    assert all(host == "a" or host.endswith(".ab") for host in asked)


async def test_the_name_is_what_tls_is_asked_for(workbench: Workbench) -> None:
    hellos: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hellos.append(await reader.read(10_000))
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        reach(workbench, Names(["127.0.0.1"]))
        bench = workbench.reaching(Egress(host="secure.example.org"))
        result = await workbench.call(bench, "http", url=f"https://secure.example.org:{port}/")
    assert (result.is_error, result.content) == (True, f"secure.example.org:{port}: cannot connect")
    assert b"secure.example.org" in hellos[0]
    assert b"127.0.0.1" not in hellos[0]


# Limits of requests and answers


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_only_the_methods_of_the_policy_are_sent(workbench: Workbench, method: str) -> None:
    async with serving(says(body(b""))) as server:
        with pytest.raises(ToolRefused, match="toolPolicies.http.methods"):
            await get(workbench, server, method=method)
        with pytest.raises(ToolRefused, match="toolPolicies.http.methods"):
            await get(workbench, server, HttpPolicy(methods=("GET",)), method=method)
        assert server.connections == 0
        await get(workbench, server, HttpPolicy(methods=(method,)), method=method)  # type: ignore[arg-type]
        with pytest.raises(ToolRefused):
            await get(workbench, server, HttpPolicy(methods=(method,)), method="GET")  # type: ignore[arg-type]
    assert server.heads[0].startswith(method.encode() + b" / ")


@pytest.mark.parametrize(
    "headers",
    [{name: "x"} for name in ("Authorization", "cookie", "HOST", "Connection", "Transfer-Encoding", "X-Forwarded-For")]
    + [{"content-length": "1"}, {"proxy-authorization": "x"}, {"accept\r\nhost": "x"}, {"": "x"}, {"accept ": "x"}]
    + [{"accept": "a\r\nhost: b"}, {"accept": "a\0"}, {"accept": "ü"}, {"accept": "\x7f"}],
)
async def test_headers_that_carry_credentials_or_steer_the_connection_are_not_sent(
    workbench: Workbench, headers: dict[str, str]
) -> None:
    async with serving(says(HELLO)) as server:
        with pytest.raises(ToolRefused, match="Header"):
            await get(workbench, server, headers=headers)
    assert server.connections == 0


async def test_every_header_that_may_be_sent_is_sent(workbench: Workbench) -> None:
    async with serving(says(HELLO)) as server:
        await get(workbench, server, headers={name.title(): f"value of {name}" for name in REQUEST_HEADERS})
    lines = server.heads[0].decode().split("\r\n")
    assert all(any(line.lower() == f"{name}: value of {name}" for line in lines) for name in REQUEST_HEADERS)


async def test_a_reading_request_has_no_body(workbench: Workbench) -> None:
    async with serving(says(HELLO)) as server:
        with pytest.raises(ToolRefused, match="GET requests cannot have a body"):
            await get(workbench, server, body="x")
    assert server.connections == 0


async def test_a_body_is_taken_up_to_its_limit_and_not_unpacked(workbench: Workbench) -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        while True:
            writer.write("ä".encode() * 50_000)
            await writer.drain()

    async with serving(pour) as server:
        result = await get(workbench, server)
        assert result.truncated
        assert f"cut after {RESPONSE_BYTES} bytes" in result.content
        assert result.content.endswith("\n\n" + "ä" * (RESPONSE_BYTES // 2))
        odd = await get(workbench, server, HttpPolicy(response_bytes_max=3), evidence="x")
        assert odd.content.endswith("[the body was cut after 3 bytes]\n\nä")
    async with serving(says(body(b"abc"))) as server:
        whole = await get(workbench, server, HttpPolicy(response_bytes_max=3))
        assert (whole.truncated, whole.content[-5:]) == (False, "\n\nabc")


async def drips(writer: asyncio.StreamWriter) -> None:
    """Send a byte of a header now and then: no silence is long, and the whole never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        writer.write(b"y")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [silent, drips])
async def test_a_server_that_takes_too_long_is_left_at_the_time_limit(workbench: Workbench, answer: Answer) -> None:
    async with serving(answer) as server:
        result = await get(workbench, server, HttpPolicy(timeout_ms=300))
        assert result.is_error
        assert "timed out after 300 ms" in result.content
        assert "toolPolicies.http.timeoutMs" in result.content
        if answer is silent and server.asked.is_set():  # the time may end before the server has the request
            await server.left.wait()


async def test_a_name_that_does_not_resolve_in_time_is_given_up(workbench: Workbench) -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    workbench.tools = Toolbox((HttpTool(resolve=never),))
    bench = workbench.reaching(Egress(host="a.example.org"), http=HttpPolicy(timeout_ms=50))
    assert "timed out after 50 ms" in (await workbench.call(bench, "http", url="http://a.example.org")).content


async def test_cancelling_closes_the_connection(workbench: Workbench) -> None:
    async with serving(silent) as server:
        call = asyncio.create_task(get(workbench, server))
        await server.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.left.wait()


@pytest.mark.parametrize(
    "answer",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", b"HTTP/1.1 999999 X\r\n\r\n"]
    + [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"]
    + [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"\x16\x03\x01\x00"],
)
async def test_an_answer_that_is_none_is_an_error_of_one_line(workbench: Workbench, answer: bytes) -> None:
    async with serving(says(answer)) as server:
        result = await get(workbench, server)
    assert result.is_error
    assert "the connection broke" in result.content
    assert len(result.content) < 200


async def test_a_server_that_is_not_there_is_an_error_and_the_next_address_is_tried(workbench: Workbench) -> None:
    async with serving(says(HELLO)) as server:
        reach(workbench, Names(["127.0.0.9", "127.0.0.1"]))
        bench = workbench.reaching(Egress(host="a.example.org"))
        url = f"http://a.example.org:{server.port}/"
        assert "hello" in (await workbench.call(bench, "http", url=url)).content
    for answers, told in ((["127.0.0.1", "127.0.0.9"], "cannot connect"), ([], "the name has no address")):
        reach(workbench, Names(answers))
        result = await workbench.call(bench, "http", url=url)
        assert result.is_error
        assert result.content == f"a.example.org:{server.port}: {told}"


async def test_characters_that_cannot_be_stored_are_replaced(workbench: Workbench) -> None:
    async with serving(says(body(b"a\0b", "content-type: text/plain"))) as server:
        result = await get(workbench, server, evidence="x\0")
    assert result.content.endswith("a\ufffdb")
    assert result.shown is not None
    assert "\0" not in result.shown.label + result.shown.content


@pytest.mark.parametrize(
    ("method", "again"),
    [("GET", True), ("HEAD", True), ("POST", False), ("PUT", False), ("PATCH", False), ("DELETE", False)],
)
def test_only_what_reads_may_be_repeated(method: str, again: bool) -> None:
    assert HttpTool().repeatable({"url": "http://a", "method": method}) is again
    assert HttpTool().repeatable({"url": "http://a"})


@pytest.mark.parametrize("secret", [SECRETS[0], "https://ann:canary-of-ann@host/"])
@pytest.mark.parametrize("shift", range(3))
async def test_no_part_of_a_secret_is_shown_in_text_in_base64_or_where_a_body_is_cut(
    workbench: Workbench, secret: str, shift: int
) -> None:
    plain = b"." * shift + b" " + secret.encode() + b" end"
    for body, encoding in ((plain, ""), (plain + b"\xff", ""), (plain, "gzip"), (secret.encode("utf-16"), "")):
        head = f"HTTP/1.1 200 OK\r\nlocation: {secret}\r\ncontent-encoding: {encoding}\r\n\r\n".encode()
        for limit in (None, *range(shift + 4, len(body), 5)):
            policy = HttpPolicy(response_bytes_max=limit)
            async with serving(says(head.replace(b"content-encoding: \r\n", b"") + body)) as server:
                result = await get(workbench, server, policy, evidence="it")
            assert result.shown is not None
            for text in (result.content.partition("\n\n")[2], result.shown.content.partition("\n\n")[2]):
                assert "canary" not in text
                assert base64.b64encode(b"canary")[:-2] not in text.encode()
            if limit is None and (body != plain or encoding):
                assert "is not text and holds a secret; it is not shown" in result.content
