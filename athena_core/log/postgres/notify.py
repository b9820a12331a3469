"""Notifications of PostgreSQL: that something was committed, and the short texts of live streams."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import anyio
import psycopg
from psycopg.pq.abc import PGconn

from athena_core.log.postgres.session import connection_errors, conninfo

CHANNEL, LIVE_CHANNEL = "athena", "athena_live"
POLL_SECONDS = 0.25
"""How often the head is looked at in any case: a notification is only a hint."""
TELL = "SELECT pg_notify(%s, told) FROM unnest(%s::text[]) WITH ORDINALITY AS texts (told, place) ORDER BY place"


class PostgresCommitNotifier:
    """Listens for the notification of a commit, and rings from time to time in any case."""

    def __init__(self, url: str, own: Callable[[], int | None]) -> None:
        """Connect at the first pause; ``own`` tells which session's commits are no news here."""
        self._url = url
        self._own = own
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def pause(self, *, news: bool) -> None:
        """Wait for a commit of another process, or a quarter of a second.

        The driver's own way asks the server to stop where the wait is cancelled, and complains if it may not wait for
        that.
        """
        try:
            server = (await self._listening()).pgconn
            with anyio.move_on_after(POLL_SECONDS):
                while self._only_own(server):
                    await anyio.wait_readable(server.socket)
        except psycopg.Error:
            await self.close()
            await anyio.sleep(POLL_SECONDS)

    def _only_own(self, server: PGconn) -> bool:
        """Take what was told; whether it came from nobody but this process."""
        server.consume_input()
        told = set()
        while notify := server.notifies():
            told.add(notify.be_pid)
        return told <= {self._own()}

    async def _listening(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(conninfo(self._url), autocommit=True)
            await self._connection.execute(f"LISTEN {CHANNEL}")
        return self._connection

    async def close(self) -> None:
        """Stop listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


class PostgresChannel:
    """Notifications that carry texts: one session tells, another one hears."""

    def __init__(self, url: str) -> None:
        """Connect by need."""
        self._where = conninfo(url)
        self._telling: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._ours: int | None = None
        self._hearing: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def send(self, texts: Sequence[str]) -> None:
        """Tell the others, in order. Raises StoreUnreachable."""
        with connection_errors():
            if self._telling is None or self._telling.closed:
                self._telling = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                ((self._ours,),) = await (await self._telling.execute("SELECT pg_backend_pid()")).fetchall()
            await self._telling.execute(TELL, (LIVE_CHANNEL, list(texts)))

    async def receive(self) -> list[str]:
        """Wait for what others tell. Raises StoreUnreachable."""
        with connection_errors():
            if self._hearing is None or self._hearing.closed:
                self._hearing = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                await self._hearing.execute(f"LISTEN {LIVE_CHANNEL}")
            heard = [told async for told in self._hearing.notifies(stop_after=1)]  # with it comes all that is there
        return [told.payload for told in heard if told.pid != self._ours]

    async def close(self) -> None:
        """Close both sessions."""
        for connection in (self._telling, self._hearing):
            if connection is not None:
                with suppress(psycopg.Error):
                    await connection.close()
