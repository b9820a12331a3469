"""The access log: one line of JSON for each request, whatever the client sent."""

import asyncio
import json
import logging
import select
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from athena_api.edge.access_log import PATH_CHARS_MAX, AccessLog, AccessRecord, JsonLines, line
from athena_core.clock import FixedClock


def request(**fields: Any) -> AccessRecord:
    known: dict[str, Any] = {
        "at": 1_767_225_600_007,
        "trace_id": "trace",
        "method": "GET",
        "path": "/api/v1/runs",
        "status": 200,
        "ms": 1.23456,
        "identity": "alice",
        "bytes": 12,
    }
    return AccessRecord(**known | fields)


def test_a_request_is_one_line() -> None:
    assert line(request()) == (
        b'{"time":"2026-01-01T00:00:00.007Z","level":"info","traceId":"trace","method":"GET","path":"/api/v1/runs",'
        b'"status":200,"ms":1.235,"identity":"alice","bytes":12}\n'
    )


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


def test_paths_are_cut_and_escaped() -> None:
    assert json.loads(line(request(path="/" * 9999)))["path"] == "/" * PATH_CHARS_MAX
    assert b"\\\\n" in line(request(path="/a\nb"))
    assert b"\x1b" not in line(request(path="/\x1b[31m"))
    assert "/é" in line(request(path="/é")).decode()


@given(st.text(st.characters(exclude_categories=())))
def test_no_path_breaks_the_line(path: str) -> None:
    text = line(request(path=path)).decode()
    assert text.endswith("}\n")
    assert text[:-1].isprintable()
    json.loads(text)


async def test_the_lines_of_a_turn_go_to_the_sink_in_one_piece() -> None:
    pieces: list[bytes] = []
    log = AccessLog(FixedClock(), pieces.append)
    log.request(request())
    log.request(request(status=404))
    assert pieces == []
    await asyncio.sleep(0)
    assert pieces == [line(request()) + line(request(status=404))]
    log.request(request())
    await asyncio.sleep(0)
    assert pieces[1:] == [line(request())]


async def test_no_piece_is_longer_than_a_pipe_takes_whole() -> None:
    pieces: list[bytes] = []
    log = AccessLog(FixedClock(), pieces.append)
    long = request(path="/" + "p" * PATH_CHARS_MAX)
    for _ in range(20):
        log.request(long)
    await asyncio.sleep(0)
    assert b"".join(pieces) == line(long) * 20
    assert all(len(piece) <= select.PIPE_BUF and piece.endswith(b"\n") for piece in pieces)
    assert len(pieces) < 5


async def test_a_bug_is_logged_after_the_requests_before_it() -> None:
    pieces: list[bytes] = []
    log = AccessLog(FixedClock(), pieces.append)
    log.request(request())
    log.exception("trace", KeyError("missing"))  # noqa: PLE1205 - it is not that kind of log
    await asyncio.sleep(0)
    assert [json.loads(piece).get("error") for piece in pieces] == [None, "KeyError"]


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
