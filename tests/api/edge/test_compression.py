"""Compression: documents, static files and long answers to reads are sent compressed to clients that ask."""

import functools
import gzip
import re
import threading

import anyio
import httpx2
import pytest

from athena_api.edge.fields import accepted
from athena_api.endpoint.compression import gzip as packed
from athena_api.pages import _built
from athena_core.clock import SystemIds
from tests.api.examples import PROFILE
from tests.support.server import Server

DOCUMENT = "/openapi.json"
FILES = ("/", "/docs", DOCUMENT, "/events.schema.json", "/static/vendor/swagger-ui-bundle.js")
OPENAPI_BYTES_MAX = 74_000  # compressed


def sent(server: Server, path: str, accept: str, method: str = "GET", **headers: str) -> tuple[httpx2.Response, bytes]:
    """Return an answer, and its body as it was sent."""
    headers = {"accept-encoding": accept} | {name.replace("_", "-"): value for name, value in headers.items()}
    with server.api.http.stream(method, server.url + path, headers=headers) as response:
        return response, b"".join(response.iter_raw())


@pytest.mark.parametrize("path", FILES)
def test_a_file_has_the_same_content_in_both_forms(shared: Server, path: str) -> None:
    plain, content = sent(shared, path, "identity")
    packed, compressed = sent(shared, path, "gzip, br")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(compressed) == content
    assert len(compressed) == int(packed.headers["content-length"]) < len(content)
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert plain.headers["etag"] != packed.headers["etag"], "a tag names one sequence of bytes"
    same = ("content-type", "cache-control", "content-security-policy", "x-content-type-options")
    assert [plain.headers[name] for name in same] == [packed.headers[name] for name in same]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("accept", ["identity", "gzip"])
def test_a_file_that_did_not_change_is_not_sent_again(shared: Server, path: str, accept: str) -> None:
    first, _ = sent(shared, path, accept)
    for tag in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again, body = sent(shared, path, accept, if_none_match=tag)
        assert (again.status_code, body) == (304, b"")
        assert [again.headers.get(name) for name in ("etag", "vary", "content-encoding", "content-type")] == [
            first.headers["etag"],
            "accept-encoding",
            None,
            None,
        ]
    other, _ = sent(shared, path, "identity" if accept == "gzip" else "gzip")
    assert sent(shared, path, accept, if_none_match=other.headers["etag"])[0].status_code == 200


@pytest.mark.parametrize("path", FILES)
def test_head_answers_the_headers_of_get(shared: Server, path: str) -> None:
    for accept in ("identity", "gzip"):
        got, _ = sent(shared, path, accept)
        head, body = sent(shared, path, accept, "HEAD")
        assert (head.status_code, body) == (200, b"")
        differing = {name for name, value in head.headers.items() if got.headers[name] != value}
        assert differing <= {"date", "x-trace-id"}
        assert head.headers.keys() == got.headers.keys()


@pytest.mark.parametrize(
    ("accept", "encoding"), [("gzip, br", "br"), ("br;q=0.1", "br"), ("gzip, br;q=0", "gzip"), ("*", "br")]
)
def test_a_file_of_the_console_is_sent_in_its_smallest_accepted_form(
    shared: Server, accept: str, encoding: str
) -> None:
    _, page = sent(shared, "/", "identity")
    forms = dict[str, tuple[str, int]]()
    for path in re.findall(r'="(/static/[^"]+)"', page.decode()):
        for accepted_form in ("identity", accept):
            got, body = sent(shared, path, accepted_form)
            head, _ = sent(shared, path, accepted_form, "HEAD")
            again, nothing = sent(shared, path, accepted_form, if_none_match=got.headers["etag"])
            assert head.headers.keys() == got.headers.keys()
            assert (again.status_code, nothing, again.headers["etag"]) == (304, b"", got.headers["etag"])
            assert head.headers["content-length"] == str(len(body))
            assert {answer.headers["vary"] for answer in (got, head, again)} == {"accept-encoding"}
            assert "immutable" in got.headers["cache-control"]
            forms[accepted_form] = got.headers["etag"], len(body)
        assert got.headers["content-encoding"] == encoding
        assert forms[accept][0] == f'{forms["identity"][0][:-1]}-{encoding}"', "a tag names one sequence of bytes"
        assert forms[accept][1] < forms["identity"][1]


def test_the_document_is_small(shared: Server) -> None:
    assert len(sent(shared, DOCUMENT, "gzip")[1]) < OPENAPI_BYTES_MAX


@pytest.mark.parametrize("path", ["/api/v1/caller", "/api/v1/nowhere", "/metrics", "/livez"])
def test_a_short_answer_is_not_compressed(shared: Server, path: str) -> None:
    for accept in ("gzip", "*"):
        response, _ = sent(shared, path, accept)
        assert "content-encoding" not in response.headers
        assert response.headers["cache-control"] == "no-store"


TEMPLATE = {"directiveTemplate": "Sort the pears. " * 600, "defaultParams": {}}


@pytest.fixture
def template(shared: Server) -> str:
    """The path of a long record with an ETag, beside the events of some runs."""
    for _ in range(2):
        shared.api.run()
    profile = shared.api.post("/harness-profiles", PROFILE)["id"]
    record = shared.api.post("/run-templates", TEMPLATE | {"harnessProfileId": profile})
    return f"/api/v1/run-templates/{record['id']}"


