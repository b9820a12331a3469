"""The policy in force, and the refusals by it."""

from pathlib import Path

import msgspec

from athena_core.clock import iso
from athena_core.values import RefusedRequest
from projections.engine.cursor import event_id
from projections.policy import list_rejections, policy_in_force
from tests.projections.history import BEGINNING, LOG_ID, History
from tests.projections.support import shown


def test_without_a_policy_there_is_none(tmp_path: Path) -> None:
    assert policy_in_force(shown(tmp_path, History())) == (b"null", 0)


def test_the_last_policy_is_in_force_since_it_was_put(tmp_path: Path) -> None:
    history = History()
    history.put_policy(3)
    history.now += 1_000
    history.put_policy(7, "more machines")
    document, version = policy_in_force(shown(tmp_path, history))
    assert msgspec.json.decode(document) == {
        "schemaVersion": 1,
        "maxConcurrentRuns": 7,
        "updatedAt": iso(BEGINNING + 1_000),
    }
    assert version == 2


def test_a_refusal_says_who_was_refused_by_which_rule(tmp_path: Path) -> None:
    history = History()
    profile_id = history.profile("openai")
    history.now += 5
    run_id = history.refuse("s", limit=4, actor="otto", profile_id=profile_id)
    row = history.written[-1]
    (rejection,) = list_rejections(shown(tmp_path, history), LOG_ID, cursor=None, limit=10).items
    origin = {"schemaVersion": 1, "engine": "athena", "ruleType": "concurrency", "failureAction": "enforce"}
    assert msgspec.to_builtins(rejection) == {
        "id": "rej_" + event_id(LOG_ID, row.position, row.chain[:4]),
        "createdAt": iso(BEGINNING + 5),
        "sessionId": "s",
        "activeRuns": 4,
        "maxConcurrentRuns": 4,
        "reason": "max-concurrent-runs-exceeded",
        "policy": origin,
        "event": {
            "schemaVersion": 1,
            "timestamp": iso(BEGINNING + 5),
            "policyType": "CONCURRENCY",
            "limit": 4,
            "rejectedRunDetails": {"sessionId": "s"},
            "reason": "max-concurrent-runs-exceeded",
            "activeRuns": 4,
            "policy": origin,
        },
        "actor": "otto",
        "traceId": "t" + run_id,
        "runId": run_id,
        "directiveId": "dir_1",
        "harnessProfileId": profile_id,
        "provider": "openai",
    }


def test_a_refusal_says_what_was_asked_for_until_it_is_erased(tmp_path: Path) -> None:
    history = History()
    for words in ("private words", "other words"):
        history.refuse("s", request=RefusedRequest(input=words))
    history.redact(history.written[0].position)
    rows = shown(tmp_path, history)
    erased, kept = list_rejections(rows, LOG_ID, cursor=None, limit=2).items
    assert (erased.request, erased.redacted) == (None, True)
    assert (kept.request, kept.redacted) == (RefusedRequest(input="other words"), None)
    assert "private" not in str(list(rows.execute("SELECT * FROM policy_rejection")))


def test_refusals_are_listed_oldest_first_and_filtered(tmp_path: Path) -> None:
    history = History()
    profiles = [history.profile("mock"), history.profile("openai")]
    ids = []
    for number in range(12):
        history.now = BEGINNING + number * 10
        profile_id = profiles[number % 2] if number % 4 < 2 else None
        ids.append(history.refuse(f"s{number % 3}", actor=f"a{number % 2}", profile_id=profile_id))
    connection = shown(tmp_path, history)

    def listed(**filters: object) -> list[str | None]:
        found: list[str | None] = []
        cursor = None
        while True:
            page = list_rejections(connection, LOG_ID, **filters, cursor=cursor, limit=2)  # type: ignore[arg-type]
            found += [rejection.run_id for rejection in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert listed() == ids
    assert listed(session_id="s1") == ids[1::3]
    assert listed(actor="a1") == ids[1::2]
    assert listed(provider="openai") == listed(harness_profile_id=profiles[1]) == [ids[1], ids[5], ids[9]]
    assert listed(created_after=BEGINNING + 100) == ids[10:]
    assert listed(created_before=BEGINNING + 20) == ids[:3]
    assert listed(created_after=BEGINNING + 30, created_before=BEGINNING + 50, actor="a1") == [ids[3], ids[5]]
    assert listed(reason="lock-acquisition-failed") == []
    assert listed(offset=9) == ids[9:], "what was passed over on the first page is not passed over again"
