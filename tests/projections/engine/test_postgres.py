"""Views on PostgreSQL: the same rows as SQLite, which only the updater's session can change."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from athena_core.clock import CountingIds, FixedClock
from athena_core.errors import NotCaughtUp, StoreUnreachable
from athena_core.log.postgres.leader_lock import FROZEN_SECONDS, LOOK_SECONDS_MAX, UPDATER_LOCK, PostgresLeaderLock
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.postgres.vacuum import SELECT_HOLDERS, _vacuum
from athena_core.log.postgres.views import PostgresGenerations
from athena_core.system.problems import Problems
from athena_core.system.signal import Signal
from projections import ALL
from projections.engine.replay import rebuild, rehearse, verify
from projections.engine.updater import ViewsLost, ViewUpdater
from projections.engine.views import Views
from tests.projections.damaged_past import damage_the_past, long_history
from tests.projections.history import CODEC, HISTORIES, History, folder
from tests.projections.support import catch_up, digests, in_database, new_generation
from tests.scale import sized
from tests.support.api import soon

NAMES = tuple(projection.name for projection in ALL)


@pytest.fixture
def url(database: str, tmp_path: Path) -> str:
    """Yield a database with the tables of a log and the rows of a history."""
    PostgresStore(database, tmp_path, CountingIds()).close()
    return database


class Kept:
    """The views of one process in a database, over a history."""

    def __init__(self, url: str, history: History) -> None:
        self.schemas = PostgresGenerations(url)
        self.history = history
        self.clock = FixedClock()
        self.views = Views(self.schemas, lambda: history, CODEC.decode, self.clock, ALL, Signal())
        self.updater = ViewUpdater(self.views, lambda: False, Problems(FixedClock()))
        self.reader = self.views.reader(history)

    def keep(self) -> None:
        """Become the updater and apply everything."""
        assert self.updater.start()
        while self.updater.turn():
            pass

    def digests(self) -> dict[str, str]:
        return self.reader.query(NAMES, digests)[0]

    def close(self) -> None:
        self.reader.close()
        self.updater.close()
        self.schemas.close()


@pytest.fixture
def history() -> History:
    found = History()
    found.whole_run("s")
    found.whole_run("s")
    return found


@pytest.fixture
def kept(url: str, history: History) -> Iterator[Kept]:
    found = Kept(url, history)
    yield found
    found.close()


def on_sqlite(history: History) -> dict[str, str]:
    """Return the digests of SQLite."""
    with folder() as path:
        projector = new_generation(path / "views.db", history)
        catch_up(projector)
        found = digests(projector.connection)
        projector.connection.close()
        return found


@pytest.mark.heavy
def test_the_same_history_gives_the_same_digests_on_both(schemas: PostgresGenerations) -> None:
    lock = schemas.builder_lock()
    assert lock.acquire()

    @settings(deadline=None, max_examples=sized(4, 20, 400), suppress_health_check=list(HealthCheck))
    @given(HISTORIES, HISTORIES)
    def same(first: list[tuple[int, int]], then: list[tuple[int, int]]) -> None:
        history = History().play(first)
        projector = in_database(schemas, lock, history)
        catch_up(projector)
        for move in then:  # followed live, with redactions of shown rows
            history.play([move])
            catch_up(projector)
        assert digests(projector.connection) == on_sqlite(history)
        for name in schemas.all():
            schemas.remove(name, lock)

    same()
    lock.release()


def test_views_are_kept_read_verified_and_built_anew(kept: Kept, history: History) -> None:
    kept.keep()
    assert kept.digests() == on_sqlite(history)
    assert all(verdict.equal for verdict in verify(kept.views))
    first = kept.schemas.current()
    *_, last = rehearse(kept.views)
    assert last.digests == on_sqlite(history)
    *_, last = rebuild(kept.views)
    assert last.outcome == "candidate"
    kept.views.clock.advance(250)  # type: ignore[attr-defined]
    history.directive("later")
    kept.keep()
    assert kept.schemas.current() != first
    assert kept.schemas.candidate() is None
    assert kept.digests() == on_sqlite(history)


@pytest.mark.heavy
def test_a_past_that_was_tampered_with_is_found(url: str) -> None:
    kept = Kept(url, long_history())
    kept.keep()
    assert all(verdict.equal for verdict in verify(kept.views))
    kept.updater.close()
    lock = kept.schemas.updater_lock()
    assert lock.acquire()
    connection = kept.schemas.write(kept.schemas.current() or "", lock)
    table = ALL[0].tables[0]
    damage = damage_the_past(connection, table)
    connection.close()
    lock.release()
    (found,) = (verdict for verdict in verify(kept.views) if not verdict.equal)
    assert (found.projection, found.differences) == ("runs", (damage,))
    kept.close()


def test_a_updater_whose_tables_are_gone_leaves_in_order_and_the_next_one_begins_anew(
    kept: Kept, history: History, url: str
) -> None:
    kept.keep()
    kept.updater._begin_next()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("ALTER TABLE athena.views RENAME TO gone")
        kept.updater.close()
        session.execute("ALTER TABLE athena.gone RENAME TO views")
    other = Kept(url, history)
    other.keep()
    *_, last = rebuild(other.views)
    assert last.outcome == "candidate"
    other.close()


def test_views_whose_schema_was_dropped_are_noticed_at_the_next_look_and_rebuilt(
    kept: Kept, history: History, url: str
) -> None:
    kept.keep()
    before, name = kept.digests(), kept.schemas.current()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(f"DROP SCHEMA {name} CASCADE".encode())
    with pytest.raises(NotCaughtUp):
        kept.reader.query(NAMES, digests)
    kept.clock.advance(250)
    with pytest.raises(ViewsLost, match=f"{name} was moved, deleted or replaced"):
        kept.updater.turn()
    kept.updater.close()
    kept.keep()
    assert kept.digests() == before
    assert kept.schemas.current() != name


def test_an_updater_that_lost_its_session_changes_nothing_and_the_next_continues(
    kept: Kept, history: History, url: str
) -> None:
    other = Kept(url, history)
    kept.keep()
    assert not other.updater.start()
    end_holder(url)
    history.directive("later")
    with pytest.raises(StoreUnreachable):
        kept.updater.turn()
    other.keep()
    assert other.reader.position(NAMES) == history.head()
    assert kept.reader.position(NAMES) == history.head()
    kept.updater.close()
    assert not kept.updater.start()
    other.close()
    assert kept.updater.start()


def test_a_holder_that_gives_no_sign_of_life_is_ended_after_ten_seconds(url: str) -> None:
    now = 0.0
    frozen, waiting = (
        PostgresLeaderLock(url, UPDATER_LOCK),
        PostgresLeaderLock(url, UPDATER_LOCK, monotonic=lambda: now),
    )
    assert frozen.acquire()
    looks = 0
    for _ in soon():  # the database takes a moment to end a session
        if waiting.acquire():
            break
        now += LOOK_SECONDS_MAX
        looks += 1
    assert (looks - 2) * LOOK_SECONDS_MAX >= FROZEN_SECONDS - LOOK_SECONDS_MAX
    with pytest.raises(psycopg.OperationalError):
        frozen.session.execute("SELECT 1")
    frozen.release()
    waiting.release()


def test_a_reader_goes_on_after_its_session_was_ended(kept: Kept, history: History, url: str) -> None:
    kept.keep()
    assert kept.reader.position(NAMES) == history.head()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert kept.digests() == on_sqlite(history)


def end_holder(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        found = session.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
            (UPDATER_LOCK,),
        ).fetchall()
    assert found == [(True,)]


class Recorded:
    """A connection that records its statements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.statements: list[bytes] = []

    def execute(self, statement: str | bytes, values: Any = None) -> Any:
        self.statements.append(statement if isinstance(statement, bytes) else statement.encode())
        return self._connection.execute(self.statements[-1], values)


def test_a_rewrite_does_not_queue_behind_who_holds_a_table_for_long(url: str) -> None:
    """Writers would queue behind it, each time until its lock request times out."""
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '10ms'")
        holder.execute("SELECT 1 FROM athena.log LIMIT 1")
        for _ in soon():
            if connection.execute(SELECT_HOLDERS.encode(), {"table": "athena.log"}).fetchone():
                break
        recorded = Recorded(connection)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            _vacuum(cast("Any", recorded), "athena.log", time.monotonic() + 0.2, full=True)
        assert len(recorded.statements) > 1
        assert not any(one.startswith(b"VACUUM") for one in recorded.statements)
        holder.rollback()
        _vacuum(cast("Any", recorded), "athena.log", time.monotonic() + 60, full=True)
        assert recorded.statements[-1] == b"VACUUM FULL athena.log"
