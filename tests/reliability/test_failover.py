"""Tests of a failover: a real standby is promoted, and no process mistakes its history for the known one."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Key
from athena_core.errors import ConfigError, OutcomeUnknown
from athena_core.log.anchor import read_anchor
from athena_core.log.postgres.reader import ANCHOR
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from tests.core.log.pots import commit, enqueue, fill, key, new_log
from tests.reliability.commands import command
from tests.scale import sized
from tests.support.api import Refused, soon
from tests.support.postgres import REPLICATING, Cluster, own_cluster, standby
from tests.support.server import Server

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]

NAME = "second"
IN_STEP = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'"
CANCEL = f"SELECT pg_cancel_backend(pid) FROM ({WAITING}) AS waiting"
CLIENTS = 4
RUNS = sized(3, 3, 60)
ROUNDS = 4


class Pair:
    """A primary and its standby, and the URL of a database that names both."""

    def __init__(self, primary: Cluster, second: Cluster) -> None:
        self.primary, self.second = primary, second
        assert primary.postmaster is not None
        assert second.postmaster is not None
        self.hosts = f"{primary.postmaster.directory},{second.postmaster.directory}"

    def url(self, wanted: str | None = None, hosts: str | None = None) -> str:
        more = {"target_session_attrs": wanted} if wanted else {}
        return f"postgresql://athena@/postgres?{urlencode({'host': hosts or self.hosts, **more})}"

    def set(self, cluster: Cluster, name: str, value: str) -> None:
        cluster.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        cluster.execute("SELECT pg_reload_conf()")

    def in_step(self) -> None:
        for _ in soon():
            if self.primary.ask(IN_STEP) == [(1,)]:
                break

    def cut(self) -> None:
        """Make the standby fall behind from here on."""
        self.in_step()
        self.set(self.second, "primary_conninfo", "")
        for _ in soon():
            if self.primary.ask("SELECT count(*) FROM pg_stat_replication") == [(0,)]:
                break

    def fail_over(self) -> None:
        assert self.primary.postmaster is not None
        self.primary.postmaster.stop(signal.SIGQUIT)
        assert self.second.ask("SELECT pg_promote(true, 60)") == [(True,)]


@contextmanager
def pair() -> Iterator[Pair]:
    """Yield a primary with a standby. Skip where the programs are missing."""
    with ExitStack() as stack:
        try:
            primary = stack.enter_context(own_cluster(None, **REPLICATING))
        except LookupError as error:
            pytest.skip(str(error))
        yield Pair(primary, stack.enter_context(standby(primary, NAME)))


def run(server: Server, key: str) -> str:
    """Start a run under a key until it is acknowledged. Return its id."""
    for _ in soon():
        try:
            return str(server.api.run(f"say {key}", key=key)["runId"])
        except Refused as refused:
            assert refused.status == 503, refused
    raise AssertionError


def held(server: Server) -> set[str]:
    for _ in soon():
        try:
            return {item["runId"] for item in server.api.items("/runs")}
        except Refused as refused:
            assert refused.status == 503, refused
    raise AssertionError


def known(server: Server) -> int:
    """Return the position in a server's anchor once it is the head."""
    head = server.api.head()
    for _ in soon():
        anchor = read_anchor(server.state_dir / ANCHOR)
        if anchor is not None and anchor.position == head:
            break
    return head


@pytest.mark.parametrize("stopped", sized([True], [True], [False, True] * ROUNDS))
def test_a_server_that_knew_what_a_failover_lost_ends_and_asks_an_operator(tmp_path: Path, stopped: bool) -> None:
    with pair() as two, ExitStack() as stack:
        url = two.url()
        server = stack.enter_context(Server(tmp_path / "first", database_url=url))
        kept = {run(server, f"kept-{number}") for number in range(RUNS)}
        two.cut()
        lost = {run(server, f"lost-{number}") for number in range(RUNS)}
        position = known(server)
        if stopped:
            server.signal(signal.SIGSTOP)
        two.fail_over()
        head = 0
        if stopped:  # another one continues past its head
            other = stack.enter_context(Server(tmp_path / "second", database_url=url))
            while head <= position:
                run(other, f"more-{head}")
                head = other.api.head()
            server.signal(signal.SIGCONT)
        assert server.wait() == 1
        said = server.log_path.read_text().splitlines()[-1]
        server.log_path.write_text("")  # it stopped
        print(f"stopped: {stopped}; {said}")
        assert "athena: the log cannot continue: InternalError: the log ends at position " in said
        assert (
            f"acknowledged at position {position}" in said
            if stopped
            else f" but position {position} was acknowledged" in said
        )
        anchor = read_anchor(server.state_dir / ANCHOR)
        assert anchor is not None
        assert anchor.position == position
        with pytest.raises(AssertionError, match="did not start"):
            server.start()
        refused = server.log_path.read_text()
        assert ("has a different event at" if stopped else "once reached") in refused
        assert "ATHENA_ACCEPT_FORK=true" in refused
        server.log_path.write_text("")
        server.start(accept_fork="true")
        forked = server.api.await_event("log.forked")["payload"]
        assert forked["expected"] == position
        assert forked["head"] >= head
        assert held(server) & (kept | lost) == kept
        assert command(tmp_path, url, "verify")["ok"]
        server.stop()  # it may still build its views, which the other one is judged by


