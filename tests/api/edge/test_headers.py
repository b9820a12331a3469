"""Headers that keep answers out of caches, and browsers from guessing what an answer is."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from anyio import to_thread

from athena_api.operations import OPERATIONS
from athena_api.pages import openapi_file
from tests.api.examples import EXAMPLES
from tests.fuzz.targets import call
from tests.support.inside import Inside
from tests.support.server import Server
from tests.support.vouched import VOUCHED
from tests.support.wire import exchange

NO_STORE, REVALIDATED = "no-store", "private, no-cache"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one Admin; every example is sent as this Admin and without an identity."""
    roles = {"auth_identity_role_map": "ada:Admin"}
    with Server(tmp_path_factory.mktemp("headers"), **VOUCHED, **roles) as found:
        yield found


def seen(response: httpx2.Response) -> tuple[list[str], list[str]]:
    """Return the values of the two headers, each of which must be there once."""
    return response.headers.get_list("x-content-type-options"), response.headers.get_list("cache-control")


@pytest.mark.parametrize("operation", [row.id for row in OPERATIONS])
def test_every_operation_is_answered_with_headers_against_caches_and_guesses(server: Server, operation: str) -> None:
    (row,) = [row for row in OPERATIONS if row.id == operation]
    example = EXAMPLES[operation]
    request = {"params": example.query, "json": example.body if row.method != "GET" else None}
    with server.client("ada").http.stream(row.method, example.path, **request) as response:  # type: ignore[arg-type]
        assert seen(response) == (["nosniff"], [REVALIDATED if "etag" in response.headers else NO_STORE])
        assert response.status_code == example.status
    if operation == "startHalt":
        server.client("ada").http.delete("/halt")
    refused = server.client().http.request(row.method, example.path)
    assert (refused.status_code, *seen(refused)) == (401, ["nosniff"], [NO_STORE])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/livez", NO_STORE),
        ("/readyz", NO_STORE),
        ("/metrics", NO_STORE),
        ("/api/v1/nothing", NO_STORE),
        ("/static/nothing", NO_STORE),
        ("/", REVALIDATED),
        ("/docs", REVALIDATED),
        ("/openapi.json", REVALIDATED),
        ("/events.schema.json", REVALIDATED),
        ("/static/docs.js", REVALIDATED),
    ],
)
def test_every_page_and_probe_has_the_same_headers(server: Server, path: str, expected: str) -> None:
    answer = server.client("ada").http.get(server.url + path)
    assert seen(answer) == (["nosniff"], [expected])


def test_a_sheet_has_the_same_headers(server: Server) -> None:
    ada = server.client("ada")
    sheet = ada.http.get("/governance/audit-trail", params={"format": "csv"})
    assert (sheet.headers["content-type"].split(";")[0], *seen(sheet)) == ("text/csv", ["nosniff"], [NO_STORE])


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/events.schema.json", "/static/docs.js"])
@pytest.mark.parametrize("sent", ["{}", "W/{}", '"other", {}', "*"])
def test_a_document_that_its_client_has_is_not_sent_again(server: Server, path: str, sent: str) -> None:
    http, address = server.client().http, server.url + path
    whole = http.get(address)
    again = http.get(address, headers={"if-none-match": sent.format(whole.headers["etag"])})
    assert (again.status_code, again.content, *seen(again)) == (304, b"", ["nosniff"], [REVALIDATED])
    assert again.headers["etag"] == whole.headers["etag"]
    other = http.get(address, headers={"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_the_openapi_document_is_built_once() -> None:
    assert openapi_file() is openapi_file()


def test_documents_that_were_built_once_are_answered_without_a_thread(tmp_path: Path) -> None:
    inside = Inside(tmp_path, scheduler="off")
    inside.start()

    async def ask(path: str) -> int:
        return (await call(inside.app, "GET", path)).status

    async def ask_without_threads(path: str) -> int:
        threads = to_thread.current_default_thread_limiter()
        total, threads.total_tokens = threads.total_tokens, 0
        try:
            return await ask(path)
        finally:
            threads.total_tokens = total

    try:
        for path in ("/", "/docs", "/openapi.json", "/static/docs.js", "/static/none.js"):
            expected = inside.call(ask, path)
            assert inside.call(ask_without_threads, path) == expected
    finally:
        inside.stop()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: elsewhere.example\r\nconnection: close\r\n\r\n", 421),
        (b"no request\r\n\r\n", 400),
        (b"OPTIONS / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", 204),
    ],
)
def test_answers_without_an_operation_have_the_same_headers(server: Server, sent: bytes, status: int) -> None:
    answer = exchange(server.url, [sent])
    assert answer.status == status
    assert (answer.headers["x-content-type-options"], answer.headers["cache-control"]) == ("nosniff", NO_STORE)
