"""Tests of the decider of permission rules: created once, revoked once, expired only in time."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import pytest
from msgspec.structs import replace

from athena_core.decider import Decider
from athena_core.domain.permission_rule import (
    DECIDER,
    RULES_A_SCOPE_MAX,
    RULES_MAX,
    CreatePermissionRule,
    PermissionRuleCreated,
    PermissionRuleRevoked,
    RevokePermissionRule,
    check_room,
    decide,
    in_force,
)
from athena_core.errors import NotFound, PermissionRuleLimit
from athena_core.event import Event
from athena_core.log.codec import envelope
from athena_core.log.guards import Guards
from tests.core.domain.given import NOW, Given
from tests.support.event_samples import CODEC, row_of

S = TypeVar("S")

RULE = PermissionRuleCreated(
    rule_id="rule_1",
    scope="run",
    tool_name="shell",
    call_sha256="00",
    ask_id="ask_1",
    by="ada",
    expires_at_ms=NOW + 1,
    run_id="run_1",
    arguments="{}",
    call_salt="00",
)
EXPIRED = PermissionRuleRevoked(rule_id="rule_1", cause="expiry")
REVOKED = PermissionRuleRevoked(rule_id="rule_1", cause="requested", by="grace")
EXPIRE = RevokePermissionRule(rule_id="rule_1")
REVOKE = RevokePermissionRule(rule_id="rule_1", by="grace")


def given(*events: Event) -> Given[object]:
    return Given(DECIDER, decide, *events)  # type: ignore[arg-type]


def test_a_rule_is_created_once() -> None:
    given().when(CreatePermissionRule(rule=RULE)).then(RULE)
    given(RULE).when(CreatePermissionRule(rule=RULE)).then_nothing()


def test_a_rule_is_revoked_once() -> None:
    given(RULE).when(REVOKE).then(REVOKED)
    given(RULE, REVOKED).when(REVOKE).then_nothing()
    given().when(REVOKE).then_rejected(NotFound)


def test_a_rule_expires_at_its_time_and_not_before() -> None:
    given(RULE).when(EXPIRE).then_nothing()
    given(replace(RULE, expires_at_ms=NOW)).when(EXPIRE).then(EXPIRED)


class Held:
    """The guards that some rules hold."""

    head = 0

    def __init__(self, *events: Event) -> None:
        self._guards = Guards()
        for event in events:
            row = row_of(CODEC.encode(event, lambda: bytes(16)))
            for guard in DECIDER.guards(envelope(row, event)):
                self._guards.apply(guard)

    def state(self, decider: Decider[S], stream: str) -> S:
        raise AssertionError("only guards are read")

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        return self._guards.of(kind)

    def count(self, kind: str, word: str) -> int:
        return self._guards.count(kind, word)


def test_a_rule_is_in_force_until_it_is_revoked_or_its_time_is_over() -> None:
    assert in_force(Held(RULE), "rule_1", NOW)
    assert not in_force(Held(RULE), "rule_1", NOW + 1)
    assert not in_force(Held(RULE, REVOKED), "rule_1", NOW)
    assert not in_force(Held(), "rule_1", NOW)


def rules(count: int, run_id: str) -> Iterator[PermissionRuleCreated]:
    for number in range(count):
        yield replace(RULE, rule_id=f"rule_{run_id}_{number}", run_id=run_id)


def test_a_scope_and_the_plane_have_a_limit() -> None:
    full = Held(*rules(RULES_A_SCOPE_MAX, "run_1"))
    with pytest.raises(PermissionRuleLimit, match=r"1000 permission rules are in force for run:run_1"):
        check_room(full, RULE.place)
    check_room(full, "run:run_2")
    many = Held(*(one for number in range(RULES_MAX // 500) for one in rules(500, f"run_{number}")))
    with pytest.raises(PermissionRuleLimit, match="10000 permission rules are in force"):
        check_room(many, "session:elsewhere")
