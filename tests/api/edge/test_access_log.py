"""The access log: one line of JSON for each request, whatever the client sent."""

import asyncio
import json
import logging
import re
import select
import tracemalloc
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.edge.access_log import (
    AGENT_CHARS_MAX,
    FLUSH_SECONDS,
    PATH_CHARS_MAX,
    AccessLog,
    AccessRecord,
    JsonLines,
    line,
)
from athena_api.edge.terminal_log import TerminalLog, TextLines
from athena_core.clock import FixedClock
from athena_core.mask import Mask
from athena_core.proxies import TrustedProxies
from tests.support.server import Server
from tests.support.virtual_loop import run_virtually


def request(**fields: Any) -> AccessRecord:
    known: dict[str, Any] = {
        "at": 1_767_225_600_007,
        "trace_id": "trace",
        "method": "GET",
        "path": "/api/v1/runs",
        "status": 200,
        "ms": 1.23456,
        "identity": "alice",
        "size": 12,
        "client": "192.0.2.7",
        "agent": b"curl/8.14.1",
    }
    return AccessRecord(**known | fields)


def test_a_request_is_one_line() -> None:
    assert line(request()) == (
        b'{"time":"2026-01-01T00:00:00.007Z","level":"info","traceId":"trace","method":"GET","path":"/api/v1/runs",'
        b'"status":200,"ms":1.235,"identity":"alice","bytes":12,"client":"192.0.2.7","userAgent":"curl/8.14.1"}\n'
    )
    assert json.loads(line(request(run_id="run_1")))["runId"] == "run_1"


def test_without_an_identity_the_field_is_null() -> None:
    assert json.loads(line(request(identity=None)))["identity"] is None


def test_our_own_failures_are_errors() -> None:
    assert [json.loads(line(request(status=status)))["level"] for status in (200, 404, 429, 500, 503)] == [
        "info",
        "info",
        "info",
        "error",
        "error",
    ]


async def test_no_line_holds_what_a_terminal_may_obey() -> None:
    hostile = "\x9b31m \u202e \u2028 \x7f"
    lines: list[bytes] = []
    log = AccessLog(FixedClock(), lines.append)
    log.warning(hostile)
    log.exception("trace", RuntimeError(hostile))  # noqa: PLE1205 - it is not that kind of log
    record = logging.LogRecord(
        "library", logging.WARNING, "", 1, hostile, None, (RuntimeError, RuntimeError(hostile), None)
    )
    lines.append(JsonLines().format(record).encode())
    for text in lines:
        assert not set("\x9b\u202e\u2028\x7f") & set(text.decode())
        assert hostile in "".join(json.loads(text).values())


def test_lines_for_a_terminal_are_masked_and_hold_nothing_that_it_may_obey() -> None:
    time, hostile = r"\d\d:\d\d:\d\d  ", "\x9b31m \x1b[2J \u202e \u2028 \x7f sk-canary-key"
    lines: list[bytes] = []
    log = TerminalLog(FixedClock(), lines.append, Mask(["sk-canary-key"]))
    log.request(request(path="/" + hostile, status=500, run_id="run_1"))
    log.request(request(method="HEAD"))
    log.warning(hostile)
    log.exception("trace", RuntimeError(hostile))  # noqa: PLE1205 - it is not that kind of log
    error = RuntimeError(hostile)
    record = logging.LogRecord("library", logging.WARNING, "", 1, hostile, None, (RuntimeError, error, None))
    lines.append(TextLines(Mask(["sk-canary-key"])).format(record).encode())
    text = b"".join(lines).decode()
    assert not set("\x9b\x1b\u202e\u2028\x7f") & set(text)
    assert "sk-canary" not in text
    assert re.search(rf"^{time}500 GET /.*  1 ms  alice  run_1$", text, re.MULTILINE)
    assert re.search(rf"^{time}Error: RuntimeError \(trace id trace\)\nRuntimeError: ", text, re.MULTILINE)
    assert re.search(rf"{time}Warning: .*RuntimeError: ", text)


def test_paths_are_cut_and_escaped() -> None:
    assert json.loads(line(request(path="/" * 9999)))["path"] == "/" * PATH_CHARS_MAX
    assert b"\\\\n" in line(request(path="/a\nb"))
    assert b"\x1b" not in line(request(path="/\x1b[31m"))
    assert "/é" in line(request(path="/é")).decode()


def test_user_agents_are_masked_cut_and_escaped() -> None:
    def agent(sent: bytes) -> str:
        text = line(request(agent=sent), Mask(("canary-of-a-secret-1234",)))
        assert text.count(b"\n") == 1
        return str(json.loads(text)["userAgent"])

    assert agent(b"a" * 9999) == "a" * AGENT_CHARS_MAX
    assert agent(b"x \x1b[31m\r\n \xe2\x80\xa8") == "x \\x1b[31m\\r\\n \\u2028"
    assert agent(b"\xff\xfe") == "\ufffd\ufffd"
    assert agent(b"key canary-of-a-secret-1234") == "key ***"
    assert json.loads(line(request(agent=None, client=None))) | {"userAgent": None, "client": None} == json.loads(
        line(request(agent=None, client=None))
    )


@given(st.binary(max_size=600))
def test_no_user_agent_breaks_the_line(sent: bytes) -> None:
    text = line(request(agent=sent)).decode()
    assert text[:-1].isprintable()
    assert len(json.loads(text)["userAgent"]) <= 10 * AGENT_CHARS_MAX


@given(st.text(st.characters(exclude_categories=())))
def test_no_path_breaks_the_line(path: str) -> None:
    text = line(request(path=path)).decode()
    assert text.endswith("}\n")
    assert text[:-1].isprintable()
    json.loads(text)


