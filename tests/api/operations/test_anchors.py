"""Anchors of other logs over HTTP: kept once, read back, refused where they contradict, and bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_core.domain import anchor
from tests.support.inside import Inside, plane_on

LOG, OTHER = "ab" * 8, "01" * 8
AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Inside]:
    with plane_on(tmp_path, scheduler="off") as inside:
        yield inside


def line(position: int, chain: str = "cd" * 32, log_id: str = LOG) -> dict[str, Any]:
    return {"logId": log_id, "position": position, "chain": chain, "at": AT}


def keep(plane: Inside, body: dict[str, Any], status: int = 200) -> Any:
    answer = plane.ask("POST", "/anchors", body)
    assert answer.status_code == status, answer.text
    return answer.json()["data"] if status == 200 else answer.json()["error"]


def listed(plane: Inside, query: str = "") -> Any:
    return plane.ask("GET", f"/anchors{query}").json()["data"]


def test_an_anchor_is_kept_once_and_read_back(plane: Inside) -> None:
    assert keep(plane, line(7)) == {**line(7), "from": "local"}
    assert keep(plane, {**line(7), "at": "2026-01-02T00:00:00.000Z"}) == {**line(7), "from": "local"}
    keep(plane, line(3))
    keep(plane, line(9, log_id=OTHER))
    found = listed(plane)["items"]
    assert [(one["logId"], one["position"]) for one in found] == [(LOG, 7), (LOG, 3), (OTHER, 9)]
    assert {name: found[0][name] for name in (*line(7), "from")} == {**line(7), "from": "local"}
    assert found[0]["keptAt"] > AT
    page = listed(plane, f"?logId={LOG}&limit=1")
    assert [one["position"] for one in page["items"]] == [7]
    rest = listed(plane, f"?logId={LOG}&limit=1&cursor={page['nextCursor']}")
    assert [one["position"] for one in rest["items"]] == [3]
    assert "nextCursor" not in rest


def test_another_chain_at_a_kept_position_is_refused_recorded_and_shown_to_auditors(plane: Inside) -> None:
    keep(plane, line(7))
    refused = keep(plane, line(7, "ef" * 32), status=409)
    assert refused["code"] == "ANCHOR_CONFLICT"
    assert refused["details"] == {"logId": LOG, "position": 7, "chain": "ef" * 32, "kept": "cd" * 32}
    assert "one of the two histories was rewritten" in refused["message"]
    assert keep(plane, line(7, "ef" * 32), status=409)["details"] == refused["details"]
    (event,) = plane.ask("GET", "/events?types=anchor.conflicted").json()["data"]["events"]
    assert event["payload"] == {
        "logId": LOG, "position": 7, "chain": "ef" * 32, "kept": "cd" * 32, "from": "local"
    }  # fmt: skip
    (entry,) = plane.ask("GET", "/governance/audit-trail?kind=anchor").json()["data"]["items"]
    assert (entry["target"], entry["details"]) == (LOG, {"position": 7, "from": "local"})
    assert [one["chain"] for one in listed(plane)["items"]] == ["cd" * 32]


def test_conflicts_are_recorded_within_the_limits(plane: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor, "ANCHORS_A_DAY_MAX", 3)
    keep(plane, line(7))
    for number in range(1, 6):
        assert keep(plane, line(7, f"{number:064x}"), status=409)["code"] == "ANCHOR_CONFLICT"
    assert len(plane.ask("GET", "/events?types=anchor.conflicted").json()["data"]["events"]) == 2
    assert keep(plane, line(8), status=429)["code"] == "ANCHOR_LIMIT"


def test_an_anchor_of_this_log_is_refused(plane: Inside) -> None:
    refused = keep(plane, line(1, log_id=plane.app.plane.log.log_id), status=409)
    assert (refused["code"], list(refused["details"])) == ("ANCHOR_CONFLICT", ["logId"])


@pytest.mark.parametrize("at", ["yesterday", AT + "\n", "2026-01-01"])
def test_an_anchor_without_a_time_is_refused(plane: Inside, at: str) -> None:
    assert keep(plane, {**line(7), "at": at}, status=400)["details"][0]["field"] == "at"


def test_anchors_are_bounded_by_log_by_day_and_in_all(plane: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor, "ANCHORS_A_DAY_MAX", 2)
    monkeypatch.setattr(anchor, "ANCHORS_A_DAY_IN_ALL_MAX", 3)
    monkeypatch.setattr(anchor, "LOGS_MAX", 2)
    keep(plane, line(1))
    keep(plane, line(2))
    refused = plane.ask("POST", "/anchors", line(3))
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
    assert refused.json()["error"]["code"] == "ANCHOR_LIMIT"
    assert f"2 anchors of log {LOG} were already kept today" in refused.json()["error"]["message"]
    keep(plane, line(2))  # a kept anchor counts once
    assert keep(plane, line(2, "ef" * 32), status=409)["code"] == "ANCHOR_CONFLICT"
    keep(plane, line(1, log_id=OTHER))
    assert "3 anchors were already kept today" in keep(plane, line(2, log_id=OTHER), status=429)["message"]
    assert "anchors of 2 logs are kept" in keep(plane, line(1, log_id="02" * 8), status=429)["message"]
    assert plane.app.plane.log.guards.of("anchors").keys() == {LOG, OTHER}
