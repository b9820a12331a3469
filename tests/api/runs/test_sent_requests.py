"""The request of a turn over HTTP: what a scripted model really received, compiled again from the log."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import ModelMessage, ModelRequest
from athena_core.values import ToolCall, ToolSpec
from tests.support.api import Json
from tests.support.inside import Inside
from tests.support.model import Model, Profile, call
from tests.support.stub import Stub, standing
from tests.support.vouched import VOUCHED

SCRIPT = (
    call("evidence", label="log", type="text", content="grün ✓"),
    (("evidence", {"label": "log", "type": "text", "content": "two"}), ("evidence", "{not json")),
    "done: ünïcode",
)


class World:
    """A plane with a scripted model, whose requests are recorded as bytes."""

    def __init__(self, directory: Path, stub: Stub, **settings: str) -> None:
        self.stub = stub
        (directory / "plan.txt").write_text("the plan\n")
        self.inside = Inside(
            directory, workspace_root=str(directory), openai_base_url=stub.url + "/v1", openai_api_key="k", **settings
        )
        self.inside.start()
        body = Profile(tools=("evidence", "files", "shell")).body
        self.profile_id = self.send("/harness-profiles", body)["id"]

    def send(self, path: str, body: Json) -> Json:
        found: Json = self.inside.data("POST", path, body, x_athena_identity="local")
        return found

    def run(self, text: str, **fields: Any) -> str:
        body = {"input": text, "sessionId": "s", "harnessProfileId": self.profile_id, **fields}
        return str(self.send("/runs", body)["runId"])

    def request(self, run_id: str, turn: int, query: str = "", **headers: str) -> Json:
        found: Json = self.inside.data("GET", f"/runs/{run_id}/turns/{turn}/request{query}", **headers)
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    model = Model(SCRIPT, 0)
    with standing(model.choose) as stub:
        world = World(tmp_path, stub)
        yield world
        world.inside.stop()


def sent(request: Json) -> bytes:
    """Return the bytes that the provider sends for a request."""
    messages = tuple(
        ModelMessage(
            role=one["role"],
            content=one["content"],
            calls=tuple(ToolCall(**made) for made in one.get("calls", ())),
            tool_call_id=one.get("toolCallId"),
            is_error=one.get("isError", False),
        )
        for one in request["messages"]
    )
    tools = tuple(ToolSpec(**tool) for tool in request["tools"])
    asked = ModelRequest(model=request["call"]["model"], messages=messages, tools=tools, schema=request.get("schema"))
    return OpenAIProvider("http://127.0.0.1:9/v1", "k")._body(asked)


def test_each_turn_is_what_the_model_received(world: World) -> None:
    directive = {"input": "first ✓", "contextRefs": ["file:plan.txt"]}
    directive_id = world.send("/directives", directive)["id"]
    runs = [world.run("hello"), world.run("again")]
    body = {"directiveId": directive_id, "sessionId": "s", "harnessProfileId": world.profile_id}
    runs.append(world.send("/runs", body)["runId"])
    received = [asked.raw.encode() for asked in world.stub.asked]
    turns = [(runs[0], 1), (runs[0], 2), (runs[0], 3), (runs[1], 1), (runs[2], 1)]  # the script has three
    requests = [world.request(run_id, turn) for run_id, turn in turns]
    assert [sent(request) for request in requests] == received
    assert [request["turns"] for request in requests] == [3, 3, 3, 1, 1]
    assert b"the plan" in received[4] and b"hello" in received[4], "a file and the history of the session are in it"
    assert requests[0]["call"]["usage"]["inputTokens"] == 1_000


def test_a_turn_that_is_not_there_is_not_found(world: World) -> None:
    run_id = world.run("hello")
    for turn in ("0", "4", "x", "-1", "9" * 30, "1.5"):
        answer = world.inside.ask("GET", f"/runs/{run_id}/turns/{turn}/request")
        assert answer.status_code == 404, turn
    assert world.inside.ask("GET", "/runs/run_unknown/turns/1/request").status_code == 404


def test_a_turn_without_an_answer_has_its_request_and_the_past_has_fewer_turns(world: World) -> None:
    run_id = world.run("hello")
    events = world.inside.data("GET", f"/events?runId={run_id}&limit=500")["events"]
    first = next(one for one in events if one["type"] == "usage.recorded")
    early = world.inside.ask("GET", f"/runs/{run_id}/turns/2/request?asOf={first['id']}")
    assert early.status_code == 404, "its tool has not answered yet"
    results = [one["id"] for one in events if one["type"] == "transcript.appended" and one["payload"]["role"] == "tool"]
    then = world.request(run_id, 2, f"?asOf={results[0]}")
    assert (then["turns"], then.get("call")) == (1, None)
    assert then["messages"] == world.request(run_id, 2)["messages"]
    gone = world.inside.ask("GET", f"/runs/{run_id}/turns/3/request?asOf={results[0]}")
    assert gone.status_code == 404


def test_erased_texts_stay_erased(world: World) -> None:
    run_id = world.run("the secret")
    assert "the secret" in str(world.request(run_id, 1))
    world.inside.erase()
    for turn in (1, 2, 3):
        found = str(world.request(run_id, turn))
        assert "the secret" not in found and "grün" not in found
    world.inside.data("GET", f"/runs/{run_id}/proof")


def test_a_run_has_its_place_in_the_chain(world: World) -> None:
    run_id = world.run("hello")
    proof = world.inside.data("GET", f"/runs/{run_id}/proof")
    events = world.inside.data("GET", f"/events?runId={run_id}&limit=500")["events"]
    assert (proof["first"]["id"], proof["last"]["id"], proof["events"]) == (
        events[0]["id"],
        events[-1]["id"],
        len(events),
    )
    row = world.inside.app.plane.log.reader().row(proof["last"]["position"])
    assert row is not None and proof["last"]["chain"] == row.chain.hex()
    assert (proof["covered"], proof.get("anchor"), proof["sent"]) == (False, None, [])
    assert proof["links"] == proof["head"]["position"] - proof["first"]["position"] + 1
    then = world.inside.data("GET", f"/runs/{run_id}/proof?asOf={events[3]['id']}")
    assert (then["last"]["id"], then["events"]) == (events[3]["id"], 4)
    assert world.inside.ask("GET", f"/runs/{run_id}/proof?asOf=1").status_code == 404


def test_an_anchor_that_was_sent_covers_the_runs_before_it(tmp_path: Path) -> None:
    with standing(Model(("done",), 0).choose) as stub:
        world = World(tmp_path, stub, anchor_to=str(tmp_path / "kept.anchors"))
        first = world.run("hello")
        world.inside.call(world.inside.app.plane.anchors.send)
        second = world.run("again")
        one, other = (world.inside.data("GET", f"/runs/{run_id}/proof") for run_id in (first, second))
        then = world.inside.data("GET", f"/runs/{first}/proof?asOf={one['anchor']['position']}")
        world.inside.stop()
    (line,) = (tmp_path / "kept.anchors").read_bytes().splitlines()[:1]
    kept = msgspec.json.decode(line)
    assert one["covered"] and not other["covered"]
    assert (then["last"], then["covered"], then["sent"]) == (one["last"], False, []), "nothing records when it was sent"
    assert (one["anchor"]["position"], one["anchor"]["chain"]) == (kept["position"], kept["chain"])
    assert one["sent"] == [{"kind": "file", "position": kept["position"]}]
    assert f"--to {kept['position']} " in one["commands"][0]


def test_a_scope_hides_what_its_caller_may_not_read(tmp_path: Path) -> None:
    settings = {**VOUCHED, "auth_identity_role_map": "local:Admin,vera:Viewer"}
    with standing(Model(("done",), 0).choose) as stub:
        world = World(tmp_path, stub, **settings)
        before = world.run("another run")
        directive = {"input": "look", "contextRefs": ["file:plan.txt"]}
        directive_id = world.send("/directives", directive)["id"]
        body = {"directiveId": directive_id, "sessionId": "s", "harnessProfileId": world.profile_id}
        run_id = world.send("/runs", body)["runId"]

        def ask(run_id: str = run_id, **scope: str) -> Any:
            headers = {f"x_athena_scope_{kind}": name for kind, name in scope.items()}
            path = f"/runs/{run_id}/turns/1/request"
            return world.inside.ask("GET", path, x_athena_identity="vera", **headers)

        everything, of_session, of_run = (one.text for one in (ask(), ask(sessions="s"), ask(runs=run_id)))
        denied = [ask(sessions="t").status_code, ask(before, runs=run_id).status_code]
        world.inside.stop()
    assert "the plan" in everything and "another run" in everything and "withheld" not in everything
    assert "the plan" not in of_session and "another run" in of_session and "withheld" in of_session
    assert "the plan" not in of_run and "another run" not in of_run and "look" in of_run
    assert denied == [403, 403]
