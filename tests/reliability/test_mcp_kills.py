"""A server killed while its runs call MCP tools: each run ends once, and no call that could do harm is made twice.

All runs are at their moment together, so one kill ends the work on all of them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.scale import sized
from tests.support.api import Json, soon
from tests.support.asks import answer
from tests.support.mcp_servers import fake_server, mcp_servers_file
from tests.support.model import Profile, Step, call, turn_of
from tests.support.postgres import Cluster
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, standing

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]

ROUNDS = sized(1, 1, 10)
HELD, PARKED = {"holdMs": 120_000}, {"holdMs": 0}
VALUES = {"color": "green"}


class Moment(NamedTuple):
    """A call at a server, the asks of the profile, and the result after a kill in the middle of it.

    ``calls`` is how often the server got the call (from 2026-07-28 on also once more with each answer), ``interrupted``
    if its result says so.
    """

    name: str
    made: Step
    server: Json
    calls: int
    interrupted: bool
    asks: Json | None = None


MOMENTS = (
    Moment("harmful", call("harmful__append", line="once"), {}, 1, True),
    Moment("trusted", call("trusted__echo", text="hi"), {"trustHints": True}, 2, False),
    Moment("held", call("held__ask", question="Which?"), {}, 1, True, HELD),
    Moment("parked", call("parked__ask", question="Which?"), {"trustHints": True}, 3, False, PARKED),
)


@pytest.fixture(params=["files", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of the database, with the log on files or on PostgreSQL."""
    if request.param == "files":
        yield {}
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    with cluster.database() as url:
        yield {"database_url": url}


def choose(asked: Asked) -> Behaviour:
    """Return the next turn of a conversation, by the moment that the user names."""
    messages = asked.body["messages"]
    (moment,) = (one for one in MOMENTS if one.name == messages[0]["content"])
    number = sum(1 for message in messages if message.get("tool_calls"))
    return turn_of(moment.made if not number else "done", number + 1)


def heard(directory: Path, name: str) -> list[Json]:
    path = directory / f"{name}.heard"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def calls(directory: Path, name: str) -> int:
    return sum(1 for one in heard(directory, name) if one["message"].get("method") == "tools/call")


def servers(directory: Path) -> Path:
    """Write the file of the servers: one for each moment. Those without questions are silent until the kill."""
    entries = {}
    for moment in MOMENTS:
        control = directory / f"{moment.name}.switches"
        control.write_text("" if moment.asks else "silence=call\n")
        log = directory / f"{moment.name}.heard"
        entries[moment.name] = fake_server(f"control={control}", f"log={log}", **moment.server)
    return mcp_servers_file(directory, entries)


def begin(server: Server, moment: Moment) -> str:
    """Start a run. Return its id once it is at its moment."""
    mcp = {moment.name: {"tools": ["*"], "approval": "allow"}}
    profile = server.api.post("/harness-profiles", Profile(mcp=mcp, asks=moment.asks).body)
    body = {"input": moment.name, "harnessProfileId": profile["id"]}
    run_id = str(server.api.post("/runs", body, respond_async=True)["runId"])
    if moment.asks is not None:
        server.api.await_event("run.asked" if moment.asks is HELD else "run.paused", runId=run_id)
    else:
        for _ in soon():
            if calls(server.directory, moment.name):
                break
    return run_id


@pytest.mark.parametrize("number", range(ROUNDS))
def test_runs_survive_the_kill_of_their_server(tmp_path: Path, store: dict[str, str], number: int) -> None:
    file = servers(tmp_path)
    with standing(choose) as model:
        settings = {"openai_base_url": model.url, "mcp_servers": str(file)} | store
        with Server(tmp_path, **settings) as server:
            runs = [(moment, begin(server, moment)) for moment in MOMENTS]
            server.kill()
            for one in (entry for moment in MOMENTS for entry in heard(tmp_path, moment.name)):
                for _ in soon():
                    if not Path(f"/proc/{one['pid']}").exists():
                        break
            for moment in MOMENTS:
                (tmp_path / f"{moment.name}.switches").write_text("")
            server.start()
            for moment, run_id in runs:
                if moment.asks is not None:
                    server.api.await_event("run.paused", runId=run_id)
                    answer(server.api, run_id, "answer", values=VALUES)
            for moment, run_id in runs:
                server.api.await_event("run.completed", runId=run_id)
                (result,) = (
                    event["payload"]
                    for event in server.api.events(runId=run_id, types="transcript.appended")
                    if event["payload"]["kind"] == "tool-result"
                )
                assert bool(result.get("interrupted")) == moment.interrupted, (moment.name, result)
                assert calls(tmp_path, moment.name) == moment.calls, moment.name
