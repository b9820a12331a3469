"""Access: the committed table, scopes, modes, and roles that change while a client reads."""

import json
import signal
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import pytest

from athena_api.mcp.tools import tools
from athena_api.operations import OPERATIONS
from athena_core.values import Role
from tests.api.access import access_text, asked
from tests.api.access_of_tokens import HEAD, tokens_text
from tests.api.callers import KINDS
from tests.api.listing import FOLDER
from tests.conftest import Serve
from tests.scale import some_quick
from tests.support.api import Api, Refused, events_of, refused_by, soon, until_caught_up
from tests.support.server import Server

WHOSE = {"own": "", "other": "'"}
"""The thing of a caller or of another one, and its sign in the marks of the table."""
TABLE = FOLDER / "access.txt"
ROLES = "ada:Admin,otto:Operator,vera:Viewer"


SOME = ("createRun", "getRun", "getToken", "listEvents", "logOut", "revokeToken")
"""Operations that differ in roles and scopes, and those that end tokens."""


def tables() -> tuple[str, str]:
    """Return the committed tables: of identity headers, and of tokens."""
    headers, head, tokens = TABLE.read_text(encoding="utf-8").partition(HEAD)
    return headers, head + tokens


def rows_of(table: str) -> dict[str, dict[str, str]]:
    """Return the cells of each operation, by the mark of their column."""
    header, *rows = [line.split() for line in table.splitlines() if line.strip() and not line.startswith("#")]
    return {operation: dict(zip(header, cells, strict=True)) for operation, *cells in rows}


def test_the_committed_table_equals_the_answers() -> None:
    assert access_text() == tables()[0], "who may do what changed: run `make docs`, review access.txt"


@pytest.mark.heavy
def test_the_committed_table_of_tokens_equals_the_answers() -> None:
    assert tokens_text() == tables()[1], "who may do what changed: run `make docs`, review access.txt"


def test_some_of_the_committed_table_of_tokens_equals_the_answers() -> None:
    committed = rows_of(tables()[1])
    assert rows_of(tokens_text(SOME)) == {operation: committed[operation] for operation in SOME}


def test_nothing_in_the_table_is_a_surprise() -> None:
    """A scope grants nothing, another's things allow no more than own ones, and each role includes those below it."""
    roles = {row.id: row.roles for row in OPERATIONS}
    for operation, cell in rows_of(tables()[0]).items():
        assert cell["none"] == "401", operation
        order = [cell[role] == "yes" for role in "VOA"]
        assert order == sorted(order), operation
        assert cell["A"] == "yes", operation
        if operation in roles:
            assert order == [role in roles[operation] for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN)], operation
        for narrowed in ("s", "r", "p"):
            for role in "VO":
                own, other = cell[f"{role}.{narrowed}"], cell[f"{role}.{narrowed}'"]
                assert (own, cell[role]) != ("yes", "-"), f"{operation}: a scope gives nothing"
                assert (other, own) != ("yes", "-"), f"{operation}: another's is no more than one's own"


def test_a_tool_of_mcp_allows_no_more_than_its_operation() -> None:
    """``start_run`` names no persona, so a scope of personas gives it nothing."""
    rows = rows_of(tables()[0])
    for name, tool in tools().items():
        mine, whole = rows[f"mcp.{name}"], rows[tool.operation.id]
        assert [mine[role] for role in "VOA"] == [whole[role] for role in "VOA"], name
        assert {mark for mark in mine if mine[mark] == "yes"} <= {mark for mark in whole if whole[mark] == "yes"}, name


def test_a_token_gives_what_the_header_gives_and_an_ended_one_gives_nothing() -> None:
    by_header, by_token = (rows_of(table) for table in tables())
    rows = {row.id for row in OPERATIONS}
    assert rows == by_token.keys() == {name for name in by_header if "." not in name}
    for operation, cell in by_token.items():
        same = by_header[operation]
        for role in "VOA":
            assert cell[role] == cell[f"{role}.c"] == same[role], operation
        assert cell["V/A"] == cell["A/V"] == same["V"], f"{operation}: the lesser of both roles counts"
        assert cell["api"] == same["O"], operation
        for kind in ("s", "s'", "r", "r'", "p", "p'"):
            assert cell[kind] == same[f"O.{kind}"], operation
        assert cell["s.c"] == cell["s"], operation
        assert [cell[ended] for ended in ("exp", "rev", "end", "no")] == ["401"] * 4, operation
        assert (cell["two"], cell["csrf"]) == ("400", "403"), operation


