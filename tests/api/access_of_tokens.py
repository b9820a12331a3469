"""The access of tokens, measured: each operation for a token, a session and a scope of a token, in force and ended."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

from athena_api.operations import OPERATIONS
from athena_core.clock import SystemIds
from athena_core.decider import record
from athena_core.domain.token import EXPIRES_AFTER_MS, TokenRevoked
from athena_core.event import Event, Meta
from athena_core.services.access.token_text import new_text
from athena_core.values import PinnedScope, Role
from tests.api.access import Question, asked
from tests.api.callers import OWN_PERSONA, OWN_SESSION, PEOPLE
from tests.support.inside import Inside
from tests.support.tokens import new_token

HEAD = """
# The same for tokens. V O A: a token of a Viewer, an Operator, an Admin. V.c O.c A.c: a session of each, in a cookie.
# V/A: a Viewer's token of an Admin. A/V: an Admin's token of an identity that is a Viewer now. api: the token of the
# settings, an Operator. Then an Operator's token with a scope of sessions, runs and personas, as above: s s' r r' p p'.
# s.c: a session of the first of them. Then tokens that count no more: expired, revoked (rev), a session whose token was
# revoked (end), an unknown one (no). "400": a token beside an identity header (two). "403": a session's cookie in a
# request that another site caused (csrf).
"""
API_TOKEN = "a-token-of-the-settings"
ORIGIN = {"origin": "http://plane"}
META = Meta(actor="ada", correlation="trace-of-tokens")

ALL = sorted(row.id for row in OPERATIONS)

Headers = dict[str, str]
Caller = Callable[[str], Headers]
"""A function that returns the headers of a request to an operation."""


class Issuer:
    """Tokens of a plane, written into its log."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._ids = SystemIds()

    def bearer(self, identity: str, role: Role, scope: PinnedScope | None = None, **more: Any) -> Headers:
        """Return the header of a new token."""
        return {"authorization": f"Bearer {self.issue(identity, role, scope, **more)[0]}"}

    def cookie(self, identity: str, role: Role, scope: PinnedScope | None = None, **more: Any) -> Headers:
        """Return the headers of a new session of a new token, as a page of the server sends them."""
        parent = self.issue(identity, role, scope)[1]
        text, _ = self.issue(identity, role, scope, parent=parent)
        if more.get("ended"):
            self._write(parent, TokenRevoked(token_id=parent, cause="requested", by="ada"))
        return ORIGIN | {"cookie": f"athena_session={text}"}

    def issue(
        self,
        identity: str,
        role: Role,
        scope: PinnedScope | None = None,
        *,
        ms: int = EXPIRES_AFTER_MS,
        parent: str | None = None,
        revoked: bool = False,
    ) -> tuple[str, str]:
        """Return the text and the id of a new token."""
        expires_at = self._inside.app.plane.clock.now() + ms
        text, created = new_token(self._ids, identity, role, expires_at, by="ada", scope=scope, parent=parent)
        token_id = created.token_id
        ended = [TokenRevoked(token_id=token_id, cause="requested", by="ada")] if revoked else []
        self._write(token_id, created, *ended)
        return text, token_id

    def _write(self, stream: str, *events: Event) -> None:
        self._inside.call(self._inside.app.plane.log.submit, record(stream, *events), META)


def callers(question: Question) -> Iterator[tuple[str, Caller]]:
    """Yield the columns: a mark, and the headers of each request."""
    issuer = Issuer(question.inside)
    bearer, cookie = issuer.bearer, issuer.cookie

    def always(headers: Headers) -> Caller:
        return lambda operation: headers

    def session(name: str, role: Role, scope: PinnedScope | None = None) -> Caller:
        headers = cookie(name, role, scope)
        return lambda operation: cookie(name, role, scope) if operation == "logOut" else headers

    for name, role in PEOPLE.items():
        yield role[0], always(bearer(name, role))
    for name, role in PEOPLE.items():
        yield f"{role[0]}.c", session(name, role)
    yield "V/A", always(bearer("ada", Role.VIEWER))
    yield "A/V", always(bearer("vera", Role.ADMIN))
    yield "api", always({"authorization": f"Bearer {API_TOKEN}"})
    owns = {"sessions": OWN_SESSION, "runs": question.run_id, "personas": OWN_PERSONA}
    for kind, own in owns.items():
        for mark, name in ((kind[0], own), (f"{kind[0]}'", "another")):
            yield mark, always(bearer("otto", Role.OPERATOR, {kind: (name,)}))
    yield "s.c", session("otto", Role.OPERATOR, {"sessions": (OWN_SESSION,)})
    yield "exp", always(bearer("ada", Role.ADMIN, ms=-1))
    yield "rev", always(bearer("ada", Role.ADMIN, revoked=True))
    # Wrong tokens are limited by their ids, too, so each request has another one.
    yield "end", lambda operation: cookie("ada", Role.ADMIN, ended=True)
    yield "no", always({"authorization": f"Bearer {new_text('tok_' + '0' * 26, SystemIds())}"})
    yield "two", always(bearer("ada", Role.ADMIN) | {"x_athena_identity": "ada"})
    yield "csrf", always(cookie("ada", Role.ADMIN) | {"origin": "http://elsewhere", "sec_fetch_site": "cross-site"})


def tokens_text(operations: Iterable[str] = ALL) -> str:
    """Return the table of tokens, by operation. Each request comes from another client, so that none guesses often."""
    clients = ({"x_forwarded_for": f"2001:db8:{number:x}::"} for number in count())
    with asked(auth_api_token=API_TOKEN) as question:
        columns = list(callers(question))
        lines = [HEAD, _line("", [mark for mark, _ in columns])]
        for operation in operations:
            found = [question.answer(operation, caller(operation) | next(clients)) for _, caller in columns]
            lines.append(_line(operation, found))
    return "".join(lines)


def _line(name: str, found: list[str]) -> str:
    return f"{name:<36}" + "".join(f"{cell:<5}" for cell in found).rstrip() + "\n"
