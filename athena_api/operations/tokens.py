"""Operations on tokens: create, list and revoke them, log in and log out."""

from typing import TYPE_CHECKING, Annotated, Any

from msgspec.structs import asdict, replace

from athena_api.edge.fields import CLEARED_COOKIES, session_cookie
from athena_api.endpoint.operation import ADMINS, EVERYBODY, ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.clock import iso_or_none
from athena_core.event import Value, says
from athena_core.log.submission import Committed
from athena_core.services.access.token_records import IdentityName, IssuedToken, TokenBody
from projections import tokens
from projections.engine.page import Page
from projections.tokens import Token, TokenKind, TokenStatus

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

VIEWS = ("tokens",)
SET_COOKIE = "set-cookie"


class CreatedToken(Token):
    """A new token. ``token`` is its text: it is answered once, and the answer to a repeated key lacks it."""

    token: Annotated[str | None, says("The text of the token, answered once.")] = None


class LoggedOut(Value):
    """The session that ended; absent if the caller had none."""

    token_id: Annotated[str | None, says("The session that ended; absent if there was none.")] = None


class TokensQuery(Value):
    """Filters of tokens."""

    identity: Annotated[IdentityName | None, says("Only tokens of this identity.")] = None
    status: Annotated[TokenStatus | None, says("Only tokens with this status.")] = None
    kind: Annotated[TokenKind | None, says("Only tokens, or only sessions.")] = None


async def create_token(plane: "ControlPlane", call: ApiCall[TokenBody, NoQuery]) -> Reply:
    """Create a token for an identity. The answer contains its text, which is not stored.

    A request with the token has the lesser of its role and the identity's current role. If the answer is lost, revoke
    the token and create another one: a repeated key answers the record without the text.
    """
    done = await plane.token_records.create(call.body, call.who, call.meta, call.key)
    return Reply(data=await _record(plane, done, shown=True), position=done.position, replayed=done.replayed)


async def list_tokens(plane: "ControlPlane", call: ApiCall[NoBody, TokensQuery]) -> Reply:
    """List tokens and sessions, newest first, without their text."""
    query, now = call.query, plane.clock.now()
    page, position = await plane.query(
        VIEWS,
        lambda rows: tokens.list_tokens(
            rows,
            now,
            identity=query.identity,
            status=query.status,
            kind=query.kind,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    items = page.items if call.as_of is not None else _used(plane, *page.items)
    return Reply(data=Page(items=items, next_cursor=page.next_cursor), position=position)


async def get_token(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a token or session, valid or not, without its text."""
    token_id, now = call.path["tokenId"], plane.clock.now()
    found, position = await plane.query(VIEWS, lambda rows: tokens.token_by_id(rows, token_id, now))
    record = existing(found, "token", token_id)
    return Reply(data=record if call.as_of is not None else _used(plane, record)[0], position=position)


async def revoke_token(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Revoke a token with its sessions, or one session. Its open streams end within a second."""
    token_id = call.path["tokenId"]
    done = await plane.token_records.revoke(token_id, call.who.subject, call.meta, call.key)
    return Reply(data=await _stored(plane, done), position=done.position, replayed=done.replayed)


async def log_in(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Log in: trade the token of the request for a session of at most twelve hours, in a cookie.

    Send the token as `Authorization: Bearer …`. The session has its identity, role and scope, and ends with it. The
    21st session of a token ends the oldest. The answer to a repeated key sets no cookie.
    """
    done = await plane.token_records.log_in(call.who, call.meta, call.key)
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(done.handover, IssuedToken):
        seconds = (done.handover.created.expires_at_ms - done.at) // 1000
        headers = ((SET_COOKIE, session_cookie(done.handover.text, seconds, tls=_by_tls(plane, call))),)
    record = await _record(plane, done)
    return Reply(data=record, position=done.position, replayed=done.replayed, headers=headers)


async def log_out(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Log out: revoke the session of the cookie, and delete the cookie. Without a session, nothing is revoked."""
    done = await plane.token_records.log_out(call.who, call.meta, call.key)
    headers = tuple((SET_COOKIE, cookie) for cookie in CLEARED_COOKIES)
    data = LoggedOut(token_id=done.subject)
    return Reply(data=data, position=done.position, replayed=done.replayed, headers=headers)


def _by_tls(plane: "ControlPlane", call: ApiCall[Any, Any]) -> bool:
    """Return True if the browser uses https, to this server or to a proxy before it."""
    return plane.settings.tls_cert_file is not None or (call.origin or "").lower().startswith("https://")


async def _record(plane: "ControlPlane", done: Committed, *, shown: bool = False) -> Token:
    """Return the record of a new token, also while the views lag, because its text is answered only now."""
    if not isinstance(done.handover, IssuedToken):
        stored = await _stored(plane, done)
        return CreatedToken(**asdict(stored)) if shown else stored
    record = tokens.token_of(done.handover.created, done.at)
    return CreatedToken(**asdict(record), token=done.handover.text) if shown else record


async def _stored(plane: "ControlPlane", done: Committed) -> Token:
    token_id, now = done.subject or "", plane.clock.now()
    found, _ = await plane.read(VIEWS, done.position, lambda rows: tokens.token_by_id(rows, token_id, now))
    (record,) = _used(plane, existing(found, "token", token_id))
    return record


def _used(plane: "ControlPlane", *records: Token) -> list[Token]:
    """Return the records with their last uses, which are not in the log."""
    uses = plane.tokens.last_used([record.token_id for record in records])
    return [replace(record, last_used_at=iso_or_none(uses.get(record.token_id))) for record in records]


row = Noun("access", reads=VIEWS, word="tokens").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row("tokens.list", "GET /tokens", list_tokens, answer=Page[Token], roles=ADMINS, paging="cursor"),
    row(
        "tokens.create",
        "POST /tokens",
        create_token,
        answer=CreatedToken,
        roles=ADMINS,
        errors=("TOKEN_LIMIT",),
    ),
    row("tokens.get", "GET /tokens/:tokenId", get_token, answer=Token, roles=ADMINS),
    row("tokens.revoke", "DELETE /tokens/:tokenId", revoke_token, answer=Token, roles=ADMINS, errors=("NOT_FOUND",)),
    row(
        "login",
        "POST /login",
        log_in,
        answer=Token,
        roles=EVERYBODY,
        errors=("CONFIG_ERROR", "TOKEN_LIMIT"),
        shared=True,
        command="",
    ),
    row("logout", "POST /logout", log_out, answer=LoggedOut, roles=EVERYBODY, shared=True, command=""),
)
