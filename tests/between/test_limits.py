"""Limits that count over time, through the real log and across restarts, on both databases."""

from pathlib import Path

import pytest

from athena_core.domain import anchor
from tests.support.inside import plane_on
from tests.support.machine import DAY, HOUR, Machine

LOG = "01" * 8
ROLES = {"auth_enabled": "true", "auth_identity_role_map": "ada:Admin,otto:Operator"}


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
