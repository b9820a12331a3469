"""The audit trail over HTTP: who changed, cancelled or was denied what, for Admins, as JSON and as CSV."""

import csv
import io

import pytest

from tests.conftest import Serve
from tests.support.api import Api, Json, Refused

PATH = "/governance/audit-trail"


@pytest.fixture
def ada(serve: Serve) -> Api:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin,otto:Operator")
    ada, otto, vera = (server.client(name) for name in ("ada", "otto", "vera"))
    ada.put("/policy", {"policy": {"schemaVersion": 1, "maxConcurrentRuns": 5}, "auditComment": "=1+1"})
    ada.put("/policy", {"policy": {"schemaVersion": 1}, "auditComment": "no limit"})
    otto.post("/run-control/by-run/run_1/cancel", {"reason": 'enough, "really"'})
    with pytest.raises(Refused):
        vera.post("/directives", {"input": "no"})
    return ada


def test_the_trail_is_in_the_order_of_the_feed_backwards_and_points_into_it(ada: Api) -> None:
    items = ada.items(PATH, limit=2)
    assert [(item["kind"], item["actor"], item.get("target")) for item in items] == [
        ("denial", "vera", "directives.create"),
        ("cancel", "otto", "run_1"),
        ("policy", "ada", "policy"),
        ("policy", "ada", "policy"),
        ("roles", "system:server", "settings"),
        ("server", "system:server", None),
    ]
    feed = {event["id"]: event for event in ada.events()}
    for item in items:
        event = feed[item["id"]]
        assert (item["type"], item["createdAt"], item["traceId"]) == (
            event["type"],
            event["createdAt"],
            event["traceId"],
        )
    assert (items[2]["before"], items[2]["after"]) == (
        {"schemaVersion": 1, "maxConcurrentRuns": 5},
        {"schemaVersion": 1},
    )
    assert items[2]["reason"] == "no limit"


def test_the_trail_is_filtered_by_actor_kind_and_time(ada: Api) -> None:
    items = ada.items(PATH)
    assert ada.items(PATH, actor="otto") == [items[1]]
    assert ada.items(PATH, kind="policy") == items[2:4]
    assert ada.items(PATH, kind="policy", actor="vera") == []
    moments = {"createdAfter": items[3]["createdAt"], "createdBefore": items[2]["createdAt"]}
    assert ada.items(PATH, kind="policy", **moments) == items[2:4], "both ends are inclusive"
    with pytest.raises(Refused) as refused:
        ada.get(PATH, kind="gossip")
    assert refused.value.error["details"][0]["field"] == "kind"


def test_the_same_as_csv_page_by_page_without_a_formula(ada: Api) -> None:
    lines: list[Json] = []
    query = {"format": "csv", "limit": "2"}
    while True:
        answer = ada.http.get(PATH, params=query)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="audit-trail.csv"'
        assert int(answer.headers["athena-position"]) == ada.head()
        lines += csv.DictReader(io.StringIO(answer.text, newline=""))
        if "athena-next-cursor" not in answer.headers:
            break
        query["cursor"] = answer.headers["athena-next-cursor"]
    items = ada.items(PATH)
    assert [line["id"] for line in lines] == [item["id"] for item in items]
    assert [line["reason"] for line in lines] == ["ROLE_MISSING", 'enough, "really"', "no limit", "'=1+1", "", ""]
    assert lines[2]["before"] == '{"schemaVersion":1,"maxConcurrentRuns":5}'
    assert ada.get(PATH, format="json", limit=1)["items"] == items[:1]


def test_an_error_of_a_sheet_is_an_envelope(ada: Api) -> None:
    answer = ada.http.get(PATH, params={"format": "csv", "cursor": "MQ"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CURSOR_INVALID")