@pytest.mark.parametrize("wanted", sized(["read-write"], ["read-write"], [None, "read-write"] * ROUNDS))
def test_with_a_synchronous_standby_nothing_that_was_acknowledged_is_lost(tmp_path: Path, wanted: str | None) -> None:
    with pair() as two, ExitStack() as stack:
        two.in_step()
        two.set(two.primary, "synchronous_standby_names", NAME)
        assert two.second.postmaster is not None
        for one in (None, "any", "primary", "read-write"):
            with pytest.raises(ConfigError, match="the database is a standby or read-only; Athena needs the primary"):
                PostgresStore(two.url(one, str(two.second.postmaster.directory)), tmp_path, CountingIds())
        url = two.url(wanted)
        server = stack.enter_context(Server(tmp_path / "first", database_url=url))
        other = stack.enter_context(Server(tmp_path / "second", database_url=url))
        over = threading.Event()

        def write(client: int) -> set[str]:
            found: set[str] = set()
            while not over.is_set():
                found.add(run((server, other)[client % 2], f"{client}-{len(found)}"))
            return found

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(write, client) for client in range(CLIENTS)]
            try:
                before = held(server)
                while len(held(server)) < len(before) + RUNS:
                    pass
                two.fail_over()
                run(server, "first-after")
                run(other, "second-after")
            finally:
                over.set()
            written = set[str]().union(*(client.result() for client in clients))
        runs = held(server)
        print(f"target_session_attrs={wanted}: {len(written)} runs were acknowledged, {len(written - runs)} are lost")
        assert written <= runs
        assert held(other) == runs
        assert command(tmp_path, url, "verify")["ok"]
        server.stop()


def begun(log: Log, cluster: Cluster, key: Key | None = None) -> tuple[Future[Committed[Any]], threading.Thread]:
    """Begin a commit that waits for a standby. Return its thread; earlier commits did not wait for one."""
    for _ in soon():
        waits = enqueue(log, fill(), key)
        writer = threading.Thread(target=log.commit_waiting, daemon=True)
        writer.start()
        while writer.is_alive():
            if cluster.ask(WAITING):
                return waits, writer
    raise AssertionError


def test_a_commit_that_no_standby_confirms_is_not_acknowledged_nor_is_a_repeated_key(tmp_path: Path) -> None:
    """The database server stops waiting on request or after its time limit, and only warns."""
    with own_cluster(None, **REPLICATING) as cluster, cluster.database() as url:
        clock = FixedClock()
        log = new_log(tmp_path, store=PostgresStore(url, tmp_path, CountingIds()), clock=clock)
        commit(log, fill())
        cluster.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        cluster.execute("SELECT pg_reload_conf()")
        for name in (None, key("k"), key("k")):  # the first one until the server knows that it has to wait
            waits, writer = begun(log, cluster, name)
            for _ in soon():
                if not writer.is_alive():
                    break
                cluster.execute(CANCEL)
                clock.advance(1_000)
            assert isinstance(waits.exception(timeout=0), OutcomeUnknown)

        waits, writer = begun(log, cluster, key("k"))
        (before,) = cluster.ask("SELECT clock_timestamp()::text")[0]
        cluster.execute(CANCEL)
        for _ in soon():
            if cluster.ask(f"{WAITING} AND query_start > '{before}'"):  # it confirms once more by a commit of its own
                break
        assert not waits.done()
        cluster.execute("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.execute("SELECT pg_reload_conf()")
        writer.join()
        assert waits.result(timeout=0).replayed
        log.close()
