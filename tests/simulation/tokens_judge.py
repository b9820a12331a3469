"""The oracle of tokens: the promises of ``docs/reference/security.md`` about tokens and sessions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from athena_core.protocols import Row
from athena_core.roles import is_reserved
from athena_core.services.access.token_records import IssuedToken, TokenBody
from athena_core.services.proof.rules.token import TokenRules
from athena_core.values import Identity, Role
from tests.simulation.loop import EPOCH_MS
from tests.simulation.proof import Proof
from tests.support.event_samples import CODEC

RANKS = {"None": 0, "Viewer": 1, "Operator": 2, "Admin": 3}
SESSION_MS = 12 * 3_600_000
SESSIONS_MAX = 20
DEFAULT_MS = 90 * 86_400_000
KNOWN_MS = 600
"""The time after which each server knows of a revocation."""
MINUTE_MS = 60_000
TICK_MS = 1_500
"""The time after which a living server has stored a use."""


class KnownToken:
    """A token that a client holds."""

    def __init__(
        self, issued: IssuedToken, role: str, scope: frozenset[str] | None, parent: "KnownToken | None"
    ) -> None:
        self.text, self.token_id = issued.text, issued.created.token_id
        self.identity, self.role, self.scope, self.parent = issued.created.identity, role, scope, parent
        self.expires = issued.created.expires_at_ms
        self.revoking: int | None = None
        """When its revocation began."""
        self.revoked: int | None = None
        self.by: object = None
        """The server that revoked it."""
        self.may_be_released = False
        self.uses: list[int] = []
        self.stored: list[tuple[int, object]] = []
        """Uses that are stored by now or soon, with their server."""


class TokenJudge:
    """The tokens of a history, and the checks of what servers say about them."""

    def __init__(self, now: Callable[[], int], say: Callable[[str], None]) -> None:
        self._now, self._say = now, say
        self.failures: list[tuple[str, str, float]] = []
        self.tokens: list[KnownToken] = []

    def fail(self, kind: str, what: str) -> None:
        self.failures.append((kind, what, (self._now() - EPOCH_MS) / 1000))
        self._say(f"FAILED {kind}: {what}")

    # Creation and the end

    @staticmethod
    def _fault(body: TokenBody, roles: Mapping[str, Role]) -> bool:
        """Return True if a token may not be created."""
        own = RANKS[roles.get(body.identity, Role.NONE).value]
        return is_reserved(body.identity) or own < RANKS[body.role] or (body.role == "Admin" and body.scope is not None)

    def refused(self, body: TokenBody, roles: Mapping[str, Role], code: str) -> None:
        if code != "CONFIG_ERROR" or not self._fault(body, roles):
            self.fail("create", f"a token of {body.identity} as {body.role} was refused: {code}")

    def created(self, server: Any, body: TokenBody, issued: object, subject: str | None) -> None:
        if not isinstance(issued, IssuedToken) or subject != issued.created.token_id:
            self.fail("create", f"the answer to a new token is {issued!r}")
            return
        if self._fault(body, server.roles):
            self.fail("create", f"a token of {body.identity} was created as {body.role}")
        scope = None if body.scope is None else frozenset(body.scope.sessions or ())
        found = KnownToken(issued, body.role, scope, None)
        after = found.expires - self._now()
        wanted = DEFAULT_MS if body.expires_after_ms is None else body.expires_after_ms
        if not wanted - 1_000 <= after <= wanted:
            self.fail("create", f"a token for {wanted} ms expires after {after} ms")
        self._add(found)

    def _add(self, found: KnownToken) -> None:
        self._say(f"  {found.token_id} of {found.identity} as {found.role}")
        now = self._now()
        for one in self.tokens:  # a new one may release old ones
            if one.expires <= now and (one.parent is not None or one.expires <= now - 30 * 86_400_000):
                one.may_be_released = True
        self.tokens.append(found)

    def logged_in(self, server: Any, parent: KnownToken, who: Identity, issued: IssuedToken) -> None:
        found = KnownToken(issued, who.role.value, parent.scope, parent)
        now = self._now()
        if parent.parent is not None:
            self.fail("login", "a session opened another one")
        if parent.revoked is not None and parent.revoked < now - KNOWN_MS:
            self.fail("login", "a revoked token opened a session")
        if found.expires > min(parent.expires, now + SESSION_MS):
            self.fail("login", f"a session expires {found.expires - now} ms from now")
        self._add(found)
        open_sessions = [one for one in self.tokens if one.parent is parent and one.revoking is None]
        for one in open_sessions[:-SESSIONS_MAX]:
            one.revoking = one.revoked = now
            one.by = server

    def not_logged_in(self, parent: KnownToken, code: str) -> None:
        if parent.parent is None and parent.revoking is None and parent.expires > self._now():
            self.fail("login", f"a token in force opened no session: {code}")

    def revoking(self, found: KnownToken) -> None:
        for one in self._with_sessions(found):
            one.revoking = self._now() if one.revoking is None else one.revoking

    def revoked(self, found: KnownToken, server: Any) -> None:
        for one in self._with_sessions(found):
            if one.revoking is not None and one.revoked is None:
                one.revoked, one.by = self._now(), server

    def _with_sessions(self, found: KnownToken) -> list[KnownToken]:
        return [one for one in self.tokens if one is found or one.parent is found]

    # Uses

    def _is_over(self, found: KnownToken, server: Any) -> bool | None:
        """Return True if a server knows that a token was revoked, None if it may not know yet."""
        ended = [one for one in (found, found.parent) if one is not None and one.revoking is not None]
        if not ended:
            return False
        now = self._now()
        sure = any(
            one.revoked is not None and (one.by is server or now - one.revoked > KNOWN_MS) and one.revoked < now
            for one in ended
        )
        return True if sure else None

    def identified(self, found: KnownToken, server: Any, who: Identity, *, is_right: bool) -> None:
        now = self._now()
        if not is_right:
            self.fail("secret", f"{found.token_id} was identified with another secret")
        if self._is_over(found, server):
            self.fail("revoked", f"{found.token_id} was identified after its end")
        if found.expires <= now or (found.parent is not None and found.parent.expires <= now):
            self.fail("expired", f"{found.token_id} was identified {now - found.expires} ms after its expiry")
        own = server.roles.get(found.identity, Role.NONE).value
        role = min((own, found.role), key=RANKS.__getitem__)
        scope = None if who.scope is None else who.scope.sessions
        if (who.subject, who.role.value, scope) != (found.identity, role, found.scope):
            self.fail("identity", f"{found.token_id} is {who}, not {found.identity} as {role} in {found.scope}")
        claim = who.token
        if claim is None or (claim.token_id, claim.session) != (found.token_id, found.parent is not None):
            self.fail("identity", f"{found.token_id} has the claim {claim}")
        found.uses.append(now)
        found.stored.append((now, server))

    def not_identified(self, found: KnownToken, server: Any, code: str, *, is_right: bool) -> None:
        now = self._now()
        expired = found.expires <= now or (found.parent is not None and found.parent.expires <= now)
        if not is_right:
            wanted = {"AUTH_TOKEN_INVALID", "RATE_LIMITED"}
        elif self._is_over(found, server):
            wanted = {"AUTH_TOKEN_INVALID"}
        elif expired:
            parent = found.parent
            gone = found.may_be_released or found.revoking is not None
            gone = gone or (parent is not None and (parent.may_be_released or parent.revoking is not None))
            wanted = {"AUTH_TOKEN_EXPIRED", "AUTH_TOKEN_INVALID"} if gone else {"AUTH_TOKEN_EXPIRED"}
        else:
            wanted = set() if self._is_over(found, server) is False else {"AUTH_TOKEN_INVALID"}
        if code not in wanted:
            self.fail("refused", f"{found.token_id} got {code}; expected {wanted or 'its identity'}")

    def crashed(self, server: object) -> None:
        """Expect none of the uses that a killed server may not have stored."""
        for one in self.tokens:
            one.stored = [(at, by) for at, by in one.stored if by is not server or at < self._now() - TICK_MS]

    def last_used(self, found: KnownToken, server: Any, at: int | None) -> None:
        """Judge the stored last use: at most a minute old, and never later than the last use."""
        now, last = self._now(), at or 0
        if last and last not in found.uses:
            self.fail("last use", f"{found.token_id} was last used at {last}, when it was not used")
        stored = [use for use, _ in found.stored if use < now - MINUTE_MS - 2_000]
        if stored and last < stored[-1] - MINUTE_MS:
            self.fail("last use", f"{found.token_id} was used {stored[-1] - last} ms after its last use")

    # The end

    def end(self, rows: Sequence[Row]) -> None:
        """Judge the rows of the log."""
        proof = Proof(TokenRules())
        open_sessions: dict[str, list[str]] = {}
        for row in rows:
            event = CODEC.decode(row).event
            for breach in proof.breaches(row, event):
                self.fail("verify", breach)
            parent = getattr(event, "parent", None)
            if row.type == "token.created" and parent is not None:
                open_sessions.setdefault(parent, []).append(row.stream)
                if len(open_sessions[parent]) > SESSIONS_MAX:
                    self.fail("sessions", f"{parent} has {len(open_sessions[parent])} sessions")
            if row.type == "token.revoked":
                for sessions in open_sessions.values():
                    if row.stream in sessions:
                        sessions.remove(row.stream)
            for one in self.tokens:
                if one.text[31:].encode() in (row.data or b"") + (row.text or b"") + (row.extra or b""):
                    self.fail("secret", f"the log holds the secret of {one.token_id}")
