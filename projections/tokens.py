"""Read model of tokens: API tokens and console sessions, with the note of each."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from athena_core.clock import iso, iso_or_none
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.token import TokenCreated, TokenRevoked
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import Role
from projections.engine.page import Keyset, Page, first
from projections.engine.projection import Projection, Rows, Table, to_json_or_null

TokenKind: TypeAlias = Literal["token", "session"]
TokenStatus: TypeAlias = Literal["active", "expired", "revoked"]


class IssuedTokenRow(msgspec.Struct, gc=False):
    """A token, by the position of its event. ``status`` is the recorded one: the token may have expired since.

    ``scope`` is JSON.
    """

    position: int
    token_id: str
    kind: TokenKind
    status: TokenStatus
    identity: str
    role: str
    scope: str | None
    note: str | None
    created_by: str
    created_at: int
    expires_at: int
    parent_id: str | None
    revoked_at: int | None = None
    revoked_by: str | None = None
    redacted: bool = False


class TokenPlaceRow(msgspec.Struct, gc=False):
    """The position of a token, by its id."""

    token_id: str
    position: int


TOKEN = Table("token", IssuedTokenRow, key=("position",), indexes=(("identity", "position"), ("status", "position")))
PLACE = Table("token_place", TokenPlaceRow, key=("token_id",))
TOKENS = Projection("tokens", version=1, tables=(TOKEN, PLACE))


@TOKENS.handler
def token_created(rows: Rows, recorded: Recorded[TokenCreated]) -> None:
    event = recorded.event
    rows.append(
        TOKEN,
        IssuedTokenRow(
            position=recorded.position,
            token_id=event.token_id,
            kind="token" if event.parent is None else "session",
            status="active",
            identity=event.identity,
            role=event.role,
            scope=to_json_or_null(event.scope),
            note=event.note,
            created_by=event.by,
            created_at=recorded.at,
            expires_at=event.expires_at_ms,
            parent_id=event.parent,
        ),
    )
    rows.put(PLACE, TokenPlaceRow(event.token_id, recorded.position))


@TOKENS.handler
def token_revoked(rows: Rows, recorded: Recorded[TokenRevoked]) -> None:
    event = recorded.event
    place = rows.get(PLACE, event.token_id)
    row = None if place is None else rows.change(TOKEN, place.position)
    if row is not None:
        if event.cause == "expiry":
            row.status = "expired"
        else:
            row.status, row.revoked_at, row.revoked_by = "revoked", recorded.at, event.by


@TOKENS.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    """Erase the note of a token. It stays in force."""
    row = rows.erase(TOKEN, recorded.event.target, "note")
    if row is not None:
        row.redacted = True


class Token(Value):
    """An API token or a console session, without its secret. A session is a token with ``parentId``.

    ``role`` is the highest role that its requests may have. ``parentId`` is the token that logged in, or names
    `ATHENA_AUTH_API_TOKEN` by its fingerprint. ``lastUsedAt`` is exact to a minute. A token with ``redacted`` lost its
    note.
    """

    token_id: str
    kind: Annotated[TokenKind, says("A token, or a session of the console.")]
    status: TokenStatus
    identity: Annotated[str, says("Identity of its requests.")]
    role: Annotated[Role, says("Highest role of its requests.")]
    created_by: str
    created_at: str
    expires_at: Annotated[str, says("When it expires.")]
    scope: Annotated[dict[str, tuple[str, ...]] | None, says("Names that it may concern, by kind; absent: all.")] = None
    note: Annotated[str | None, says("Note of the Admin who created it; absent once redacted.")] = None
    parent_id: str | None = None
    revoked_at: Annotated[str | None, says("When it was revoked; absent while it is not.")] = None
    revoked_by: str | None = None
    last_used_at: Annotated[str | None, says("When it was last used, exact to a minute; absent before that.")] = None
    redacted: bool | None = None


def token_of(event: TokenCreated, at: int) -> Token:
    """Return the record of a token that was created at a time."""
    return Token(
        token_id=event.token_id,
        kind="token" if event.parent is None else "session",
        status="active",
        identity=event.identity,
        role=event.role,
        scope=event.scope,
        note=event.note,
        created_by=event.by,
        created_at=iso(at),
        expires_at=iso(event.expires_at_ms),
        parent_id=event.parent,
    )


NEWEST = Keyset(kind="tokens")

ACTIVE = "status = 'active' AND expires_at > ?"
EXPIRED = "(status = 'expired' OR status = 'active' AND expires_at <= ?)"
"""Conditions of a status that depends on the current time."""


def list_tokens(
    connection: Connection,
    now: int,
    *,
    identity: str | None = None,
    status: TokenStatus | None = None,
    kind: TokenKind | None = None,
    cursor: str | None,
    limit: int,
) -> Page[Token]:
    """Return a page of tokens, newest first. ``now`` is in milliseconds since 1970 UTC."""
    where: list[tuple[str, Cell]] = [
        ("identity = ?", identity),
        ("kind = ?", kind),
        ("status = ?", "revoked" if status == "revoked" else None),
        (ACTIVE, now if status == "active" else None),
        (EXPIRED, now if status == "expired" else None),
    ]
    return NEWEST.page(
        connection, TOKEN.all, where, cursor=cursor, limit=limit, show=lambda values: _to_view(values, now)
    )


def token_by_id(connection: Connection, token_id: str, now: int) -> Token | None:
    """Return a token, in force or not."""
    place = PLACE.one(connection, token_id)
    if place is None:
        return None
    return first(connection, f"{TOKEN.all} WHERE position = ?", (place.position,), lambda row: _to_view(row, now))


def _to_view(values: tuple[Cell, ...], now: int) -> Token:
    row = TOKEN.load(values)
    return Token(
        token_id=row.token_id,
        kind=row.kind,
        status="expired" if row.status == "active" and row.expires_at <= now else row.status,
        identity=row.identity,
        role=Role(row.role),
        scope=None if row.scope is None else msgspec.json.decode(row.scope, type=dict[str, tuple[str, ...]]),
        note=row.note,
        created_by=row.created_by,
        created_at=iso(row.created_at),
        expires_at=iso(row.expires_at),
        parent_id=row.parent_id,
        revoked_at=iso_or_none(row.revoked_at),
        revoked_by=row.revoked_by,
        redacted=row.redacted or None,
    )
