"""The lookup of tokens: its limits, expiry, and uses, which are stored at most once a minute."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Outcome
from athena_core.domain.token import TokenCreated
from athena_core.errors import AthenaError, StoreUnreachable, TokenExpired, TokenInvalid
from athena_core.event import Fact
from athena_core.log.tail import Tail
from athena_core.roles import Roster
from athena_core.services.access.authentication_limits import FAILURES_A_MINUTE, AuthenticationLimits
from athena_core.services.access.token_text import hash_of, new_text
from athena_core.services.access.tokens import REFRESHES_BURST, USE_MS, Tokens
from athena_core.values import Role, TokenClaim
from tests.support.records import opened_log
from tests.support.tokens import API_TOKEN, META, TokenLog, token_log


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[TokenLog]:
    with token_log(tmp_path) as made:
        yield made


async def away(*_: object) -> None:
    raise StoreUnreachable("away")


def code_of(tokens: Tokens, text: str) -> str | None:
    try:
        tokens.identify(text.encode())
    except AthenaError as error:
        return error.code
    return None


def test_unknown_tokens_read_the_head_a_bounded_number_of_times(plane: TokenLog) -> None:
    looked: list[int] = []

    def refresh(pages_max: int = 0) -> bool:
        looked.append(pages_max)
        return False

    plane.tail.refresh = refresh  # type: ignore[method-assign]
    for number in range(int(REFRESHES_BURST) + 50):
        assert code_of(plane.tokens, f"ath_{number:026d}_{'x' * 43}") == "AUTH_TOKEN_INVALID"
    assert len(looked) == REFRESHES_BURST


def test_an_unknown_token_is_not_called_invalid_while_the_log_cannot_be_read(plane: TokenLog) -> None:
    def lost(pages_max: int = 0) -> bool:
        raise plane.log.store.damaged[0]("gone")

    plane.tail.refresh = lost  # type: ignore[method-assign]
    with pytest.raises(StoreUnreachable):
        plane.tokens.identify(b"ath_" + b"0" * 26 + b"_" + b"x" * 43)


def test_a_token_expires_to_the_millisecond_and_ends_the_sessions_of_its_parent(plane: TokenLog) -> None:
    text, token_id = plane.create(ms=1_000)
    session, session_id = plane.create(ms=5_000, parent=token_id)
    who, its = plane.tokens.identify(text.encode()), plane.tokens.identify(session.encode())
    assert who.token is not None
    assert its.token == TokenClaim(token_id=session_id, expires_at_ms=plane.clock.now() + 5_000, session=True)
    plane.clock.advance(999)
    assert plane.tokens.again(who.token) == who
    plane.clock.advance(1)
    for claim, sent in (who.token, text), (its.token, session):
        assert not plane.tokens.in_force(claim)
        assert code_of(plane.tokens, sent) == "AUTH_TOKEN_EXPIRED"
        with pytest.raises(TokenExpired):
            plane.tokens.again(claim)


def test_sessions_of_the_token_in_the_settings_end_when_it_changes(plane: TokenLog, tmp_path: Path) -> None:
    session, _ = plane.create("api-token", parent=plane.tokens.api_token_parent)
    assert code_of(plane.tokens, session) is None
    assert code_of(plane.tokens, API_TOKEN) is None
    assert plane.tokens.in_force(TokenClaim())
    for changed in ("another-token-of-the-settings", None):
        with token_log(tmp_path, api_token=changed) as later:
            assert code_of(later.tokens, session) == "AUTH_TOKEN_INVALID"
            assert code_of(later.tokens, API_TOKEN) == "AUTH_TOKEN_INVALID"


def test_a_token_that_was_used_before_a_restart_is_in_use(plane: TokenLog, tmp_path: Path) -> None:
    (used, used_id), (fresh, _) = plane.create(), plane.create()
    plane.tokens.identify(used.encode())
    plane.commit(lambda reader, context: Outcome(uses={used_id: plane.clock.now()}))
    with token_log(tmp_path) as later:
        for _ in range(FAILURES_A_MINUTE):
            later.limits.failed(TokenInvalid("guessed"), None)
        assert code_of(later.tokens, used) is None
        assert code_of(later.tokens, fresh) == "RATE_LIMITED"
        assert later.tokens.last_used([used_id]) == {used_id: plane.clock.now()}


async def test_the_end_of_a_token_is_noticed_once(plane: TokenLog) -> None:
    ended: list[int] = []
    plane.tokens.ended = lambda: ended.append(plane.clock.now())
    _, first = plane.create(ms=1_000)
    plane.create(ms=2_000)
    await plane.tokens.tick()
    assert ended == []
    plane.clock.advance(1_000)
    await plane.tokens.tick()
    await plane.tokens.tick()
    assert len(ended) == 1
    plane.revoke(first)
    plane.revoke(first)
    assert len(ended) == 2
    plane.clock.advance(1_000)
    await plane.tokens.tick()
    assert len(ended) == 3


async def test_the_end_of_a_token_is_noticed_again_after_a_clock_that_was_wrong(plane: TokenLog) -> None:
    ended: list[int] = []
    plane.tokens.ended = lambda: ended.append(plane.clock.now())
    plane.create(ms=1_000)
    plane.clock.advance(5_000)
    await plane.tokens.tick()
    assert len(ended) == 1
    plane.clock.advance(-5_000)
    await plane.tokens.tick()
    assert len(ended) == 1, "streams may begin again"
    plane.clock.advance(1_000)
    await plane.tokens.tick()
    await plane.tokens.tick()
    assert len(ended) == 2


async def test_a_use_is_stored_once_a_minute_and_survives_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_log(tmp_path) as log:
        clock, ids, tail = FixedClock(), CountingIds(), Tail(log)
        roster = Roster(enabled=True, roles={}, default=Role.VIEWER)
        token_id = ids.new("tok")
        text = new_text(token_id, ids)
        created = TokenCreated(
            token_id=token_id, identity="ci", role=Role.VIEWER, expires_at_ms=2**52, sha256=hash_of(text), by="alice"
        )
        await log.submit(lambda reader, context: Outcome(facts=(Fact(stream=token_id, event=created),)), META)
        tokens = Tokens(log, tail, clock, ids, roster, AuthenticationLimits(log, clock, ids))
        began, reader = clock.now(), log.reader()
        assert tokens.last_used([token_id]) == {}
        commits = log.commits
        for _ in range(59):
            tokens.identify(text.encode())
            await tokens.tick()
            clock.advance(1_000)
        assert (reader.token_uses([token_id]), log.commits) == ({token_id: began}, commits + 1)
        clock.advance(USE_MS)
        tokens.identify(text.encode())
        assert tokens.last_used([token_id]) == {token_id: clock.now()}
        with monkeypatch.context() as patch:
            patch.setattr(log, "submit", away)
            await tokens.flush()
        assert [problem.loop for problem in log.problems.failing()] == ["tokens.uses"]
        await tokens.flush()
        assert reader.token_uses([token_id]) == {token_id: clock.now()}
        assert log.problems.failing() == ()
        for part in reader, tokens, tail:
            part.close()
