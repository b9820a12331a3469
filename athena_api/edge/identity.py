"""Identity of the caller: a token, a session cookie, or a header that a trusted proxy sets, with its scope headers."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from athena_api.edge.fields import CLEARED_COOKIES, cookie_name
from athena_core.errors import (
    AthenaError,
    ConfigError,
    IdentityAmbiguous,
    IdentityInvalid,
    IdentityMissing,
    OriginForbidden,
    ProxyUntrusted,
    RateLimited,
    TokenInvalid,
    TokenMissing,
    Unauthenticated,
)
from athena_core.proxies import TrustedProxies
from athena_core.roles import IDENTITY, RESERVED_PREFIX, SECRET_HEADER, Roster, is_reserved
from athena_core.services.access.authentication_limits import FAILURES_A_MINUTE, AuthenticationLimits
from athena_core.services.access.token_text import TOKEN_PREFIX, TOKEN_TEXT, id_in
from athena_core.services.access.tokens import Tokens
from athena_core.values import IDENTITY_CHARS_MAX, Identity, Scope

GLOBAL_HEADER = "x-athena-scope-global"
SCOPE_HEADERS = {f"x-athena-scope-{kind}": kind for kind in Scope.__struct_fields__}
YES = frozenset(("1", "true", "yes", "on"))
SCOPE_NAMES_MAX = 256
AUTHORIZATION, COOKIE, FETCH_SITE, ORIGIN, HOST = b"authorization", b"cookie", b"sec-fetch-site", b"origin", b"host"
OURS = TOKEN_PREFIX.encode()
COOKIES = tuple(cookie_name(tls=tls).encode() for tls in (True, False))
"""The names of the session cookie. If both are sent, the first one counts."""
SAME_SITES = frozenset((b"same-origin", b"none"))
"""Values of ``Sec-Fetch-Site`` of a page of this server, and of an address that a person typed."""
SAFE_METHODS = frozenset(("GET", "HEAD"))
CHALLENGE = (b"www-authenticate", b'Bearer realm="athena"')
CHALLENGE_AGAIN = (b"www-authenticate", b'Bearer realm="athena", error="invalid_token"')
"""The challenges to a caller without a token, and to one whose token was refused."""
TOKEN_PARAMETERS = frozenset((b"access_token", b"token"))
TOKEN_IN_QUERY = re.compile(rb"ath_[0-9A-Z]{26}_")

GROUPS_MAX = 1_000
"""Maximum number of groups of one request."""
GROUPS_BYTES_MAX = 32 << 10
"""Maximum size of the header with the groups, in bytes."""

Fields = Mapping[bytes, Sequence[bytes]]
"""Values of relevant header fields by name. A name with underscores counts as its spelling with dashes."""


class RequestHead(NamedTuple):
    """The parts of a request that say who sent it.

    ``twins`` are names that were sent with underscores, which some proxies treat as dashes. With one, a client could
    pass a second value through such a proxy. ``peer`` is None on a socket that only this machine's user can connect to,
    and ``inside`` is True for a call of this process. ``client`` is the address by which failures are counted.
    """

    method: str
    fields: Fields
    twins: frozenset[bytes]
    peer: str | None
    client: str | None
    inside: bool = False


class Identification:
    """Identification of the caller, from the header fields of a request and the peer of its socket."""

    def __init__(
        self,
        *,
        header: str,
        roster: Roster,
        proxies: TrustedProxies,
        tokens: Tokens,
        failures: AuthenticationLimits,
        groups_header: str | None = None,
        tls: bool = False,
    ) -> None:
        """``groups_header`` is read only if a group has a role. With ``tls`` browsers use https for this server."""
        self._header = header.lower().encode()
        self._groups_header = groups_header.encode() if groups_header is not None and roster.groups else None
        self._roster = roster
        self._proxies = proxies
        self._tokens = tokens
        self._failures = failures
        self._tls = tls
        self._scoping = frozenset(name.encode() for name in (GLOBAL_HEADER, *SCOPE_HEADERS))
        groups = () if self._groups_header is None else (self._groups_header,)
        self._proxied = frozenset((self._header, *groups, *self._scoping))
        self.names = frozenset((*self._proxied, SECRET_HEADER.encode(), AUTHORIZATION, COOKIE, FETCH_SITE))
        """The relevant header fields."""
        self.secrets = frozenset((SECRET_HEADER.encode(), AUTHORIZATION, COOKIE))
        """The header fields that the application must not see."""

    def identify(self, head: RequestHead) -> Identity:
        """Return the caller. Raise AthenaError."""
        try:
            return self._identify(head)
        except AthenaError as error:
            self._failures.failed(error, head.client, self._token_of(head))
            raise

    def _identify(self, head: RequestHead) -> Identity:
        fields, header = head.fields, self._header
        authorization = fields.get(AUTHORIZATION, ())
        named = header in fields or header in head.twins
        scoped = not self._scoping.isdisjoint(fields) or not self._scoping.isdisjoint(head.twins)
        token = bearer_of(authorization[0]) if authorization else None
        if len(authorization) > 1:
            raise IdentityAmbiguous("The header authorization must be sent at most once.")
        if authorization and (named or scoped):
            self._check_beside(head, token, named=named)
        if named:
            return self._named_by_proxy(head, scoped=scoped)
        if token is not None:
            return self._tokens.identify(token, head.client)
        if not authorization and cookies_of(fields):
            if scoped:
                raise IdentityAmbiguous(
                    "A scope header cannot be combined with a session cookie. Send one or the other."
                )
            return self._session(head)
        if self._distrust(head) is None:
            raise IdentityMissing(
                f"The header {header.decode()} with the caller's identity, or a token as Authorization: Bearer, is "
                "required."
            )
        raise TokenMissing("A token is required. Send it as Authorization: Bearer.")

    def _check_beside(self, head: RequestHead, token: bytes | None, *, named: bool) -> None:
        """Raise IdentityAmbiguous if a request has an identity or a scope beside the token that counts."""
        header = self._header.decode()
        if self._distrust(head) is not None or (token is not None and (not named or token.startswith(OURS))):
            raise IdentityAmbiguous(
                f"The header authorization cannot be combined with {header} or scope headers. Send one or the other."
            )

    def _distrust(self, head: RequestHead) -> str | None:
        """Return the reason why the peer may not set an identity; None if it may."""
        if head.inside or (head.peer is None and not self._proxies.none):
            return None
        if head.peer is None or not self._proxies.trusts(head.peer):
            return "This address may not set an identity. Connect through a trusted proxy, or send a token."
        if self._proxies.secret_needed and not self._proxies.vouched(head.fields.get(SECRET_HEADER.encode(), ())):
            return f"The header {SECRET_HEADER} must be sent exactly once, with the proxy's secret."
        return None

    def _named_by_proxy(self, head: RequestHead, *, scoped: bool) -> Identity:
        distrust = self._distrust(head)
        if distrust is not None:
            raise ProxyUntrusted(distrust)
        subject = self._subject(head.fields, head.twins)
        groups = () if self._groups_header is None else groups_of(head.fields, head.twins, self._groups_header)
        return self._roster.identity(subject, scope_of(head.fields, head.twins) if scoped else None, groups)

    def _subject(self, fields: Fields, twins: frozenset[bytes]) -> str:
        """Return the name in the identity header: exactly one field, exactly one name."""
        header, values, twin = self._header, fields.get(self._header, ()), self._header in twins
        name = header.decode()
        if not values or len(values) == 1 and not twin and not values[0].strip():
            raise IdentityMissing(f"The header {name} with the caller's identity is required.")
        if len(values) > 1 or twin:
            raise IdentityAmbiguous(f"The header {name} must be sent exactly once, in one spelling.")
        subject = values[0].decode("latin-1")
        if not IDENTITY.fullmatch(subject):
            raise IdentityInvalid(
                f"The header {name} must contain one name of 1 to {IDENTITY_CHARS_MAX} letters, digits or ._@:+|-"
            )
        if TOKEN_TEXT.search(subject):  # it would be recorded as the name of the caller
            raise IdentityInvalid(f"The header {name} must not contain a token. Send it as Authorization: Bearer.")
        if is_reserved(subject):
            raise IdentityInvalid(
                f"The header {name} must not contain a name that begins with {RESERVED_PREFIX}: "
                "these are the server's own actors. Use another identity."
            )
        return subject

    # Sessions

    def _by_cookie(self, head: RequestHead) -> bool:
        """Return True if the session cookie of a request counts."""
        sent = head.fields.keys() | head.twins
        return AUTHORIZATION not in sent and self._header not in sent and bool(cookies_of(head.fields))

    def _session(self, head: RequestHead) -> Identity:
        """Return the identity of the session in the cookie. Only pages of this server may use it.

        A browser may add the cookie to requests that another page caused. A cookie with another token would let that
        page choose the caller's identity.
        """
        fields = head.fields
        origins, hosts, sites = fields.get(ORIGIN, ()), fields.get(HOST, ()), fields.get(FETCH_SITE, ())
        origin, host = (values[0].lower() if len(values) == 1 else b"" for values in (origins, hosts))
        secure = self._tls or origin == b"https://" + host
        same = host != b"" and origin == (b"https://" if secure else b"http://") + host
        if not SAME_SITES.issuperset(sites) or (not same and (origins or head.method not in SAFE_METHODS)):
            raise OriginForbidden("Only pages of this server may use its session cookie. Send a token instead.")
        cookies = cookies_of(fields, secure=secure)
        if not cookies:
            raise TokenInvalid("The session cookie was not set through https. Log in again.")
        if len(cookies) > 1:
            raise IdentityAmbiguous("The session cookie must be sent exactly once. Log in again.")
        who = self._tokens.identify(cookies[0], head.client)
        if who.token is None or not who.token.session:
            raise TokenInvalid("The session cookie does not hold a session. Log in again.")
        return who

    def _token_of(self, head: RequestHead) -> str | None:
        """Return the id of the token that counts, if such a token exists."""
        authorization = head.fields.get(AUTHORIZATION, ())
        texts = [bearer_of(authorization[0]) or b""] if authorization else cookies_of(head.fields)
        token_id = id_in(texts[0].decode("latin-1")) if texts else None
        return token_id if token_id is not None and self._tokens.exists(token_id) else None

    def headers_of(self, error: AthenaError, head: RequestHead) -> list[tuple[bytes, bytes]]:
        """Return the headers of the answer to a caller who was not identified."""
        headers: list[tuple[bytes, bytes]] = []
        refused = isinstance(error, Unauthenticated)
        if refused:
            headers.append(CHALLENGE_AGAIN if error.code in ("AUTH_TOKEN_INVALID", "AUTH_TOKEN_EXPIRED") else CHALLENGE)
        if (refused or isinstance(error, IdentityAmbiguous)) and self._by_cookie(head):
            headers += ((b"set-cookie", cookie.encode()) for cookie in CLEARED_COOKIES)
        if isinstance(error, RateLimited):
            headers.append((b"retry-after", str(60 // FAILURES_A_MINUTE).encode()))
        elif error.retry_after is not None:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        return headers

    def again(self, who: Identity) -> Identity:
        """Return the identity of a caller with the role that it has now. Raise Unauthenticated if its token ended."""
        if who.token is not None:
            return self._tokens.again(who.token)
        return self._roster.identity(who.subject, who.asked, who.groups)

    def in_force(self, who: Identity) -> bool:
        """Return True unless the caller's token was revoked or has expired."""
        return who.token is None or self._tokens.in_force(who.token)


