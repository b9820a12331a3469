"""Side effects of an operation need the rights for these effects: cancels, scopes of runs, approvals, names."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_cli.exit_codes import Misused
from athena_cli.transport import connect
from athena_core.settings import load
from tests.api.examples import PROFILE
from tests.conftest import Serve
from tests.support.api import Json, Refused, events_of, soon, until_caught_up
from tests.support.gate import Gates
from tests.support.inside import Inside
from tests.support.vouched import VOUCHED

ROLES = "ada:Admin,otto:Operator,olga:Operator,vera:Viewer"


class World:
    """A plane in this process, used by several clients."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside

    def answer(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Json]:
        found = self.inside.ask(method, path, body, x_athena_identity=who, **headers)
        assert found.status_code < 500, found.text
        return found.status_code, found.json()

    def ask(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the data of an answer. Fail for an error."""
        status, envelope = self.answer(who, method, path, body, **headers)
        assert status in {200, 202}, envelope
        return envelope["data"]

    def run(self, who: str, session: str, said: str = "hello", *, headers: Any = None, **fields: Any) -> Any:
        return self.ask(who, "POST", "/runs", {"sessionId": session, "input": said, **fields}, **(headers or {}))

    def events(self, **query: str) -> list[Json]:
        """Return all events of a query, read by the Admin."""
        words = "&".join(f"{name}={value}" for name, value in query.items())
        events: list[Json] = self.ask("ada", "GET", f"/events?limit=500&{words}")["events"]
        return events


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Starts planes with these roles."""
    made: list[Inside] = []

    def make(**settings: str) -> World:
        (tmp_path / "work").mkdir(exist_ok=True)
        here = {"workspace_root": str(tmp_path / "work"), "auth_identity_role_map": ROLES} | VOUCHED
        inside = Inside(tmp_path / str(len(made)), **(here | settings))
        inside.start()
        made.append(inside)
        return World(inside)

    yield make
    for inside in made:
        inside.stop()


# Interrupting


@pytest.mark.parametrize(
    ("mode", "outcome"), [("enforce", "denied"), ("soft_enforce", "denied"), ("observe", "violated")]
)
def test_who_may_not_cancel_may_not_interrupt(
    world: Callable[..., World], gates: Gates, mode: str, outcome: str
) -> None:
    plane, gate = world(authz_mode=mode, **gates.settings), gates["victim"]
    body = {"sessionId": "prod", "input": gate.order}
    victim = plane.ask("otto", "POST", "/runs", body, prefer="respond-async")["runId"]
    gate.arrival()
    asked = {"sessionId": "prod", "input": "mine", "sessionStrategy": "interrupt"}
    status, envelope = plane.answer("vera", "POST", "/runs", asked, prefer="respond-async")
    trace = plane.events(types="authz.denied,safety.violation")
    if outcome == "denied":
        assert (status, envelope["error"]["code"]) == (403, "AUTHZ_DENIED")
        assert envelope["error"]["message"] == (
            "sessionStrategy interrupt cancels the run of its session: "
            "cancelRun needs the role Admin or Operator; vera has the role Viewer"
        )
        assert plane.ask("ada", "GET", f"/runs/{victim}")["status"] == "running"
        assert [event["runId"] for event in plane.events(types="run.created,run.queued")] == [victim]
    else:
        assert status == 202
        for _ in soon():
            if plane.ask("ada", "GET", f"/runs/{victim}")["status"] == "cancelled":
                break
    denied, violation = trace
    assert (denied["payload"]["operation"], denied["payload"]["denyReason"]) == ("runs.cancel", "ROLE_MISSING")
    assert (denied["sessionId"], violation["payload"]["outcome"]) == ("prod", outcome)
    assert violation["payload"]["source"]["eventId"] == denied["id"]
    gate.release()


def test_a_scope_that_covers_no_cancel_covers_no_interrupt(world: Callable[..., World]) -> None:
    plane = world()
    body = {"input": "mine", "sessionStrategy": "interrupt"}
    for session, scope, expected in (
        ("s", {"x_athena_scope_sessions": "s"}, 200),
        ("p", {"x_athena_scope_personas": "p1"}, 403),
    ):
        asked = body | {"sessionId": session, "metadata": {"personaName": "p1"}}
        status, _ = plane.answer("otto", "POST", "/runs", asked, **scope)
        assert status == expected, scope


# The scope of a run

MEMORY = {"memory_enabled": "true", "memory_include_transcripts": "true"}
CODES = "the launch codes of project zebra are 7731-ALPHA"
ASKING = "launch codes project zebra"


def recalled(plane: World, run_id: str) -> list[str]:
    """Return the citations that a run was given."""
    events = plane.events(types="memory.recalled", runId=run_id)
    return [citation for event in events for citation in event["payload"]["citations"]]


def indexed(plane: World) -> None:
    assert plane.ask("ada", "GET", "/memory/search?query=zebra")


def test_the_scope_of_who_started_a_run_is_pinned_and_its_children_have_it(
    world: Callable[..., World], gates: Gates
) -> None:
    plane, gate = world(**MEMORY, **gates.settings), gates["parent"]
    plane.run("ada", "victim", CODES)
    plane.ask("ada", "POST", "/memory", {"text": CODES})
    scope = {"x_athena_scope_sessions": "s1,s2"}
    body = {"sessionId": "s1", "input": gate.order}
    parent = plane.ask("vera", "POST", "/runs", body, prefer="respond-async", **scope)["runId"]
    gate.arrival()
    indexed(plane)
    free = plane.run("ada", "elsewhere", ASKING)
    places = {citation.rpartition("/")[0] for citation in recalled(plane, free["runId"])}
    assert places == {"entries", ".athena/transcripts"}, "an unscoped run is reminded"
    child = plane.run("ada", "child", ASKING, parentRunId=parent)
    assert recalled(plane, child["runId"]) == []
    for run_id in (parent, child["runId"]):
        (created,) = plane.events(types="run.created", runId=run_id)
        assert created["scope"] == {"sessions": ["s1", "s2"]}
    (created,) = plane.events(types="run.created", runId=free["runId"])
    assert "scope" not in created
    gate.release()


def test_a_scoped_run_is_reminded_of_its_sessions_however_many_others_fit_better(world: Callable[..., World]) -> None:
    plane = world(memory_max_results="1", **MEMORY)
    for number in range(8):
        plane.run("ada", f"victim{number}", CODES)
    plane.run("ada", "s2", f"{CODES}, and many other words that make this passage fit less well than the others do")
    indexed(plane)
    found = plane.run("vera", "s1", ASKING, headers={"x_athena_scope_sessions": "s1,s2"})
    (citation,) = recalled(plane, found["runId"])
    assert citation.startswith(".athena/transcripts/s2.jsonl#")


def test_items_of_a_scoped_author_keep_the_scope_when_others_drain_them(world: Callable[..., World]) -> None:
    plane = world(**MEMORY)
    plane.run("ada", "victim", CODES)
    indexed(plane)
    item = {"sessionId": "s1", "payload": ASKING, "mode": "followup"}
    plane.ask("otto", "POST", "/work/enqueue", item, x_athena_scope_sessions="s1")
    plane.ask("ada", "POST", "/work/s1/drain", {})
    (created,) = plane.events(types="run.created", sessionId="s1")
    assert created["scope"] == {"sessions": ["s1"]}
    own = ".athena/transcripts/s1.jsonl"  # a run may recall its own question, if the index is quick
    assert {citation.partition("#")[0] for citation in recalled(plane, created["runId"])} <= {own}


def test_notes_in_context_references_are_denied_under_a_scope_whatever_they_are_called(
    world: Callable[..., World], tmp_path: Path
) -> None:
    plane = world()
    (tmp_path / "work" / "memory").mkdir()
    (tmp_path / "work" / "memory" / "plan.md").write_text(CODES)
    answers = []
    (tmp_path / "work" / "link.md").symlink_to(tmp_path / "work" / "memory" / "plan.md")
    files = ("memory/plan.md", "./memory//./plan.md", "link.md")
    for ref in ("memory:plan.md", "memory:none.md", *(f"file:{file}" for file in files)):
        made = plane.ask("ada", "POST", "/directives", {"input": "read", "contextRefs": [ref]})
        body = {"sessionId": "s1", "directiveId": made["id"]}
        status, envelope = plane.answer("vera", "POST", "/runs", body, x_athena_scope_sessions="s1")
        answers.append((status, envelope["error"]["message"]))
    told = "contextRefs name notes of the memory: getMemory is outside of the sessions in the scope of vera"
    assert answers[:4] == [(403, told)] * 4, "also for one that does not exist"
    ((status, message),) = answers[4:]
    assert status == 400, "no way but the plain one leads to a file"
    assert "links are not followed" in message
    for file in ("./memory/../memory/plan.md", f"{tmp_path}/work/memory/plan.md"):
        status, envelope = plane.answer(
            "ada", "POST", "/directives", {"input": "read", "contextRefs": [f"file:{file}"]}
        )
        assert (status, envelope["error"]["details"][0]["field"]) == (400, "contextRefs[0]")


# Personas and sessions


def test_a_scope_of_personas_joins_only_sessions_whose_runs_all_name_covered_ones(
    world: Callable[..., World],
) -> None:
    plane = world()
    scope = {"x_athena_scope_personas": "p1"}
    own = {"metadata": {"personaName": "p1"}}
    plane.run("ada", "victim", CODES)
    plane.run("ada", "mixed", "hello", **own)
    plane.run("ada", "mixed", CODES, metadata={"personaName": "p2"})
    for session in ("victim", "mixed"):
        body = {"sessionId": session, "input": "what was said?", **own}
        status, envelope = plane.answer("vera", "POST", "/runs", body, **scope)
        assert (status, envelope["error"]["code"]) == (403, "AUTHZ_DENIED"), session
        assert "7731" not in str(envelope)
        assert len(plane.events(types="authz.denied", sessionId=session)) == 1
    plane.run("vera", "hers", "first", headers=scope, **own)
    assert "first" in plane.run("vera", "hers", "second", headers=scope, **own)["output"]


def test_a_session_that_began_since_its_runs_were_looked_up_is_not_joined(world: Callable[..., World]) -> None:
    plane = world()
    parts = plane.inside.app.plane

    def before(session_id: str) -> frozenset[str]:
        plane.run("ada", "raced", CODES)
        return frozenset()

    parts.runs._personas = before  # type: ignore[method-assign]  # the moment between the look and the commit
    body = {"sessionId": "raced", "input": "hello", "metadata": {"personaName": "p1"}}
    status, _ = plane.answer("vera", "POST", "/runs", body, x_athena_scope_personas="p1")
    assert status == 403


def test_the_history_of_a_scope_of_personas_holds_only_what_runs_of_these_said(world: Callable[..., World]) -> None:
    plane = world()
    plane.run("ada", "mixed", "of p1", metadata={"personaName": "p1"})
    plane.run("ada", "mixed", CODES)
    parts = plane.inside.app.plane

    async def history(personas: frozenset[str] | None) -> str:
        messages, _ = parts.runs.compiler.compile("mixed", 2**40, "and now?", (), (), personas=personas)
        return str(messages)

    assert CODES in plane.inside.call(history, None)
    told = plane.inside.call(history, frozenset({"p1"}))
    assert "of p1" in told
    assert CODES not in told


# Approvals


def approving(plane: World, **fields: Any) -> str:
    """Make a workflow: a step, an approval, and a step that uses ``x`` and fails because ``y`` is missing."""
    directives = [plane.ask("otto", "POST", "/directives", {"input": text})["id"] for text in ("a", "deploy {{x}}")]
    profile = plane.ask("ada", "POST", "/harness-profiles", PROFILE | {"verificationPolicies": None})["id"]
    steps: list[Json] = [
        {"id": "a", "directiveId": directives[0], "harnessProfileId": profile},
        {"id": "ask", "approval": {"message": "ship it?", **fields}},
        {"id": "b", "directiveId": directives[1], "harnessProfileId": profile, "outputs": ["nothing"]},
    ]
    edges = [{"from": "a", "to": "ask"}, {"from": "ask", "to": "b"}]
    made = plane.ask("otto", "POST", "/workflows", {"definition": {"steps": steps, "dependencies": edges}})
    return str(made["id"])


def approve(plane: World, who: str, run: Json) -> tuple[int, Json]:
    """Approve the waiting step of a run. Return the status, and the run once it has settled."""
    node = run["stepStates"]["ask"]
    path = f"/workflows/run/{run['id']}"
    status, envelope = plane.answer(
        who, "POST", f"{path}/steps/ask/approve", {"subjectHash": node["approval"]["subjectHash"]}
    )
    if status != 200:
        return status, envelope
    for _ in soon():
        found: Json = plane.ask("ada", "GET", path)["run"]
        if found["status"] in {"ok", "failed"}:
            break
    return status, found


def test_an_override_of_what_was_approved_is_to_be_approved_again(world: Callable[..., World]) -> None:
    plane = world()
    workflow_id = approving(plane, role="Admin")
    run = plane.ask("otto", "POST", f"/workflows/{workflow_id}/run", {"input": {"x": "staging"}})
    assert approve(plane, "otto", run)[0] == 403
    _, failed = approve(plane, "ada", run)
    assert failed["stepStates"]["b"]["status"] == "failed"
    path = f"/workflows/run/{run['id']}/resume"

    def resumed(**values: Any) -> Json:
        found: Json = plane.ask("otto", "POST", path, {"inputOverrides": values})
        return found

    for values in ({"x": "staging"}, {"unused": 1}):
        again = resumed(**values)
        assert (again["status"], again["stepStates"]["ask"]["status"]) == ("failed", "ok"), values
    again = resumed(x="PRODUCTION")
    node = again["stepStates"]["ask"]
    assert (again["status"], node["status"], node["attempt"]) == ("waiting", "waiting", 2)
    assert again["stepStates"]["b"]["attempt"] == 3, "nothing was deployed"
    (event,) = [one for one in plane.events(types="workflow.resumed") if "reopened" in one["payload"]]
    assert event["payload"]["reopened"] == [{"stepId": "ask", "inputNames": ["x"]}]
    lines = [line["message"] for line in again["executionLog"]]
    assert any("'ask' is to be approved again: input 'x' has another value" in line for line in lines)
    status, envelope = plane.answer("otto", "POST", path, {"inputOverrides": {"x": "ELSEWHERE"}})
    assert (status, envelope["error"]["code"]) == (409, "CONFLICT")
    status, envelope = plane.answer(
        "otto", "POST", f"/workflows/run/{workflow_id}/resume", {"inputOverrides": {"x": "ELSEWHERE"}}
    )
    assert (status, envelope["error"]["code"]) == (409, "CONFLICT")
    assert approve(plane, "otto", again)[0] == 403
    said = plane.ask("ada", "GET", f"/runs/{approve(plane, 'ada', again)[1]['stepStates']['b']['runId']}")
    assert "PRODUCTION" in said["output"]


def test_who_started_or_resumed_a_workflow_run_does_not_approve_it_where_that_is_excluded(
    world: Callable[..., World],
) -> None:
    plane = world()
    workflow_id = approving(plane, notRequester=True)
    run = plane.ask("otto", "POST", f"/workflows/{workflow_id}/run", {"input": {"x": "staging"}})
    assert run["stepStates"]["ask"]["approval"]["notRequester"] is True
    status, envelope = approve(plane, "otto", run)
    assert (status, envelope["error"]["code"]) == (403, "AUTHZ_DENIED")
    assert "neither started nor resumed" in envelope["error"]["message"]
    assert approve(plane, "olga", run)[0] == 200
    resumed = plane.ask("olga", "POST", f"/workflows/run/{run['id']}/resume", {"inputOverrides": {"x": "PRODUCTION"}})
    assert [approve(plane, who, resumed)[0] for who in ("olga", "otto", "ada")] == [403, 403, 200]


# Names and roles


def test_the_names_of_the_servers_own_actors_cannot_be_claimed(world: Callable[..., World], tmp_path: Path) -> None:
    plane = world()
    for name in ("system:scheduler", "System:athena", "SYSTEM:x", "system:"):
        status, envelope = plane.answer(name, "GET", "/caller")
        assert (status, envelope["error"]["code"]) == (400, "AUTH_IDENTITY_INVALID"), name

    async def reach() -> None:
        async with connect(load({"ATHENA_CLI_IDENTITY": "system:x", "ATHENA_CLI_TRANSPORT": "local"}, tmp_path)):
            pass

    with pytest.raises(Misused, match="begins with system:"):
        plane.inside.call(reach)


def test_a_locked_out_identity_is_denied_everything_but_probes_in_every_mode(world: Callable[..., World]) -> None:
    for mode in ("enforce", "off"):
        plane = world(authz_mode=mode, auth_identity_role_map=f"{ROLES},mallory:None")
        for method, path, body in (
            ("GET", "/caller", None),
            ("GET", "/capabilities", None),
            ("GET", "/runs", None),
            ("POST", "/runs", {"input": "hello"}),
            ("GET", "/events/stream", None),
        ):
            status, envelope = plane.answer("mallory", method, path, body)
            assert (status, envelope["error"]["code"]) == (403, "AUTHZ_DENIED"), (mode, path)
        (loaded,) = plane.events(types="rbac.roles.loaded")
        assert loaded["payload"]["lockedOut"] == 1


def test_who_is_locked_out_reads_no_more_and_causes_no_more(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "roles"
    file.write_text("ada:Admin\notto:Operator\n")
    server = serve(auth_enabled="true", auth_role_map_file=str(file), auth_default_role="None")
    ada, otto, stranger = (server.client(name) for name in ("ada", "otto", "stranger"))
    with pytest.raises(Refused, match="AUTHZ_DENIED"):
        stranger.get("/caller")
    for path in ("/metrics", "/livez"):
        answer = stranger.http.get(server.url + path)
        assert answer.status_code == (200 if path == "/livez" else 403)
    otto.put("/schedules/hourly", {"everyMinutes": 60, "input": "hello", "sessionId": "s"})
    with otto.stream() as blocks, ada.stream(after="latest", types="rbac.roles.loaded") as others:
        until_caught_up(blocks)
        until_caught_up(others)
        file.write_text("ada:Admin\notto:None\n")
        server.signal(signal.SIGHUP)
        assert next(events_of(others))["payload"]["lockedOut"] == 1
        assert [block for block in blocks if block.event == "run.created"] == [], "his stream has an end"
    with pytest.raises(Refused, match="AUTHZ_DENIED"):
        otto.get("/caller")
    slot = ada.get("/schedules/hourly")["nextRunAt"]
    ada.post("/schedules/tick", {"at": slot})
    assert ada.events(types="run.created") == []
    assert [event["payload"]["subject"] for event in ada.events(types="authz.denied")][-1] == "otto"
