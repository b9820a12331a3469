"""Tokens: finds the identity of a token in memory, so that a request costs no read of the log.

The guards of tokens are loaded at the start and then follow the log. Each use is stored, at most once a minute.
"""

import hmac
from collections.abc import Callable, Sequence
from functools import cached_property

import msgspec

from athena_core.clock import Clock, Ids
from athena_core.decider import Outcome
from athena_core.domain.token import DECIDER, TOKEN_GUARD, TokenCreated, TokenRevoked, TokenRow, row_of
from athena_core.errors import AthenaError, StoreUnreachable, TokenExpired, TokenInvalid
from athena_core.event import Meta
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.roles import Roster
from athena_core.services.access.authentication_limits import AuthenticationLimits
from athena_core.services.access.refusal_limits import TokenBucket
from athena_core.services.access.token_text import API_TOKEN_PARENT, api_token_parent, hash_of, id_in
from athena_core.system.timer import Timer
from athena_core.values import Identity, Scope, TokenClaim

API_IDENTITY = "api-token"
"""The identity of the token in the settings."""

USE_MS = 60_000
"""The shortest time between two stored uses of a token, in milliseconds."""
TICK_SECONDS = 1.0
REFRESH_PAGES_MAX = 4
REFRESHES_BURST, REFRESHES_A_SECOND = 100.0, 20.0
"""Reads of the head of the log for unknown tokens, so that guesses do not load the database."""
LOOP = "tokens.uses"

TYPES = frozenset({TokenCreated.TYPE, TokenRevoked.TYPE})

INVALID = "The token is unknown, malformed or revoked. Use another one, or ask an Admin for one."
EXPIRED = "The token has expired. Ask an Admin for another one."


class KnownToken:
    """A token that is not revoked. ``seen`` is True once its secret was verified, by this process or before."""

    __slots__ = ("row", "scope", "seen", "used_at")

    def __init__(self, row: TokenRow) -> None:
        self.row = row
        self.scope = msgspec.json.decode(row.scope, type=Scope) if row.scope else None
        self.seen = False
        self.used_at = 0
        """The last stored use, in milliseconds since 1970."""


