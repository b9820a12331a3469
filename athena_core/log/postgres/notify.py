"""PostgreSQL notifications: of commits, and of live text."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import anyio
import psycopg
from psycopg.pq.abc import PGconn

from athena_core.log.postgres.session import connection_errors, conninfo

CHANNEL, LIVE_CHANNEL = "athena", "athena_live"
POLL_SECONDS = 0.25
"""The maximum interval between two reads of the head, because notifications may be lost."""
SEND = "SELECT pg_notify(%s, sent) FROM unnest(%s::text[]) WITH ORDINALITY AS texts (sent, place) ORDER BY place"


class PostgresCommitNotifier:
    """Waits for the notification of a commit, or ``POLL_SECONDS``."""

    def __init__(self, url: str, own: Callable[[], int | None]) -> None:
        """Connect at the first pause. ``own`` returns the session of this process's writer, to ignore its commits."""
        self._url = url
        self._own = own
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def pause(self, *, found: bool) -> None:
        """Wait for a commit of another process, or a quarter of a second.

        Wait on the socket directly: if its own wait is cancelled, the driver sends a cancel request to the server.
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
        """Read pending notifications. Return True if all come from this process."""
        server.consume_input()
        senders = set()
        while notify := server.notifies():
            senders.add(notify.be_pid)
        return senders <= {self._own()}

    async def _listening(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(conninfo(self._url), autocommit=True)
            await self._connection.execute(f"LISTEN {CHANNEL}")
        return self._connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


class PostgresChannel:
    """A channel of notifications that carry texts. Uses one session to send and one to listen."""

    def __init__(self, url: str) -> None:
        """Connect at the first use."""
        self._where = conninfo(url)
        self._sender: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._ours: int | None = None
        self._listener: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def send(self, texts: Sequence[str]) -> None:
        """Send texts to the other processes, in order. Raise StoreUnreachable."""
        with connection_errors():
            if self._sender is None or self._sender.closed:
                self._sender = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                ((self._ours,),) = await (await self._sender.execute("SELECT pg_backend_pid()")).fetchall()
            await self._sender.execute(SEND, (LIVE_CHANNEL, list(texts)))

    async def receive(self) -> list[str]:
        """Wait for texts from other processes. Raise StoreUnreachable."""
        with connection_errors():
            if self._listener is None or self._listener.closed:
                self._listener = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                await self._listener.execute(f"LISTEN {LIVE_CHANNEL}")
            received = [sent async for sent in self._listener.notifies(stop_after=1)]  # includes all pending ones
        return [sent.payload for sent in received if sent.pid != self._ours]

    async def close(self) -> None:
        for connection in (self._sender, self._listener):
            if connection is not None:
                with suppress(psycopg.Error):
                    await connection.close()
