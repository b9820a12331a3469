"""Tests of several servers on one PostgreSQL: one log, one set of views, and nothing is lost with one of them."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.conftest import Serve
from tests.reliability.commands import command
from tests.scale import SCALE
from tests.support.api import Refused, events_of, soon
from tests.support.gate import Gates
from tests.support.postgres import Cluster
from tests.support.server import Server
from tests.support.traces import traces_in_tables

END_SESSIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@contextmanager
def poor_role(database: str) -> Iterator[tuple[str, Callable[[int], None]]]:
    """Yield a database URL for a role with a limit of connections, and a function that sets the limit."""
    parts = urlsplit(database)
    host = parts.netloc.rpartition("@")[2]
    with psycopg.connect(database, autocommit=True) as session:

        def allow(connections: int) -> None:
            session.execute(f"ALTER ROLE athena_poor CONNECTION LIMIT {connections}".encode())

        session.execute("CREATE ROLE athena_poor LOGIN PASSWORD 'poor' CONNECTION LIMIT 6")
        session.execute(f"GRANT CREATE ON DATABASE {parts.path[1:]} TO athena_poor".encode())
        try:
            yield urlunsplit(parts._replace(netloc=f"athena_poor:poor@{host}")), allow
        finally:
            session.execute("DROP OWNED BY athena_poor CASCADE")
            session.execute("DROP ROLE athena_poor")


@pytest.mark.heavy
def test_a_server_with_too_few_connections_names_the_reason_and_is_ready_once_it_has_them(
    database: str, tmp_path: Path
) -> None:
    with poor_role(database) as (url, allow), Server(tmp_path, database_url=url) as server:
        server.api.run("hello")

        def why() -> str:
            """Return what an operator reads: a reason, or an error once even the head cannot be read."""
            try:
                return str(server.api.get("/admin/health").get("reason"))
            except Refused as refused:
                assert refused.status == 503
                return str(refused)

        def states() -> Iterator[tuple[int, str, str]]:
            for _ in soon():
                answer = server.api.http.get(server.url + "/readyz")
                yield answer.status_code, answer.text, why()

        limit = 'too many connections for role "athena_poor"'
        shown = next(text for status, text, reason in states() if status == 503 and limit in reason)
        assert "the database accepts no more connections" in shown
        assert "athena_poor" not in shown  # anyone may ask
        allow(-1)
        assert next(status for status, _, reason in states() if status == 200 and reason == "None")


@pytest.mark.heavy
def test_two_servers_are_one_plane_and_one_goes_on_alone(
    database: str, serve: Serve, gates: Gates, tmp_path: Path
) -> None:
    settings = {**gates.settings, "database_url": database}
    first, second = serve(tmp_path / "first", **settings), serve(tmp_path / "second", **settings)
    for number in range(3):
        for server in (first, second):
            server.api.run(f"say {number}", key=f"key-{number}")
    runs = first.api.items("/runs")
    assert len(runs) == 3  # the second one was answered from what the first one did
    assert second.api.items("/runs") == runs
    events = first.api.events()
    assert second.api.events() == events
    assert len(events) == first.api.head() == second.api.head()

    held = first.api.start(gates["door"].order)
    gates["door"].arrival()
    first.kill()
    gates["door"].arrival()
    gates["door"].release(2)  # the model of the killed server waits there as well
    assert second.api.await_ending(held["runId"]) == "run.completed"
    second.api.run("say on")

    with psycopg.connect(database, autocommit=True) as session:
        session.execute(END_SESSIONS)
    for _ in soon():
        try:
            second.api.run("say again", key="again")
            found = second.api.items("/runs")
        except Refused as refused:
            assert refused.status == 503
        else:
            break
    assert len(found) == 6
    assert command(tmp_path, database, "verify")["ok"]
    if SCALE == "quick":
        return
    third = serve(tmp_path / "first", **settings)
    assert third.api.items("/runs") == found
    assert command(tmp_path, database, "replay", "--verify")["outcome"] == "equal"
    assert command(tmp_path, database, "replay")["outcome"] == "candidate"
    assert command(tmp_path, database, "doctor")["ok"]
    assert command(tmp_path, database, "redact", "--run", held["runId"], "--reason", "asked")["redacted"] > 0
    assert command(tmp_path, database, "replay", "--verify")["outcome"] == "equal"


def test_redaction_waits_for_transactions_that_can_see_the_text(
    database: str, cluster: Cluster, serve: Serve, tmp_path: Path
) -> None:
    server = serve(tmp_path, database_url=database)
    held = server.api.run("canary of postgres")
    server.stop()
    erase = ("redact", "--run", held["runId"], "--reason", "asked", "--wait", "0.1")
    with psycopg.connect(database) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT count(*) FROM athena.log")
        with pytest.raises(AssertionError, match=f"the transaction of process {session.info.backend_pid}"):
            command(tmp_path, database, *erase)
    assert command(tmp_path, database, *erase)["left"] == []
    assert traces_in_tables(cluster, database, "canary of postgres") == []


def test_an_unrelated_open_transaction_blocks_nothing(
    database: str, cluster: Cluster, serve: Serve, tmp_path: Path
) -> None:
    settings = {"database_url": database}
    first, second = serve(tmp_path / "first", **settings), serve(tmp_path / "second", **settings)
    with ExitStack() as stack:
        for url in (database, cluster.url):  # in the same database, and in another one of the same server
            session = stack.enter_context(psycopg.connect(url))
            session.execute("CREATE TEMPORARY TABLE theirs (id bigint)")
            session.execute("INSERT INTO theirs VALUES (1)")  # it has a transaction id below all later ones
            session.execute("SELECT pg_current_xact_id()")
        with second.api.stream(after=str(0)) as blocks:
            events = events_of(blocks)
            for number in range(3):
                ran = first.api.run(f"say {number}")
                assert second.api.get(f"/runs/{ran['runId']}")["status"] == "completed"
                while next(events)["type"] != "run.completed":
                    pass
        assert session.info.transaction_status == TransactionStatus.INTRANS


def test_a_server_that_cannot_go_on_ends_and_says_why(database: str, serve: Serve, tmp_path: Path) -> None:
    server = serve(tmp_path, database_url=database)
    with psycopg.connect(database, autocommit=True) as session:
        session.execute("ALTER SCHEMA athena RENAME TO athena_moved")
        assert server.wait() == 1
        session.execute("ALTER SCHEMA athena_moved RENAME TO athena")
    missing = re.search(r'relation \\?"(log|guard|views)\\?" does not exist', server.log_path.read_text())
    assert missing is not None  # whichever was asked for first
    server.log_path.write_text("")  # it stopped
