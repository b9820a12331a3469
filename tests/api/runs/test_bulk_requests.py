"""``POST /runs/cancel`` and ``POST /runs/retry``: one request that concerns every run of a filter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_core.domain import bulk_request
from athena_core.errors import StoreFull
from tests.support.api import Json, soon
from tests.support.gate import Gates
from tests.support.inside import Inside

ROLES = "ada:Admin,otto:Operator,vera:Viewer"
FAILED = {"filter": {"status": "failed"}}


@pytest.fixture
def inside(tmp_path: Path, gates: Gates) -> Iterator[Inside]:
    settings = gates.settings | {"auth_enabled": "true", "auth_identity_role_map": ROLES}
    inside = Inside(tmp_path, **settings)
    inside.start()
    yield inside
    inside.stop()


def ask(inside: Inside, path: str, body: Any, who: str = "otto", **headers: str) -> tuple[int, Json]:
    """Return the status of an answer, and its data or error."""
    answer = inside.ask("POST", path, body, x_athena_identity=who, **headers)
    envelope: Json = answer.json()
    return answer.status_code, envelope.get("data") or envelope["error"]


def get(inside: Inside, path: str) -> Any:
    return inside.data("GET", path, x_athena_identity="ada")


def start(inside: Inside, session: str, said: str, **fields: Any) -> str:
    body = {"sessionId": session, "input": said, **fields}
    return str(ask(inside, "/runs", body, prefer="respond-async")[1]["runId"])


def failed(inside: Inside, count: int, session: str = "f") -> list[str]:
    """Return runs that failed."""
    ids = [start(inside, f"{session}{number}", "fail") for number in range(count)]
    for run_id in ids:
        for _ in soon():
            if get(inside, f"/runs/{run_id}")["status"] == "failed":
                break
    return ids


def items(result: Json, status: str) -> list[str]:
    return [item["runId"] for item in result["items"] if item["status"] == status]


def test_the_open_runs_of_a_filter_are_cancelled_and_no_other(inside: Inside, gates: Gates) -> None:
    gate = gates["held"]
    held = start(inside, "a", gate.order)
    gate.arrival()
    queued = [start(inside, "a", "x") for _ in range(3)]
    other = start(inside, "b", gate.order)
    gate.arrival()
    body = {"filter": {"sessionId": "a"}, "reason": "wrong branch"}

    status, dry = ask(inside, "/runs/cancel", body | {"dryRun": True})
    assert (status, dry["dryRun"], dry["total"], dry["done"], "id" in dry) == (200, True, 4, 0, False)
    assert items(dry, "selected") == [held, *queued]
    assert get(inside, f"/runs/{queued[0]}")["status"] == "queued"

    status, done = ask(inside, "/runs/cancel", body)
    assert (status, done["total"], done["done"], done["failed"]) == (200, 4, 4, 0)
    assert items(done, "cancelled") == [held, *queued]
    (event,) = get(inside, "/events?types=bulk.requested")["events"]
    assert event["payload"]["filter"] == {"sessionId": "a"}
    assert (event["payload"]["act"], event["payload"]["total"], event["payload"]["bulkId"]) == ("cancel", 4, done["id"])
    asked = get(inside, "/events?types=run.cancel.requested")["events"]
    assert sorted(one["runId"] for one in asked) == sorted([held, *queued]), "one event for each run"
    causes = get(inside, f"/runs/{queued[0]}/explain")["causes"]
    (cause,) = [one for one in causes if one["type"] == "run.cancel.requested"]
    assert (cause["causedBy"], cause["says"]) == (event["id"], "cancellation requested by otto: wrong branch")
    entry = get(inside, "/governance/audit-trail?kind=bulk")["items"][0]
    assert (entry["target"], entry["actor"], entry["details"]["decision"]) == (done["id"], "otto", "cancel")
    assert get(inside, f"/runs/{other}")["status"] == "running"
    again = ask(inside, "/runs/cancel", body)[1]
    assert (again["total"], len(get(inside, "/events?types=bulk.requested")["events"])) == (again["done"], 2)
    gate.release()


def test_the_ended_runs_of_a_filter_are_retried_once_for_a_key(inside: Inside) -> None:
    ids = failed(inside, 3)
    good = ask(inside, "/runs", {"sessionId": "g", "input": "well"})[1]["runId"]
    assert items(ask(inside, "/runs/retry", FAILED | {"dryRun": True})[1], "selected") == ids
    body = FAILED | {"changes": {"provider": "mock", "model": "mock-model"}}
    status, done = ask(inside, "/runs/retry", body, idempotency_key="k")
    assert (status, done["total"], done["done"]) == (200, 3, 3)
    assert items(done, "retried") == ids
    for item in done["items"]:
        assert get(inside, f"/runs/{item['retryRunId']}?wait=5")["retryOf"] == item["runId"]
    assert "retries" not in get(inside, f"/runs/{good}")
    more = failed(inside, 1, "later")
    again = inside.ask("POST", "/runs/retry", body, x_athena_identity="otto", idempotency_key="k")
    assert again.json()["data"] == done, "the later failure is not retried"
    assert again.headers["idempotency-replayed"] == "true"
    assert "retries" not in get(inside, f"/runs/{more[0]}")
    assert ask(inside, "/runs/retry", FAILED, idempotency_key="k")[1]["code"] == "IDEMPOTENCY_MISMATCH"
    (event,) = get(inside, "/events?types=bulk.requested")["events"]
    assert event["payload"]["changes"] == {"provider": "mock", "model": "mock-model"}


def test_a_request_that_was_cut_off_continues_with_its_key(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = failed(inside, 5)
    runs, begin = inside.app.plane.runs, inside.app.plane.runs.begin
    begun: list[str] = []

    async def cut(prepared: Any, *arguments: Any, **options: Any) -> Any:
        if len(begun) == 2:
            raise ConnectionError("the process ends here")
        begun.append(prepared.run_id)
        return await begin(prepared, *arguments, **options)

    monkeypatch.setattr("athena_core.services.runs.bulk_requests.AT_ONCE", 1)
    monkeypatch.setattr(runs, "begin", cut)
    answer = inside.ask("POST", "/runs/retry", FAILED, x_athena_identity="otto", idempotency_key="k")
    assert answer.status_code == 500
    inside.log.clear()  # the traceback of the cut
    monkeypatch.undo()
    status, done = ask(inside, "/runs/retry", FAILED, idempotency_key="k")
    assert (status, items(done, "retried")) == (200, ids)
    assert [item["retryRunId"] for item in done["items"][:2]] == begun, "these were retried before"
    retried = get(inside, "/events?types=run.created,run.queued&limit=500")["events"]
    assert sorted({one["retryOf"] for one in retried if "retryOf" in one}) == sorted(ids)
    assert len({one["runId"] for one in retried if "retryOf" in one}) == 5, "each once"
    assert len(get(inside, "/events?types=bulk.requested")["events"]) == 1


def repeated(inside: Inside, path: str, body: Json) -> Json:
    """Return the answer of a request that is repeated with its key."""
    answer = inside.ask("POST", path, body, x_athena_identity="otto", idempotency_key="k")
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    return dict(answer.json()["data"])


def test_a_repeated_cancellation_cancels_what_was_selected(inside: Inside, gates: Gates) -> None:
    gate = gates["held"]
    ids = [start(inside, "a", gate.order)]
    gate.arrival()
    ids += [start(inside, "a", "x") for _ in range(2)]
    body = {"filter": {"status": "queued"}, "reason": "wrong branch"}
    done = ask(inside, "/runs/cancel", body, idempotency_key="k")[1]
    assert items(done, "cancelled") == ids[1:]
    later = start(inside, "a", "later")
    assert repeated(inside, "/runs/cancel", body) == done
    assert get(inside, f"/runs/{later}")["status"] == "queued"
    gate.release()


def test_after_an_error_that_all_would_get_no_further_run_is_tried(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, tried = failed(inside, 5), []

    async def full(prepared: Any, *arguments: Any, **options: Any) -> Any:
        tried.append(prepared.run_id)
        raise StoreFull("the disk is full")

    monkeypatch.setattr("athena_core.services.runs.bulk_requests.AT_ONCE", 2)
    monkeypatch.setattr(inside.app.plane.runs, "begin", full)
    done = ask(inside, "/runs/retry", FAILED)[1]
    assert (items(done, "failed"), len(tried)) == (ids, 2)
    assert {item["error"]["code"] for item in done["items"]} == {"STORE_FULL"}


def test_more_runs_than_a_request_may_have_are_refused(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_request, "BULK_RUNS_MAX", 1)
    failed(inside, 2)
    for body in (FAILED, FAILED | {"dryRun": True}):
        status, error = ask(inside, "/runs/retry", body)
        assert (status, error["details"][0]["field"]) == (400, "filter")
    assert get(inside, "/events?types=bulk.requested")["events"] == []


def test_a_scope_narrows_the_filter(inside: Inside, gates: Gates) -> None:
    gate = gates["scope"]
    mine, theirs = start(inside, "mine", gate.order), start(inside, "theirs", gate.order)
    gate.arrival()
    gate.arrival()
    body = {"filter": {}, "reason": "mine only"}
    for scope, expected in (
        ({"x_athena_scope_sessions": "mine"}, [mine]),
        ({"x_athena_scope_runs": theirs}, [theirs]),
        ({"x_athena_scope_sessions": "nobody"}, []),
    ):
        found = ask(inside, "/runs/cancel", body | {"dryRun": True}, **scope)[1]
        assert items(found, "selected") == expected
    assert ask(inside, "/runs/cancel", body, x_athena_scope_personas="p")[0] == 403
    assert ask(inside, "/runs/retry", FAILED, x_athena_scope_runs=mine)[0] == 403
    for path, body_ in (("/runs/cancel", body), ("/runs/retry", FAILED)):
        assert ask(inside, path, body_, "vera")[0] == 403
    done = ask(inside, "/runs/cancel", body, x_athena_scope_sessions="mine")[1]
    assert items(done, "cancelled") == [mine]
    assert get(inside, "/events?types=bulk.requested")["events"][0]["scope"] == {"sessions": ["mine"]}
    assert get(inside, f"/runs/{theirs}")["status"] == "running"
    gate.release()


@pytest.mark.parametrize("path", ["/runs/cancel", "/runs/retry"])
def test_hostile_bodies_are_refused(inside: Inside, path: str) -> None:
    good: Json = {"filter": {}, "reason": "x"} if path == "/runs/cancel" else {"filter": {}}
    hostile: tuple[Any, ...] = (
        *({}, [], "x", None, {"filter": []}, {"filter": None}, good | {"dryRun": "yes"}, good | {"filter": {"x": 1}}),
        *(good | {"filter": {"createdAfter": "soon"}}, good | {"filter": {"status": "done"}}),
        *(good | {"filter": {"costOverUsd": -1}}, good | {"filter": {"sessionId": "a\u0000b"}}),
        *(good | {"filter": {"model": "m" * 100_000}}, good | {"reason": 7, "changes": {"budgetUsd": -1}}),
        *(good | {"filter": {"createdBefore": "9" * 30}}, good | {"changes": {"input": "x"}, "reason": ""}),
    )
    for body in hostile:
        status, _ = ask(inside, path, body)
        assert status in {400, 413}, body
    assert get(inside, "/events?types=bulk.requested")["events"] == []


@pytest.mark.parametrize("path", ["/runs/cancel", "/runs/retry"])
def test_an_act_on_other_runs_than_were_shown_is_refused(inside: Inside, gates: Gates, path: str) -> None:
    gate = gates["shown"]
    act = {"reason": "shown"} if path == "/runs/cancel" else {}

    def more(number: int) -> None:
        if path == "/runs/cancel":
            start(inside, f"s{number}", gate.order)
        else:
            failed(inside, 1, session=f"s{number}")

    more(1)
    body = {"filter": {}, **act}
    shown = ask(inside, path, body | {"dryRun": True})[1]
    more(2)
    named = body | {"subjectHash": shown["subjectHash"]}
    status, error = ask(inside, path, named)
    assert (status, error["code"]) == (409, "SUBJECT_CHANGED")
    again = ask(inside, path, body | {"dryRun": True})[1]
    assert (again["total"], error["details"]["subjectHash"]) == (2, again["subjectHash"]), "nothing was done"
    named = body | {"subjectHash": again["subjectHash"]}
    for _ in range(2):
        status, done = ask(inside, path, named, idempotency_key="shown")
        assert (status, done["total"], done.get("subjectHash")) == (200, 2, None)
