"""Identity: one header field with one name, or a refusal; and how settings spell roles."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.edge.asgi import Message, Scope
from athena_core.errors import ConfigError
from athena_core.proxies import TrustedProxies, parse_networks
from athena_core.roles import Roster, check_header_name, parse_role, parse_role_file, parse_role_map, role_of
from athena_core.values import LOCAL, Identity, Role
from athena_core.values import Scope as Narrowed
from tests.support import edge
from tests.support.connection import Application, feed
from tests.support.server import Server
from tests.support.tokens import TokenLog, token_log
from tests.support.wire import exchange

Headers = list[tuple[bytes, bytes]]
NAME = b"x-athena-identity"


PLANES: list[TokenLog] = []


@pytest.fixture(scope="module", autouse=True)
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with token_log(tmp_path_factory.mktemp("identity")) as made:
        PLANES.append(made)
        yield
        PLANES.clear()


async def ask(headers: Headers, **request: Any) -> tuple[Scope | None, Sequence[Message]]:
    """Return the scope that reached the application, or else the messages sent instead."""
    return await edge.ask(PLANES[0], headers, **request)


async def identity(headers: Headers, **request: Any) -> Identity | None:
    scope, _ = await ask(headers, **request)
    assert scope is not None
    return scope.get("athena.identity")


async def refusal(headers: Headers, **request: Any) -> tuple[int, str]:
    scope, (start, body) = await ask(headers, **request)
    assert scope is None
    answer = json.loads(body["body"])
    assert (answer["ok"], answer["error"]["traceId"]) == (False, "trace")
    return start["status"], answer["error"]["code"]


async def test_without_authentication_everybody_is_the_local_admin() -> None:
    assert await identity([(NAME, b"mallory")], enabled=False) == LOCAL


async def test_the_header_names_the_caller_and_the_map_its_role() -> None:
    assert await identity([(b"host", b"localhost"), (NAME, b"alice")]) == Identity(subject="alice", role=Role.ADMIN)
    assert await identity([(b"X-Athena-Identity", b"bob")]) == Identity(subject="bob", role=Role.VIEWER)
    assert await identity([(NAME, b"Alice")]) == Identity(subject="Alice", role=Role.VIEWER)


async def test_a_twin_of_another_header_does_not_matter() -> None:
    assert await identity([(NAME, b"bob"), (b"x_athena_identity_", b"a"), (b"x_athena-trace-id", b"b")]) is not None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"localhost")],
        [(b"x_athena_identity", b"alice")],
        [(b"x-athena-identit", b"alice")],
        [(NAME, b"")],
        [(NAME, b"  ")],
    ],
)
async def test_a_missing_identity_is_401(headers: Headers) -> None:
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
        b"ath_" + b"0" * 26 + b"_" + b"a" * 43,
    ],
)  # fmt: skip
async def test_an_invalid_name_is_400(value: bytes) -> None:
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


@pytest.mark.parametrize(
    "path", ["/", "/livez", "/readyz", "/docs", "/openapi.json", "/events.schema.json", "/static/docs.js"]
)
async def test_open_paths_need_no_identity(path: str) -> None:
    assert await identity([], path=path) is None
    assert await identity([(NAME, b"alice")], path=path) is None


async def test_options_needs_no_identity() -> None:
    scope, sent = await ask([], method="OPTIONS")
    assert (scope is None or scope.get("athena.identity"), sent) == (None, [])


@pytest.mark.parametrize(
    "path",
    [
        "//",
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
async def test_every_other_path_needs_an_identity(path: str) -> None:
    assert await refusal([], path=path) == (401, "AUTH_IDENTITY_MISSING")


# Whose word counts


@pytest.mark.parametrize("peer", ["127.0.0.2", "10.9.9.9", "::2", "fe80::1%eth0", "::ffff:10.9.9.9", "nonsense", ""])
async def test_only_a_trusted_peer_may_say_who_is_asking(peer: str) -> None:
    answer = await refusal([(NAME, b"alice")], client=(peer, 1))
    assert answer == (401, "AUTH_PROXY_UNTRUSTED")
    forwarded = [(NAME, b"alice"), (b"x-forwarded-for", b"127.0.0.1"), (b"forwarded", b"for=127.0.0.1")]
    assert await refusal(forwarded, client=(peer, 1)) == answer


async def test_a_peer_that_is_gone_before_it_has_an_address_is_not_trusted() -> None:
    assert await refusal([(NAME, b"alice")], client=None) == (401, "AUTH_PROXY_UNTRUSTED")


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_trusted_by_default(peer: str) -> None:
    assert await identity([(NAME, b"bob")], client=(peer, 1)) is not None


@pytest.mark.parametrize("server", [("/run/athena.sock", None), None])
async def test_a_unix_socket_and_this_process_are_trusted(server: tuple[str, None] | None) -> None:
    proxies = TrustedProxies(parse_networks("10.0.0.0/8"), [SECRET])
    assert await identity([(NAME, b"bob")], client=None, server=server, proxies=proxies) is not None


async def test_networks_that_are_listed_replace_the_loopback_ones() -> None:
    proxies = TrustedProxies(parse_networks("10.1.0.0/16, 2001:db8::7"))
    for peer in ("10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"):
        assert await identity([(NAME, b"bob")], client=(peer, 1), proxies=proxies) is not None
    for peer in ("127.0.0.1", "10.2.0.1", "2001:db8::8"):
        refused = await refusal([(NAME, b"bob")], client=(peer, 1), proxies=proxies)
        assert refused == (401, "AUTH_PROXY_UNTRUSTED")


SECRET, OLD = "a secret of the proxies".replace(" ", "-"), "the-secret-before-this"
SECRET_NAME = b"x-athena-proxy-secret"


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [b""],
        [b"another-secret-altogether"],
        [SECRET.encode() + b" "],
        [SECRET.encode()[:-1]],
        [SECRET.encode(), SECRET.encode()],
        [SECRET.encode(), b"x"],
    ],
)
async def test_a_proxy_must_know_the_secret(sent: list[bytes]) -> None:
    headers = [(NAME, b"alice"), *((SECRET_NAME, value) for value in sent)]
    assert await refusal(headers, proxies=TrustedProxies((), [SECRET, OLD])) == (401, "AUTH_PROXY_UNTRUSTED")


@pytest.mark.parametrize("secret", [SECRET, OLD])
async def test_the_new_and_the_old_secret_are_accepted_and_removed(secret: str) -> None:
    headers = [(NAME, b"alice"), (SECRET_NAME, secret.encode())]
    scope, _ = await ask(headers, proxies=TrustedProxies((), [SECRET, OLD]))
    assert scope is not None
    assert scope["headers"] == [(NAME, b"alice")]


def test_networks_are_read() -> None:
    assert [str(network) for network in parse_networks("10.0.0.0/8,::1")] == ["10.0.0.0/8", "::1/128"]
    assert parse_networks(" ") == ()
    for text in ("10.0.0.1/8", "localhost", "*", "10.0.0.0/33", "10.0.0.0/8,"):
        with pytest.raises(ConfigError, match="is not a network"):
            parse_networks(text)


# How far an identity is narrowed


async def test_scope_headers_narrow_every_role_but_admin() -> None:
    headers = [(b"x-athena-scope-sessions", b"a, b,,"), (b"x-athena-scope-runs", b"run_1"), (NAME, b"bob")]
    bob = await identity(headers)
    assert bob is not None
    assert bob.scope == Narrowed(sessions=frozenset("ab"), runs=frozenset(["run_1"]))
    alice = await identity([*headers[:2], (NAME, b"alice")])
    assert alice is not None
    assert (alice.role, alice.scope) == (Role.ADMIN, None)


@pytest.mark.parametrize("value", [b"", b" , ", b","])
async def test_an_empty_list_narrows_nothing(value: bytes) -> None:
    bob = await identity([(NAME, b"bob"), (b"x-athena-scope-sessions", value)])
    assert bob is not None
    assert bob.scope is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([(b"x-athena-scope-sessions", b"a"), (b"x-athena-scope-sessions", b"b")], "AUTH_IDENTITY_AMBIGUOUS"),
        ([(b"x-athena-scope-sessions", b"a"), (b"x_athena_scope_runs", b"b")], "AUTH_IDENTITY_AMBIGUOUS"),
        ([(b"x-athena-scope-sessions", b"a"), (b"x-athena-scope-global", b"true")], "AUTH_IDENTITY_AMBIGUOUS"),
        ([(b"x-athena-scope-global", b"no"), (b"x-athena-scope-global", b"yes")], "AUTH_IDENTITY_AMBIGUOUS"),
        ([(b"x-athena-scope-sessions", b"a b")], "AUTH_IDENTITY_INVALID"),
        ([(b"x-athena-scope-runs", b"*")], "AUTH_IDENTITY_INVALID"),
        ([(b"x-athena-scope-runs", ",".join(str(n) for n in range(300)).encode())], "AUTH_IDENTITY_INVALID"),
    ],
)
async def test_a_doubtful_scope_is_refused(headers: Headers, code: str) -> None:
    assert await refusal([(NAME, b"bob"), *headers]) == (400, code)


# Settings


@pytest.mark.parametrize(
    ("text", "role"),
    [("Viewer", Role.VIEWER), (" oPERATOR ", Role.OPERATOR), ("ADMIN", Role.ADMIN), ("none", Role.NONE)],
)
def test_roles_are_read_in_any_case(text: str, role: Role) -> None:
    assert parse_role(text) is role


@pytest.mark.parametrize("text", ["", "root", "Admin,", "Viewer Admin"])
def test_other_roles_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected one of Viewer, Operator, Admin"):
        parse_role(text)


@pytest.mark.parametrize("entry", ["system:scheduler:Admin", "System:x:Viewer"])
def test_actors_of_the_server_have_no_role_and_the_line_that_gives_them_one_is_named(entry: str) -> None:
    with pytest.raises(ConfigError, match=f"'{entry}' is reserved for the server"):
        parse_role_map(f"ada:Admin,{entry}")
    with pytest.raises(ConfigError, match=f"line 3: '{entry}' is reserved for the server"):
        parse_role_file(f"ada:Admin # first\n\n{entry}\n".encode())
    with pytest.raises(ConfigError, match="line 2: 'ada' is listed twice"):
        parse_role_file(b"ada:Admin\nbob:Viewer,ada:None\n")


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
        ("alice", "not an identity with a role"),
        (":Admin", "not an identity with a role"),
        ("alice:Admin,", "not an identity with a role"),
        ("a b:Admin", "not an identity with a role"),
        ("**:Admin", "not an identity with a role"),
        ("é:Admin", "not an identity with a role"),
        ("a" * 129 + ":Admin", "not an identity with a role"),
        ("alice:root", "'root' is not a role"),
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


def test_a_role_map_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "roles"
    file.write_text("# who is who\nalice:Admin,\n\nspiffe:a:b:Operator, bob:Viewer # new\n")
    roster = Roster(enabled=True, roles={}, default=Role.VIEWER, file=file)
    assert roster.roles == {"alice": Role.ADMIN, "spiffe:a:b": Role.OPERATOR, "bob": Role.VIEWER}
    file.write_text("bob:Operator")
    assert roster.reload()
    assert roster.identity("alice").role is Role.VIEWER
    for content in (b"alice", b"\xff", b"x" * (5 << 20)):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="ATHENA_AUTH_ROLE_MAP_FILE"):
            roster.reload()
        assert roster.identity("bob").role is Role.OPERATOR, "what was known stays"


def test_who_makes_everybody_an_admin_is_warned() -> None:
    for roles, default, warned in (
        ({"*": Role.ADMIN}, Role.VIEWER, True),
        ({}, Role.ADMIN, True),
        ({"*": Role.VIEWER}, Role.ADMIN, False),
        ({"ada": Role.ADMIN}, Role.VIEWER, False),
    ):
        roster = Roster(enabled=True, roles=roles, default=default)
        assert (roster.warning is not None) is warned


def test_header_names_are_lower_case() -> None:
    assert check_header_name(" X-Forwarded-User ") == "x-forwarded-user"


@pytest.mark.parametrize(
    "name",
    [
        *("", "x_identity", "x identity", "x:y", "é", "Host", "cookie", "Authorization", "connection", "TE", "Origin"),
        *("x-athena-proxy-secret", "x-athena-scope-runs"),
    ],
)
def test_a_header_that_no_proxy_can_vouch_for_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_header_name(name)


# Trailers: what comes after the body says nothing about who asks


WORD = "what-only-the-proxy-knows"
PROXY = [b"x-athena-proxy-secret: " + WORD.encode()]
VERA = [*PROXY, b"x-athena-identity: vera"]
ROOT = [*PROXY, b"x-athena-identity: root"]
ADMIN_READS = b"GET /api/v1/governance/audit-trail"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that trusts any client that sends the secret."""
    roles = {"auth_identity_role_map": "root:Admin,vera:Operator", "auth_proxy_secret": WORD}
    with Server(tmp_path_factory.mktemp("guarded"), auth_enabled="true", **roles) as server:
        yield server


