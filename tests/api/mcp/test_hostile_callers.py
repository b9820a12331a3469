"""Callers of ``/mcp`` who want more than their right, or the server's time and memory."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import pytest
from anyio import to_thread

from athena_api.mcp.asks import OPTION
from tests.api.callers import ROLES
from tests.support.api import Json, soon
from tests.support.gate import Gate, Gates
from tests.support.inside import Inside
from tests.support.mcp_posts import ACCEPT, McpPost, answer_of, handshake, modern, post, send
from tests.support.model import Profile, acting, call
from tests.support.vouched import VOUCHED

DEEP = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
REFUSALS_A_DAY = 100
STREAMS = 4
"""Streams that one identity may open."""
WAITS = 200
ELSEWHERE = {"x_athena_identity": "otto", "x_athena_scope_sessions": "elsewhere"}
ODD_IDS = ("", ".", "..", "../halt", "a/../b", "%2e%2e", "a?b=1", "a#b", "\x00", "run_" + "0" * 5_000, "ä", "a b", "*")


@pytest.fixture(scope="module")
def inside(
    tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str], shared_gates: Gates
) -> Iterator[Inside]:
    """A plane with a run of Otto's in the session ``here``."""
    roles = {"auth_identity_role_map": ROLES, "authz_mode": "enforce"} | VOUCHED
    limits = {"body_bytes_max": "1000000", "refusals_per_day": str(REFUSALS_A_DAY)}
    with acting([call("shell", command=["touch", "made.txt"]), "done"]) as model:
        local = {name: value for name, value in shared_gates.settings.items() if name.startswith("local")}
        settings = {**roles, **limits, **shared_store, **local, "openai_base_url": model.url}
        settings |= {"allowed_hosts": "plane", "streams_per_identity_max": str(STREAMS)}
        found = Inside(tmp_path_factory.mktemp("mcp"), **settings)
        found.start()
        yield found
        found.stop()


@pytest.fixture(scope="module")
def run_id(inside: Inside, ask_of_otto: Json) -> str:
    run = inside.data("POST", "/runs", {"input": "a secret word", "sessionId": "here"}, x_athena_identity="otto")
    return str(run["runId"])


def post_all(
    inside: Inside, asked: Sequence[McpPost], meanwhile: Callable[[], object] = bool, **headers: str
) -> list[httpx2.Response]:
    """Post at the same time, and do something meanwhile. Return the answers."""

    async def send_all() -> list[httpx2.Response]:
        tasks = [asyncio.ensure_future(send(inside, one, headers)) for one in asked]
        await to_thread.run_sync(meanwhile)
        return [await task for task in tasks]

    return inside.call(send_all)


def ask(inside: Inside, who: str, asked: McpPost, **headers: str) -> Json:
    return answer_of(post(inside, asked, x_athena_identity=who, **headers))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (DEEP, 413),
        (DEEP[:400_000], 400),
        (b"[" + b'{"jsonrpc":"2.0","id":1,"method":"tools/list"},' * 1_000 + b"{}]", 400),
        (b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 900_000 + b'"}', 200),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 100_000 + b',"method":"tools/list"}', 400),
        (b'{"jsonrpc":"2.0","id":"' + b"9" * 100_000 + b'","method":"tools/list"}', 400),
        (b" " * 1_000_001, 413),
        (b'{"jsonrpc":"2.0","id":1e400,"method":"tools/list"}', 400),
        (b'{"jsonrpc":"2.0","id":"\\ud800","method":"tools/list"}', 400),
    ],
    ids=["empty", "utf8", "bomb", "deep", "batch", "method", "digits", "long-id", "large", "infinite", "surrogate"],
)
def test_a_body_without_a_message_is_refused(inside: Inside, body: bytes, status: int) -> None:
    answer = post(inside, McpPost({}, body), x_athena_identity="otto")
    assert answer.status_code == status
    assert "error" in answer.json()
    assert len(answer.content) < 2_000


def test_a_caller_needs_an_identity_and_a_page_elsewhere_has_none(inside: Inside) -> None:
    assert post(inside, modern("tools/list")).status_code == 401
    for headers in (
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"host": "evil.test", "origin": "http://evil.test"},
    ):
        answer = post(inside, modern("tools/list"), x_athena_identity="otto", **headers)
        assert answer.status_code == (421 if "host" in headers else 403)


