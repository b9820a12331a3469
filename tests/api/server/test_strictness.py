"""Requests that RFC 9112 does not allow are refused with a reason, on every path, and close the connection."""

import pytest

from tests.support.server import Server, server_of_module
from tests.support.wire import exchange

HOST = b"host: localhost\r\n"
CLOSE = b"connection: close\r\n"
CHUNKS = b"\r\n0\r\n\r\n"


server = server_of_module()


def line(version: bytes = b"HTTP/1.1", target: bytes = b"%b", method: bytes = b"GET") -> bytes:
    """Return a request line; ``%b`` stands for a path."""
    return method + b" " + target + b" " + version + b"\r\n"


BAD: dict[str, tuple[bytes, int, str]] = {
    "no host": (line() + b"\r\n", 400, "host"),
    "two hosts": (line() + HOST + HOST + b"\r\n", 400, "host"),
    "two spellings of host": (line() + HOST + b"Host: localhost\r\n\r\n", 400, "host"),
    "two hosts in 1.0": (line(b"HTTP/1.0") + HOST + HOST + b"\r\n", 400, "host"),
    "userinfo": (line() + b"host: ada@localhost\r\n\r\n", 400, "host"),
    "a path in the host": (line() + b"host: localhost/x\r\n\r\n", 400, "host"),
    "a list of hosts": (line() + b"host: localhost, localhost\r\n\r\n", 400, "host"),
    "a letter in the port": (line() + b"host: localhost:8a\r\n\r\n", 400, "host"),
    "no version": (b"GET %b\r\n\r\n", 505, "HTTP/1.1"),
    "0.9": (line(b"HTTP/0.9") + b"\r\n", 505, "HTTP/1.1"),
    "2.0": (line(b"HTTP/2.0") + HOST + b"\r\n", 505, "HTTP/1.1"),
    "3.0": (line(b"HTTP/3.0") + HOST + b"\r\n", 505, "HTTP/1.1"),
    "1.2": (line(b"HTTP/1.2") + HOST + b"\r\n", 505, "HTTP/1.1"),
    "another protocol": (line(b"RTSP/1.0") + HOST + b"\r\n", 400, "request line"),
    "two spaces before the target": (b"GET  %b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "two spaces behind the target": (b"GET %b  HTTP/1.1\r\n" + HOST + b"\r\n", 400, "request line"),
    "a fragment": (line(target=b"%b#f") + HOST + b"\r\n", 400, "target"),
    "another host": (line(target=b"http://elsewhere%b") + HOST + b"\r\n", 400, "target"),
    "another port": (line(target=b"http://localhost:1%b") + HOST + b"\r\n", 400, "target"),
    "userinfo in the target": (line(target=b"http://a@localhost%b") + HOST + b"\r\n", 400, "target"),
    "another scheme": (line(target=b"ftp://localhost%b") + HOST + b"\r\n", 400, "target"),
    "gzip": (line() + HOST + b"transfer-encoding: gzip, chunked\r\n" + CHUNKS, 501, "transfer-encoding"),
    "gzip before": (
        *(line() + HOST + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n" + CHUNKS, 501),
        "transfer-encoding",
    ),
    "chunks in 1.0": (line(b"HTTP/1.0") + HOST + b"transfer-encoding: chunked\r\n" + CHUNKS, 400, "transfer-encoding"),
    "chunked twice": (line() + HOST + b"transfer-encoding: chunked, chunked\r\n" + CHUNKS, 400, "Transfer-Encoding"),
    "both lengths": (line() + HOST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n" + CHUNKS, 400, "Length"),
    "a list of lengths": (line() + HOST + b"content-length: 1, 1\r\n\r\na", 400, "Content-Length"),
    "two lengths": (line() + HOST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", 400, "Content-Length"),
    "a length in hex": (line() + HOST + b"content-length: 0x5\r\n\r\n{}", 400, "Content-Length"),
    "a signed length": (line() + HOST + b"content-length: +1\r\n\r\na", 400, "Content-Length"),
    "a null byte": (line() + HOST + b"x: a\x00b\r\n\r\n", 400, "header"),
    "a handshake of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "method"),
    "space before the colon": (line() + b"host : localhost\r\n\r\n", 400, "header"),
    "an empty name": (line() + HOST + b": x\r\n\r\n", 400, "header"),
    "a folded line": (line() + HOST + b"x: a\r\n b\r\n\r\n", 400, "header"),
    "a bare LF": (line() + HOST + b"x: a\ny: b\r\n\r\n", 400, "header"),
    "a bare CR": (line() + HOST + b"x: a\rb\r\n\r\n", 400, "header"),
    "LF as line ends": (line().replace(b"\r", b"") + b"host: localhost\n\n", 400, "CRLF"),
}


@pytest.mark.parametrize("path", [b"/livez", b"/api/v1/runs", b"/nothing"])
@pytest.mark.parametrize("name", BAD)
def test_a_request_that_the_standard_forbids_is_refused(server: Server, name: str, path: bytes) -> None:
    head, status, word = BAD[name]
    answer = exchange(server.url, [head.replace(b"%b", path) + b"GET /livez HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"])
    assert (answer.status, answer.body.count(b"HTTP/1.1 2")) == (status, 0), "the bytes behind it are not read"
    error = answer.error
    assert word in error["message"] and error["retryable"] is False
    assert error["code"] == {400: "CONFIG_ERROR", 501: "TRANSFER_CODING_UNKNOWN", 505: "HTTP_VERSION_UNKNOWN"}[status]


@pytest.mark.parametrize("name", BAD)
def test_such_a_request_behind_a_good_one_in_its_packet_is_not_executed(server: Server, name: str) -> None:
    head, _, _ = BAD[name]
    good = line(target=b"/livez?good") + HOST + b"\r\n"
    answer = exchange(server.url, [good + head.replace(b"%b", b"/livez") + good])
    assert (answer.status, answer.body.count(b"HTTP/1.1 2")) == (200, 0), "it is not answered, nor read on"


GOOD: dict[str, bytes] = {
    "plain": line() + HOST,
    "1.0": line(b"HTTP/1.0") + HOST,
    "1.0 without a host": line(b"HTTP/1.0"),
    "the absolute form": line(target=b"http://localhost%b") + HOST,
    "the absolute form of https": line(target=b"HTTPS://LocalHost%b?x") + HOST,
    "the asterisk form": line(target=b"*", method=b"OPTIONS") + HOST,
    "an empty line before it": b"\r\n" + line() + HOST,
    "chunks": line(method=b"POST") + HOST + b"Transfer-Encoding: Chunked\r\n",
    "a port": line() + b"host: localhost:8787\r\n",
    "an address": line() + b"host: [::1]:80\r\n",
    "tabs around a value": line() + b"host:\t localhost \t\r\n",
}


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("name", GOOD)
def test_a_request_that_it_allows_passes_in_pieces_and_in_a_row(server: Server, name: str, size: int) -> None:
    end = CHUNKS if name == "chunks" else b"\r\n"
    one = GOOD[name].replace(b"%b", b"/livez") + b"connection: keep-alive\r\n" + end
    last = line(target=b"/livez") + HOST + CLOSE + b"\r\n"
    data = one * (1 if "1.0" in name else 2) + last
    answer = exchange(server.url, [data[place : place + size] for place in range(0, len(data), size)])
    expected = {"chunks": 404, "the asterisk form": 204}.get(name, 200)
    assert answer.status == expected, answer.body