class Tokens:
    """The tokens in force, by id, on the event loop. ``ended`` is called when one of them was revoked or expired."""

    def __init__(
        self,
        log: Log,
        tail: Tail,
        clock: Clock,
        ids: Ids,
        roster: Roster,
        limits: AuthenticationLimits,
        api_token: str | None = None,
    ) -> None:
        """Load the guards, and follow the log."""
        self._log = log
        self._tail = tail
        self._clock = clock
        self._ids = ids
        self._roster = roster
        self._limits = limits
        self._api_token = api_token.encode() if api_token else None
        self._refreshes = TokenBucket(clock.monotonic(), REFRESHES_BURST, REFRESHES_A_SECOND)
        self._uses: dict[str, int] = {}
        """Uses to store, in milliseconds since 1970, by token id."""
        self.ended: Callable[[], object] = lambda: None
        self._reader = log.reader()
        self._tokens = {key: KnownToken(row_of(value)) for _, key, value in self._reader.guards(TOKEN_GUARD)}
        for token_id, used_at in self._reader.token_uses(tuple(self._tokens)).items():
            self._tokens[token_id].used_at, self._tokens[token_id].seen = used_at, True
        self._expired: set[str] = set()
        self.timer = Timer(LOOP, TICK_SECONDS, self.tick, log.problems)
        tail.subscribe(self._follow, TYPES)

    @cached_property
    def api_token_parent(self) -> str | None:
        """The parent of sessions of the token in the settings; None without such a token. Slow: it is derived once."""
        return None if self._api_token is None else api_token_parent(self._api_token.decode(), self._log.log_id)

    def _follow(self, rows: Sequence[Row]) -> None:
        """Take in the tokens that were created and revoked."""
        ended = False
        for row in rows:
            if row.type == TokenRevoked.TYPE:
                ended = self._tokens.pop(row.stream, None) is not None or ended
                continue
            for guard in self._guards_of(row):
                self._tokens[row.stream] = KnownToken(guard)
        if ended:
            self.ended()

    def _guards_of(self, row: Row) -> list[TokenRow]:
        created = self._log.codec.decode(row, text=False)
        guards = DECIDER.guards(created) if isinstance(created.event, TokenCreated) else ()
        return [row_of(guard.value) for guard in guards if guard.value is not None]

    # Requests

    def identify(self, text: bytes, peer: str | None = None) -> Identity:
        """Return the identity of a token that an address sent. Raise TokenInvalid or TokenExpired.

        Raise RateLimited after too many failures, unless the token was verified before. So guesses from an address do
        not stop clients there. The token in the settings is verified for each address, because a person may have chosen
        it and it could be guessed.
        """
        if self._api_token is not None and hmac.compare_digest(text, self._api_token):
            self._limits.check_known(peer)
            return self._api_identity()
        words = text.decode("latin-1")
        token_id = id_in(words)
        if token_id is None:
            self._limits.check(peer, None)
            raise TokenInvalid(INVALID)
        sha256 = hash_of(words)
        token = self._tokens.get(token_id)
        if token is None or not token.seen or not hmac.compare_digest(token.row.sha256, sha256):
            self._limits.check(peer, None if token is None else token_id)
            token = token or self._refreshed(token_id)
            if token is None or not hmac.compare_digest(token.row.sha256, sha256):
                raise TokenInvalid(INVALID)
        now = self._clock.now()
        self._check(token.row, now)
        token.seen = True
        if now - token.used_at >= USE_MS or now < token.used_at:
            token.used_at = self._uses[token_id] = now
        return self._identity(token_id, token)

    def again(self, claim: TokenClaim) -> Identity:
        """Return the identity of a token that was verified before. Raise TokenInvalid or TokenExpired."""
        if claim.token_id is None:
            return self._api_identity()
        token = self._tokens.get(claim.token_id)
        if token is None:
            raise TokenInvalid(INVALID)
        self._check(token.row, self._clock.now())
        return self._identity(claim.token_id, token)

    def in_force(self, claim: TokenClaim) -> bool:
        """Return True if a token that was verified before is neither revoked nor expired."""
        if claim.token_id is None:
            return True
        token = self._tokens.get(claim.token_id)
        if token is None:
            return False
        try:
            self._check(token.row, self._clock.now())
        except AthenaError:
            return False
        return True

    def exists(self, token_id: str) -> bool:
        """Return True if a token with this id exists and is not revoked."""
        return token_id in self._tokens

    def _check(self, row: TokenRow, now: int) -> None:
        """Raise TokenExpired or TokenInvalid if a token, or the parent of a session, is not in force."""
        if row.expires_at_ms <= now:
            raise TokenExpired(EXPIRED)
        if not row.parent or (row.parent.startswith(API_TOKEN_PARENT) and row.parent == self.api_token_parent):
            return
        parent = self._tokens.get(row.parent)
        if parent is None:
            raise TokenInvalid(INVALID)
        if parent.row.expires_at_ms <= now:
            raise TokenExpired(EXPIRED)

    def _identity(self, token_id: str, token: KnownToken) -> Identity:
        """Return the identity with the lesser of the token's role and its own. A scope restricts an Admin, too."""
        row = token.row
        role = self._roster.identity(row.identity).role
        return Identity(
            subject=row.identity,
            role=row.role if role.reaches(row.role) else role,
            scope=token.scope,
            asked=token.scope,
            token=TokenClaim(token_id=token_id, expires_at_ms=row.expires_at_ms, session=bool(row.parent)),
        )

    def _api_identity(self) -> Identity:
        return Identity(subject=API_IDENTITY, role=self._roster.identity(API_IDENTITY).role, token=TokenClaim())

    def _refreshed(self, token_id: str) -> KnownToken | None:
        """Return a token that another process has just created, if there is one. Raise StoreUnreachable."""
        now = self._clock.monotonic()
        if not self._refreshes.has(now):
            return None
        self._refreshes.take(now)
        try:
            self._tail.refresh(REFRESH_PAGES_MAX)
        except (*self._log.store.lost, *self._log.store.damaged) as error:
            raise StoreUnreachable("The token cannot be looked up now. Retry later.") from error
        return self._tokens.get(token_id)

    # Uses

    def last_used(self, token_ids: Sequence[str]) -> dict[str, int]:
        """Return the last uses of tokens, in milliseconds since 1970; none of those that were never used."""
        uses = self._reader.token_uses(token_ids)
        for token_id in token_ids:
            token = self._tokens.get(token_id)
            used_at = max(self._uses.get(token_id, 0), 0 if token is None else token.used_at)
            if used_at:
                uses[token_id] = max(uses.get(token_id, 0), used_at)
        return uses

    async def tick(self) -> bool:
        """Call ``ended`` if tokens have expired, and store their uses. Return True if none is left."""
        now, before = self._clock.now(), self._expired
        self._expired = {token_id for token_id, token in self._tokens.items() if token.row.expires_at_ms <= now}
        if self._expired - before:
            self.ended()
        await self.flush()
        return not self._uses

    async def flush(self) -> None:
        """Store the uses; if that fails, keep them for the next attempt."""
        if not self._uses:
            return
        uses, self._uses = self._uses, {}
        meta = Meta(actor="system:server", correlation=self._ids.trace())
        try:
            await self._log.submit(lambda reader, context: Outcome(uses=uses), meta)
        except AthenaError as error:
            self._uses = uses | self._uses
            self._log.problems.report(LOOP, error)
        else:
            self._log.problems.recovered(LOOP)

    def close(self) -> None:
        self._reader.close()