@pytest.mark.parametrize("who", [ELSEWHERE, {"x_athena_identity": "vera", "x_athena_scope_runs": "run_other"}])
def test_a_scope_hides_runs_as_if_they_did_not_exist(inside: Inside, run_id: str, who: dict[str, str]) -> None:
    unknown = run_id[:-4] + "0000"
    answers: dict[str, list[Any]] = {run_id: [], unknown: []}
    for one, found in answers.items():
        for asked in (
            modern("resources/read", uri=f"athena://runs/{one}"),
            modern("resources/read", uri=f"athena://runs/{one}/transcript"),
            modern("tasks/get", taskId=one),
            modern("tasks/cancel", taskId=one),
            modern("tasks/update", taskId=one, inputResponses={}),
        ):
            answer = answer_of(post(inside, asked, **who))
            assert "error" in answer, asked
            answer["error"].get("data", {}).pop("traceId", None)
            found.append(json.loads(json.dumps(answer["error"]).replace(one, "RUN")))
    assert answers[run_id] == answers[unknown]
    listed = answer_of(post(inside, modern("resources/list"), **who))["result"]["resources"]
    assert listed == []


def test_ids_that_are_paths_reach_nothing_else(inside: Inside, run_id: str) -> None:
    head = inside.data("GET", "/events?limit=1", x_athena_identity="ada")["head"]
    for odd in ODD_IDS:
        for asked in (
            handshake("resources/read", uri=f"athena://runs/{odd}"),
            handshake("resources/read", uri=f"athena://runs/{odd}/transcript"),
        ):
            answer = post(inside, asked, x_athena_identity="otto")
            assert answer.status_code < 500
            assert "error" in answer.json(), odd
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            asked = modern(method, taskId=odd)
            name = {"mcp-name": f"=?base64?{_base64(odd)}?="}
            answer = post(inside, McpPost({**asked.headers, **name}, asked.body), x_athena_identity="otto")
            assert answer.status_code < 500, odd
            assert "error" in answer.json(), odd
    assert inside.data("GET", "/events?limit=1", x_athena_identity="ada")["head"] == head


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def test_a_viewer_neither_cancels_nor_answers(inside: Inside, run_id: str) -> None:
    answer = ask(inside, "vera", modern("tasks/cancel", taskId=run_id))
    assert answer["error"]["data"]["code"] == "AUTHZ_DENIED", answer


@pytest.fixture(scope="module")
def ask_of_otto(inside: Inside) -> Json:
    """A parked ask of a run of Otto's: only an Operator may allow its tool."""
    body = Profile(approval="ask", asks={"holdMs": 0}).body
    profile = inside.data("POST", "/harness-profiles", body, x_athena_identity="ada")["id"]
    start = {"input": "go", "sessionId": "asking", "harnessProfileId": profile}
    run = inside.data("POST", "/runs", start, x_athena_identity="otto", prefer="respond-async")["runId"]
    for _ in soon():
        found = inside.data("GET", f"/asks?runId={run}", x_athena_identity="otto")["items"]
        if found and found[0]["parked"]:
            break
    return dict(found[0])


@pytest.mark.parametrize("who", [ELSEWHERE, {"x_athena_identity": "vera"}, {}])
def test_a_forged_answer_of_a_form_decides_nothing(inside: Inside, ask_of_otto: Json, who: dict[str, str]) -> None:
    accept = {"action": "accept", "content": {OPTION: "allow"}}
    for key in (f"{ask_of_otto['id']}.{ask_of_otto['subjectHash']}", ask_of_otto["id"], f"{ask_of_otto['id']}."):
        body = json.dumps({"jsonrpc": "2.0", "id": key, "result": accept}).encode()
        assert post(inside, McpPost({}, body), **who).status_code in {202, 400, 401, 403, 404, 409}
        update = modern("tasks/update", taskId=ask_of_otto["runId"], inputResponses={key: accept})
        assert post(inside, update, **who).status_code < 500
    assert inside.data("GET", f"/asks/{ask_of_otto['id']}", x_athena_identity="otto")["status"] == "open"


