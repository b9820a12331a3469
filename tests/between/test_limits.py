"""Limits that count over time, through the real log and across restarts, on both databases."""

from pathlib import Path
from typing import Any

import pytest

from athena_core.domain import anchor
from tests.support.inside import plane_on
from tests.support.machine import DAY, HOUR, Machine
from tests.support.server import NO_FLOOD

LOG = "01" * 8
ROLES = {"auth_enabled": "true", "auth_identity_role_map": "ada:Admin,otto:Operator"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_key_expires_after_its_hours(restarted: bool, tmp_path: Path, store: dict[str, str]) -> None:
    machine = Machine()
    with plane_on(tmp_path, machine.still(), **store, idempotency_hours="2") as plane:

        def run() -> Any:
            return plane.data("POST", "/runs", {"input": "once"}, idempotency_key="K")["runId"]

        first = run()
        for hours, same in ((2, True), (2, False)):
            machine.go(hours * HOUR)
            if restarted:
                plane.stop()
                plane.start()
            plane.data("POST", "/directives", {"input": "tick"})
            assert (run() == first) is same


def test_the_request_rate_of_an_identity_refills_to_a_burst_of_two_seconds(
    tmp_path: Path, store: dict[str, str]
) -> None:
    machine = Machine()
    with plane_on(tmp_path, machine.still(), **store, **ROLES, requests_per_second="2") as plane:

        def answered(name: str = "ada") -> int:
            count = 0
            while (answer := plane.ask("GET", "/caller", x_athena_identity=name)).status_code == 200:
                count += 1
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "RATE_LIMITED")
            assert int(answer.headers["retry-after"]) >= 1
            return count

        assert (answered(), answered("otto")) == (4, 4), "identities do not share a rate"
        for passed, more in ((0, 0), (499, 0), (1, 1), (1_000, 2), (HOUR, 4)):
            machine.go(passed)
            assert answered() == more


def test_recorded_refusals_of_an_identity_refill_over_a_day(tmp_path: Path, store: dict[str, str]) -> None:
    machine = Machine()
    settings = ROLES | NO_FLOOD | {"refusals_per_day": "4"}
    with plane_on(tmp_path, machine.still(), **store, **settings) as plane:

        def recorded(name: str) -> int:
            for _ in range(6):
                assert plane.ask("PUT", "/policy", {"schemaVersion": 1}, x_athena_identity=name).status_code == 403
            path = f"/governance/audit-trail?kind=denial&actor={name}&limit=500"
            return len(plane.data("GET", path, x_athena_identity="ada")["items"])

        assert (recorded("otto"), recorded("vera")) == (4, 4)
        for passed, more in ((DAY // 4 - 1, 4), (1, 5), (DAY // 2, 7), (7 * DAY, 11)):
            machine.go(passed)
            assert recorded("otto") == more


@pytest.mark.parametrize("restarted", [False, True])
def test_the_anchors_of_a_day_are_counted_until_midnight(
    restarted: bool, tmp_path: Path, store: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor, "ANCHORS_A_DAY_MAX", 2)
    machine = Machine()
    machine.go(DAY - 1)
    with plane_on(tmp_path, machine.still(), **store) as plane:

        def keep(position: int) -> int:
            body = {"logId": LOG, "position": position, "chain": "cd" * 32, "at": "2026-01-01T00:00:00.000Z"}
            return plane.ask("POST", "/anchors", body).status_code

        assert [keep(position) for position in (1, 2, 3)] == [200, 200, 429]
        if restarted:
            plane.stop()
            plane.start()
        assert keep(3) == 429
        machine.go(1)
        assert [keep(position) for position in (3, 4, 5)] == [200, 200, 429]
        machine.go(DAY - 1)
        assert keep(5) == 429
        machine.go(1)
        assert keep(5) == 200
