"""Tests of views that are rebuilt, killed and poisoned while others write."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import msgspec
import psycopg
import pytest

from athena_core.clock import SystemClock
from athena_core.domain.directive import DirectiveCreated
from athena_core.errors import NotCaughtUp
from athena_core.event import Recorded
from athena_core.log.sqlite.views import SqliteDatabases
from athena_core.log.writer import Log
from projections import ALL
from projections.engine import replay
from projections.engine.generation import GenerationFiles
from projections.engine.projection import Projection, Rows, Table
from projections.engine.updater import ViewUpdater
from projections.engine.views import Views
from tests.conftest import Serve
from tests.reliability.history import history_of
from tests.reliability.load import Clients
from tests.reliability.oracle import Record, check
from tests.reliability.program import command, create, started, unstarted_log
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.api import PATIENCE_SECONDS, Refused, soon
from tests.support.damaged_view import damage
from tests.support.records import judge
from tests.support.server import Server

EVENTS = sized(1_200, 4_000, 100_000)
KILLS = sized(3, 5, 100)
MOMENT_SECONDS_MAX = 0.1


def put_directives(state_dir: Path, count: int) -> None:
    with unstarted_log(state_dir) as log:
        log.start()
        threads = [threading.Thread(target=_create, args=(log, number, count // 16)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _create(log: Log, number: int, count: int) -> None:
    for index in range(count):
        create(log, f"before-{number}-{index}")


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_rebuild_may_be_killed_at_any_moment_while_others_write(tmp_path: Path) -> None:
    rng = random.Random(fresh_seed("rebuild"))
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    put_directives(state_dir, EVENTS)
    record = Record()
    clients = Clients(record, 4)
    moments: list[int] = []
    with Server(tmp_path) as server:
        burst = clients.burst(server.url, 2)
        *pages, outcome = rebuilt(state_dir, tmp_path)
        assert outcome == "candidate"
        for _ in range(KILLS):
            process = started(command("rebuild", state_dir), tmp_path)
            assert process.stdout is not None
            page = rng.randint(0, len(pages))  # from before the first to after the last, when the pointer is written
            for line in islice(process.stdout, page):
                assert line.startswith("at ") or page == len(pages), line
            time.sleep(rng.uniform(0, MOMENT_SECONDS_MAX))
            process.kill()
            _, complained = process.communicate(timeout=PATIENCE_SECONDS)
            assert not complained, complained
            moments.append(page)
            known = len(record.acknowledged())
            assert len(server.api.get("/directives", limit=5)["items"]) == 5  # the old generation serves
            for _ in soon():
                if len(record.acknowledged()) > known:
                    break
        assert rebuilt(state_dir, tmp_path)[-1] == "candidate"
        for _ in soon():
            if not (state_dir / "views" / "candidate").exists():
                break
        burst.stop()
        clients.settle(server.url, 100, rng)
        history = history_of(state_dir)
        ours = [entry._replace(mark=None) if (entry.mark or "").startswith("before") else entry for entry in history]
        check(record, ours)
        assert not (state_dir / "views" / "scratch").exists()
    judge(state_dir)
    print(f"{KILLS} rebuilds of {EVENTS} events killed after {sorted(moments)} of {len(pages)} pages; {record}")


def rebuilt(state_dir: Path, directory: Path) -> list[str]:
    """Rebuild the views in another process. Return a line for every page, and how it ended."""
    process = started(command("rebuild", state_dir), directory)
    said, complained = process.communicate(timeout=PATIENCE_SECONDS * 5)
    assert process.returncode == 0, complained
    return said.splitlines()


# Poison


class Seen(msgspec.Struct):
    position: int


SEEN = Table("seen", Seen, key=("position",))


def fragile(poisoned: set[int]) -> Projection:
    """Return a projection that cannot apply the events at these positions."""
    projection = Projection("fragile", version=1, tables=(SEEN,))

    @projection.handler
    def seen(rows: Rows, recorded: Recorded[DirectiveCreated]) -> None:
        rows.append(SEEN, Seen(recorded.position))
        if recorded.position in poisoned:
            raise RuntimeError("it cannot be shown")

    return projection


@contextmanager
def kept(log: Log, directory: Path, projections: tuple[Projection, ...]) -> Iterator[Views]:
    """Yield views of a log with these projections, and their running updater."""
    directory.mkdir()
    views = Views(
        GenerationFiles(directory, SqliteDatabases()),
        log.reader,
        log.codec.decode,
        SystemClock(),
        projections,
        log.signal,
    )
    stop = threading.Event()
    updater = ViewUpdater(views, lambda: False, log.problems)
    thread = threading.Thread(target=updater.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield views
    finally:
        stop.set()
        log.signal.nudge()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


async def test_a_poisoned_event_stops_its_projection_alone_until_it_is_cured(tmp_path: Path) -> None:
    poisoned = {4}
    with unstarted_log(tmp_path / "state") as log:
        log.start()
        with kept(log, tmp_path / "views", (*ALL, fragile(poisoned))) as views:
            for number in range(8):
                create(log, f"mark-{number}")
            reader = views.reader(log.reader())
            others = tuple(projection.name for projection in ALL)
            await reader.wait(others, 8, PATIENCE_SECONDS)
            with pytest.raises(NotCaughtUp, match="fragile stopped at position 4: RuntimeError: it cannot be shown"):
                await reader.wait(("fragile",), 8, PATIENCE_SECONDS)
            shown, position = reader.query(("fragile",), lambda rows: list(rows.execute(SEEN.scan)))
            assert (shown, position) == ([(1,), (2,), (3,)], 3)  # it was applied whole or not at all
            create(log, "mark-8")
            await reader.wait(others, 9, PATIENCE_SECONDS)  # the others continue
            poisoned.clear()
            for _ in soon():
                if reader.position(("fragile",)) == 9:  # it is retried
                    break
            shown, _ = reader.query(("fragile",), lambda rows: list(rows.execute(SEEN.scan)))
            assert [row for (row,) in shown] == list(range(1, 10))
            reader.close()


def test_a_poisoned_rebuild_never_serves(tmp_path: Path) -> None:
    with unstarted_log(tmp_path / "state") as log:
        log.start()
        create(log, "mark")
        with kept(log, tmp_path / "views", ALL) as views:
            for _ in soon():
                if views.signal.position == 1:
                    break
            serving = views.generations.current()
        newer = Views(
            GenerationFiles(tmp_path / "views", SqliteDatabases()),
            log.reader,
            log.codec.decode,
            SystemClock(),
            (*ALL, fragile({1})),
            log.signal,
        )
        with pytest.raises(replay.ReplayStopped, match="fragile stopped at position 1"):
            list(replay.rebuild(newer))
        assert newer.generations.all() == [serving]


@pytest.fixture(params=["files", pytest.param("postgres", marks=pytest.mark.heavy)])
def url(request: pytest.FixtureRequest) -> str | None:
    """Yield the place of a server's log; the database is dropped after the server."""
    return str(request.getfixturevalue("database")) if request.param == "postgres" else None


