"""The Python client against servers that break, hang, lie and talk without end, over real sockets."""

import asyncio
import json
import socket
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_client import AsyncAthena, Athena, AthenaError, InvalidAnswer, Unreachable
from athena_client._async.clock import AsyncClock
from athena_client._sync.clock import Clock
from athena_client.frames import Frame, FrameParser, FrameTooLarge
from athena_client.wire import BACKOFF_SECONDS_MAX, USER_AGENT, authorities, backoff, retry_after
from tests.support.odd_server import (
    STREAM_HEAD,
    OddServer,
    hangs_after,
    odd_server,
    response,
    sends,
    sends_without_end,
)

GOOD = sends(response(200, b'{"ok":true,"data":{"a":1}}'))
PAGE = b"<html><body>Bad gateway</body></html>"


class FastClock(Clock):
    """A clock that does not wait, and remembers how long it should have."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds

    def fraction(self) -> float:
        return 0.5


def failure(status: int, code: str = "OVERLOADED", retry: str | None = "same-key", *lines: str) -> bytes:
    error: dict[str, Any] = {"code": code, "message": "busy", "retryable": retry is not None, "traceId": "t"}
    if retry is not None:
        error["retryWith"] = retry
    return response(status, json.dumps({"ok": False, "error": error}).encode(), "application/json", *lines)


def client(server: OddServer, **options: Any) -> Athena:
    return Athena(server.url, timeout=options.pop("timeout", 5.0), clock=options.pop("clock", FastClock()), **options)


def post(athena: Athena) -> Any:
    return athena.request("POST", "/directives", dict, body={"input": "x", "kind": None})


BROKEN = {
    "nothing": sends(),
    "half-a-head": sends(b"HTTP/1.1 200 OK\r\ncontent-ty"),
    "half-a-body": sends(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"),
    "another-protocol": sends(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "page-502": sends(response(502, PAGE, "text/html")),
    "page-503": sends(response(503, b"", "text/plain")),
    "page-504": sends(response(504, PAGE, "text/html")),
    "json-502": sends(response(502, b'{"message": "no healthy upstream"}')),
    "error-503": sends(failure(503)),
}


@pytest.mark.parametrize("how", sorted(BROKEN))
def test_what_a_broken_connection_or_a_proxy_answers_is_asked_again_with_the_same_key(how: str) -> None:
    with odd_server(BROKEN[how], BROKEN[how], GOOD) as server, client(server) as athena:
        assert post(athena) == {"a": 1}
        assert (len(server.requests), len(set(server.header("idempotency-key")))) == (3, 1)
        post(athena)
        assert len(set(server.header("idempotency-key"))) == 2, "another call has another key"
        assert set(server.header("user-agent")) == {USER_AGENT}
        assert server.requests[0].endswith('{"input":"x"}')


@pytest.mark.parametrize("how", sorted(BROKEN))
async def test_the_asynchronous_half_asks_again_as_well(how: str) -> None:
    class Fast(AsyncClock):
        """A clock that does not wait."""

        async def sleep(self, seconds: float) -> None:
            assert seconds <= BACKOFF_SECONDS_MAX

    with odd_server(BROKEN[how], GOOD) as server:
        async with AsyncAthena(server.url, clock=Fast()) as athena:
            assert await athena.request("GET", "/caller", dict) == {"a": 1}


FINAL: dict[str, tuple[bytes, type[AthenaError], str]] = {
    "new-key": (failure(502, "PROVIDER_ERROR", "new-key"), AthenaError, "PROVIDER_ERROR"),
    "not-retryable": (failure(404, "NOT_FOUND", None), AthenaError, "NOT_FOUND"),
    "captive-portal": (response(200, PAGE, "text/html"), InvalidAnswer, "INVALID_ANSWER"),
    "html-404": (response(404, PAGE, "text/html"), InvalidAnswer, "INVALID_ANSWER"),
    "redirect": (response(302, b"", "text/plain", "location: http://127.0.0.1:9/"), InvalidAnswer, "INVALID_ANSWER"),
    "no-content": (b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", InvalidAnswer, "INVALID_ANSWER"),
    "another-shape": (response(200, b'{"ok":true,"data":[1]}'), InvalidAnswer, "INVALID_ANSWER"),
    "not-ok": (response(200, b'{"ok":false}'), AthenaError, "UNKNOWN_ERROR"),
    "list": (response(200, b"[]"), InvalidAnswer, "INVALID_ANSWER"),
    "bad-gzip": (
        response(200, b"no gzip", "application/json", "content-encoding: gzip"),
        InvalidAnswer,
        "INVALID_ANSWER",
    ),
    "noise": (response(200, b"\xff\xfe\x00"), InvalidAnswer, "INVALID_ANSWER"),
    "noise-in-an-error": (
        response(200, b'{"ok":false,"error":{"code":"\xff","message":""}}'),
        InvalidAnswer,
        "INVALID_ANSWER",
    ),
    "noise-in-a-name": (response(200, b'{"ok":true,"data":{"\xff":1}}'), InvalidAnswer, "INVALID_ANSWER"),
    "deep": (response(200, b'{"ok":true,"data":' + b"[" * 200_000), InvalidAnswer, "INVALID_ANSWER"),
    "deep-details": (
        response(200, b'{"ok":false,"error":{"code":"X","message":"","details":' + b"[" * 200_000),
        InvalidAnswer,
        "INVALID_ANSWER",
    ),
}


@pytest.mark.parametrize("how", sorted(FINAL))
def test_a_final_answer_is_raised_at_once(how: str) -> None:
    content, kind, code = FINAL[how]
    with odd_server(sends(content)) as server, client(server) as athena:
        with pytest.raises(kind) as caught:
            post(athena)
        assert (caught.value.code, len(server.requests)) == (code, 1)
        assert caught.value.request == "POST /api/v1/directives"


def test_the_deadline_ends_the_attempts_and_the_last_error_is_raised() -> None:
    clock = FastClock()
    with odd_server(sends(failure(503))) as server, client(server, clock=clock, deadline=30.0) as athena:
        with pytest.raises(AthenaError, match="OVERLOADED") as caught:
            post(athena)
        assert (caught.value.status, caught.value.trace_id, caught.value.retry_with) == (503, "t", "same-key")
        assert 25.0 < sum(clock.sleeps) < 30.0
        assert len(server.requests) == len(clock.sleeps) + 1
    assert clock.sleeps[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.5]


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1:9", "127.0.0.1:9", "localhost", "/x", "http://"])
def test_a_url_of_another_kind_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL such as http"):
        Athena(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api/v1", "https://x/athena/api/v1/"])
def test_a_url_of_the_api_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="must not include /api/v1"):
        AsyncAthena(url)


@pytest.mark.parametrize("identity", ["ädä", "a\nb"])
def test_an_identity_that_no_header_carries_is_refused_at_once(identity: str) -> None:
    with pytest.raises(ValueError, match="identity: .* printable ASCII"):
        Athena(identity=identity)


def test_a_request_that_cannot_be_sent_is_not_tried_twice() -> None:
    clock = FastClock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Athena(url, clock=clock) as athena, pytest.raises(Unreachable):
            athena.request("POST", "/x", dict, key="a\nb")
    assert clock.sleeps == []


async def test_a_cancelled_call_hangs_up_and_leaves_the_client_usable() -> None:
    with odd_server(hangs_after(), GOOD) as server:
        async with AsyncAthena(server.url) as athena:
            call = asyncio.create_task(athena.request("GET", "/caller", dict))
            while not server.requests:
                await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await athena.request("GET", "/caller", dict) == {"a": 1}, "the server noticed the end of the first"


def test_no_server_at_all_is_unreachable_and_says_where() -> None:
    with odd_server(GOOD) as server:
        pass
    with client(server) as athena, pytest.raises(Unreachable, match=r"POST .* UNREACHABLE: .*refused .*127\.0\.0\.1"):
        post(athena)


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7", 7.0),
        ("0", 0.1),
        ("-5", 0.1),
        ("soon", 0.1),
        ("1e9", 0.1),
        ("0.5", 0.1),
        ("\u0663".encode().decode("latin-1"), 0.1),
    ],
)
def test_retry_after_is_obeyed_if_it_is_a_number_of_seconds(value: str, pause: float) -> None:
    clock = FastClock()
    busy = failure(429, "RATE_LIMITED", "same-key", f"retry-after: {value}")
    with odd_server(sends(busy), GOOD) as server, client(server, clock=clock) as athena:
        post(athena)
    assert clock.sleeps == [pause]


@pytest.mark.parametrize("value", ["3600", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_pause_beyond_the_deadline_is_not_waited_for(value: str) -> None:
    clock = FastClock()
    busy = failure(429, "RATE_LIMITED", "same-key", "date: Fri, 27 Nov 2026 12:00:00 GMT", f"retry-after: {value}")
    with odd_server(sends(busy)) as server, client(server, clock=clock) as athena:
        with pytest.raises(AthenaError, match="RATE_LIMITED"):
            post(athena)
        assert (len(server.requests), clock.sleeps) == (1, [])


@pytest.mark.parametrize("value", ["86400", "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_open_stream_waits_an_hour_at_most(value: str) -> None:
    clock = FastClock()
    date = "date: Fri, 27 Nov 2026 12:00:00 GMT"
    busy = failure(503, "OVERLOADED", "same-key", date, f"retry-after: {value}")
    first = STREAM_HEAD + b'id: 1\nevent: x\ndata: {"ok":true,"data":1}\n\n'
    second = STREAM_HEAD + b'id: 2\nevent: x\ndata: {"ok":true,"data":2}\n\n'
    with odd_server(sends(first), sends(busy), sends(second)) as server, client(server, clock=clock) as athena:
        items = iter(athena.stream("/events/stream", int))
        assert [next(items), next(items)] == [1, 2]
    assert max(clock.sleeps) == 3600.0


def test_a_date_is_relative_to_the_clock_of_the_server() -> None:
    date, later = "Fri, 27 Nov 2026 12:00:00 GMT", "Fri, 27 Nov 2026 12:00:09 GMT"
    assert retry_after({"date": date, "retry-after": later}) == 9.0
    assert retry_after({"date": later, "retry-after": date}) == 0.0
    assert retry_after({"retry-after": later}) == 0.0
    assert retry_after({"date": "?", "retry-after": later}) == 0.0


@given(failures=st.integers(1, 10_000), fraction=st.floats(0, 1, exclude_max=True))
def test_the_backoff_is_random_and_bounded(failures: int, fraction: float) -> None:
    assert 0 <= backoff(failures, fraction) <= BACKOFF_SECONDS_MAX


def test_an_answer_beyond_the_limit_is_refused() -> None:
    large = response(200, b" " * (2 << 20) + b'{"ok":true,"data":{"a":1}}')
    with odd_server(sends(large)) as server:
        with client(server, answer_bytes_max=1 << 20) as athena, pytest.raises(InvalidAnswer):
            post(athena)
        with client(server) as athena:
            assert post(athena) == {"a": 1}


def test_a_body_without_end_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    with odd_server(sends_without_end(head, b" " * 65_536)) as server:
        athena = client(server, answer_bytes_max=1 << 20)
        with athena, pytest.raises(InvalidAnswer, match="larger than 1048576 bytes"):
            post(athena)
        assert len(server.requests) == 1


# Silence


def test_a_hung_server_is_given_up_after_a_question() -> None:
    with odd_server(hangs_after()) as server:
        with client(server, timeout=0.2, deadline=0.1, clock=Clock()) as athena, pytest.raises(Unreachable):
            athena.run("hello")
        assert server.header("prefer") == ["respond-async"], "after a silence it asks without waiting"
        assert len(set(server.header("idempotency-key"))) == 1


def test_a_server_that_takes_its_time_is_waited_for() -> None:
    """Nothing for a while, an answer to the question, nothing for a longer while, and the result."""
    accepted = sends(response(202, b'{"ok":true,"data":{"runId":"run_1"}}'))
    acts = (hangs_after(), accepted, hangs_after(), accepted, GOOD)
    with odd_server(*acts) as server, client(server, timeout=0.2, clock=Clock()) as athena:
        assert athena.request("POST", "/runs", dict, body={"input": "x"}, accepted=dict) == {"a": 1}
        assert server.header("prefer") == ["respond-async"] * 2
        assert len(set(server.header("idempotency-key"))) == 1


# Streams


def event(number: int) -> bytes:
    return b'id: c%d\nevent: run.started\ndata: {"ok":true,"data":{"n":%d}}\n\n' % (number, number)


MARK = b'id: c9\nevent: caught-up\ndata: {"ok":true,"data":{}}\n\n'


def follow(server: OddServer, count: int, **options: Any) -> list[int]:
    with client(server, **options) as athena:
        stream = athena.stream("/events/stream", dict, query={"after": "c0"})
        numbers = []
        for record in stream:
            numbers.append(record["n"])
            if len(numbers) == count:
                break
        return numbers


def test_a_stream_continues_after_its_last_event_whatever_cuts_it() -> None:
    acts = (
        sends(STREAM_HEAD + event(1)),
        sends(STREAM_HEAD + event(2) + event(3)[:-1]),  # the last frame is not complete
        sends(),
        sends(response(502, PAGE, "text/html")),
        sends(failure(503)),
        sends(STREAM_HEAD),
        sends(STREAM_HEAD + b": heartbeat\n" + b"retry: 2000\n" + event(3)),
        hangs_after(STREAM_HEAD + MARK + event(10)),
    )
    with odd_server(*acts) as server:
        assert follow(server, 4) == [1, 2, 3, 10]
        assert server.header("last-event-id") == ["c1", *["c2"] * 5, "c3"]
        asked = [request.split()[1].rpartition("after=")[2] for request in server.requests]
        assert asked == ["c0", "c1", *["c2"] * 5, "c3"]


def test_an_event_that_comes_twice_is_yielded_once() -> None:
    with odd_server(sends(STREAM_HEAD + event(1) * 2), hangs_after(STREAM_HEAD + event(1) + event(2))) as server:
        assert follow(server, 2) == [1, 2]


def test_a_mark_moves_the_cursor() -> None:
    with odd_server(sends(STREAM_HEAD + event(1) + MARK), hangs_after(STREAM_HEAD + event(10))) as server:
        assert follow(server, 2) == [1, 10]
        assert server.header("last-event-id") == ["c9"]


STREAM_ERRORS = {
    "foreign-cursor": (failure(409, "CURSOR_FOREIGN", None), "CURSOR_FOREIGN"),
    "another-type": (response(200, b'{"ok":true,"data":{}}'), "INVALID_ANSWER"),
    "page": (response(200, PAGE, "text/html"), "INVALID_ANSWER"),
    "no-json": (STREAM_HEAD + b"id: a\ndata: <html>\n\n", "INVALID_ANSWER"),
    "error-frame": (
        STREAM_HEAD + b'id: a\ndata: {"ok":false,"error":{"code":"X","message":"m"}}\n\n',
        "X",
    ),
    "large-frame": (STREAM_HEAD + b"data: " + b"x" * 2_000_000, "INVALID_ANSWER"),
    "large-lines": (STREAM_HEAD + b"data: x\n" * 200_000, "INVALID_ANSWER"),
}


@pytest.mark.parametrize("how", sorted(STREAM_ERRORS))
def test_a_stream_that_cannot_be_resumed_ends_with_its_error(how: str) -> None:
    content, code = STREAM_ERRORS[how]
    with odd_server(sends(content)) as server:
        with pytest.raises(AthenaError) as caught:
            follow(server, 1, frame_bytes_max=1 << 20)
        assert (caught.value.code, len(server.requests)) == (code, 1)


def test_a_stream_gives_up_only_before_it_was_open() -> None:
    clock = FastClock()
    with odd_server(sends()) as server, pytest.raises(Unreachable):
        follow(server, 1, clock=clock)
    lost, again = sends(STREAM_HEAD + event(1)), hangs_after(STREAM_HEAD + event(2))
    with odd_server(lost, *[sends()] * 40, again) as server:
        assert follow(server, 2, clock=FastClock()) == [1, 2]


# The parser of frames


@given(
    frames=st.lists(st.tuples(st.none() | st.text("ab1", min_size=1), st.text("xy\u00e9 ", max_size=9)), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    mark=st.booleans(),
)
def test_frames_are_the_same_however_they_are_cut(
    frames: list[tuple[str | None, str]], end: str, cuts: list[int], mark: bool
) -> None:
    lines: list[str] = []
    for place, text in frames:
        lines += [f": {text}", *([f"id: {place}"] if place else []), f"data: {text}", "data:more", ""]
    content = (b"\xef\xbb\xbf" if mark else b"") + "".join(line + end for line in [*lines, ":"]).encode()
    parser, found, begin = FrameParser(1_000), [], 0
    for cut in [*sorted(cuts), len(content)]:
        found += parser.feed(content[begin:cut])
        begin = max(begin, cut)
    assert found == [Frame(place, "message", f"{text}\nmore".encode()) for place, text in frames]


def test_a_frame_has_a_limit_however_it_is_cut() -> None:
    for piece in (b"data: xxxx\n", b"x"):
        parser = FrameParser(100)
        with pytest.raises(FrameTooLarge):
            for _ in range(200):
                parser.feed(piece)


def test_plain_http_loads_no_authorities_and_still_trusts_nothing() -> None:
    plain = authorities("http://127.0.0.1:1")
    assert isinstance(plain, ssl.SSLContext)
    assert (plain.verify_mode, plain.check_hostname, plain.get_ca_certs()) == (ssl.CERT_REQUIRED, True, [])
    assert authorities("https://athena.example") is True
