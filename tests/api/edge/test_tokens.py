"""Tokens and session cookies at the door: which identity counts, and which requests are refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.edge.fields import CLEARED_COOKIES
from athena_core.proxies import TrustedProxies, parse_networks, parse_trusted
from athena_core.services.access.authentication_limits import FAILURES_A_MINUTE
from athena_core.values import Identity, Role, Scope, TokenClaim
from tests.support.edge import Asked, Headers, ask
from tests.support.tokens import API_TOKEN, TokenLog, token_log

NAME, SCOPED = (b"x-athena-identity", b"alice"), (b"x-athena-scope-sessions", b"s")
TWIN = (b"x_athena_identity", b"alice")
OUTSIDE = ("192.0.2.7", 50_000)
SECRET = "a-secret-of-the-proxies"
UNSET = "ath_" + "0" * 26 + "_" + "x" * 43
"""A token of the right shape that does not exist."""

MISSING, UNNAMED = "AUTH_TOKEN_MISSING", "AUTH_IDENTITY_MISSING"
INVALID, EXPIRED = "AUTH_TOKEN_INVALID", "AUTH_TOKEN_EXPIRED"
UNTRUSTED, TWO, LIMITED = "AUTH_PROXY_UNTRUSTED", "AUTH_IDENTITY_AMBIGUOUS", "RATE_LIMITED"
CLEARED = [cookie.encode() for cookie in CLEARED_COOKIES]
STATUS = {TWO: 400, LIMITED: 429}


class Tokens:
    """A plane with one token of each kind."""

    def __init__(self, plane: TokenLog) -> None:
        self.plane = plane
        self.good, self.good_id = plane.create("spiffe://a:b", Role.OPERATOR)
        self.lower, _ = plane.create("alice", Role.VIEWER)
        self.higher, _ = plane.create("bob", Role.ADMIN)
        self.locked, _ = plane.create("out", Role.OPERATOR)
        self.scoped, _ = plane.create("spiffe://a:b", Role.OPERATOR, scope={"sessions": ("a", "b")})
        self.scoped_admin, _ = plane.create("alice", Role.ADMIN, scope={"runs": ("run_1",)})
        self.expired, self.expired_id = plane.create("spiffe://a:b", Role.OPERATOR, ms=-1)
        self.revoked, revoked_id = plane.create("spiffe://a:b", Role.OPERATOR)
        self.session, self.session_id = plane.create("spiffe://a:b", Role.OPERATOR, parent=self.good_id)
        self.orphan, _ = plane.create("spiffe://a:b", Role.OPERATOR, parent=revoked_id)
        self.stale, _ = plane.create("spiffe://a:b", Role.OPERATOR, parent=self.expired_id)
        self.of_settings, _ = plane.create("api-token", Role.OPERATOR, parent=plane.tokens.api_token_parent)
        self.of_old_settings, _ = plane.create("api-token", Role.OPERATOR, parent="api-token:0123456789abcdef")
        plane.revoke(revoked_id)
        self.unset, self.api = UNSET, API_TOKEN

    def __getitem__(self, name: str) -> str:
        text: str = getattr(self, name)
        return text


MADE: list[Tokens] = []


@pytest.fixture(scope="module", autouse=True)
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    with token_log(tmp_path_factory.mktemp("tokens")) as plane:
        MADE.append(Tokens(plane))
        yield MADE[0]
        MADE.clear()


@pytest.fixture(autouse=True)
def calm(made: Tokens) -> None:
    """Forget the failures of the test before."""
    made.plane.clock.advance(61_000)


def bearer(text: str | bytes, scheme: bytes = b"Bearer ") -> tuple[bytes, bytes]:
    return b"authorization", scheme + (text.encode() if isinstance(text, str) else text)


def cookie(text: str, name: str = "athena_session") -> tuple[bytes, bytes]:
    return b"cookie", f"{name}={text}".encode()


async def asked(headers: Headers, **request: Any) -> Asked:
    return await ask(MADE[0].plane, headers, **request)


async def refused(headers: Headers, code: str, **request: Any) -> Asked:
    answer = await asked(headers, **request)
    assert answer.scope is None, answer.identity
    assert (answer.code, answer.status) == (code, STATUS.get(code, 401))
    return answer


# Rights


@pytest.mark.parametrize(
    ("name", "subject", "role", "scope"),
    [
        ("good", "spiffe://a:b", Role.OPERATOR, None),
        ("lower", "alice", Role.VIEWER, None),
        ("higher", "bob", Role.VIEWER, None),
        ("locked", "out", Role.NONE, None),
        ("scoped", "spiffe://a:b", Role.OPERATOR, Scope(sessions=frozenset("ab"))),
        ("scoped_admin", "alice", Role.ADMIN, Scope(runs=frozenset(["run_1"]))),
        ("api", "api-token", Role.OPERATOR, None),
    ],
)
@pytest.mark.parametrize("client", [("127.0.0.1", 1), OUTSIDE])
async def test_a_token_has_the_lesser_of_its_role_and_the_role_of_its_identity(
    made: Tokens, name: str, subject: str, role: Role, scope: Scope | None, client: tuple[str, int]
) -> None:
    who = (await asked([bearer(made[name])], client=client)).identity
    assert who is not None
    assert (who.subject, who.role, who.scope, who.asked) == (subject, role, scope, scope)
    assert who.token is not None
    assert not who.token.session
    assert (who.token.token_id is None) == (name == "api")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unset", INVALID),
        ("revoked", INVALID),
        ("orphan", INVALID),
        ("of_old_settings", INVALID),
        ("expired", EXPIRED),
        ("stale", EXPIRED),
    ],
)
async def test_a_token_that_is_not_in_force_is_401(made: Tokens, name: str, code: str) -> None:
    answer = await refused([bearer(made[name])], code, client=OUTSIDE)
    assert answer.header(b"www-authenticate") == [b'Bearer realm="athena", error="invalid_token"']
    assert made[name] not in answer.message


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"x", b"ath_", UNSET.encode()[:-1], UNSET.encode() + b"x", UNSET.encode().lower(), b"\xff" * 40,
        b"ath_" + b"\xc3\xa9" * 13 + b"_" + b"x" * 43, b"a" * 60_000, API_TOKEN.encode()[:-1],
        API_TOKEN.encode() + b"x",
        UNSET.encode() + b", Bearer " + UNSET.encode(), b"null", b"undefined", UNSET.encode() + b"\0",
    ],
)  # fmt: skip
async def test_a_malformed_token_is_401(text: bytes) -> None:
    await refused([bearer(text)], INVALID, client=OUTSIDE)


@given(st.binary(max_size=200))
async def test_any_authorization_is_answered(value: bytes) -> None:
    MADE[0].plane.clock.advance(61_000)
    answer = await asked([(b"authorization", value)], client=OUTSIDE)
    assert answer.code in (INVALID, MISSING)


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER   ", b" Bearer "])
async def test_the_scheme_may_have_any_case(made: Tokens, scheme: bytes) -> None:
    assert (await asked([bearer(made.good, scheme)])).identity is not None


# Which identity counts


@pytest.mark.parametrize(
    ("headers", "inside", "outside"),
    [
        ([], UNNAMED, MISSING),
        ([(b"authorization", b"Basic YTpi")], UNNAMED, MISSING),
        ([(b"authorization", b"")], UNNAMED, MISSING),
        ([(b"authorization", b"Bearer")], INVALID, INVALID),
        ([NAME], None, UNTRUSTED),
        ([SCOPED], UNNAMED, MISSING),
        ([TWIN], UNNAMED, UNTRUSTED),
        (["unset", "unset"], TWO, TWO),
        (["good", "good"], TWO, TWO),
        (["good", (b"authorization", b"Basic YTpi")], TWO, TWO),
        (["good", NAME], TWO, TWO),
        (["good", TWIN], TWO, TWO),
        (["good", SCOPED], TWO, TWO),
        (["unset", NAME], TWO, TWO),
        (["api", NAME], None, TWO),
        (["api", SCOPED], TWO, TWO),
        (["api", SCOPED, NAME], None, TWO),
        (["api", TWIN], UNNAMED, TWO),
        ([(b"authorization", b"Bearer of-the-proxy"), NAME], None, TWO),
        ([(b"authorization", b"Basic YTpi"), NAME], None, TWO),
        ([(b"authorization", b"Basic YTpi"), SCOPED], UNNAMED, TWO),
        ([(b"authorization", b"Bearer ath_short"), NAME], TWO, TWO),
    ],
)
async def test_one_identity_counts(made: Tokens, headers: list[Any], inside: str | None, outside: str) -> None:
    sent = [bearer(made[each]) if isinstance(each, str) else each for each in headers]
    if inside is None:
        assert (await asked(sent)).identity == Identity(
            subject="alice", role=Role.ADMIN, asked=Scope(sessions=frozenset("s")) if SCOPED in sent else None
        )
    else:
        await refused(sent, inside)
    await refused(sent, outside, client=OUTSIDE)


async def test_a_peer_without_the_secret_of_the_proxies_needs_a_token(made: Tokens) -> None:
    proxies = TrustedProxies((), [SECRET])
    vouched = (b"x-athena-proxy-secret", SECRET.encode())
    await refused([], MISSING, proxies=proxies)
    await refused([NAME], UNTRUSTED, proxies=proxies)
    await refused([bearer(made.good), NAME], TWO, proxies=proxies)
    await refused([bearer(made.api), NAME], TWO, proxies=proxies)
    await refused([vouched], UNNAMED, proxies=proxies)
    assert (await asked([bearer(made.api), NAME, vouched], proxies=proxies)).identity is not None
    assert (await asked([bearer(made.good)], proxies=proxies)).identity is not None


@pytest.mark.parametrize(
    ("client", "server"), [(("127.0.0.1", 1), ("127.0.0.1", 8787)), (None, ("/run/athena.sock", None)), (OUTSIDE, None)]
)
async def test_without_proxies_no_peer_names_an_identity(
    made: Tokens, client: tuple[str, int] | None, server: tuple[str, int | None] | None
) -> None:
    proxies = TrustedProxies(parse_trusted(" None "), [SECRET])
    vouched = (b"x-athena-proxy-secret", SECRET.encode())
    assert (await asked([bearer(made.good)], client=client, server=server, proxies=proxies)).identity is not None
    if server is None:  # a call of this process
        assert (await asked([NAME], client=client, server=server, proxies=proxies)).identity is not None
        return
    await refused([NAME, vouched], UNTRUSTED, client=client, server=server, proxies=proxies)
    await refused([vouched], MISSING, client=client, server=server, proxies=proxies)
    forwarded = await refused(
        [NAME, (b"x-forwarded-for", b"192.0.2.1")], UNTRUSTED, client=client, server=server, proxies=proxies
    )
    assert forwarded.header(b"www-authenticate") == [b'Bearer realm="athena"']
    assert parse_trusted("10.0.0.0/8") == parse_networks("10.0.0.0/8")


async def test_with_authentication_off_nothing_of_it_counts() -> None:
    for headers in [bearer("x")], [bearer("x"), NAME], [cookie("x")], [bearer("x"), bearer("y")]:
        answer = await asked(list(headers), enabled=False, query=b"token=x", client=OUTSIDE)
        assert answer.identity == Identity(subject="local", role=Role.ADMIN)


async def test_the_application_sees_no_secret(made: Tokens) -> None:
    for secret in bearer(made.good), cookie(made.session):
        answer = await asked([(b"host", b"localhost"), secret, (b"accept", b"*/*")])
        assert answer.scope is not None
        assert answer.scope["headers"] == [(b"host", b"localhost"), (b"accept", b"*/*")]


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/docs", "/openapi.json", "/static/docs.js"])
async def test_open_paths_check_no_token(made: Tokens, path: str) -> None:
    for headers in [bearer(made.unset)], [cookie(made.unset)], [bearer(made.good), bearer(made.good)]:
        assert (await asked(list(headers), path=path)).identity is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/metrics", "/nowhere", "/api/v1/runs"])
async def test_every_method_and_path_checks_the_token(made: Tokens, method: str, path: str) -> None:
    assert (await asked([bearer(made.good)], method=method, path=path, client=OUTSIDE)).identity is not None
    await refused([bearer(made.revoked)], INVALID, method=method, path=path, client=OUTSIDE)
    await refused([], MISSING, method=method, path=path, client=OUTSIDE)


# Tokens in addresses


@pytest.mark.parametrize(
    "query",
    [
        b"token=x", b"access_token=x", b"limit=5&access_token=x", b"Access_Token=", b"%74oken=x", b"token",
        b"x=" + UNSET.encode(),
        b"x=%61th_" + UNSET.encode()[4:], b"ath_" + b"0" * 26 + b"_", b"a=1&&token=2", b"access%5Ftoken=x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/v1/runs", "/", "/docs"])
async def test_a_token_in_the_address_is_refused(made: Tokens, query: bytes, path: str) -> None:
    answer = await asked([bearer(made.good)], query=query, path=path)
    assert (answer.status, answer.code) == (400, "CONFIG_ERROR")
    assert "must not be in the address" in answer.message
    assert "ath_" not in answer.message


@pytest.mark.parametrize("query", [b"", b"tokens=5", b"q=token", b"q=token%3Dx", b"q=ath_x", b"%", b"q=a%26token%3D1"])
async def test_other_queries_pass(made: Tokens, query: bytes) -> None:
    assert (await asked([bearer(made.good)], query=query)).identity is not None


# Session cookies


async def test_a_session_cookie_names_the_identity_of_its_token(made: Tokens) -> None:
    who = (await asked([cookie(made.session)], client=OUTSIDE)).identity
    assert who is not None
    assert (who.subject, who.role) == ("spiffe://a:b", Role.OPERATOR)
    assert isinstance(who.token, TokenClaim)
    assert (who.token.session, who.token.token_id) == (True, made.session_id)
    among = (b"cookie", f'a=b; athena_session="{made.session}" ;c=d'.encode())
    assert (await asked([among])).identity == who
    assert (await asked([cookie(made.of_settings)])).identity is not None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("unset", INVALID),
        ("orphan", INVALID),
        ("of_old_settings", INVALID),
        ("stale", EXPIRED),
        ("expired", EXPIRED),
        ("good", INVALID),
        ("api", INVALID),
    ],
)
async def test_a_cookie_without_a_session_in_force_is_cleared(made: Tokens, name: str, code: str) -> None:
    answer = await refused([cookie(made[name])], code)
    assert answer.header(b"set-cookie") == CLEARED


@pytest.mark.parametrize(
    ("headers", "subject"),
    [
        ([NAME, "session"], "alice"),
        (["Bearer lower", "session"], "alice"),
        ([(b"cookie", b"other=1")], None),
        ([(b"cookie", b"")], None),
        ([(b"cookie", b"__host-athena_session=x")], None),
        ([(b"cookie", b"Athena_Session=x")], None),
        (["session", (b"authorization", b"Basic YTpi")], None),
    ],
)
async def test_a_cookie_counts_only_alone(made: Tokens, headers: list[Any], subject: str | None) -> None:
    sent = [
        each if not isinstance(each, str) else cookie(made.session) if each == "session" else bearer(made.lower)
        for each in headers
    ]
    if subject is None:
        answer = await refused(sent, UNNAMED)
        assert answer.header(b"set-cookie") == []
    else:
        found = (await asked(sent)).identity
        assert found is not None
        assert found.subject == subject


async def test_two_session_cookies_or_a_scope_beside_one_are_refused(made: Tokens) -> None:
    for headers in (
        [cookie(made.session), cookie(made.session)],
        [(b"cookie", f"athena_session={made.session}; athena_session=x".encode())],
        [cookie(made.session), SCOPED],
    ):
        answer = await refused(list(headers), TWO)
        assert answer.header(b"set-cookie") == CLEARED


async def test_the_name_that_only_this_host_can_set_counts_first(made: Tokens) -> None:
    host = cookie(made.session, "__Host-athena_session")
    planted = cookie(made.unset)
    for headers in [host], [host, planted], [planted, host]:
        assert (await asked(headers)).identity is not None
    answer = await refused([cookie(made.session), cookie(made.unset, "__Host-athena_session")], INVALID)
    assert answer.header(b"set-cookie") == CLEARED
    await refused([host, host], TWO)


HOST = (b"host", b"localhost:8787")
SAME = (b"origin", b"http://localhost:8787")


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", [], True),
        ("GET", [HOST], True),
        ("HEAD", [HOST, (b"sec-fetch-site", b"same-origin")], True),
        ("GET", [HOST, (b"sec-fetch-site", b"none")], True),
        ("GET", [HOST, (b"sec-fetch-site", b"same-site")], False),
        ("GET", [HOST, (b"sec-fetch-site", b"cross-site")], False),
        ("GET", [HOST, (b"sec-fetch-site", b"Same-Origin")], False),
        ("GET", [HOST, (b"sec-fetch-site", b"same-origin"), (b"sec-fetch-site", b"cross-site")], False),
        ("GET", [HOST, SAME], True),
        ("POST", [HOST, SAME], True),
        ("POST", [HOST, SAME, (b"sec-fetch-site", b"same-origin")], True),
        ("POST", [HOST], False),
        ("POST", [SAME], False),
        ("POST", [HOST, (b"sec-fetch-site", b"same-origin")], False),
        ("POST", [HOST, SAME, (b"sec-fetch-site", b"cross-site")], False),
        ("PUT", [HOST], False),
        ("DELETE", [HOST], False),
        ("POST", [HOST, (b"origin", b"null")], False),
        ("POST", [HOST, (b"origin", b"http://localhost:8788")], False),
        ("POST", [HOST, SAME, SAME], False),
    ],
)
async def test_only_pages_of_this_server_use_the_cookie(
    made: Tokens, method: str, headers: Headers, allowed: bool
) -> None:
    answer = await asked([cookie(made.session), *headers], method=method)
    if allowed:
        assert answer.identity is not None
    else:
        assert (answer.status, answer.code, answer.header(b"set-cookie")) == (403, "ORIGIN_FORBIDDEN", [])


SECURE = (b"origin", b"https://localhost:8787")


async def test_through_https_only_the_name_that_no_other_host_can_set_counts(made: Tokens) -> None:
    host, plain = cookie(made.session, "__Host-athena_session"), cookie(made.session)
    assert (await asked([host, HOST, SECURE], method="POST")).identity is not None
    assert (await asked([host, plain, HOST, SECURE], method="POST")).identity is not None
    answer = await refused([plain, HOST, SECURE], INVALID, method="POST")
    assert answer.header(b"set-cookie") == CLEARED
    assert (await asked([host, HOST], tls=True)).identity is not None
    await refused([plain, HOST], INVALID, tls=True)
    answer = await asked([host, HOST, SAME], method="POST", tls=True)
    assert answer.code == "ORIGIN_FORBIDDEN", "a page that came through http is another origin"


async def test_a_token_needs_no_origin(made: Tokens) -> None:
    headers = [bearer(made.good), HOST, (b"sec-fetch-site", b"cross-site")]
    assert (await asked(headers, method="POST")).identity is not None


# Guesses


async def test_guesses_from_an_address_are_slowed(made: Tokens) -> None:
    fresh, _ = made.plane.create("spiffe://a:b", Role.OPERATOR)
    peer = ("198.51.100.1", 1)
    for _ in range(FAILURES_A_MINUTE):
        await refused([bearer(UNSET)], INVALID, client=peer)
    answer = await refused([bearer(UNSET)], LIMITED, client=peer)
    assert "was not checked" in answer.message
    assert answer.header(b"retry-after") == [b"6"]
    await refused([bearer(fresh)], LIMITED, client=peer)
    await refused([bearer(b"x")], LIMITED, client=peer)
    await refused([cookie(UNSET)], LIMITED, client=peer)
    assert (await asked([bearer(made.good)], client=peer)).identity is not None, "a token in use was locked out"
    assert (await asked([bearer(fresh)], client=("198.51.100.2", 1))).identity is not None
    made.plane.clock.advance(60_000 // FAILURES_A_MINUTE)
    await refused([bearer(UNSET)], INVALID, client=peer)
    await refused([bearer(UNSET)], LIMITED, client=peer)
    made.plane.clock.advance(60_000)
    await refused([bearer(UNSET)], INVALID, client=peer)


async def test_the_token_in_the_settings_is_not_checked_for_an_address_that_guesses(made: Tokens) -> None:
    known, guessing = ("198.51.100.3", 1), ("198.51.100.4", 1)
    assert (await asked([bearer(made.api)], client=known)).identity is not None
    for client in known, guessing:
        for _ in range(FAILURES_A_MINUTE):
            await refused([bearer("a-token-of-the-setting?")], INVALID, client=client)
        await refused([bearer("a-token-of-the-setting?")], LIMITED, client=client)
    await refused([bearer(made.api)], LIMITED, client=guessing)
    assert (await asked([bearer(made.api)], client=known)).identity is not None, "a working client was locked out"


async def test_guesses_of_one_token_from_many_addresses_are_slowed(made: Tokens) -> None:
    fresh, token_id = made.plane.create("spiffe://a:b", Role.OPERATOR)
    guess = fresh[:-1] + ("A" if fresh[-1] != "A" else "B")
    for number in range(FAILURES_A_MINUTE):
        await refused([bearer(guess)], INVALID, client=(f"203.0.113.{number}", 1))
    await refused([bearer(guess)], LIMITED, client=("203.0.113.99", 1))
    await refused([bearer(fresh)], LIMITED, client=("203.0.113.99", 1))
    await refused([bearer(UNSET)], INVALID, client=("203.0.113.99", 1))
    assert made.plane.tokens.exists(token_id)


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.200", "192.0.2.200", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("nonsense", "", True),
    ],
)
async def test_an_address_of_ipv6_counts_with_its_network(
    made: Tokens, first: str, second: str, together: bool
) -> None:
    for _ in range(FAILURES_A_MINUTE):
        await refused([bearer(UNSET)], INVALID, client=(first, 1))
    await refused([bearer(UNSET)], LIMITED if together else INVALID, client=(second, 1))


async def test_behind_a_trusted_proxy_the_client_counts(made: Tokens) -> None:
    for _ in range(FAILURES_A_MINUTE):
        await refused([bearer(UNSET), (b"x-forwarded-for", b"1.1.1.1, 192.0.2.66")], INVALID)
    await refused([bearer(UNSET), (b"x-forwarded-for", b"192.0.2.66")], LIMITED)
    await refused([bearer(UNSET), (b"x-forwarded-for", b"192.0.2.67")], INVALID)
    for _ in range(FAILURES_A_MINUTE):
        await refused([bearer(UNSET), (b"x-forwarded-for", b"192.0.2.68")], INVALID, client=("192.0.2.69", 1))
    await refused([bearer(UNSET), (b"x-forwarded-for", b"192.0.2.70")], LIMITED, client=("192.0.2.69", 1))


async def test_an_expired_token_and_a_missing_one_do_not_count_as_guesses(made: Tokens) -> None:
    for _ in range(2 * FAILURES_A_MINUTE):
        await refused([bearer(made.expired)], EXPIRED, client=("198.51.100.9", 1))
        await refused([], MISSING, client=("198.51.100.9", 1))
    await refused([bearer(UNSET)], INVALID, client=("198.51.100.9", 1))
