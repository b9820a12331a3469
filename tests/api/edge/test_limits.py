"""Limits on what a client may send, and on how long it may take; each answers with its own code."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from athena_api.edge.asgi import Receive, Scope, Send
from athena_core.clock import FixedClock
from athena_core.errors import RateLimited
from athena_core.log.sqlite.reader import SqliteArchive
from athena_core.services.access.rate_limits import RateLimits
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS, Refused, events_of, soon, until_caught_up
from tests.support.connection import Application, feed
from tests.support.server import Server
from tests.support.wire import Answer, ask, exchange

LIMITS = {
    "header_bytes_max": "4096",
    "headers_max": "30",
    "url_bytes_max": "2048",
    "body_bytes_max": "5000",
    "bodies_in_flight_bytes_max": "1000000",
    "answers_in_flight_bytes_max": "1000000",
    "header_timeout_ms": "60000",
    "body_timeout_ms": "60000",
    "json_depth_max": "10",
    "idempotency_key_chars_max": "20",
    "reason_chars_max": "30",
    "streams_max": "3",
    "streams_per_identity_max": "2",
}
SHORT_TIMES = {"header_timeout_ms": "400", "body_timeout_ms": "400"}
HEAD = b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\n"
GET = b"GET /%b HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that allows little. Its timeouts are long, so that a busy machine does not change an answer."""
    with Server(tmp_path_factory.mktemp("narrow"), **LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with short timeouts, for requests that never become complete."""
    with Server(tmp_path_factory.mktemp("hasty"), **SHORT_TIMES) as server:
        yield server


def refusal(answer: Answer) -> tuple[int, str]:
    """Return status and code. Fail unless the answer is an envelope."""
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.error["traceId"] == answer.headers["x-trace-id"]
    return answer.status, answer.error["code"]


# Sizes


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        (b"/api/v1/runs?x=" + b"y" * 2_100, [], (414, "URI_TOO_LONG")),
        (b"/" + b"y" * 6_000, [], (414, "URI_TOO_LONG")),
        (b"/livez", [b"x: " + b"y" * 5_000], (431, "HEADERS_TOO_LARGE")),
        (b"/livez", [b"x" * 5_000 + b": y"], (431, "HEADERS_TOO_LARGE")),
        (b"/livez", [b"a: b"] * 40, (431, "HEADERS_TOO_LARGE")),
        (b"/livez", [b"x: " + b"y" * 100_000], (431, "HEADERS_TOO_LARGE")),
        (b"/livez", [b"a: b"] * 5_000, (431, "HEADERS_TOO_LARGE")),
    ],
)
def test_a_head_over_a_limit_is_refused(
    narrow: Server, target: bytes, headers: list[bytes], expected: tuple[int, str]
) -> None:
    assert refusal(ask(narrow.url, "GET", target, b"", *headers)) == expected


def test_a_status_line_has_our_own_words_in_every_version_of_python(narrow: Server) -> None:
    phrases = [narrow.api.http.get(f"{narrow.url}/{'y' * size}").reason_phrase for size in (1, 3_000)]
    assert phrases == ["Not Found", "URI Too Long"]


def test_a_head_that_never_ends_is_cut(narrow: Server) -> None:
    answer = exchange(narrow.url, [HEAD + b"x: ", *[b"y" * 1_000] * 100])
    assert refusal(answer) == (431, "HEADERS_TOO_LARGE")
    assert answer.headers["connection"] == "close"


def test_the_second_of_two_requests_in_one_piece_is_measured_as_well(narrow: Server) -> None:
    first = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    large = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 5_000 + b"\r\n\r\n"
    answer = exchange(narrow.url, [first + large])
    assert answer.status == 200
    assert b"HTTP/1.1 431 " in answer.body


@pytest.mark.parametrize("framing", [b"content-length: 6000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n1770\r\n"])
def test_a_body_over_its_limit_is_refused(narrow: Server, framing: bytes) -> None:
    answer = exchange(narrow.url, [HEAD + b"connection: close\r\n" + framing + b" " * 6_000 + b"\r\n0\r\n\r\n"])
    assert refusal(answer) == (413, "PAYLOAD_TOO_LARGE")


# What stands around a body


CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
ENDLESS = {
    "trailers by number": [CHUNKED + b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 40],
    "trailers by size": [CHUNKED + b"2\r\n{}\r\n0\r\na: " + b"b" * 5_000 + b"\r\nc: d\r\n\r\n"],
    "a trailer without an end": [CHUNKED + b"2\r\n{}\r\n0\r\na: ", *[b"b" * 1_000] * 200],
    "a trailer's name without an end": [CHUNKED + b"2\r\n{}\r\n0\r\na", *[b"b" * 1_000] * 200],
    "trailers in pieces": [CHUNKED + b"2\r\n{}\r\n0\r\n", *[b"a: " + b"b" * 500 + b"\r\n"] * 100],
    "a chunk extension without an end": [CHUNKED + b"2;", *[b"x" * 1_000] * 400],
    "small chunks with long extensions": [CHUNKED, *[b"1;" + b"x" * 1_000 + b"\r\n \r\n"] * 400],
    "the size of a chunk without an end": [CHUNKED, *[b"0" * 1_000] * 400],
}


@pytest.mark.parametrize("parts", ENDLESS.values(), ids=list(ENDLESS))
def test_bytes_around_a_body_are_limited(narrow: Server, parts: list[bytes]) -> None:
    before = narrow.api.head()
    answer = exchange(narrow.url, parts)
    assert refusal(answer) == (431, "HEADERS_TOO_LARGE")
    assert answer.headers["connection"] == "close"
    assert narrow.api.head() == before


@pytest.mark.parametrize("body", [b"{}", b'{"input":"' + b"x" * 300 + b'"}'])
def test_a_body_in_chunks_of_one_byte_with_a_few_trailers_is_taken(narrow: Server, body: bytes) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = exchange(narrow.url, [head, chunks, b"0\r\na: b\r\n\r\n"])
    assert answer.status in {200, 400}
    assert b"HEADERS_TOO_LARGE" not in answer.body


def test_line_feeds_between_requests_are_limited(narrow: Server) -> None:
    parts = [b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n", *[b"\r\n" * 1_000] * 400]
    answer = exchange(narrow.url, parts)
    assert answer.status == 200


def test_after_its_answer_the_rest_of_a_request_gets_no_second_one(narrow: Server) -> None:
    head = b"GET /livez HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = exchange(narrow.url, [head, *[b"1;" + b"x" * 1_000 + b"\r\n \r\n"] * 400])
    assert answer.status == 200
    assert b"HTTP/1.1" not in answer.body


# Requests that wait for the one before them


def test_of_many_requests_in_one_packet_few_wait_and_the_rest_is_not_read(narrow: Server) -> None:
    request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answer = exchange(narrow.url, [request * 6_000])
    answers = [answer.status, *map(int, re.findall(rb"HTTP/1.1 (\d+) ", answer.body))]
    assert len(answers) >= 18
    assert answers[-1] == 503
    assert set(answers[:-1]) == {200}
    assert b"OVERLOADED" in answer.body
    assert narrow.api.get("/admin/health")["status"] == "ok"


async def test_sixteen_requests_wait_and_the_next_is_refused_in_its_turn() -> None:
    application = Application()
    line = await feed(application, [b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n" * 14_000], waiting=False)
    assert [seen.refused for seen in application.seen] == [None] * 17 + ["OVERLOADED"]
    assert line.closed


async def test_what_cannot_be_read_is_not_answered_in_the_place_of_a_request_that_can() -> None:
    application = Application()
    line = await feed(application, [b"GET /x HTTP/1.1\r\nhost: h\r\n\r\nnonsense\r\n\r\n"], waiting=False)
    assert [seen.path for seen in application.seen] == ["/x"]
    assert line.written.startswith(b"HTTP/1.1 200 ")
    assert line.written.count(b"HTTP/1.1 ") == 1
    assert line.closed


async def test_a_request_notices_that_its_client_has_gone_whatever_waits_behind_it() -> None:
    told: list[str] = []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            pass
        told.append(f"{scope['path']} {message['type']}")

    await feed(Application(wait), [GET % b"stream", GET % b"x" * 3], waiting=True)
    assert told == ["/stream http.disconnect"]


# Bytes in flight


def test_bodies_in_flight_have_a_budget_that_small_ones_do_not_need(serve: Serve) -> None:
    server = serve(bodies_in_flight_bytes_max="300000", context_max_chars="1000000")
    host, port = server.url.removeprefix("http://").split(":")
    size = 280_000
    part = HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % size
    whole = b'{"input":"' + b"x" * (size - 12) + b'"}'
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as slow:
        slow.sendall(part + whole[:-1])
        for _ in soon():
            answer = exchange(server.url, [part + whole])
            if answer.status == 503:
                break
            assert answer.status == 200
        assert answer.error["code"] == "OVERLOADED"
        assert answer.headers["retry-after"] == "1"
        assert server.api.send("/runs", {"input": "small"}).status_code == 200
        slow.sendall(whole[-1:])
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200 ")
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as gone:
        gone.sendall(part + whole[:-1])
    for _ in soon():
        if exchange(server.url, [part + whole]).status == 200:
            break


def stalled(url: str, target: bytes) -> socket.socket:
    """Return a client that has sent a request and reads nothing; close it."""
    host, port = url.removeprefix("http://").split(":")
    client = socket.socket()
    client.settimeout(PATIENCE_SECONDS)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect((host, int(port)))
    client.sendall(b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    return client


def test_large_answers_that_no_client_reads_have_a_budget(serve: Serve) -> None:
    server = serve(answers_in_flight_bytes_max="2000000", context_max_chars="1000000")
    run = server.api.send("/runs", {"input": "x" * 900_000}).json()["data"]["runId"]
    target = f"/api/v1/runs/{run}".encode()
    whole = ask(server.url, "GET", target)
    assert len(whole.body) > 900_000
    statuses: list[int] = []
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(stalled(server.url, target))
            statuses.append(int(client.recv(12).split()[1]))
        assert statuses == [200, 200, *[503] * 6]
        refused = ask(server.url, "GET", target)
        assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
        for path in (b"/livez", b"/readyz", b"/api/v1/capabilities", b"/static/vendor/swagger-ui-bundle.js"):
            assert ask(server.url, "GET", path).status == 200
        assert server.api.send("/runs", {"input": "small"}).status_code == 200
    for _ in soon():
        if ask(server.url, "GET", target).status == 200:
            break
    assert ask(server.url, "GET", target).body == whole.body


def test_a_subscriber_that_takes_nothing_counts_for_that_budget(serve: Serve) -> None:
    server = serve(answers_in_flight_bytes_max="200000", context_max_chars="1000000")
    for _ in range(3):
        server.api.send("/runs", {"sessionId": "s", "input": "x" * 300_000})
    target = b"/api/v1/sessions/s/transcript/stream"
    with stalled(server.url, target) as first:
        assert first.recv(12).endswith(b"200")
        for _ in soon():
            with stalled(server.url, target) as second:
                if second.recv(12).endswith(b"503"):
                    break
    for _ in soon():
        with stalled(server.url, target) as third:
            if third.recv(12).endswith(b"200"):
                break


# Times


@pytest.mark.parametrize(
    ("body", "key", "field", "code"),
    [
        ({"reason": "x" * 31}, None, "reason", "REASON_TOO_LONG"),
        ({"reason": "x" * 2_000}, None, "reason", "REASON_TOO_LONG"),
        ({"reason": ["[" * 8]}, "k" * 21, "reason", ""),
        ({}, "k" * 21, "idempotency-key", "KEY_TOO_LONG"),
        ({"reason": [[[[[[[[[[]]]]]]]]]]}, None, "body", "JSON_TOO_DEEP"),
    ],
)
def test_a_text_over_a_limit_is_refused_with_its_own_code(
    narrow: Server, body: dict[str, object], key: str | None, field: str, code: str
) -> None:
    answer = narrow.api.send("/runs/nobody/cancel", body, key=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CONFIG_ERROR")
    (fault,) = answer.json()["error"]["details"]
    assert fault["field"] == field
    assert fault["reason"].startswith(code)


def test_texts_at_their_limits_are_taken(narrow: Server) -> None:
    assert narrow.api.send("/runs/nobody/cancel", {"reason": "x" * 30}, key="k" * 20).status_code == 200


def test_a_silent_connection_is_closed_without_a_word(hasty: Server) -> None:
    host, port = hasty.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as silent:
        assert silent.recv(1) == b""


@pytest.mark.parametrize("part", [b"G", HEAD, HEAD + b"x: y"])
def test_half_a_head_is_answered_in_time(hasty: Server, part: bytes) -> None:
    assert refusal(exchange(hasty.url, [part])) == (408, "REQUEST_TIMEOUT")


@pytest.mark.parametrize(
    "rest",
    [
        b"content-length: 20\r\n\r\n",
        b"content-length: 20\r\n\r\n{",
        b"transfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"expect: 100-continue\r\ncontent-length: 20\r\n\r\n",
    ],
)
def test_half_a_body_is_answered_in_time_and_does_nothing(hasty: Server, rest: bytes) -> None:
    log = SqliteArchive(hasty.state_dir / "log.db").reader()  # a request of ours could be too slow as well
    before = log.head()
    answer = exchange(hasty.url, [HEAD + rest])
    if answer.status == 100:
        status, _, body = answer.body.partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 408 ")
        answer = answer._replace(status=408, body=body)
    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (408, "REQUEST_TIMEOUT", True)
    assert log.head() == before


def test_a_connection_that_was_answered_has_a_time_limit_again(hasty: Server) -> None:
    answer = exchange(hasty.url, [b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\nGET /live"])
    assert answer.status == 200
    assert b"HTTP/1.1 408 " in answer.body


# Unreadable requests, and those that two readers would read differently


def test_an_unreadable_request_has_exactly_one_line_in_the_log(narrow: Server) -> None:
    """Lines are written in the order of the answers, so the requests before and after it enclose its own."""

    def traced(request_: bytes) -> str:
        return exchange(narrow.url, [request_]).headers["x-trace-id"]

    probe = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    before, trace, after = traced(probe), traced(b"nonsense\r\n\r\n"), traced(probe)
    for _ in soon():
        lines = [json.loads(line) for line in narrow.log_path.read_text().splitlines()]
        traces = [line["traceId"] for line in lines]
        if after in traces:
            break
    between = lines[traces.index(before) + 1 : traces.index(after)]
    assert [(line["traceId"], line["status"]) for line in between] == [(trace, 400)]


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"http://evil.example.org/api/v1/capabilities", 400), (b"//evil.example.org/api/v1/runs", 404)],
)
def test_a_host_in_the_target_leads_nowhere_else(narrow: Server, target: bytes, status: int) -> None:
    assert ask(narrow.url, "GET", target).status == status


# Streams


def test_streams_are_limited_in_all_and_for_each_identity(serve: Serve) -> None:
    server = serve(auth_enabled="true", streams_max="3", streams_per_identity_max="2")
    ann, bob = server.client("ann"), server.client("bob")
    with ann.stream() as first, ann.stream() as second:
        until_caught_up(first)
        until_caught_up(second)
        with pytest.raises(Refused) as mine, ann.stream():
            pass
        assert (mine.value.status, mine.value.code) == (503, "STREAM_LIMIT")
        assert "ann has reached the limit of 2 open streams" in mine.value.error["message"]
        assert mine.value.response.headers["retry-after"] == "5"
        with bob.stream() as third:
            until_caught_up(third)
            with pytest.raises(Refused, match="limit of 3 open streams"), server.client("eve").stream():
                pass
    for _ in soon():
        try:
            with ann.stream() as again:
                until_caught_up(again)
            break
        except Refused as refused:  # it has not noticed yet
            assert refused.code == "STREAM_LIMIT"


# Requests of an identity


def test_the_requests_of_an_identity_are_limited_and_refilled_with_time() -> None:
    clock = FixedClock()
    rates = RateLimits(clock, 10)

    def taken(subject: str) -> int:
        for count in range(1_000):
            try:
                rates.take(subject)
            except RateLimited:
                return count
        return 1_000

    assert taken("ann") == 20
    assert taken("bob") == 20
    clock.advance(500)
    assert taken("ann") == 5
    clock.advance(60_000)
    assert taken("ann") == 20


def test_without_authentication_requests_are_not_counted() -> None:
    rates = RateLimits(FixedClock(), None)
    for _ in range(10_000):
        rates.take("local")


def test_requests_over_the_rate_limit_get_a_retry_after_and_are_counted(serve: Serve) -> None:
    server = serve(auth_enabled="true", requests_per_second="5", auth_identity_role_map="ann:Admin")
    bob, ann = server.client("bob"), server.client("ann")
    limited = 0
    for _ in soon():
        answer = bob.http.get("/capabilities")
        if answer.status_code == 429:
            limited += 1
            assert (answer.json()["error"]["code"], answer.headers["retry-after"]) == ("RATE_LIMITED", "1")
        if limited == 3:
            break
    counted = 0
    with ann.stream(types="requests.suppressed") as blocks:
        for event in events_of(blocks):
            named = {"count": 0, "since": "", "subject": "bob", "operation": "capabilities"}
            assert event["payload"] | {"count": 0, "since": ""} == named
            counted += event["payload"]["count"]
            if counted == limited:
                break


def test_the_capabilities_list_every_limit(narrow: Server) -> None:
    told = narrow.api.get("/capabilities")["limits"]
    for name, value in LIMITS.items():
        first, *others = name.split("_")
        assert told[first + "".join(part.title() for part in others)] == int(value), name
