"""The HTTP ceilings that store requests in a database, named by ``ATHENA_DATABASE_URL``."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict

from athena_core.clock import SystemIds
from athena_core.log.postgres.dialect import dialect
from benchmarks.apps import App, Gathering, Message, Receive, Send, answer, body_of, resolve
from projections.directives import DIRECTIVE
from projections.engine.projection import during
from projections.feed import FEED_EVENT as FEED
from projections.ids import ID, id_cells

LOCK = "SELECT pg_advisory_xact_lock(1)"
HEAD = "SELECT coalesce(max(position), 0) FROM event"
CREATE = "CREATE TABLE event (position bigint PRIMARY KEY, data bytea NOT NULL)"
INSERT = "INSERT INTO event (position, data) SELECT * FROM unnest(%b::bigint[], %b::bytea[])"
NOTIFY = "SELECT pg_notify('event', %s)"
RECORDING_THREADS = 8
"""The number of threads. More of them wait for the library's lock and are not faster."""

Session: TypeAlias = psycopg.Connection[tuple[Any, ...]]

said = msgspec.json.Decoder(dict[str, str]).decode


def session() -> Session:
    """Open a session of the database."""
    return psycopg.connect(os.environ["ATHENA_DATABASE_URL"], autocommit=True, prepare_threshold=2)


class Rows:
    """Writes the rows of directive views in one transaction per batch, without waiting for the disk."""

    def __init__(self) -> None:
        """Create the tables."""
        self._session = session()
        self._session.execute("SET synchronous_commit = off")
        for table in (DIRECTIVE, ID, FEED):
            for statement in table.create:
                self._session.execute(dialect(statement).encode())
        self._session.execute("CREATE TABLE checkpoint (position bigint NOT NULL)")
        self._session.execute("INSERT INTO checkpoint VALUES (0)")
        self._ids = SystemIds()
        self._new: deque[tuple[int, bytes]] = deque()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def take(self, position: int, data: Sequence[bytes]) -> None:
        """Schedule the rows of events committed from a position on."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that writes view rows has failed")
        self._new.extend(enumerate(data, position))
        self._ready.set()

    def _write(self) -> None:
        while True:
            self._ready.wait()
            self._ready.clear()
            directives: list[tuple[Any, ...]] = []
            ids: list[tuple[Any, ...]] = []
            feed: list[tuple[Any, ...]] = []
            now = time.time_ns() // 1_000_000
            while self._new:
                position, data = self._new.popleft()
                made = self._ids.new("dir")
                ids.append(id_cells(position, made, "directive"))
                directives.append((position, made, now, 1, said(data)["input"], None, None, None))
                feed.append((position, "directive.created", None, None, "trace"))
            if not feed:
                continue
            with self._session.pipeline(), self._session.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.executemany(dialect(during(DIRECTIVE, 0).insert).encode(), directives)
                cursor.executemany(dialect(during(ID, 0).insert).encode(), ids)
                cursor.executemany(dialect(during(FEED, 0).insert).encode(), feed)
                cursor.execute("UPDATE checkpoint SET position = %s", (feed[-1][0],))
                cursor.execute("COMMIT")


class GroupCommit(Gathering):
    """One writer thread: all waiting rows in one transaction under one lock, at the next positions."""

    def __init__(self) -> None:
        """Create the tables."""
        super().__init__()
        self._session = session()
        self._session.execute(CREATE)
        self._rows = Rows()

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        execute = self._session.execute
        while True:
            self._ready.wait()
            self._ready.clear()
            while self._waiting:
                with self._session.pipeline():
                    execute("BEGIN")
                    execute(LOCK)
                    found = execute(HEAD)
                (head,) = found.fetchone() or (0,)
                batch = self._batch()
                data = [data for data, _ in batch]
                with self._session.pipeline():
                    execute(INSERT, ([*range(head + 1, head + 1 + len(batch))], data))
                    execute(NOTIFY, (str(head + len(batch)),))
                    execute("COMMIT")
                loop.call_soon_threadsafe(resolve, batch, head + 1)
                self._rows.take(head + 1, data)


def group_commit(directory: Path) -> App:
    """Read a body, store it durably, respond, and write view rows: HTTP and the database alone."""
    writer = GroupCommit()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        data = await body_of(receive)
        position = await writer.append(data) if data else 0
        await answer(send, b'{"ok":true,"data":{"position":%d}}' % position)

    return app


def recorder(directory: Path) -> App:
    """Read a body and insert it as an event with the library's recorder, in its gap-free mode."""
    from eventsourcing.persistence import StoredEvent  # noqa: PLC0415 - the other ceiling does not pay for the library
    from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore  # noqa: PLC0415

    parts = conninfo_to_dict(os.environ["ATHENA_DATABASE_URL"])
    datastore = PostgresDatastore(
        dbname=str(parts["dbname"]),
        host=str(parts["host"]),
        port=str(parts.get("port", 5432)),
        user=str(parts["user"]),
        password=str(parts.get("password", "")),
        pool_size=RECORDING_THREADS,
        max_overflow=RECORDING_THREADS,
    )
    found = PostgresApplicationRecorder(datastore, events_table_name="stored_events")
    found.create_table()
    threads = ThreadPoolExecutor(RECORDING_THREADS)

    def save(data: bytes) -> str:
        made = uuid4()
        found.insert_events([StoredEvent(made, 1, "directive.created", data)])
        return str(made)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        data = await body_of(receive)
        made = await asyncio.get_running_loop().run_in_executor(threads, save, data) if data else ""
        await answer(send, b'{"ok":true,"data":{"id":"%b"}}' % made.encode())

    return app


APPS: dict[str, Callable[[Path], App]] = {"group-commit-postgres": group_commit, "recorder-postgres": recorder}