def test_lines_go_to_the_sink_in_one_piece_after_a_moment() -> None:
    async def log_requests() -> None:
        pieces: list[bytes] = []
        log = AccessLog(FixedClock(), pieces.append)
        log.request(request())
        await asyncio.sleep(FLUSH_SECONDS / 2)
        log.request(request(status=404))
        assert pieces == []
        await asyncio.sleep(FLUSH_SECONDS)
        assert pieces == [line(request()) + line(request(status=404))]
        log.request(request())
        await asyncio.sleep(FLUSH_SECONDS * 2)
        assert pieces[1:] == [line(request())]

    run_virtually(log_requests())


async def test_no_piece_is_longer_than_a_pipe_takes_whole() -> None:
    pieces: list[bytes] = []
    log = AccessLog(FixedClock(), pieces.append)
    long = request(path="/" + "p" * PATH_CHARS_MAX)
    for _ in range(20):
        log.request(long)
    log.flush()
    assert b"".join(pieces) == line(long) * 20
    assert all(len(piece) <= select.PIPE_BUF and piece.endswith(b"\n") for piece in pieces)
    assert len(pieces) < 5


async def test_a_bug_is_logged_after_the_requests_before_it() -> None:
    pieces: list[bytes] = []
    log = AccessLog(FixedClock(), pieces.append)
    log.request(request())
    log.exception("trace", KeyError("missing"))  # noqa: PLE1205 - it is not that kind of log
    assert [json.loads(piece).get("error") for piece in pieces] == [None, "KeyError"]


def test_long_user_agents_are_not_kept_in_memory() -> None:
    tracemalloc.start()
    try:
        for number in range(50):
            line(request(agent=b"%d" % number + b"a" * 60_000))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1 << 20


def test_a_bug_is_one_line_with_the_way_to_it() -> None:
    lines: list[bytes] = []
    access_log = AccessLog(FixedClock(), lines.append)
    try:
        raise KeyError("missing \ud800")
    except KeyError as error:
        access_log.exception("trace", error)
    (text,) = lines
    assert text.count(b"\n") == 1
    record = json.loads(text)
    assert record["time"] == "2026-01-01T00:00:00.000Z"
    assert (record["level"], record["traceId"], record["error"]) == ("error", "trace", "KeyError")
    assert "test_access_log.py" in record["traceback"]


# The address of the client


def client(
    peer: str | None, *forwarded: bytes, sent: tuple[bytes, ...] = (), needs: tuple[str, ...] = ()
) -> str | None:
    return TrustedProxies(secrets=needs).client(peer, forwarded, sent)


def test_a_proxy_that_is_trusted_names_the_client() -> None:
    assert client("127.0.0.1", b"198.51.100.1") == "198.51.100.1"
    assert client("127.0.0.1", b"10.9.9.9, 198.51.100.1") == "198.51.100.1", "what the client sent itself"
    assert client("127.0.0.1", b"198.51.100.1", b"::1") == "198.51.100.1", "two proxies, two fields"
    assert client(None, b"198.51.100.1:4711") == "198.51.100.1", "over a Unix socket"
    assert client("127.0.0.1", b"[2001:DB8::1]:80") == "2001:db8::1"
    assert client("127.0.0.1", b'fe80::1%any "text"') == "fe80::1", "a zone may be any text"
    assert client("127.0.0.1") == "127.0.0.1"


def test_a_peer_that_is_not_trusted_is_the_client() -> None:
    assert client("192.0.2.1", b"198.51.100.1") == "192.0.2.1"
    secret = "a-secret-of-the-proxy"
    assert client("127.0.0.1", b"198.51.100.1", needs=(secret,)) == "127.0.0.1"
    assert client("127.0.0.1", b"198.51.100.1", needs=(secret,), sent=(b"wrong",)) == "127.0.0.1"
    assert client("127.0.0.1", b"198.51.100.1", needs=(secret,), sent=(secret.encode(),)) == "198.51.100.1"


@pytest.mark.parametrize(
    "value", [b"", b",", b"evil\r\n", b"\xff", b"1.2.3", b"unknown", b"[::1", b"9" * 9_999, b":" * 999]
)
def test_malformed_addresses_are_not_logged(value: bytes) -> None:
    assert client("127.0.0.1", value) == "127.0.0.1" or client("127.0.0.1", value) == "::1"


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_any_forwarded_field_gives_an_address(values: list[bytes]) -> None:
    found = client("127.0.0.1", *values)
    assert found is not None
    ip_address(found)


def access_lines(server: Server) -> list[dict[str, Any]]:
    entries = (json.loads(text) for text in server.log_path.read_text().splitlines() if text.startswith("{"))
    return [entry for entry in entries if str(entry.get("path", "")).startswith("/api/")]


def test_a_request_is_logged_with_its_client_agent_and_run(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        before = len(access_lines(server))
        forwarded = {"x-forwarded-for": "10.1.1.1, 198.51.100.9", "user-agent": "probe/1\t2"}
        run = server.api.post("/runs", {"input": "hello"})
        server.api.http.get(f"/runs/{run['runId']}", headers=forwarded)
        server.api.http.get("/runs/run_none")
        server.api.http.get("/runs")
        server.stop()
        lines = access_lines(server)[before:]
    assert [entry.get("runId") for entry in lines] == [run["runId"], run["runId"], "run_none", None]
    assert lines[0]["client"] == "127.0.0.1"
    assert (lines[1]["client"], lines[1]["userAgent"]) == ("198.51.100.9", "probe/1\\t2")
