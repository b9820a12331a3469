"""Logs that break one rule of tokens each."""

from msgspec.structs import replace

from athena_core.domain.token import SESSIONS_A_PARENT_MAX, TokenCreated, TokenRevoked
from athena_core.values import Role
from tests.support.breach import Breach, Step, breach, wrote
from tests.support.events.token import ENDED, REVOKED, SESSION, TOKEN
from tests.support.forged_log import Forge


def issued(*events: TokenCreated | TokenRevoked) -> Step:
    return wrote(*(step for event in events for step in (event.token_id, event)))


def legal(forge: Forge) -> None:
    """Write what a plane writes of a token with two sessions, and of one that expires."""
    issued(TOKEN, SESSION, replace(SESSION, token_id="tok_3"), ENDED, replace(ENDED, token_id="tok_3"), REVOKED)(forge)
    issued(replace(TOKEN, token_id="tok_4", scope=None), replace(SESSION, token_id="tok_5", parent="tok_4"))(forge)
    issued(replace(SESSION, token_id="tok_6", parent="api-token:00", role=Role.ADMIN, scope=None))(forge)
    forge.add("tok_5", TokenRevoked(token_id="tok_5", cause="expiry"), later=500_000)


TOKEN_BREACHES: tuple[Breach, ...] = (
    breach("created_twice", "tokens", 3, "created as event 3")(
        issued(TOKEN, REVOKED, replace(TOKEN, identity="another"))
    ),
    breach("created_elsewhere", "tokens", 1, "of tok_9")("tok_9", TOKEN),
    breach("created_expired", "tokens", 1, "had expired")(issued(replace(TOKEN, expires_at_ms=1_000))),
    breach("one_session_too_many", "login_sessions", SESSIONS_A_PARENT_MAX + 2, "limit of 20 sessions")(
        issued(TOKEN, *(replace(SESSION, token_id=f"tok_s{n}") for n in range(SESSIONS_A_PARENT_MAX + 1)))
    ),
    breach("session_of_a_revoked_token", "login_sessions", 3, "not a valid token")(issued(TOKEN, REVOKED, SESSION)),
    breach("session_of_a_session", "login_sessions", 3, "not a valid token")(
        issued(TOKEN, SESSION, replace(SESSION, token_id="tok_3", parent="tok_2"))
    ),
    breach("session_of_another", "login_sessions", 2, "for eve")(issued(TOKEN, replace(SESSION, identity="eve"))),
    breach("session_with_a_higher_role", "login_sessions", 2, "as Admin")(
        issued(TOKEN, replace(SESSION, role=Role.ADMIN))
    ),
    breach("session_that_lasts_longer", "login_sessions", 2, "outlives tok_1 by 1 ms")(
        issued(TOKEN, replace(SESSION, expires_at_ms=TOKEN.expires_at_ms + 1))
    ),
    breach("session_without_the_scope", "login_sessions", 2, "wider scope")(
        issued(TOKEN, replace(SESSION, scope={"runs": ("run_1",)}))
    ),
    breach("session_of_further_sessions", "login_sessions", 2, "wider scope")(
        issued(TOKEN, replace(SESSION, scope={"sessions": ("mine", "theirs")}))
    ),
    breach("revoked_twice", "revocations", 3, "was not valid")(issued(TOKEN, REVOKED, REVOKED)),
    breach("revoked_without_its_session", "revocations", 3, "its session tok_2 was not")(
        issued(TOKEN, SESSION, REVOKED)
    ),
    breach("expired_early", "revocations", 2, "too early")(issued(TOKEN, replace(REVOKED, cause="expiry", by=None))),
    breach("superseded_token", "revocations", 2, "is not a session")(issued(TOKEN, replace(ENDED, token_id="tok_1"))),
)
