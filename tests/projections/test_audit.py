"""The audit trail."""

from pathlib import Path
from typing import Any

import msgspec

from athena_core.clock import iso
from athena_core.domain.plane import LogForked
from athena_core.domain.run import RunCancelRequested, RunPaused, RunResumed
from athena_core.values import RefusedRequest
from projections.audit import audit_trail
from projections.engine.cursor import event_id
from tests.projections.history import BEGINNING, LOG_ID, History
from tests.projections.support import shown


def trail(tmp_path: Path, history: History, **filters: Any) -> list[dict[str, Any]]:
    """Return the entries that match a filter, newest first, page by page."""
    connection = shown(tmp_path, history)
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = audit_trail(connection, LOG_ID, **filters, cursor=cursor, limit=2)
        found += [msgspec.to_builtins(entry) for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_a_change_of_policy_shows_who_why_before_and_after(tmp_path: Path) -> None:
    history = History()
    history.put_policy(1)
    history.now += 5
    history.put_policy(2, "more machines", actor="otto")
    row = history.written[-1]
    second, first = trail(tmp_path, history)
    assert second == {
        "id": event_id(LOG_ID, row.position, row.chain[:4]),
        "createdAt": iso(BEGINNING + 5),
        "kind": "policy",
        "type": "policy.updated",
        "actor": "otto",
        "traceId": "t",
        "target": "policy",
        "reason": "more machines",
        "before": {"schemaVersion": 1, "maxConcurrentRuns": 1},
        "after": {"schemaVersion": 1, "maxConcurrentRuns": 2},
    }
    assert first["after"] == second["before"]
    assert "before" not in first
    assert "reason" not in first


def test_everything_that_an_operator_decides_is_in_the_trail(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id)
    history.in_run(run_id, RunPaused(reason="budget", elapsed_ms=1, spent_micro_usd=5, budget_micro_usd=5))
    history.in_run(run_id, RunResumed(requested_by="ex_1", budget_micro_usd=9))
    history.ask_to_cancel(run_id, "enough")
    history.write("plane", RunCancelRequested(status="not-running"), session_id="nobody")
    history.deny("putPolicy")
    history.suppress(17)
    history.redact(history.answer(run_id))
    history.write("plane", LogForked(head=3, expected=9))
    found = trail(tmp_path, history)[::-1]
    assert [
        {
            name: entry.get(name)
            for name in ("kind", "target", "reason", "before", "after", "details")
            if entry.get(name) is not None
        }
        for entry in found
    ] == [
        {"kind": "resume", "target": run_id, "after": {"budgetMicroUsd": 9}},
        {"kind": "cancel", "target": run_id, "reason": "enough", "details": {"status": "cancelled"}},
        {"kind": "cancel", "target": "nobody", "details": {"status": "not-running"}},
        {
            "kind": "denial",
            "target": "putPolicy",
            "reason": "ROLE_MISSING",
            "details": {"role": "Viewer", "requiredRoles": ["Admin"]},
        },
        {"kind": "suppression", "target": "createRun", "details": {"count": 17}},
        {"kind": "redaction", "reason": "asked for", "details": {"position": history.head() - 2}},
        {"kind": "fork", "before": {"head": 9}, "after": {"head": 3}},
    ]
    assert (found[0]["sessionId"], found[0]["runId"]) == ("s", run_id)


def test_decisions_of_asks_are_in_the_trail_and_the_end_of_a_run_decides_none(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    asks = [history.asks.ask(run_id) for _ in range(4)]
    noted = history.asks.answer(run_id, asks[0], edited_sha256="cd" * 32, note="a secret")
    history.asks.answer(run_id, asks[1], "rule", option_id="allow", rule_id="rule_1")
    history.asks.answer(run_id, asks[2], "expiry")
    history.end(run_id, "cancelled")
    found = [entry for entry in trail(tmp_path, history)[::-1] if entry["kind"] == "ask"]
    assert {entry["target"] for entry in found} == {run_id}
    common = [{"askId": ask_id, "subjectHash": "ab" * 32} for ask_id in asks]
    assert [entry["details"] for entry in found] == [
        {**common[0], "cause": "person", "editedHash": "cd" * 32},
        {**common[1], "cause": "rule", "ruleId": "rule_1"},
        {**common[2], "cause": "expiry"},
    ]
    assert [entry.get("after") for entry in found] == [{"optionId": "allow"}, {"optionId": "allow"}, None]
    assert [entry.get("reason") for entry in found] == ["a secret", None, None]
    history.redact(noted)
    (tmp_path / "later").mkdir()
    erased = next(entry for entry in trail(tmp_path / "later", history)[::-1] if entry["kind"] == "ask")
    assert ("reason" in erased, erased["redacted"]) == (False, True)


def test_a_refused_request_is_in_the_trail_until_it_is_erased(tmp_path: Path) -> None:
    history = History()
    runs = [history.refuse("s", request=RefusedRequest(input=words)) for words in ("private words", "other words")]
    history.redact(history.written[0].position)
    _, kept, erased = trail(tmp_path, history)
    assert [(entry["kind"], entry["target"]) for entry in (erased, kept)] == [("rejection", run_id) for run_id in runs]
    assert (erased["reason"], erased.get("details")) == ("max-concurrent-runs-exceeded", None)
    assert kept["details"] == {"request": {"input": "other words"}}
    assert (erased["redacted"], "redacted" in kept) == (True, False)


def test_the_trail_is_filtered(tmp_path: Path) -> None:
    history = History()
    for number in range(6):
        history.now = BEGINNING + number
        history.put_policy(number + 1, actor=f"a{number % 2}")
        history.deny("x", actor=f"a{number % 2}")

    def moments(**filters: Any) -> list[str]:
        return [entry["createdAt"] for entry in trail(tmp_path, history, **filters)]

    def all_of(*numbers: int) -> list[str]:
        return [iso(BEGINNING + number) for number in numbers]

    (tmp_path / "shown.db").unlink(missing_ok=True)
    assert moments(kind="denial") == all_of(5, 4, 3, 2, 1, 0)
    (tmp_path / "shown.db").unlink()
    assert moments(kind="policy", actor="a1") == all_of(5, 3, 1)
    (tmp_path / "shown.db").unlink()
    assert moments(kind="policy", created_after=BEGINNING + 2, created_before=BEGINNING + 3) == all_of(3, 2)
