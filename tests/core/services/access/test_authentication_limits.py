"""The record of failed authentication: summaries, their rhythm, and their bounds."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.errors import IdentityMissing, StoreUnreachable, TokenExpired, TokenInvalid, TokenMissing
from athena_core.log.writer import Log
from athena_core.services.access.authentication_limits import (
    FAILURES_A_MINUTE,
    PEERS_MAX,
    SUMMARIES_MAX,
    AuthenticationLimits,
)
from athena_core.services.access.refusal_limits import SUMMARIES_BURST, SUMMARY_EVENTS_MAX
from tests.support.records import CODEC, opened_log

INVALID, EXPIRED = TokenInvalid("wrong"), TokenExpired("old")


async def away(*_: object) -> None:
    raise StoreUnreachable("away")


def recorded(log: Log) -> list[Any]:
    reader = log.reader()
    rows = reader.rows(0, 1_000)
    reader.close()
    assert all(b"192.0.2" not in row.data for row in rows), "an address is in a public payload"
    return [CODEC.decode(row).event for row in rows]


def counted(log: Log) -> list[tuple[str | None, str | None, str, int]]:
    return [(event.peer, event.token_id, event.code, event.count) for event in recorded(log)]


def limits_of(log: Log) -> tuple[AuthenticationLimits, FixedClock]:
    clock = FixedClock()
    return AuthenticationLimits(log, clock, CountingIds()), clock


async def test_failures_are_recorded_by_address_token_and_code(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        limits, clock = limits_of(log)
        for _ in range(3):
            limits.failed(INVALID, "192.0.2.1", "tok_1")
        clock.advance(500)
        limits.failed(INVALID, "192.0.2.1")
        limits.failed(EXPIRED, "2001:db8::5", "tok_2")
        limits.failed(INVALID, None)
        limits.failed(TokenMissing("none"), "192.0.2.1")
        limits.failed(IdentityMissing("none"), "192.0.2.1")
        await limits.tick()
        assert sorted(counted(log), key=str) == sorted(
            [
                ("192.0.2.1", "tok_1", "AUTH_TOKEN_INVALID", 3),
                ("192.0.2.1", None, "AUTH_TOKEN_INVALID", 1),
                ("2001:db8::/64", "tok_2", "AUTH_TOKEN_EXPIRED", 1),
                ("unix", None, "AUTH_TOKEN_INVALID", 1),
            ],
            key=str,
        )
        assert {event.since for event in recorded(log)} == {"2026-01-01T00:00:00.000Z"}
        await limits.tick()
        assert len(counted(log)) == 4
        assert limits.counts == {
            "AUTH_TOKEN_INVALID": 5,
            "AUTH_TOKEN_EXPIRED": 1,
            "AUTH_TOKEN_MISSING": 1,
            "AUTH_IDENTITY_MISSING": 1,
            "RATE_LIMITED": 0,
        }


async def test_a_flood_is_recorded_once_a_second_then_once_a_minute_in_few_events(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        limits, clock = limits_of(log)
        seconds, failures = 300, 0
        for second in range(seconds):
            for number in range(40):
                limits.failed(INVALID if number % 2 else EXPIRED, f"192.0.{second % 4}.{number}")
                failures += 1
            await limits.tick()
            clock.advance(1_000)
        await limits.flush()
        events = counted(log)
        assert sum(count for *_, count in events) == failures, "a failure was lost"
        assert len(events) <= SUMMARY_EVENTS_MAX * (SUMMARIES_BURST + seconds // 60 + 2)
        rest = [event for event in events if event[0] is None]
        assert {code for _, _, code, _ in rest} == {"AUTH_TOKEN_INVALID", "AUTH_TOKEN_EXPIRED"}


async def test_memory_is_bounded(tmp_path: Path) -> None:
    with opened_log(tmp_path) as log:
        limits, _ = limits_of(log)
        for number in range(PEERS_MAX + 500):
            limits.failed(INVALID, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"tok_{number}")
        assert (len(limits._peers), len(limits._tokens)) == (PEERS_MAX, PEERS_MAX)
        assert len(limits._failures) == SUMMARIES_MAX + 1
        await limits.flush()
        assert sum(count for *_, count in counted(log)) == PEERS_MAX + 500
        assert len(counted(log)) <= SUMMARY_EVENTS_MAX


async def test_counts_that_cannot_be_recorded_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened_log(tmp_path) as log:
        limits, clock = limits_of(log)
        limits.failed(INVALID, "192.0.2.1")
        with monkeypatch.context() as patch:
            patch.setattr(log, "submit", away)
            await limits.tick()
        assert [problem.loop for problem in log.problems.failing()] == ["authentication.flush"]
        clock.advance(60_000)
        limits.failed(INVALID, "192.0.2.1")
        await limits.tick()
        assert counted(log) == [("192.0.2.1", None, "AUTH_TOKEN_INVALID", 2)]
        assert recorded(log)[0].since == "2026-01-01T00:00:00.000Z"
        assert b"192.0.2.1" in msgspec.json.encode(recorded(log)[0])
    assert FAILURES_A_MINUTE == 10