def bearer_of(value: bytes) -> bytes | None:
    """Return the token in a field ``Authorization``; None if it has another scheme."""
    scheme, _, token = value.strip(b" \t").partition(b" ")
    return token.strip(b" \t") if scheme.lower() == b"bearer" else None


def cookies_of(fields: Fields, *, secure: bool = False) -> list[bytes]:
    """Return the values of the session cookie, under the name that only this host can set if it was sent.

    If a request is known to be ``secure``, only that name counts: another host of the domain can set the other one.
    """
    found: dict[bytes, list[bytes]] = {name: [] for name in COOKIES}
    for part in b";".join(fields.get(COOKIE, ())).split(b";"):
        name, _, value = part.partition(b"=")
        if (name := name.strip()) in found:
            found[name].append(value.strip(b' \t"'))
    return found[COOKIES[0]] if secure else next(filter(None, found.values()), [])


def check_query(query: bytes) -> None:
    """Raise ConfigError for a query string with a token, because addresses are kept in histories and logs."""
    if not query:
        return
    names = (unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")) for part in query.split(b"&"))
    if any(name.lower() in TOKEN_PARAMETERS for name in names) or TOKEN_IN_QUERY.search(unquote_to_bytes(query)):
        raise ConfigError(
            "A token must not be in the address, because addresses are kept in histories and logs. Send it as "
            "Authorization: Bearer, and revoke it."
        )


def scope_of(fields: Fields, twins: frozenset[bytes]) -> Scope | None:
    """Return the scope that the headers set, or None without one. Raise AthenaError.

    An empty list does not restrict anything. Lists together with ``x-athena-scope-global: true`` are refused, because a
    client could add that header to the lists that a proxy sets.
    """
    lists: dict[str, frozenset[str]] = {}
    for header in (GLOBAL_HEADER, *SCOPE_HEADERS):
        name = header.encode()
        values = fields.get(name, ())
        if len(values) > 1 or name in twins:
            raise IdentityAmbiguous(f"The header {header} must be sent exactly once, in one spelling.")
        if header in SCOPE_HEADERS and values:
            names = frozenset(part.strip() for part in values[0].decode("latin-1").split(",")) - {""}
            if len(names) > SCOPE_NAMES_MAX or not all(IDENTITY.fullmatch(each) for each in names):
                raise IdentityInvalid(
                    f"The header {header} may list at most {SCOPE_NAMES_MAX} names, separated by commas."
                )
            if names:
                lists[SCOPE_HEADERS[header]] = names
    anywhere = fields.get(GLOBAL_HEADER.encode(), (b"",))[0].decode("latin-1").strip().lower() in YES
    if anywhere and lists:
        raise IdentityAmbiguous(
            f"The header {GLOBAL_HEADER} cannot be combined with scope lists. Send one or the other."
        )
    return Scope(**lists) if lists else None


def groups_of(fields: Fields, twins: frozenset[bytes], header: bytes) -> tuple[str, ...]:
    """Return the groups in a header, separated by commas; none without the header. Raise AthenaError.

    Any text may be a group, because they come from a directory. Only groups with a role count.
    """
    values = fields.get(header, ())
    if len(values) > 1 or header in twins:
        raise IdentityAmbiguous(f"The header {header.decode()} must be sent at most once, in one spelling.")
    if not values:
        return ()
    if len(values[0]) > GROUPS_BYTES_MAX or values[0].count(b",") >= GROUPS_MAX:
        raise IdentityInvalid(
            f"The header {header.decode()} may list at most {GROUPS_MAX} groups in {GROUPS_BYTES_MAX} bytes. "
            "Let the proxy send fewer."
        )
    return tuple(part.strip() for part in values[0].decode("latin-1").split(","))
