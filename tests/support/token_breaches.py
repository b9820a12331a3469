"""Logs that break one rule of tokens each."""

from collections.abc import Callable

from msgspec.structs import replace

from athena_core.domain.token import SESSIONS_A_PARENT_MAX, TokenCreated, TokenRevoked
from athena_core.event import Position
from athena_core.values import Role
from tests.support.events.token import ENDED, REVOKED, SESSION, TOKEN
from tests.support.forged_log import Forge

Breach = tuple[Callable[[Forge], None], str, Position | None, str]


def issued(forge: Forge, *events: TokenCreated | TokenRevoked) -> None:
    for event in events:
        forge.add(event.token_id, event)


def created_twice(forge: Forge) -> None:
    issued(forge, TOKEN, REVOKED, replace(TOKEN, identity="another"))


def created_elsewhere(forge: Forge) -> None:
    forge.add("tok_9", TOKEN)


def created_expired(forge: Forge) -> None:
    issued(forge, replace(TOKEN, expires_at_ms=1_000))


def one_session_too_many(forge: Forge) -> None:
    issued(forge, TOKEN, *(replace(SESSION, token_id=f"tok_s{n}") for n in range(SESSIONS_A_PARENT_MAX + 1)))


def session_of_a_revoked_token(forge: Forge) -> None:
    issued(forge, TOKEN, REVOKED, SESSION)


def session_of_a_session(forge: Forge) -> None:
    issued(forge, TOKEN, SESSION, replace(SESSION, token_id="tok_3", parent="tok_2"))


def session_of_another(forge: Forge) -> None:
    issued(forge, TOKEN, replace(SESSION, identity="eve"))


def session_with_a_higher_role(forge: Forge) -> None:
    issued(forge, TOKEN, replace(SESSION, role=Role.ADMIN))


def session_that_lasts_longer(forge: Forge) -> None:
    issued(forge, TOKEN, replace(SESSION, expires_at_ms=TOKEN.expires_at_ms + 1))


def session_without_the_scope(forge: Forge) -> None:
    issued(forge, TOKEN, replace(SESSION, scope={"runs": ("run_1",)}))


def session_of_further_sessions(forge: Forge) -> None:
    issued(forge, TOKEN, replace(SESSION, scope={"sessions": ("mine", "theirs")}))


def revoked_twice(forge: Forge) -> None:
    issued(forge, TOKEN, REVOKED, REVOKED)


def revoked_without_its_session(forge: Forge) -> None:
    issued(forge, TOKEN, SESSION, REVOKED)


def expired_early(forge: Forge) -> None:
    issued(forge, TOKEN, replace(REVOKED, cause="expiry", by=None))


def superseded_token(forge: Forge) -> None:
    issued(forge, TOKEN, replace(ENDED, token_id="tok_1"))


def legal(forge: Forge) -> None:
    """Write what a plane writes of a token with two sessions, and of one that expires."""
    issued(forge, TOKEN, SESSION, replace(SESSION, token_id="tok_3"), ENDED, replace(ENDED, token_id="tok_3"), REVOKED)
    issued(forge, replace(TOKEN, token_id="tok_4", scope=None), replace(SESSION, token_id="tok_5", parent="tok_4"))
    issued(forge, replace(SESSION, token_id="tok_6", parent="api-token:00", role=Role.ADMIN, scope=None))
    forge.add("tok_5", TokenRevoked(token_id="tok_5", cause="expiry"), later=500_000)


TOKEN_BREACHES: tuple[Breach, ...] = (
    (created_twice, "tokens", 3, "created as event 3"),
    (created_elsewhere, "tokens", 1, "of tok_9"),
    (created_expired, "tokens", 1, "had expired"),
    (one_session_too_many, "login_sessions", SESSIONS_A_PARENT_MAX + 2, "limit of 20 sessions"),
    (session_of_a_revoked_token, "login_sessions", 3, "not a valid token"),
    (session_of_a_session, "login_sessions", 3, "not a valid token"),
    (session_of_another, "login_sessions", 2, "for eve"),
    (session_with_a_higher_role, "login_sessions", 2, "as Admin"),
    (session_that_lasts_longer, "login_sessions", 2, "outlives tok_1 by 1 ms"),
    (session_without_the_scope, "login_sessions", 2, "wider scope"),
    (session_of_further_sessions, "login_sessions", 2, "wider scope"),
    (revoked_twice, "revocations", 3, "was not valid"),
    (revoked_without_its_session, "revocations", 3, "its session tok_2 was not"),
    (expired_early, "revocations", 2, "too early"),
    (superseded_token, "revocations", 2, "is not a session"),
)