LISTS = ("/api/v1/events", "/api/v1/events?asOf=2999-01-01", "/api/v1/run-templates")


@pytest.mark.both
@pytest.mark.parametrize("path", LISTS)
def test_a_long_answer_has_the_same_content_in_both_forms(shared: Server, template: str, path: str) -> None:
    for _ in range(2):  # the second time from the cache of answers
        (plain, content), (packed, compressed) = sent(shared, path, "identity"), sent(shared, path, "gzip, br")
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(compressed) == content
        assert len(content) > 4_096 and len(compressed) == int(packed.headers["content-length"]) < len(content) / 2
        assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
        same = ("content-type", "cache-control", "athena-position")
        assert [plain.headers[name] for name in same] == [packed.headers[name] for name in same]
        head, body = sent(shared, path, "gzip", "HEAD")
        assert (head.headers.keys(), body) == (packed.headers.keys(), b"")
        assert head.headers["content-encoding"] == "gzip"
        part, whole = sent(shared, path, "gzip", range="bytes=0-9")
        assert (part.status_code, gzip.decompress(whole)) == (200, content), "the API answers no ranges"


def test_the_tag_of_a_compressed_record_names_its_version(shared: Server, template: str) -> None:
    """A tag names one sequence of bytes; a write may name the version by the tag of either form."""
    plain, packed = sent(shared, template, "identity")[0], sent(shared, template, "gzip")[0]
    assert (plain.headers["etag"], packed.headers["etag"]) == ('"1"', '"1-gzip"')
    body = TEMPLATE | {"directiveTemplate": "Sort the apples."}
    body["harnessProfileId"] = shared.api.http.get(shared.url + template).json()["data"]["harnessProfileId"]
    for tag, status in ((packed.headers["etag"], 200), (packed.headers["etag"], 412), (plain.headers["etag"], 412)):
        answer = shared.api.http.put(shared.url + template, json=body, headers={"if-match": tag})
        assert answer.status_code == status


def test_a_past_answer_that_did_not_change_is_not_sent_again(shared: Server, template: str) -> None:
    path = f"{template}?asOf=2999-01-01"
    tags = {accept: sent(shared, path, accept)[0].headers["etag"] for accept in ("identity", "gzip")}
    assert tags["gzip"] == f'{tags["identity"][:-1]}-gzip"'
    for accept, tag in tags.items():
        for known in (tag, f'"other", W/{tag}'):
            again, body = sent(shared, path, accept, if_none_match=known)
            assert (again.status_code, body, again.headers["etag"]) == (304, b"", tag)
            assert again.headers["vary"] == "accept-encoding"
            assert "content-encoding" not in again.headers


def test_writes_and_streams_are_not_compressed(shared: Server) -> None:
    written = shared.api.http.post("/runs", json={"input": "pear " * 2_000}, headers={"accept-encoding": "gzip"})
    assert len(written.content) > 4_096
    for path, accept in (("/events/stream?limit=1", "text/event-stream"), ("/events", "application/x-ndjson")):
        headers = {"accept-encoding": "gzip", "accept": accept}
        with shared.api.http.stream("GET", path, headers=headers) as stream:
            assert stream.headers["content-type"].startswith(accept)
            assert "content-encoding" not in stream.headers
    assert "content-encoding" not in written.headers


def test_equal_answers_do_not_have_equal_lengths(shared: Server) -> None:
    """A length that can be repeated would show, guess by guess, which text an answer has beside one's own (BREACH)."""
    ids = SystemIds()
    bodies = [b'{"items":[' + b'{"input":"pears"},' * 300 for _ in range(50)]
    assert len({len(packed(body, ids.fraction())) for body in bodies}) > 10
    assert {gzip.decompress(packed(body, ids.fraction())) for body in bodies} == set(bodies)


@pytest.mark.parametrize(
    ("field", "names"),
    [
        (None, {}),
        ("", {}),
        ("gzip", {"gzip": True}),
        ("GZIP ; q=0.001 ,br", {"gzip": True, "br": True}),
        ("gzip;q=0, *", {"gzip": False, "*": True}),
        ("gzip;q=0.000;x=1", {"gzip": False}),
        (",;,;q=1,", {}),
        ("gzip;q=0.0000000, br;q=nan, x;q=-1, y;q=", {"gzip": False, "br": True, "x": True, "y": True}),
        ("a" * 50_000, {"a" * 50_000: True}),
    ],
)
def test_the_names_that_a_field_accepts(field: str | None, names: dict[str, bool]) -> None:
    assert accepted(field) == names


@pytest.mark.parametrize(
    ("accept", "compressed"), [("*", True), ("gzip;q=0, *", False), ("br", False), ("", False), ("gzip;q=x", True)]
)
def test_another_form_than_accepted_is_not_sent(shared: Server, accept: str, compressed: bool) -> None:
    assert ("content-encoding" in sent(shared, DOCUMENT, accept)[0].headers) is compressed


async def test_requests_that_come_together_build_a_file_once() -> None:
    begun, release, results = list[str](), threading.Event(), list[str]()

    @functools.cache
    def build() -> str:
        begun.append("built")
        release.wait()
        return "built"

    async def request() -> None:
        results.append(await _built(build))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(request)
        await anyio.wait_all_tasks_blocked()
        release.set()
    await request()
    assert (begun, results) == (["built"], ["built"] * 21)