def trailed(start: bytes, headers: list[bytes], trailers: list[bytes], body: bytes = b"") -> list[bytes]:
    """Return a request with trailers: its head, its body, and its end."""
    lines = [b" ".join((start, b"HTTP/1.1")), b"host: localhost", b"connection: close", b"transfer-encoding: chunked"]
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return [
        b"\r\n".join([*lines, *headers]) + b"\r\n\r\n",
        chunk,
        b"\r\n".join([b"0", *trailers]) + b"\r\n\r\n",
    ]


@pytest.mark.parametrize("joined", [True, False], ids=["one packet", "pieces"])
@pytest.mark.parametrize(
    ("start", "headers", "trailers", "expected"),
    [
        (ADMIN_READS, PROXY, [b"x-athena-identity: root"], (401, "AUTH_IDENTITY_MISSING")),
        (ADMIN_READS, [], ROOT, (401, "AUTH_TOKEN_MISSING")),
        (ADMIN_READS, [], [*ROOT, b"authorization: Bearer x"], (401, "AUTH_TOKEN_MISSING")),
        (b"HEAD /metrics", PROXY, [b"x-athena-identity: root"], (401, "")),
        (ADMIN_READS, VERA, [b"x-athena-identity: root"], (403, "AUTHZ_DENIED")),
        (ADMIN_READS, [*PROXY, b"trailer: x-athena-identity", b"te: trailers"], ROOT, (401, "AUTH_IDENTITY_MISSING")),
        (ADMIN_READS, [*ROOT, b"connection: close, trailer"], [b"x-athena-identity: vera"], (200, "")),
        (ADMIN_READS, ROOT, [b"origin: https://evil.example.org", b"host: evil.example.org"], (200, "")),
        (ADMIN_READS, ROOT, [b"x_athena_identity: vera", b"x-athena-scope-sessions: s"], (200, "")),
        (
            b"GET /api/v1/runs",
            [*VERA, b"x-athena-scope-sessions: s"],
            [b"x-athena-scope-global: true"],
            (200, ""),
        ),
    ],
)
def test_a_trailer_changes_nothing_about_who_asks(
    guarded: Server,
    start: bytes,
    headers: list[bytes],
    trailers: list[bytes],
    expected: tuple[int, str],
    joined: bool,
) -> None:
    parts = trailed(start, headers, trailers)
    answer = exchange(guarded.url, [b"".join(parts)] if joined else parts)
    assert answer.status == expected[0], answer
    if expected[1]:
        assert answer.error["code"] == expected[1]


