"""Tokens of a server under test, created in its log as an Admin would have."""

from typing import NamedTuple

from msgspec.structs import replace

from athena_core.clock import SystemIds
from athena_core.decider import Context, Outcome, Reader, record
from athena_core.domain.token import TokenCreated, TokenRevoked
from athena_core.event import Fact, Meta
from athena_core.services.access.token_text import hash_of, new_text
from athena_core.values import Role
from tests.support.server import Server

META = Meta(actor="test", correlation="trace-1")
DAY_MS = 86_400_000
TOKENS_ONLY = {
    "auth_enabled": "true",
    "auth_trusted_proxies": "none",
    "auth_identity_role_map": "ann:Admin,ci:Operator",
}
"""Settings of a server that no proxy stands before."""


class PutToken(NamedTuple):
    """The text and the id of a token."""

    text: str
    id: str


def put_token(
    server: Server,
    identity: str = "ci",
    role: Role = Role.OPERATOR,
    *,
    ms: int = 90 * DAY_MS,
    scope: dict[str, tuple[str, ...]] | None = None,
) -> PutToken:
    """Create a token that expires ``ms`` after the time at which it is recorded."""
    ids = SystemIds()
    token_id = ids.new("tok")
    text = new_text(token_id, ids)
    created = TokenCreated(
        token_id=token_id,
        identity=identity,
        role=role,
        expires_at_ms=0,
        sha256=hash_of(text),
        by="ann",
        scope=scope,
    )

    def create(reader: Reader, context: Context) -> Outcome:
        return Outcome(facts=(Fact(stream=token_id, event=replace(created, expires_at_ms=context.now + ms)),))

    with server.opened_log() as log:
        log.submit_in_thread(create, META)
    return PutToken(text, token_id)


def revoke_token(server: Server, token: PutToken) -> None:
    revoked = TokenRevoked(token_id=token.id, cause="requested", by="ann")
    with server.opened_log() as log:
        log.submit_in_thread(record(token.id, revoked), META)
