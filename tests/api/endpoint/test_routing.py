"""Routes: HEAD beside GET, encoded slashes, the location of accepted work, and errors about paths and methods."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest

from athena_api.endpoint.names import takes_text
from athena_api.endpoint.operation import PREFIX, Operation
from athena_api.endpoint.router import Router
from athena_api.operations import OPERATIONS
from athena_core.errors import UnknownRoute
from tests.api.examples import EXAMPLES
from tests.support.gate import Gates
from tests.support.server import Server
from tests.support.wire import ask

CHANGING = frozenset(("x-trace-id", "date", "athena-position"))
READS = [row for row in OPERATIONS if row.method == "GET"]
IN_PATHS = [row for row in OPERATIONS if ":" in row.path]


def target(operation: str) -> bytes:
    example = EXAMPLES[operation]
    return f"{PREFIX}{example.path}?{urlencode(example.query or {})}".encode()


@pytest.mark.parametrize("operation", [row.id for row in READS if not row.stream])
def test_head_answers_as_get_without_the_body(shared: Server, operation: str) -> None:
    expected, head = (ask(shared.url, method, target(operation)) for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (expected.status, b"")
    assert set(head.headers) == set(expected.headers)
    if operation not in {"getAdminHealth", "getCapabilities", "listWorkers", "getFleetSummary", "getViewDigests"}:
        same = {name: value for name, value in expected.headers.items() if name not in CHANGING}
        assert {name: head.headers[name] for name in same} == same, "also the length"


@pytest.mark.parametrize("operation", [row.id for row in READS if row.stream])
def test_head_of_a_stream_opens_none(shared: Server, operation: str) -> None:
    shared.api.run(sessionId="session")
    head = ask(shared.url, "HEAD", target(operation))
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    refused = ask(shared.url, "HEAD", b"/api/v1/events/stream?after=nonsense")
    assert (refused.status, refused.body) == (400, b"")


def test_many_heads_of_a_stream_use_up_no_limit(shared: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(shared.url, "HEAD", b"/api/v1/events/stream"), range(100)))
    assert {answer.status for answer in answers} == {200}
    assert shared.api.get("/admin/health")["streams"] == 0


def test_a_connection_goes_on_after_head(shared: Server) -> None:
    for method in ("HEAD", "GET", "HEAD", "GET"):
        answer = shared.api.http.request(method, "/runs")
        assert answer.status_code == 200
        assert bool(answer.content) == (method == "GET")


# Encoded slashes


@pytest.mark.parametrize("row", IN_PATHS, ids=lambda row: f"{row.method} {row.path}")
@pytest.mark.parametrize("text", ["a%2Fb", "a%2fb", "%2F", "..%2F..%2Fetc"])
def test_an_encoded_slash_belongs_to_the_id(shared: Server, row: Operation[Any, Any], text: str) -> None:
    for name in re.findall(r":(\w+)", row.path):
        path = re.sub(r":\w+", "x", row.path.replace(f":{name}", text))
        answer = ask(shared.url, row.method, (PREFIX + path).encode())
        if takes_text(row, name) and name != "part":  # a name may have a slash
            assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
            continue
        if name == "part" and len(text) >= len("..%2F..%2F"):
            assert answer.status == 200
            continue
        assert (answer.status, answer.error["code"]) == (400, "CONFIG_ERROR")
        assert answer.error["details"][0]["field"] == name


def test_an_encoded_slash_separates_nothing(shared: Server) -> None:
    assert ask(shared.url, "GET", b"/api/v1/runs%2Factive").status == 404
    assert ask(shared.url, "GET", b"/api%2Fv1/runs").status == 404
    assert ask(shared.url, "GET", b"/api/v1/runs?sessionId=a%2Fb").status == 400, "only the path counts"


# Wrong paths and methods


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("DELETE", "/api/v1/runs/x", "This path has no DELETE. It has GET, HEAD."),
        ("PUT", "/api/v1/runs", "This path has no PUT. It has GET, HEAD, POST."),
        ("HEAD", "/api/v1/work/enqueue", "This path has no HEAD. It has POST."),
        ("POST", "/livez", "This path has no POST. It has GET, HEAD."),
        ("GET", "/api/v1/run", "Did you mean /api/v1/runs?"),
        ("GET", "/api/v1/workflow/run/wf_1", "Did you mean /api/v1/workflows/run/wf_1?"),
        ("POST", "/api/v1/run-control/by-runs/run_1/cancel", "Did you mean /api/v1/run-control/by-run/run_1/cancel?"),
        ("GET", "/runs", "Did you mean /api/v1/runs?"),
        ("GET", "/api/v2/runs", "The API is below /api/v1."),
        ("GET", "/api/v1/nothing/of/the/kind", "No operation has this path."),
        ("G" * 21, "/api/v1/runs", "This path has no such method. It has GET, HEAD, POST."),
    ],
)
def test_a_wrong_path_or_method_says_what_there_is(method: str, path: str, message: str) -> None:
    with pytest.raises(UnknownRoute) as refused:
        Router(OPERATIONS, ("/livez",)).find(method, path)
    assert refused.value.message == f"Not found. {message}"


@pytest.mark.parametrize("path", ["/x" * 4_000, "/api/v1/" + "x" * 8_000, "/api/v1/" + "x/" * 4_000, "/\x1b[31m\n", ""])
def test_a_hostile_path_is_not_repeated(path: str) -> None:
    with pytest.raises(UnknownRoute) as refused:
        Router(OPERATIONS).find("GET", path)
    assert len(refused.value.message) < 100


# Accepted


def test_an_accepted_run_has_a_location_and_says_that_the_preference_was_applied(shared: Server) -> None:
    answer = shared.api.send("/runs", {"input": "later"}, respond_async=True)
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    record = shared.api.http.get(shared.url + answer.headers["location"]).json()["data"]
    assert record["runId"] == answer.json()["data"]["runId"]


def test_other_accepted_work_has_a_location(shared: Server) -> None:
    shared.api.post("/work/enqueue", {"sessionId": "located", "payload": "a", "mode": "followup"})
    answer = shared.api.send("/work/located/drain", {}, respond_async=True)
    assert answer.status_code == 202
    assert shared.api.http.get(shared.url + answer.headers["location"]).status_code == 200


def test_an_answer_with_a_result_has_no_location(shared: Server) -> None:
    answer = shared.api.send("/runs", {"input": "now"})
    assert not {"location", "preference-applied"} & set(answer.headers)


def test_the_deprecated_cancel_links_to_the_run(shared: Server, shared_gates: Gates) -> None:
    nothing = shared.api.send("/runs/unheard-of/cancel")
    assert "/run-control/by-run/:runId/cancel" in nothing.headers["link"]
    gate = shared_gates["deprecated"]
    run = shared.api.start(gate.order, sessionId="deprecated", provider="local-exec")
    gate.arrival()
    answer = shared.api.send("/runs/deprecated/cancel")
    assert answer.headers["link"] == (f'</api/v1/run-control/by-run/{run["runId"]}/cancel>; rel="successor-version"')


# Positions


def test_a_position_beyond_the_head_is_refused_at_once(shared: Server) -> None:
    beyond = shared.api.head() + 1_000_000
    answer = shared.api.http.get("/runs", params={"minPosition": beyond})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CURSOR_AHEAD")
    assert answer.json()["error"]["details"]["position"] == beyond
    assert not answer.json()["error"]["retryable"]


# Event types


@pytest.mark.parametrize("path", ["/events", "/events/stream"])
def test_unknown_event_types_are_refused_with_the_nearest(shared: Server, path: str) -> None:
    answer = shared.api.http.get(path, params={"types": "run.done,run.complete,run.failed,x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CONFIG_ERROR")
    first, second, third = answer.json()["error"]["details"]
    assert {fault["field"] for fault in (first, second, third)} == {"types"}
    assert first["reason"] == "'run.done' is not an event type"
    assert "run.completed" in second["remedy"]
    assert third["remedy"] == "one of eventTypes of GET /capabilities"


def test_the_nearest_are_searched_for_few_types(shared: Server) -> None:
    names = [f"run.complete{number}" for number in range(64)]
    answer = shared.api.http.get("/events", params={"types": ",".join(names)})
    faults = answer.json()["error"]["details"]
    assert [fault["reason"] for fault in faults] == [f"{name!r} is not an event type" for name in names]
    assert sum("did you mean" in fault["remedy"] for fault in faults) == 5


def test_types_of_the_contract_that_never_occur_are_known(shared: Server) -> None:
    types = "policy.mutated,sandbox.lifecycle,specialist.run.started"
    assert shared.api.get("/events", types=types)["events"] == []


# Fields and remedies


def fault_of(shared: Server, method: str, path: str, body: Any = None, **query: str) -> dict[str, Any]:
    answer = shared.api.http.request(method, path, json=body, params=query)
    assert answer.status_code == 400
    found: dict[str, Any] = answer.json()["error"]["details"][0]
    return found


def test_a_wrong_wait_names_its_range(shared: Server) -> None:
    assert fault_of(shared, "GET", "/runs/run_x", wait="soon") == {
        "field": "wait",
        "reason": "must be an integer",
        "remedy": "an integer from 0 to 60",
    }


def test_a_time_without_a_zone_says_so(shared: Server) -> None:
    body = {"id": "zone", "sessionId": "s", "input": "x", "runAt": "2126-01-31T12:00:00"}
    fault = fault_of(shared, "POST", "/schedules", body)
    assert (fault["field"], fault["reason"]) == ("runAt", "'2126-01-31T12:00:00' has no time zone")


def test_a_missing_file_of_a_reference_has_a_remedy(shared: Server) -> None:
    for reference in ("file:gone.txt", "memory:no"):
        directive = shared.api.post("/directives", {"input": "x", "contextRefs": [reference]})
        fault = fault_of(shared, "POST", "/runs", {"directiveId": directive["id"]})
        assert "cannot be read" in fault["reason"]
        assert fault["remedy"] == "the path of a file in the workspace; check its name"


@pytest.mark.parametrize(
    ("path", "name", "field"),
    [
        ("/runs", "cursor", "cursor"),
        ("/events", "cursor", "cursor"),
        ("/events/stream", "after", "after"),
        ("/sessions/session/transcript", "after", "after"),
    ],
)
def test_a_malformed_cursor_names_its_parameter(shared: Server, path: str, name: str, field: str) -> None:
    fault = fault_of(shared, "GET", path, **{name: "!"})
    assert fault["field"] == field
    assert fault["remedy"]


def test_a_malformed_cursor_in_a_header_names_it(shared: Server) -> None:
    answer = shared.api.http.get("/events/stream", headers={"last-event-id": "!"})
    assert answer.json()["error"]["details"][0]["field"] == "last-event-id"


def test_all_faults_of_a_workflow_are_listed_with_its_references(shared: Server) -> None:
    step = {"directiveId": "dir_gone", "harnessProfileId": "hp_gone"}
    steps = [{"id": "a", **step}, {"id": "a", **step, "directiveId": "dir_lost"}]
    body = {"definition": {"steps": steps, "dependencies": [{"from": "a", "to": "nowhere"}]}}
    answer = shared.api.send("/workflows", body)
    fields = {fault["field"] for fault in answer.json()["error"]["details"]}
    assert fields == {
        "definition.steps[1].id",
        "definition.dependencies[0].to",
        "definition.steps[0].directiveId",
        "definition.steps[0].harnessProfileId",
        "definition.steps[1].directiveId",
    } | ({"definition.steps[1].harnessProfileId"} & fields)