@pytest.mark.parametrize("name", some_quick(("otto", "vera"), 1))
def test_scopes_of_several_kinds_have_to_cover_a_thing_together(name: str) -> None:
    """A scope alone gives what the committed table says."""
    marks = {(kind, whose): f"{name[0].upper()}.{kind[0]}{WHOSE[whose]}" for kind, whose in product(KINDS, WHOSE)}
    pairs = [pair for pair in combinations(marks, 2) if pair[0][0] != pair[1][0]]
    table = rows_of(tables()[0])
    with asked() as question:
        for row in OPERATIONS:
            alone = {one: table[row.id][mark] for one, mark in marks.items()}
            for first, second in pairs if len({*alone.values()}) > 1 else pairs[:1]:
                covered = {alone[first], alone[second]} == {"yes"}
                found = question.answer(row.id, {"x_athena_identity": name, **dict([first, second])})
                assert (found == "yes") == covered, (row.id, name, first, second)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Server]:
    """A server with a run in each of two sessions."""
    directory: Path = tmp_path_factory.mktemp("guarded")
    with Server(directory, auth_enabled="true", auth_identity_role_map=ROLES, **shared_store) as server:
        for session in ("mine", "theirs"):
            server.client("ada").run(sessionId=session)
        yield server


@pytest.fixture(scope="module")
def narrowed(guarded: Server) -> Api:
    """An Operator with the scope of one of them."""
    return guarded.client("otto", **{"x-athena-scope-sessions": "mine,later"})


def test_callers_can_read_their_identity_and_operations(guarded: Server, narrowed: Api) -> None:
    ada, vera = (guarded.client(name).get("/caller") for name in ("ada", "vera"))
    assert (ada["identity"], ada["role"], "scope" in ada) == ("ada", "Admin", False)
    assert set(ada["operations"]) == {row.id for row in OPERATIONS}
    assert set(vera["operations"]) == {row.id for row in OPERATIONS if Role.VIEWER in row.roles}
    assert narrowed.get("/caller")["scope"] == {"sessions": ["later", "mine"]}


def sessions_of(events: list[dict[str, str]]) -> set[str | None]:
    return {event.get("sessionId") for event in events}


def test_lists_hold_only_what_a_scope_covers(guarded: Server, narrowed: Api) -> None:
    assert {run["sessionId"] for run in guarded.client("ada").items("/runs")} == {"mine", "theirs"}  # asked just before
    assert [run["sessionId"] for run in narrowed.items("/runs")] == ["mine"]
    assert [session["id"] for session in narrowed.items("/sessions")] == ["mine"]
    assert narrowed.items("/runs", sessionId="theirs") == []
    run_id = narrowed.items("/runs")[0]["runId"]
    one = guarded.client("vera", **{"x-athena-scope-runs": run_id})
    assert [run["runId"] for run in one.items("/runs")] == [run_id]
    both = guarded.client("vera", **{"x-athena-scope-runs": run_id, "x-athena-scope-sessions": "theirs"})
    assert both.items("/runs") == []


def test_a_scope_hides_asks_of_workflow_runs_as_it_hides_the_runs(guarded: Server, narrowed: Api) -> None:
    ada = guarded.client("ada")
    definition = {"steps": [{"id": "ask", "approval": {}}], "dependencies": []}
    workflow_id = ada.post("/workflows", {"definition": definition})["id"]
    run = ada.post(f"/workflows/{workflow_id}/run")
    assert [ask["workflowRunId"] for ask in ada.items("/asks")] == [run["id"]]
    assert ada.get("/fleet/summary")["openAsks"] == 1
    assert narrowed.items("/asks") == []
    assert refused_by(narrowed.get, f"/asks/{ada.items('/asks')[0]['id']}") == (404, "NOT_FOUND")
    assert refused_by(narrowed.get, f"/workflows/run/{run['id']}") == (403, "AUTHZ_DENIED")


def test_events_without_a_session_of_the_scope_are_hidden_in_pages_and_streams(guarded: Server, narrowed: Api) -> None:
    everything = guarded.client("ada").events()
    assert sessions_of(everything) >= {None, "mine", "theirs"}
    assert narrowed.events() == [event for event in everything if event.get("sessionId") == "mine"]
    with narrowed.stream() as blocks:
        shown = [block.data["data"] for block in until_caught_up(blocks) if block.event not in ("caught-up", None)]
    assert shown == narrowed.events()


def test_anothers_thing_is_denied_whether_it_exists_or_not(guarded: Server, narrowed: Api) -> None:
    ada = guarded.client("ada")
    (theirs,) = ada.items("/runs", sessionId="theirs")
    answers = []
    for path in (f"/runs/{theirs['runId']}", "/runs/run_01KD0000000000000000000001", "/runs/nothing"):
        with pytest.raises(Refused) as refused:
            narrowed.get(path)
        answers.append((refused.value.status, refused.value.code, refused.value.error["message"]))
    assert answers == [(403, "AUTHZ_DENIED", "getRun is outside of the sessions in the scope of otto")] * 3
    with pytest.raises(Refused) as denied:
        narrowed.run(sessionId="theirs")
    assert denied.value.status == 403
    trace = denied.value.error["traceId"]
    event, violation = ada.events(traceId=trace)
    assert (event["type"], event["payload"]["denyReason"]) == ("authz.denied", "SCOPED_ACCESS_VIOLATION")
    assert (violation["payload"]["outcome"], event["sessionId"]) == ("denied", "theirs")
    with pytest.raises(Refused, match="sessions"):
        narrowed.run(sessionId="mine", parentRunId=theirs["runId"])
    assert narrowed.run(sessionId="later")["sessionId"] == "later"


