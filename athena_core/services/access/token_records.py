"""The service of tokens as records: create and revoke tokens, log in and log out.

The text of a token leaves this module once, in the ``handover`` of the commit, and is stored nowhere.
"""

from collections.abc import Callable
from typing import Annotated, TypeAlias

import msgspec

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import token
from athena_core.domain.token import TOKEN_GUARD, TokenCreated, TokenRevocationCause
from athena_core.enums import TokenRole
from athena_core.errors import ConfigError, NotFound, TokenInvalid, TokenLimit
from athena_core.event import Fact, Meta, Value, says
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.roles import IDENTITY_PATTERN, RESERVED_PREFIX, Roster, is_reserved
from athena_core.services.access.token_text import hash_of, new_text
from athena_core.values import IDENTITY_CHARS_MAX, LIST_ITEMS_MAX, Body, Identity, Label, Role, Scope, pinned

RELEASED_AT_ONCE = 20
"""Maximum number of expired tokens and sessions that a new one releases."""

KEPT_MS = 30 * 86_400_000
"""Time for which an expired token is kept, so that its requests are refused as expired and not as unknown."""

EXPIRES_AT, PARENT = 3, 5
"""Places of values in the guard rows of tokens."""

IdentityName: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=IDENTITY_PATTERN, min_length=1, max_length=IDENTITY_CHARS_MAX)
]
ScopeNames: TypeAlias = Annotated[tuple[IdentityName, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)]


class TokenScopeBody(Body):
    """The sessions, runs and personas that a token is restricted to. All kinds must match."""

    sessions: Annotated[ScopeNames | None, says("Sessions that it may concern; absent: all.")] = None
    runs: Annotated[ScopeNames | None, says("Runs that it may concern; absent: all.")] = None
    personas: Annotated[ScopeNames | None, says("Personas that it may concern; absent: all.")] = None


class TokenBody(Body):
    """A new token: its identity, its highest role, its scope, and its age in milliseconds (90 days by default)."""

    identity: Annotated[IdentityName, says("Identity of its requests.")]
    role: Annotated[TokenRole, says("Highest role of its requests; at most the identity's role.")]
    scope: Annotated[TokenScopeBody | None, says("Names that it may concern, by kind; absent: all.")] = None
    expires_after_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=token.EXPIRES_AFTER_MS_MIN, le=token.EXPIRES_AFTER_MS_MAX)] | None,
        says("Milliseconds until it expires; 90 days by default."),
    ] = None
    note: Annotated[Label | None, says("Purpose of the token.")] = None


class IssuedToken(Value):
    """The text of a new token, with its event."""

    text: str
    created: TokenCreated


