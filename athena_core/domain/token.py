"""The token: a secret that names an identity, with a role, a scope and an expiry; a session is a token of a login."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.errors import NotFound
from athena_core.event import Event, Guard, Recorded, Shows, Text, Value, says
from athena_core.values import PinnedScope, Role

TOKENS_MAX = 10_000
"""Maximum number of tokens and sessions that are not revoked."""

SESSIONS_A_PARENT_MAX = 20
"""Maximum number of open sessions of one token. A further login ends the oldest."""

SESSION_MS = 12 * 3_600_000
"""Maximum age of a session, in milliseconds."""

EXPIRES_AFTER_MS = 90 * 86_400_000
EXPIRES_AFTER_MS_MIN = 60_000
EXPIRES_AFTER_MS_MAX = 3_650 * 86_400_000
"""Default, minimum and maximum age of a token, in milliseconds."""

TOKEN_GUARD = "token"
"""The guard kind of tokens that are not revoked. Its rows are a ``TokenRow``, by token id."""

TokenRevocationCause = Literal["requested", "expiry", "superseded"]

# Stored events. Their TYPE is storage: never rename one.


class TokenCreated(Event):
    """An Admin created a token for an identity, or an identity logged in with the token ``parent``.

    ``sha256`` is the hash of the whole token in hex; the token itself is not stored. ``parent`` is a token id, or
    ``api-token:`` and a fingerprint of the token in the settings.
    """

    TYPE: ClassVar[str] = "token.created"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    token_id: str
    identity: Annotated[str, says("Identity of its requests.")]
    role: Annotated[Role, says("Highest role of its requests.")]
    expires_at_ms: int
    sha256: str
    by: Annotated[str, says("Identity that created it.")]
    scope: Annotated[PinnedScope | None, says("Names that it may concern, by kind; absent: all.")] = None
    parent: str | None = None
    note: Text = None


class TokenRevoked(Event):
    """A token ended: an identity revoked it or logged out, it expired, or a newer login replaced it."""

    TYPE: ClassVar[str] = "token.revoked"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    token_id: str
    cause: Annotated[TokenRevocationCause, says("Why it ended.")]
    by: Annotated[str | None, says("Identity that revoked it; absent if it expired.")] = None


# State


class TokenState(Value):
    """The token without its note; None before it is created."""

    created: TokenCreated | None = None
    revoked: bool = False


def evolve(state: TokenState, event: Event) -> TokenState:
    match event:
        case TokenCreated():
            return replace(state, created=replace(event, note=None))
        case TokenRevoked():
            return replace(state, revoked=True)
        case _:
            return state


# Guards


class TokenRow(Value, array_like=True):
    """The guard row of a token. ``scope`` is JSON, and empty without one; ``parent`` is empty unless a session."""

    sha256: str
    identity: str
    role: Role
    expires_at_ms: int
    scope: str
    parent: str


def row_of(value: tuple[str | int, ...]) -> TokenRow:
    """Return the row of a guard."""
    return msgspec.convert(value, TokenRow)


def _created_guards(recorded: Recorded[TokenCreated]) -> tuple[Guard, ...]:
    event = recorded.event
    scope = msgspec.json.encode(event.scope).decode() if event.scope else ""
    value = (event.sha256, event.identity, event.role.value, event.expires_at_ms, scope, event.parent or "")
    return (Guard(kind=TOKEN_GUARD, key=event.token_id, value=value),)


def _revoked_guards(recorded: Recorded[TokenRevoked]) -> tuple[Guard, ...]:
    return (Guard(kind=TOKEN_GUARD, key=recorded.event.token_id, value=None),)


# Commands


class CreateToken(Value):
    """Create a token under a new id."""

    token: TokenCreated


class RevokeToken(Value):
    """Revoke a token; ``by`` is who requested it."""

    token_id: str
    cause: TokenRevocationCause
    by: str | None = None


def decide(command: CreateToken | RevokeToken, state: TokenState, context: Context) -> tuple[Event, ...]:
    """Create or revoke the token once. Raise NotFound if it does not exist."""
    match command:
        case CreateToken():
            return () if state.created else (command.token,)
        case RevokeToken():
            if state.created is None:
                raise NotFound(f"no token {command.token_id!r} exists")
            if state.revoked or (command.cause == "expiry" and state.created.expires_at_ms > context.now):
                return ()
            return (TokenRevoked(token_id=command.token_id, cause=command.cause, by=command.by),)


DECIDER: Decider[TokenState] = Decider(
    category="tok",
    events=(TokenCreated, TokenRevoked),
    initial=TokenState(),
    evolve=evolve,
    occupies={TokenCreated: _created_guards, TokenRevoked: _revoked_guards},
    over=lambda state: state.revoked,
)
