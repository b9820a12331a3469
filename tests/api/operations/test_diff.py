"""The difference between two moments, as it is asked for: moments, pages, scopes, refusals; it shows no texts."""

from typing import Any

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Refused
from tests.support.server import Server

SECRET = "the number of the account"


@pytest.fixture(scope="module")
def api(shared: Server) -> Api:
    """A server that earlier tests of this module may have used."""
    return shared.api


def by_kind(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in found["items"] if one["kind"] == kind]


def test_it_names_what_happened_between_two_moments(api: Api) -> None:
    first = api.run(SECRET, sessionId="s")
    start = api.events()[-1]
    second = api.run(SECRET, sessionId="s")
    api.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 9}, "auditComment": SECRET})
    events = api.events()
    found = api.get("/diff", **{"from": start["id"]})
    assert found["from"]["id"] == start["id"]
    assert found["to"]["id"] == events[-1]["id"]
    assert {"kind": "run", "appeared": 1, "ended": 1, "changed": 0} in found["counts"]
    (run,) = by_kind(found, "run")
    assert run["id"] == second["runId"] != first["runId"]
    of_run = [event for event in events if event.get("runId") == second["runId"]]
    assert run["events"] == len(of_run)
    assert [run["appeared"]["id"], run["ended"]["id"]] == [of_run[0]["id"], of_run[-1]["id"]]
    assert run["last"]["type"] == "run.completed"
    assert run["last"]["traceId"] == of_run[-1]["traceId"]
    (policy,) = by_kind(found, "policy")
    assert found["items"][0] == policy
    assert policy["last"]["actor"] == "local"
    assert SECRET not in api.http.get("/diff", params={"from": "0"}).text


def test_times_positions_and_ids_name_moments(api: Api) -> None:
    api.run("hello", sessionId="s")
    events = api.events()
    whole = api.get("/diff", **{"from": "0", "to": str(len(events))})
    assert api.get("/diff", **{"from": "2020-01-01"}) == whole
    assert api.get("/diff", **{"from": "0", "to": "2999-01-01T00:00:00Z"}) == whole
    assert api.get("/diff", **{"from": "0", "to": events[-1]["id"]}) == whole
    assert api.get("/diff", **{"from": events[-1]["id"]})["items"] == []


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({}, "CONFIG_ERROR", "from"),
        ({"from": "yesterday"}, "CONFIG_ERROR", "from"),
        ({"from": "1", "to": "tomorrow"}, "CONFIG_ERROR", "to"),
        ({"from": "2", "to": "1"}, "CONFIG_ERROR", "from"),
        ({"from": "1", "kind": "car"}, "CONFIG_ERROR", "kind"),
        ({"from": "1", "asOf": "2"}, "CONFIG_ERROR", "asOf"),
        ({"from": "99999"}, "CURSOR_AHEAD", None),
        ({"from": "AegbIU8anWWyAAAAAAAAAAFt1IH4"}, "CURSOR_FOREIGN", None),
        ({"from": "1", "cursor": "abc"}, "CURSOR_INVALID", "cursor"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    api: Api, query: dict[str, str], code: str, field: str | None
) -> None:
    api.run("hello")
    with pytest.raises(Refused) as refused:
        api.get("/diff", **query)
    assert refused.value.code == code
    if field is not None:
        assert [fault["field"] for fault in refused.value.error["details"]] == [field]


def test_a_scope_holds_for_the_records_and_for_the_counts(serve: Serve) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin,otto:Operator,vera:Viewer")
    ada = server.client("ada")
    mine, theirs = (ada.run(SECRET, sessionId=session)["runId"] for session in ("mine", "theirs"))
    ada.put_policy(maxConcurrentRuns=9)
    narrowed = server.client("otto", **{"x-athena-scope-sessions": "mine"})
    one_run = server.client("vera", **{"x-athena-scope-runs": mine})
    for client, kinds in ((narrowed, {"run", "session"}), (one_run, {"run"})):
        found = client.get("/diff", **{"from": "0", "limit": "500", "counts": "true"})
        assert {count["kind"] for count in found["counts"]} == kinds == {one["kind"] for one in found["items"]}
        assert {"kind": "run", "appeared": 1, "ended": 1, "changed": 0} in found["counts"]
        (run,) = by_kind(found, "run")
        assert run["id"] == mine
        text = str(found)
        assert theirs not in text and "theirs" not in text and "ada" not in text
        pages = client.items("/diff", **{"from": "0", "limit": "1"})
        assert pages == found["items"]
    whole = ada.get("/diff", **{"from": "0", "limit": "500", "counts": "true"})
    assert {"kind": "run", "appeared": 2, "ended": 2, "changed": 0} in whole["counts"]
    cursor = ada.get("/diff", **{"from": "0", "limit": "1"})["nextCursor"]
    assert theirs not in str(narrowed.get("/diff", **{"from": "0", "cursor": cursor}))
