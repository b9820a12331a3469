"""Answers of two servers on one PostgreSQL: one wins, the other one learns who was first, and the run goes on once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.conftest import Serve
from tests.reliability.commands import command
from tests.support.api import Json, Refused, soon
from tests.support.model import Profile, acting, call
from tests.support.server import Server

ASKS = 4


def parked(server: Server, profile: str, session: str) -> Json:
    """Return the ask of a run that was parked."""
    run = server.api.start("go", sessionId=session, harnessProfileId=profile)
    for _ in soon():
        if server.api.get(f"/runs/{run['runId']}")["status"] == "paused":
            break
    (ask,) = server.api.items("/asks", runId=run["runId"])
    return dict(ask)


def outcomes(servers: tuple[Server, Server], ask: Json) -> Iterator[tuple[str, Json | Refused]]:
    """Answer an ask through both servers at the same time. Yield each option with its outcome."""
    barrier = Barrier(2)

    def answer(server: Server, option: str) -> Json | Refused:
        barrier.wait()
        try:
            body = {"subjectHash": ask["subjectHash"], "optionId": option}
            return dict(server.api.post(f"/asks/{ask['id']}/answer", body))
        except Refused as refused:
            return refused

    options = ("allow", "deny")
    with ThreadPoolExecutor(2) as pool:
        yield from zip(options, pool.map(answer, servers, options), strict=True)


@pytest.mark.heavy
def test_of_two_servers_that_are_answered_at_once_one_wins(database: str, serve: Serve, tmp_path: Path) -> None:
    script = [call("shell", command=["/bin/sh", "-c", "echo called >> calls"]), "done"]
    with acting(script) as model:
        settings = {
            "database_url": database,
            "openai_base_url": model.url,
            "openai_api_key": "sk-of-tests",
            "workspace_root": str(tmp_path),
        }
        servers = serve(tmp_path / "first", **settings), serve(tmp_path / "second", **settings)
        body = Profile(tools=("shell", "files"), approval="ask", asks={"holdMs": 0}).body
        profile = str(servers[0].api.post("/harness-profiles", body)["id"])
        allowed = 0
        for number in range(ASKS):
            ask = parked(servers[number % 2], profile, f"session-{number}")
            found = list(outcomes(servers, ask))
            ((won, _),) = [(option, one) for option, one in found if not isinstance(one, Refused)]
            ((_, lost),) = [(option, one) for option, one in found if isinstance(one, Refused)]
            assert isinstance(lost, Refused)
            assert (lost.status, lost.code) == (409, "ASK_DECIDED")
            assert (lost.error["details"]["by"], lost.error["details"]["optionId"]) == ("local", won)
            assert servers[0].api.await_ending(ask["runId"]) == "run.completed"
            types = [event["type"] for event in servers[1].api.events(runId=ask["runId"])]
            assert [types.count(kind) for kind in ("run.answered", "run.resumed", "run.completed")] == [1, 1, 1]
            allowed += won == "allow"
        calls = tmp_path / "calls"
        assert (calls.read_text().count("called") if calls.exists() else 0) == allowed
        print(f"{allowed} of {ASKS} were allowed")
    assert command(tmp_path, database, "verify")["ok"]
