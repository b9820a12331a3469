"""The move of a log to PostgreSQL and back: clients see the same plane, and an interrupted move is begun again."""

import random
import shutil
import signal
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support import postgres
from tests.support.api import Api, Json, events_of, soon
from tests.support.gate import Gates
from tests.support.records import judge
from tests.support.relay import ENDLESS, Relay
from tests.support.server import Server

KILLS = sized(2, 7, 100)


class Seen(NamedTuple):
    """The state of a plane as a client reads it."""

    events: list[Json]
    runs: list[Json]
    sessions: list[Json]
    directives: list[Json]
    schedules: Any
    policy: Any


def seen(api: Api) -> Seen:
    return Seen(
        api.events(),
        api.items("/runs"),
        api.items("/sessions"),
        api.items("/directives"),
        api.get("/schedules"),
        api.get("/policy"),
    )


@pytest.mark.heavy
def test_clients_see_the_same_plane_after_a_move_to_a_database_and_back(
    terminal: Terminal, gates: Gates, database: str
) -> None:
    with Server(terminal.directory, **gates.settings) as server:
        api = server.api
        first = api.run("say one", key="one", sessionId="s")
        api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 4})
        api.post("/schedules", {"id": "yearly", "cron": "0 0 1 1 *", "sessionId": "s", "input": "x"})
        for number in range(3):
            api.run(f"say {number}", sessionId="s")
        held = api.start(gates["door"].order)
        gates["door"].arrival()
        cursor = api.events(limit=7)[6]["id"]
        newest = api.get("/runs", limit=2)
        busy = terminal.run("move", "--to", database)
        assert (busy.code, "a process is using" in busy.err) == (2, True)
        before = seen(api)
        server.kill()  # a run is left in the middle

    views = terminal.run("replay", "--dry-run").data["digests"]
    summary = terminal.run("move", "--to", database).data
    assert summary["from"]["digests"] == summary["to"]["digests"]
    assert (summary["views"], summary["position"]) == (views, len(before.events))
    left = terminal.run("api", "serve", "--port", "0")
    assert (left.code, f"was moved to {summary['to']['place']}" in left.err) == (2, True)

    with Server(terminal.directory, database_url=database, **gates.settings) as server:
        api = server.api
        gates["door"].arrival()  # the executor of the run is gone
        assert api.events()[: len(before.events)] == before.events
        assert api.items("/runs") == before.runs
        assert api.events(cursor=cursor)[: len(before.events) - 7] == before.events[7:]
        with api.stream(last_event_id=cursor) as blocks:
            assert next(events_of(blocks)) == before.events[7]
        assert api.get("/runs", limit=2, cursor=newest["nextCursor"])["items"] == before.runs[2:4]
        again = api.send("/runs", {"input": "say one", "sessionId": "s"}, key="one")
        assert (again.json()["data"], again.headers["idempotency-replayed"]) == (first, "true")
        gates["door"].release(2)  # also the model of the server that was killed stands there
        assert api.await_ending(held["runId"]) == "run.completed"
        api.run("say more", sessionId="s")
        before = seen(api)

    back = terminal.run("move", "--to", "back/state", database_url=database).data
    assert back["from"]["digests"] == back["to"]["digests"]
    left = terminal.run("api", "serve", "--port", "0", database_url=database)
    assert (left.code, f"was moved to {back['to']['place']}" in left.err) == (2, True)
    terminal.settings["state_dir"] = back["to"]["place"]
    assert terminal.run("replay", "--verify").data["outcome"] == "equal"
    with Server(terminal.directory / "back", **gates.settings) as server:
        api = server.api
        after = seen(api)
        assert after.events[: len(before.events)] == before.events
        assert after[1:] == before[1:]
        assert api.events(cursor=cursor) == after.events[7:]
        again = api.send("/runs", {"input": "say one", "sessionId": "s"}, key="one")
        assert (again.json()["data"], again.headers["idempotency-replayed"]) == (first, "true")


def test_what_cannot_be_moved_is_refused_and_nothing_is_changed(history: Terminal, here: Here, database: str) -> None:
    def refused(*words: str, **settings: str) -> str:
        result = here("move", *words, **settings)
        assert (result.code, result.out) == (2, "")
        return result.err

    assert "expected postgresql://" in refused("--to", "mysql://localhost/athena")
    assert "use athena backup and restore" in refused("--to", "elsewhere")
    assert "use pg_dump and pg_restore" in refused("--to", database, database_url=database)
    assert "cannot use the database" in refused("--to", "postgresql://127.0.0.1:9/athena")
    assert "contains no log" in refused("--to", "elsewhere", database_url=database)
    assert "contains no log" in refused("--to", database, state_dir="nowhere")
    assert history.run("run", "--input", "x", "--transport", "local", database_url=database).code == 0
    assert "holds another log" in refused("--to", database)
    assert history.run("verify").data["ok"]
    history.run("run", "--input", "more", "--transport", "local")

    content = bytearray((history.state_dir / "log.db").read_bytes())
    start = content.index(b'"requestedBy"')
    content[start : start + 13] = b'"requestedBx"'
    (history.state_dir / "log.db").write_bytes(content)
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("DROP SCHEMA athena, athena_views_1 CASCADE")
    damaged = history.run("move", "--to", database)
    assert (damaged.code, "does not verify" in damaged.err) == (1, True)
    with psycopg.connect(database) as session:
        assert session.execute("SELECT to_regnamespace('athena')").fetchone() == (None,)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    history: Terminal, cluster: postgres.Cluster, encoding: str
) -> None:
    name = "athena_encoded"
    cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    try:
        result = history.run("move", "--to", cluster.of(name))
        assert (result.code, f"has encoding {encoding}; create it with ENCODING 'UTF8'" in result.err) == (2, True)
    finally:
        cluster.execute(f"DROP DATABASE {name}")


def interrupted(terminal: Terminal, relay: Relay, after: int) -> bool:
    """Kill a move after it has sent this many bytes. Return True if it was still running."""
    relay.limit(after)
    moving = terminal.start("move", "--to", relay.url)
    for _ in soon():
        if relay.still.is_set() or moving.ended:
            break
    was_at_work = not moving.ended
    moving.end(signal.SIGKILL)
    return was_at_work


@pytest.mark.heavy
def test_a_move_that_is_killed_anywhere_is_begun_again(history: Terminal, cluster: postgres.Cluster) -> None:
    kept = history.directory / "kept"
    shutil.copytree(history.state_dir, kept)
    rounds, chances = 0, random.Random(fresh_seed("moves"))
    with cluster.database() as url, Relay(url) as relay:
        whole = history.run("move", "--to", relay.url).data
        total = relay.sent
    while rounds < KILLS:
        shutil.rmtree(history.state_dir)
        shutil.copytree(kept, history.state_dir)
        with cluster.database() as url, Relay(url) as relay:
            if not interrupted(history, relay, chances.randrange(1, total)):
                continue
            rounds += 1
            assert history.run("verify").data["ok"]
            relay.limit(ENDLESS)
            again = history.run("move", "--to", relay.url).data
            assert again["from"]["digests"] == again["to"]["digests"] == whole["to"]["digests"]
            assert again["views"] == whole["views"]
            judge(history.directory / "there", url)
    print(rounds, "moves killed and begun again;", total, "bytes each")