def test_an_idempotency_key_in_a_trailer_is_none(guarded: Server) -> None:
    parts = trailed(b"POST /api/v1/directives", VERA, [b"idempotency-key: k", b"if-match: x"], b'{"input":"once"}')
    answers = [exchange(guarded.url, [b"".join(parts)]) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body != answers[1].body
    assert not any("idempotency-replayed" in answer.headers for answer in answers)


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
@pytest.mark.parametrize("waiting", [True, False], ids=["worked on between", "worked on at the end"])
async def test_however_a_request_is_cut_its_trailers_never_reach_the_application(size: int, waiting: bool) -> None:
    parts = trailed(b"POST /x?y=z", [b"a: b"], [*ROOT, b"connection: close", b"upgrade: x"], b"body")
    data = b"".join(parts)
    application = Application()
    await feed(application, [data[at : at + size] for at in range(0, len(data), size)], waiting=waiting)
    (seen,) = application.seen
    assert (seen.method, seen.path, seen.query, seen.body) == ("POST", "/x", b"y=z", b"body")
    assert seen.headers == seen.headers_after
    assert [name for name, _ in seen.headers] == [b"host", b"connection", b"transfer-encoding", b"a"]


# Upgrades: no body becomes the next request


@pytest.mark.parametrize(
    "head", [b"connection: upgrade\r\nupgrade: %b", b"upgrade: %b\r\nconnection: keep-alive, Upgrade"]
)
@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"anything"])
@pytest.mark.parametrize("waiting", [True, False], ids=["two packets", "one packet"])
async def test_the_body_of_a_request_for_another_protocol_is_not_parsed(
    head: bytes, protocol: bytes, waiting: bool
) -> None:
    hidden = b"GET /hidden HTTP/1.1\r\nhost: h\r\nx-athena-identity: root\r\n\r\n"
    outer = b"POST /outer HTTP/1.1\r\nhost: h\r\n%b\r\ncontent-length: %d\r\n\r\n" % (head % protocol, len(hidden))
    application = Application()
    line = await feed(application, [outer, hidden] if waiting else [outer + hidden], waiting=waiting)
    assert [(seen.path, seen.refused) for seen in application.seen] == [("/outer", "CONFIG_ERROR")]
    assert line.closed


async def test_a_request_for_another_protocol_is_answered_as_one_for_this_and_is_the_last() -> None:
    application = Application()
    head = b"GET /first HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    line = await feed(application, [head, b"GET /second HTTP/1.1\r\nhost: h\r\n\r\n"], waiting=False)
    assert [(seen.path, seen.refused) for seen in application.seen] == [("/first", None)]
    assert b"connection: close" in line.written
    assert line.closed
