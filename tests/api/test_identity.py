"""Identity: one header field with one name, or a refusal; and how settings spell roles."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.asgi import Message, Receive, Scope, Send
from athena_api.identity import IdentityMiddleware
from athena_core.errors import ConfigError
from athena_core.roles import Roster, check_header_name, parse_role, parse_role_map, role_of
from athena_core.values import LOCAL, Identity, Role

Headers = list[tuple[bytes, bytes]]
NAME = b"x-athena-identity"


async def ask(
    headers: Headers, *, enabled: bool = True, method: str = "GET", path: str = "/api/v1/runs"
) -> tuple[Scope | None, list[Message]]:
    """The scope that reached the application, if it was reached, and what was answered instead."""
    reached: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    async def receive() -> Message:
        raise AssertionError("the body is nobody's business here")

    async def send(message: Message) -> None:
        sent.append(message)

    roles = {"alice": Role.ADMIN, "spiffe://a:b": Role.OPERATOR}
    roster = Roster(enabled=enabled, roles=roles, default=Role.VIEWER)
    middleware = IdentityMiddleware(app, header="X-Athena-Identity", roster=roster)
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "athena.trace": "trace"}
    await middleware(scope, receive, send)
    assert len(reached) + len(sent) // 2 == 1
    return (reached[0] if reached else None), sent


async def identity(headers: Headers, **request: Any) -> Identity | None:
    scope, _ = await ask(headers, **request)
    assert scope is not None
    return scope.get("athena.identity")


async def refusal(headers: Headers, **request: Any) -> tuple[int, str]:
    scope, (start, body) = await ask(headers, **request)
    assert scope is None
    answer = json.loads(body["body"])
    sent = dict(start["headers"])
    assert sent[b"content-type"] == b"application/json; charset=utf-8"
    assert sent[b"content-length"] == str(len(body["body"])).encode()
    assert (answer["ok"], answer["error"]["traceId"]) == (False, "trace")
    return start["status"], answer["error"]["code"]


async def test_without_authentication_everybody_is_the_local_admin() -> None:
    assert await identity([(NAME, b"mallory")], enabled=False) == LOCAL


async def test_the_header_names_the_caller_and_the_map_its_role() -> None:
    assert await identity([(b"host", b"a"), (NAME, b"alice")]) == Identity(subject="alice", role=Role.ADMIN)
    assert await identity([(b"X-Athena-Identity", b"bob")]) == Identity(subject="bob", role=Role.VIEWER)
    assert await identity([(NAME, b"Alice")]) == Identity(subject="Alice", role=Role.VIEWER)


async def test_a_twin_of_another_header_does_not_matter() -> None:
    assert await identity([(NAME, b"bob"), (b"x_athena_identity_", b"a"), (b"x_athena-trace-id", b"b")]) is not None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"a")],
        [(b"x_athena_identity", b"alice")],
        [(b"x-athena-identit", b"alice")],
        [(NAME, b"")],
        [(NAME, b"  ")],
    ],
)
async def test_nobody_is_401(headers: Headers) -> None:
    assert await refusal(headers) == (401, "AUTH_IDENTITY_MISSING")


@pytest.mark.parametrize(
    "headers",
    [
        [(NAME, b"alice"), (NAME, b"alice")],
        [(NAME, b"alice"), (b"X-ATHENA-IDENTITY", b"bob")],
        [(NAME, b""), (NAME, b"bob")],
        [(NAME, b"alice"), (b"x_athena_identity", b"bob")],
        [(b"X_Athena-Identity", b"bob"), (NAME, b"alice")],
        [(NAME, b""), (b"x_athena_identity", b"bob")],
    ],
)
async def test_two_names_are_400(headers: Headers) -> None:
    assert await refusal(headers) == (400, "AUTH_IDENTITY_AMBIGUOUS")


@pytest.mark.parametrize(
    "value",
    [
        b"*", b"alice, admin", b"alice,admin", b"alice mallory", b" alice", b"alice\t", b"ali\x01ce", b"alice\n",
        b"\xc3\xa9", b"a" * 129, b"a" * 10_000, b"a/b", b"<a>", b"\0",
    ],
)  # fmt: skip
async def test_what_is_no_name_is_400(value: bytes) -> None:
    assert await refusal([(NAME, value)]) == (400, "AUTH_IDENTITY_INVALID")


async def test_the_longest_name_is_one() -> None:
    assert await identity([(NAME, b"a" * 128)]) == Identity(subject="a" * 128, role=Role.VIEWER)


@given(st.binary(max_size=200))
async def test_any_value_is_a_name_or_refused(value: bytes) -> None:
    scope, sent = await ask([(NAME, value)])
    if scope is not None:
        assert scope["athena.identity"].subject.encode() == value
    else:
        assert sent[0]["status"] in (400, 401)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json", "/static/docs.js"])
async def test_open_paths_need_nobody(path: str) -> None:
    assert await identity([], path=path) is None
    assert await identity([(NAME, b"alice")], path=path) is None


async def test_options_needs_nobody() -> None:
    assert await identity([], method="OPTIONS") is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        "/static",
        "/livez/",
        "/docs/x",
        "//docs",
        "/api/v1/docs",
        "/LIVEZ",
        "/livez\0",
        "/api/v1/static/",
    ],
)
async def test_every_other_path_needs_somebody(path: str) -> None:
    assert await refusal([], path=path) == (401, "AUTH_IDENTITY_MISSING")


async def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    roster = Roster(enabled=True, roles={}, default=Role.VIEWER)
    middleware = IdentityMiddleware(app, header="x", roster=roster)
    await middleware({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]


# Settings


@pytest.mark.parametrize(
    ("text", "role"), [("Viewer", Role.VIEWER), (" oPERATOR ", Role.OPERATOR), ("ADMIN", Role.ADMIN)]
)
def test_roles_are_read_in_any_case(text: str, role: Role) -> None:
    assert parse_role(text) is role


@pytest.mark.parametrize("text", ["", "root", "Admin,", "Viewer Admin"])
def test_other_roles_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected one of Viewer, Operator, Admin"):
        parse_role(text)


def test_a_role_map_is_split_at_the_last_colon() -> None:
    assert parse_role_map(" alice:Admin, spiffe:a:b : operator ,*:Viewer") == {
        "alice": Role.ADMIN,
        "spiffe:a:b": Role.OPERATOR,
        "*": Role.VIEWER,
    }
    assert parse_role_map(" ") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alice", "no identity with a role"),
        (":Admin", "no identity with a role"),
        ("alice:Admin,", "no identity with a role"),
        ("a b:Admin", "no identity with a role"),
        ("**:Admin", "no identity with a role"),
        ("é:Admin", "no identity with a role"),
        ("a" * 129 + ":Admin", "no identity with a role"),
        ("alice:root", "'root' is no role"),
        ("alice:Admin,alice:Viewer", "'alice' is listed twice"),
        ("*:Admin,*:Admin", "'\\*' is listed twice"),
    ],
)
def test_a_wrong_role_map_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_role_map(text)


def test_the_own_entry_beats_everyone_elses_beats_the_default() -> None:
    roles = {"alice": Role.VIEWER, "*": Role.OPERATOR}
    assert role_of("alice", roles, Role.ADMIN) is Role.VIEWER
    assert role_of("bob", roles, Role.ADMIN) is Role.OPERATOR
    assert role_of("bob", {}, Role.VIEWER) is Role.VIEWER


def test_header_names_are_lower_case() -> None:
    assert check_header_name(" X-Forwarded-User ") == "x-forwarded-user"


@pytest.mark.parametrize(
    "name", ["", "x_identity", "x identity", "x:y", "é", "Host", "cookie", "Authorization", "connection", "TE"]
)
def test_a_header_that_nobody_can_vouch_for_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_header_name(name)