DAMAGED = """
    SET search_path TO {generation};
    CREATE FUNCTION damaged() RETURNS boolean LANGUAGE plpgsql AS
        $$BEGIN RAISE 'invalid page in block 0' USING ERRCODE = 'data_corrupted'; END$$;
    ALTER TABLE directive RENAME TO whole;
    CREATE VIEW directive AS SELECT * FROM whole WHERE damaged();
"""
"""The result of a read of a table with a damaged page."""


def test_views_that_are_damaged_or_vanish_under_a_server_are_rebuilt_while_it_runs(
    url: str | None, serve: Serve
) -> None:
    server = serve(**({} if url is None else {"database_url": url}))
    api = server.api
    created = api.post("/directives", {"input": "hello"})
    run = api.run("hello")
    for _ in soon():  # a server that writes them could make the drop a deadlock
        health = api.get("/admin/health")
        if health.get("generation") is not None and health["lag"] == 0:
            break
    if url is None:
        damage(server.state_dir / "views" / health["generation"], "directive")
    else:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(DAMAGED.format(generation=health["generation"]).encode())
    with pytest.raises(Refused, match="NOT_CAUGHT_UP"):
        api.get(f"/directives/{created['id']}")  # no write disturbs the updater
    for _ in soon():
        with suppress(Refused):
            assert api.get(f"/directives/{created['id']}") == created
            break
    damaged = health["generation"]
    for _ in soon():
        health = api.get("/admin/health")
        if health["status"] == "ok" and health["generation"] != damaged:
            break
    if url is None:
        (server.state_dir / "views").rename(server.state_dir / "elsewhere")
    else:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute(f"DROP SCHEMA {health['generation']} CASCADE".encode())
    for _ in soon():
        if api.http.get(server.url + "/readyz").status_code == 503:
            break
    for _ in soon():
        if api.http.get(server.url + "/readyz").status_code == 200:
            break
    assert api.get(f"/runs/{run['runId']}")["status"] == "completed"
    after = api.run("again")
    assert [one["runId"] for one in api.items("/runs")] == [after["runId"], run["runId"]]
