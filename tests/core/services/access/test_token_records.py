"""Tokens as records: what may be created, how many are in force, and which are released."""

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
from athena_core.errors import ConfigError, NotFound, TokenLimit
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
from athena_core.values import Identity, Role, Scope, TokenClaim
from tests.support.event_samples import CODEC
from tests.support.events.token import TOKEN

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


@pytest.mark.parametrize("token_id", ["tok_unknown", "run_1", "", "tok"])
async def test_an_unknown_token_is_not_found(plane: Plane, token_id: str) -> None:
    with pytest.raises(NotFound):
        await plane.records.revoke(token_id, "ada", META, None)


async def test_the_token_of_the_settings_opens_sessions(plane: Plane) -> None:
    session = issued(await plane.log_in(None)).created
    assert session.parent == "api-token:00"
    assert session.expires_at_ms == plane.clock.now() + token.SESSION_MS


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
