"""Tokens as records: what may be created, how many are in force, and what a repeated request reveals."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Key, Outcome, facts_of
from athena_core.domain import DECIDERS, token
from athena_core.domain.token import TOKEN_GUARD, TokenCreated, TokenRevoked
from athena_core.errors import ConfigError, NotFound, TokenInvalid, TokenLimit
from athena_core.event import Event, Meta
from athena_core.log.engine import open_store
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.roles import Roster
from athena_core.services.access.token_records import (
    KEPT_MS,
    RELEASED_AT_ONCE,
    IssuedToken,
    TokenBody,
    TokenRecords,
    TokenScopeBody,
)
from athena_core.services.access.token_text import hash_of, id_in
from athena_core.values import Identity, Role, Scope, TokenClaim
from tests.support.event_samples import CODEC
from tests.support.events.token import SESSION, TOKEN

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")
ADA = Identity(subject="ada", role=Role.ADMIN)
BODY = TokenBody(identity="otto", role="Operator", note="nightly build")
ROLES = {"otto": Role.OPERATOR, "ada": Role.ADMIN, "gone": Role.NONE}


class Plane:
    """A log with tokens, of identities with roles."""

    def __init__(self, log: Log, clock: FixedClock, ids: CountingIds) -> None:
        self.log = log
        self.clock = clock
        roster = Roster(enabled=True, roles=ROLES, default=Role.VIEWER)
        self.records = TokenRecords(log, ids, roster, lambda: "api-token:00")

    async def create(self, body: TokenBody = BODY, key: Key | None = None) -> Committed:
        return await self.records.create(body, ADA, META, key)

    async def log_in(self, token_id: str | None, role: Role = Role.OPERATOR, scope: Scope | None = None) -> Committed:
        who = Identity(subject="otto", role=role, scope=scope, token=TokenClaim(token_id=token_id))
        return await self.records.log_in(who, META, None)

    async def add(self, *events: TokenCreated) -> None:
        facts = tuple(fact for event in events for fact in facts_of(event.token_id, (event,)))
        await self.log.submit(lambda reader, context: Outcome(facts=facts), META)

    def valid(self) -> list[str]:
        with closing(self.log.reader()) as reader:
            return [key for _, key, _ in reader.guards(TOKEN_GUARD)]

    def events(self) -> list[Event]:
        with closing(self.log.reader()) as reader:
            return [CODEC.decode(row).event for row in reader.rows(0, 100_000)]

    def revoked(self) -> list[tuple[str, str]]:
        return [(one.token_id, one.cause) for one in self.events() if isinstance(one, TokenRevoked)]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    clock, ids = FixedClock(), CountingIds()
    log = Log(open_store(tmp_path, None, ids), CODEC, DECIDERS, clock=clock, ids=ids)
    log.start()
    try:
        yield Plane(log, clock, ids)
    finally:
        log.close()


def issued(done: Committed) -> IssuedToken:
    assert isinstance(done.handover, IssuedToken)
    return done.handover


def created(plane: Plane) -> TokenCreated:
    (event,) = [one for one in plane.events() if isinstance(one, TokenCreated)]
    return event


async def test_a_token_is_created_with_its_hash_only(plane: Plane) -> None:
    scope = TokenScopeBody(sessions=("b", "a", "a"))
    done = await plane.create(replace(BODY, scope=scope, expires_after_ms=60_000))
    text, event = issued(done).text, created(plane)
    assert (id_in(text), hash_of(text)) == (event.token_id, event.sha256)
    assert (event.token_id, event.by, event.identity, event.role) == (done.subject, "ada", "otto", Role.OPERATOR)
    assert event.expires_at_ms == plane.clock.now() + 60_000
    assert event.scope == {"sessions": ("a", "b")}
    with closing(plane.log.reader()) as reader:
        assert not any(text.rpartition("_")[2].encode() in bytes(str(row), "utf-8") for row in reader.rows(0, 10))


async def test_it_lasts_ninety_days_by_default(plane: Plane) -> None:
    await plane.create()
    assert created(plane).expires_at_ms == plane.clock.now() + 90 * 86_400_000


async def test_two_tokens_differ(plane: Plane) -> None:
    first, second = issued(await plane.create()), issued(await plane.create())
    assert first.text != second.text
    assert first.created.sha256 != second.created.sha256


async def test_a_repeated_key_gets_the_id_and_not_the_text(plane: Plane) -> None:
    key = Key.of("ada", "createToken", "k", b"body")
    first, second = await plane.create(key=key), await plane.create(key=key)
    assert (first.subject, second.handover, second.replayed) == (second.subject, None, True)
    assert created(plane).token_id == first.subject


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"identity": "system:updater"}, "identity", "system:"),
        ({"identity": "SYSTEM:x"}, "identity", "system:"),
        ({"identity": "gone"}, "identity", "locked out"),
        ({"role": "Admin"}, "role", "only the role Operator"),
        ({"identity": "stranger"}, "role", "only the role Viewer"),
        ({"identity": "ada", "role": "Admin", "scope": TokenScopeBody(runs=("r",))}, "scope", "no effect"),
    ],
)
async def test_what_the_identity_may_not_have_is_refused_with_its_field(
    plane: Plane, changes: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        await plane.create(replace(BODY, **changes))
    assert refused.value.details[0].field == field  # type: ignore[index]
    assert refused.value.details[0].remedy  # type: ignore[index]
    assert plane.events() == []


async def test_a_token_may_have_less_than_its_identity(plane: Plane) -> None:
    await plane.create(replace(BODY, identity="ada", role="Viewer"))
    assert created(plane).role is Role.VIEWER


async def test_it_is_revoked_once_with_its_sessions(plane: Plane) -> None:
    token_id = str((await plane.create()).subject)
    sessions = [str((await plane.log_in(token_id)).subject) for _ in range(2)]
    other = str((await plane.create()).subject)
    for _ in range(2):
        await plane.records.revoke(token_id, "ada", META, None)
    assert plane.revoked() == [(one, "requested") for one in (*sessions, token_id)]
    assert plane.valid() == [other]


@pytest.mark.parametrize("token_id", ["tok_unknown", "run_1", "", "tok"])
async def test_an_unknown_token_is_not_found(plane: Plane, token_id: str) -> None:
    with pytest.raises(NotFound):
        await plane.records.revoke(token_id, "ada", META, None)


async def test_a_session_has_the_rights_of_the_request_and_at_most_the_time_of_its_token(plane: Plane) -> None:
    parent = issued(await plane.create(replace(BODY, expires_after_ms=3_600_000))).created
    plane.clock.advance(1_000)
    session = issued(await plane.log_in(parent.token_id, Role.VIEWER, Scope(runs=frozenset("r")))).created
    assert (session.parent, session.identity, session.role) == (parent.token_id, "otto", Role.VIEWER)
    assert (session.scope, session.expires_at_ms) == ({"runs": ("r",)}, parent.expires_at_ms)
    long = issued(await plane.create()).created
    session = issued(await plane.log_in(long.token_id)).created
    assert session.expires_at_ms == plane.clock.now() + token.SESSION_MS


async def test_the_token_of_the_settings_opens_sessions(plane: Plane) -> None:
    session = issued(await plane.log_in(None)).created
    assert session.parent == "api-token:00"
    assert session.expires_at_ms == plane.clock.now() + token.SESSION_MS


@pytest.mark.parametrize("claim", [None, TokenClaim(token_id="tok_2", session=True)])
async def test_only_a_token_opens_a_session(plane: Plane, claim: TokenClaim | None) -> None:
    await plane.add(replace(TOKEN, expires_at_ms=2**50), SESSION)
    with pytest.raises(ConfigError):
        await plane.records.log_in(Identity(subject="ci", role=Role.VIEWER, token=claim), META, None)
    assert len(plane.events()) == 2


async def test_a_token_that_was_revoked_meanwhile_opens_none(plane: Plane) -> None:
    token_id = str((await plane.create()).subject)
    await plane.records.revoke(token_id, "ada", META, None)
    with pytest.raises(TokenInvalid):
        await plane.log_in(token_id)


async def test_the_21st_session_ends_the_oldest_of_its_token_only(plane: Plane) -> None:
    token_id, other = str((await plane.create()).subject), str((await plane.create()).subject)
    elsewhere = str((await plane.log_in(other)).subject)
    sessions = [str((await plane.log_in(token_id)).subject) for _ in range(token.SESSIONS_A_PARENT_MAX + 2)]
    assert plane.revoked() == [(sessions[0], "superseded"), (sessions[1], "superseded")]
    assert plane.valid() == [token_id, other, elsewhere, *sessions[2:]]


async def test_a_caller_can_log_out_of_its_own_session_only(plane: Plane) -> None:
    token_id = str((await plane.create()).subject)
    mine, theirs = [str((await plane.log_in(token_id)).subject) for _ in range(2)]
    for claim in (None, TokenClaim(token_id=token_id)):
        who = Identity(subject="otto", role=Role.OPERATOR, token=claim)
        assert (await plane.records.log_out(who, META, None)).subject is None
    assert plane.revoked() == []
    who = Identity(subject="otto", role=Role.OPERATOR, token=TokenClaim(token_id=mine, session=True))
    for _ in range(2):
        assert (await plane.records.log_out(who, META, None)).subject == mine
    assert (plane.revoked(), plane.valid()) == ([(mine, "requested")], [token_id, theirs])


async def test_a_new_token_releases_expired_ones(plane: Plane) -> None:
    now = plane.clock.now()
    old = [replace(TOKEN, token_id=f"tok_o{n}", expires_at_ms=now + 1) for n in range(RELEASED_AT_ONCE + 1)]
    await plane.add(*old, replace(TOKEN, expires_at_ms=now + 2))
    plane.clock.advance(KEPT_MS)
    kept = str((await plane.create()).subject)
    assert plane.revoked() == [], "requests with them are refused as expired"
    plane.clock.advance(1)
    token_id = str((await plane.create()).subject)
    assert plane.revoked() == [(one.token_id, "expiry") for one in old[:-1]]
    assert plane.valid() == [old[-1].token_id, "tok_1", kept, token_id]


async def test_a_login_releases_expired_sessions(plane: Plane) -> None:
    token_id = str((await plane.create()).subject)
    session = str((await plane.log_in(token_id)).subject)
    plane.clock.advance(token.SESSION_MS)
    other = str((await plane.log_in(token_id)).subject)
    assert (plane.revoked(), plane.valid()) == ([(session, "expiry")], [token_id, other])


async def test_the_limit_of_tokens_counts_valid_ones(plane: Plane) -> None:
    now = plane.clock.now()
    many = [replace(TOKEN, token_id=f"tok_{n}", expires_at_ms=now + 10) for n in range(token.TOKENS_MAX - 1)]
    for begin in range(0, len(many), 500):
        await plane.add(*many[begin : begin + 500])
    last = str((await plane.create()).subject)
    for refused in (plane.create(), plane.log_in(last)):
        with pytest.raises(TokenLimit, match="10000 tokens and sessions are in force"):
            await refused
    plane.clock.advance(10)
    assert (await plane.create()).subject