class TokenRecords:
    """Creates and revokes tokens and sessions. The lookup of tokens is in ``tokens.py``."""

    def __init__(self, log: Log, ids: Ids, roster: Roster, api_token_parent: Callable[[], str | None]) -> None:
        """``api_token_parent`` returns the parent of sessions of the token in the settings."""
        self._log = log
        self._ids = ids
        self._roster = roster
        self._api_token_parent = api_token_parent

    async def create(self, body: TokenBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Create a token. The subject of the commit is its id, the handover an ``IssuedToken``.

        A repeated key gets no handover. Raise ConfigError or TokenLimit.
        """
        role, scope = Role(body.role), scope_of(body)
        self._check(body.identity, role, scope)
        token_id = self._ids.new("tok")
        text = new_text(token_id, self._ids)
        after = token.EXPIRES_AFTER_MS if body.expires_after_ms is None else body.expires_after_ms

        def create(reader: Reader, context: Context) -> Outcome:
            created = TokenCreated(
                token_id=token_id,
                identity=body.identity,
                role=role,
                expires_at_ms=context.now + after,
                sha256=hash_of(text),
                by=who.subject,
                scope=pinned(scope),
                note=body.note,
            )
            return _issue(reader, context, IssuedToken(text=text, created=created))

        return await self._log.submit(create, meta, key, frozenset((token_id,)))

    def _check(self, identity: str, role: Role, scope: Scope | None) -> None:
        """Raise ConfigError for an identity that may have no token, and for rights that it does not have."""
        if is_reserved(identity):
            reason = f"must not begin with {RESERVED_PREFIX}, because these names are the server's own actors"
            raise ConfigError.of("identity", reason, "another identity")
        own = self._roster.identity(identity).role
        if own is Role.NONE:
            raise ConfigError.of("identity", f"{identity} is locked out by the role map", "an identity with a role")
        if not own.reaches(role):
            remedy = f"the role {own.value}, or give {identity} the role {role.value} in the role map"
            raise ConfigError.of("role", f"{identity} has only the role {own.value}", remedy)
        if role is Role.ADMIN and scope is not None:
            raise ConfigError.of("scope", "has no effect on an Admin", "no scope, or the role Operator or Viewer")

    async def revoke(self, token_id: str, by: str, meta: Meta, key: Key | None) -> Committed:
        """Revoke a token and its sessions; the subject of the commit is its id. Raise NotFound.

        A token that is already revoked or released stays as it is.
        """
        if not token.DECIDER.owns(token_id):
            raise NotFound(f"no token {token_id!r} exists")

        def revoke(reader: Reader, context: Context) -> Outcome:
            sessions = _sessions_of(reader, token_id)
            facts = [fact for one in sessions for fact in _revoked(reader, context, one, "requested", by)]
            facts += _revoked(reader, context, token_id, "requested", by)
            return Outcome(facts=tuple(facts), subject=token_id)

        return await self._log.submit(revoke, meta, key)

    async def log_in(self, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Open a session of the caller's token, with its rights. It ends with the token, at the latest.

        The subject and the handover of the commit are as of ``create``. Beyond the limit of sessions of one token, the
        oldest ends. Raise ConfigError, TokenInvalid or TokenLimit.
        """
        claim = who.token
        if claim is None:
            raise ConfigError("Log in with a token: send it as `Authorization: Bearer …`, without an identity header.")
        if claim.session:
            raise ConfigError("A session cannot open another one. Log in with the token itself.")
        parent = claim.token_id or self._api_token_parent()
        token_id = self._ids.new("tok")
        text = new_text(token_id, self._ids)

        def log_in(reader: Reader, context: Context) -> Outcome:
            expires_at = context.now + token.SESSION_MS
            if claim.token_id is not None:
                value = reader.guards(TOKEN_GUARD).get(claim.token_id)
                if value is None:
                    raise TokenInvalid("The token was revoked. Ask an Admin for another one.")
                expires_at = min(expires_at, int(value[EXPIRES_AT]))
            created = TokenCreated(
                token_id=token_id,
                identity=who.subject,
                role=who.role,
                expires_at_ms=expires_at,
                sha256=hash_of(text),
                by=who.subject,
                scope=pinned(who.scope),
                parent=parent,
            )
            return _issue(reader, context, IssuedToken(text=text, created=created))

        return await self._log.submit(log_in, meta, key, frozenset((token_id,)))

    async def log_out(self, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Revoke the caller's session. The subject of the commit is its id; None if the caller has no session."""
        claim = who.token
        session = claim.token_id if claim is not None and claim.session else None

        def log_out(reader: Reader, context: Context) -> Outcome:
            facts = () if session is None else _revoked(reader, context, session, "requested", who.subject)
            return Outcome(facts=facts, subject=session)

        return await self._log.submit(log_out, meta, key)


def scope_of(body: TokenBody) -> Scope | None:
    """Return the scope of a new token."""
    if body.scope is None:
        return None
    kinds = {kind: getattr(body.scope, kind) for kind in Scope.__struct_fields__}
    lists = {kind: frozenset(names) for kind, names in kinds.items() if names is not None}
    return Scope(**lists) if lists else None


def _issue(reader: Reader, context: Context, issued: IssuedToken) -> Outcome:
    """Return the outcome that creates a token, after it has released expired ones and superfluous sessions."""
    created, now = issued.created, context.now
    rows = reader.guards(TOKEN_GUARD)
    kept = KEPT_MS if len(rows) < token.TOKENS_MAX else 0
    expired = [key for key, value in rows.items() if int(value[EXPIRES_AT]) <= (now if value[PARENT] else now - kept)]
    expired = sorted(expired, key=lambda key: not rows[key][PARENT])[:RELEASED_AT_ONCE]  # sessions before their token
    facts = [fact for one in expired for fact in _revoked(reader, context, one, "expiry", None)]
    left = len(rows) - len(expired)
    if created.parent is not None:
        sessions = [one for one in _sessions_of(reader, created.parent) if one not in expired]
        for one in sessions[: max(len(sessions) + 1 - token.SESSIONS_A_PARENT_MAX, 0)]:
            facts += _revoked(reader, context, one, "superseded", None)
            left -= 1
    if left >= token.TOKENS_MAX:
        raise TokenLimit(f"{left} tokens and sessions are in force. Revoke some, then retry.")
    command = token.CreateToken(token=created)
    facts += facts_of(created.token_id, token.decide(command, token.DECIDER.initial, context))
    return Outcome(facts=tuple(facts), subject=created.token_id, handover=issued)


def _sessions_of(reader: Reader, parent: str) -> list[str]:
    """Return the sessions of a token that are not revoked, oldest first."""
    if not reader.count(TOKEN_GUARD, parent):
        return []
    return [key for key, value in reader.guards(TOKEN_GUARD).items() if value[PARENT] == parent]


def _revoked(
    reader: Reader, context: Context, token_id: str, cause: TokenRevocationCause, by: str | None
) -> tuple[Fact, ...]:
    state = reader.state(token.DECIDER, token_id)
    command = token.RevokeToken(token_id=token_id, cause=cause, by=by)
    return facts_of(token_id, token.decide(command, state, context))