def test_a_scope_of_personas_limits_the_list_of_directives(guarded: Server, narrowed: Api) -> None:
    ada = guarded.client("ada")
    made = [
        ada.post("/directives", {"input": "x", "metadata": metadata})["id"]
        for metadata in ({"personaName": "critic"}, {"specialist": "critic", "persona": "other"}, {"persona": "other"})
    ]
    critic = guarded.client("vera", **{"x-athena-scope-personas": "critic"})
    assert [one["id"] for one in critic.items("/directives", limit=1)] == made[1::-1]
    assert critic.get(f"/directives/{made[0]}")["id"] == made[0]
    for other in (
        narrowed,
        guarded.client("vera", **{"x-athena-scope-personas": "critic", "x-athena-scope-runs": "r"}),
    ):
        with pytest.raises(Refused, match="AUTHZ_DENIED"):
            other.get("/directives")


def test_reads_across_all_sessions_are_denied(guarded: Server, narrowed: Api) -> None:
    for path in ("/fleet/summary", "/policy/rejections", "/directives"):
        with pytest.raises(Refused, match="AUTHZ_DENIED"):
            narrowed.get(path)
    answer = narrowed.http.get(guarded.url + "/metrics")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AUTHZ_DENIED")
    assert guarded.client("vera").http.get(guarded.url + "/metrics").status_code == 200


@pytest.mark.parametrize(
    ("mode", "decision", "creates", "cancels"),
    [
        ("off", "deny", 200, 200),
        ("observe", "allow", 200, 200),
        ("observe", "deny", 403, 403),
        ("soft_enforce", "allow", 200, 403),
        ("softenforce", "deny", 403, 403),
    ],
)
def test_modes_record_and_guard_as_they_say(serve: Serve, mode: str, decision: str, creates: int, cancels: int) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map=ROLES, authz_mode=mode, authz_default_decision=decision)
    vera, ada = server.client("vera"), server.client("ada")
    assert vera.send("/directives", {"input": "x"}).status_code == creates
    assert vera.send("/runs/nobody/cancel").status_code == cancels
    denials = [(event["payload"]["operation"]) for event in ada.events(types="authz.denied")]
    assert denials == ([] if mode == "off" else ["directives.create", "runs.cancel"])
    outcomes = [event["payload"]["outcome"] for event in ada.events(types="safety.violation")]
    assert outcomes == [{200: "violated", 403: "denied"}[status] for status in (creates, cancels)][: len(denials)]
    (active,) = ada.events(types="AUTHZ_MODE_ACTIVE")
    assert active["payload"]["mode"] == ada.get("/capabilities")["auth"]["mode"]
    assert active["payload"]["mode"].replace("-", "") == mode.replace("_", "")


def test_reloaded_roles_end_the_streams_of_callers_that_lost_theirs(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "roles"
    file.write_text("ada:Admin\nroot:Admin\n")
    server = serve(auth_enabled="true", auth_role_map_file=str(file))
    ada, root = server.client("ada", **{"x-athena-scope-sessions": "mine"}), server.client("root")
    assert [event["payload"]["admins"] for event in root.events(types="rbac.roles.loaded")] == [2]
    with ada.stream() as blocks, root.stream(after="latest", types="rbac.roles.loaded") as others:
        until_caught_up(blocks)
        until_caught_up(others)
        file.write_text("root:Admin # ada has left\n")
        server.signal(signal.SIGHUP)
        assert next(events_of(others))["payload"] | {"sha256": ""} == {
            "source": "file",
            "viewers": 0,
            "operators": 0,
            "admins": 1,
            "everybodyElse": "Viewer",
            "sha256": "",
        }
        assert [block for block in blocks if block.event == "run.created"] == [], "her stream has an end"
        file.write_text("root:Nobody\n")
        server.signal(signal.SIGHUP)
        for _ in soon():
            lines = server.log_path.read_text().splitlines()
            if any("'Nobody' is not a role" in line for line in lines):
                break
        assert json.loads(lines[-1])["level"]
        assert root.send("/directives", {"input": "still an Admin"}).status_code == 200
        assert ada.send("/directives", {"input": "no"}).status_code == 403
    kinds = [item["kind"] for item in root.items("/governance/audit-trail")]
    assert kinds.count("roles") == 2
