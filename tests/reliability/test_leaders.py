"""Tests of leaders on PostgreSQL: one process updates the views and runs reactors, then its successor."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from athena_core.log.postgres.leader_lock import FROZEN_SECONDS, REACTOR_LOCK, UPDATER_LOCK
from athena_core.log.postgres.session import LOCK_CLASS
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Api, Refused, soon
from tests.support.server import Server

LEADERS = f"""
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} AND granted
    AND objid IN ({UPDATER_LOCK}, {REACTOR_LOCK})
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
AT_ONCE_SECONDS = FROZEN_SECONDS
"""Above the interval of the others' looks, and below the time after which a stopped leader is replaced."""


@pytest.fixture
def session(database: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a session that reads the locks of leaders."""
    with psycopg.connect(database, autocommit=True) as found:
        yield found


def leaders(session: psycopg.Connection[Any]) -> set[int]:
    return {pid for (pid,) in session.execute(LEADERS).fetchall()}


def lead(session: psycopg.Connection[Any], but: set[int]) -> set[int]:
    """Wait until there is a leader of each kind that is not among these."""
    for _ in soon():
        found = leaders(session)
        if len(found) == 2 and not found & but:
            return found
    raise AssertionError


def served(api: Api, number: int) -> None:
    """Check the leaders' work: a due schedule runs, and the views show it."""
    for _ in soon():
        try:
            soon_at = datetime.now(UTC) + timedelta(seconds=0.5)
            body = {"id": f"once-{number}", "sessionId": f"s{number}", "input": "hello", "runAt": soon_at.isoformat()}
            api.post("/schedules", body)
        except Refused as refused:  # the views have no updater yet, or the log is locked
            assert refused.status == 503, refused
        else:
            break
    for _ in soon():
        try:
            shown = api.items("/runs", sessionId=f"s{number}")
        except Refused as refused:
            assert refused.code == "NOT_CAUGHT_UP", refused
        else:
            if shown and shown[0]["status"] == "completed":
                return


@pytest.fixture
def pair(database: str, session: psycopg.Connection[Any], serve: Serve, tmp_path: Path) -> tuple[Server, Server]:
    first = serve(tmp_path / "first", database_url=database)
    lead(session, set())
    return first, serve(tmp_path / "second", database_url=database)


def killed(server: Server) -> None:
    server.kill()


def frozen(server: Server) -> None:
    server.signal(signal.SIGSTOP)


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("lost", sized([killed], [killed, frozen], [*[killed, frozen] * 5]))
def test_another_one_leads_where_the_leader_is_killed_at_once_and_where_it_stands_still_after_ten_seconds(
    lost: Callable[[Server], None], pair: tuple[Server, Server], session: psycopg.Connection[Any]
) -> None:
    first, second = pair
    served(first.api, 1)
    old = leaders(session)
    lost(first)
    began = time.monotonic()
    new = lead(session, old)
    seconds = time.monotonic() - began
    print(f"another leader {seconds:.1f} s after the old one was {lost.__name__}")
    served(second.api, 2)
    if lost is killed:
        assert seconds < AT_ONCE_SECONDS
        return
    first.signal(signal.SIGCONT)
    served(first.api, 3)  # it continues as a follower
    assert leaders(session) == new
    started = [event["payload"]["id"] for event in second.api.events(types="schedule.run.started")]
    assert sorted(started) == ["once-1", "once-2", "once-3"]
    assert second.api.items("/runs") == first.api.items("/runs")