def test_an_answer_to_another_subject_decides_nothing(inside: Inside, ask_of_otto: Json) -> None:
    accept = {"action": "accept", "content": {OPTION: "allow"}}
    key = f"{ask_of_otto['id']}.{'0' * 64}"
    body = json.dumps({"jsonrpc": "2.0", "id": key, "result": accept}).encode()
    answer = post(inside, McpPost({}, body), x_athena_identity="otto")
    assert answer.json()["error"]["data"]["code"] == "ASK_CHANGED", answer.text
    update = modern("tasks/update", taskId=ask_of_otto["runId"], inputResponses={key: accept})
    post(inside, update, x_athena_identity="otto")
    assert inside.data("GET", f"/asks/{ask_of_otto['id']}", x_athena_identity="otto")["status"] == "open"
    key = f"{ask_of_otto['id']}.{ask_of_otto['subjectHash']}"
    body = json.dumps({"jsonrpc": "2.0", "id": key, "result": accept}).encode()
    assert post(inside, McpPost({}, body), x_athena_identity="otto").status_code == 202, "it is the right form"
    assert inside.data("GET", f"/asks/{ask_of_otto['id']}", x_athena_identity="otto")["status"] == "approved"


def test_refusals_fill_no_log(inside: Inside, run_id: str) -> None:
    def head_after(refusals: int) -> int:
        for _ in range(refusals):
            assert "error" in ask(inside, "vera", modern("tasks/cancel", taskId=run_id))
        return int(inside.data("GET", "/events?limit=1", x_athena_identity="ada")["head"])

    first = head_after(REFUSALS_A_DAY + 10)
    assert head_after(2 * REFUSALS_A_DAY) - first <= 20


@pytest.fixture
def held(inside: Inside, shared_gates: Gates, request: pytest.FixtureRequest) -> tuple[str, Gate]:
    """A run of Otto's that is at a gate, and the gate."""
    gate = shared_gates[request.node.originalname]
    body = Profile().body
    body["config"] |= {"provider": "local-exec", "model": "script"}
    profile = inside.data("POST", "/harness-profiles", body, x_athena_identity="ada")["id"]
    start = {"input": gate.order, "sessionId": request.node.originalname, "harnessProfileId": profile}
    run = inside.data("POST", "/runs", start, x_athena_identity="otto", prefer="respond-async")
    gate.arrival()
    return str(run["runId"]), gate


def waits(run_id: str, accept: str, count: int, seconds: int = 20) -> list[McpPost]:
    call = {"name": "wait_for_run", "arguments": {"runId": run_id, "waitSeconds": seconds}}
    return [modern("tools/call", number, accept, **call) for number in range(count)]


def test_many_waits_hold_up_no_other_caller(inside: Inside, held: tuple[str, Gate]) -> None:
    run_id, gate = held

    def meanwhile() -> None:
        assert inside.ask("GET", f"/runs/{run_id}", x_athena_identity="otto").status_code == 200
        gate.release()

    answers = post_all(inside, waits(run_id, "application/json", WAITS), meanwhile, x_athena_identity="vera")
    ended = [answer for answer in answers if answer.status_code == 200]
    assert ended
    assert all("completed" in answer.text for answer in ended)
    assert {answer.json()["error"]["data"]["code"] for answer in answers if answer not in ended} <= {"RATE_LIMITED"}


@pytest.mark.heavy
def test_waits_that_stream_have_the_limit_of_streams(inside: Inside, held: tuple[str, Gate]) -> None:
    run_id, gate = held
    answers = post_all(inside, waits(run_id, ACCEPT, 2 * STREAMS, 3), x_athena_identity="vera")
    gate.release()
    codes = [answer.json()["error"]["data"]["code"] for answer in answers if answer.status_code != 200]
    assert set(codes) == {"STREAM_LIMIT"}
    assert STREAMS <= len(codes) < 2 * STREAMS


def test_the_id_of_a_request_is_a_key_of_its_caller_only(inside: Inside) -> None:
    number = "0b5c9f0e-6f0f-4a3c-9b6d-0a1b2c3d4e5f"
    start = modern(
        "tools/call", number, name="start_run", arguments={"input": "hello", "provider": "mock", "model": "mock-model"}
    )
    runs = []
    for who in ("otto", "otto", "ada"):
        answer = ask(inside, who, start)
        runs.append(answer["result"].get("taskId") or answer["result"]["structuredContent"]["runId"])
    assert runs[0] == runs[1] != runs[2]
