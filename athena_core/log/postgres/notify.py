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
"""The interval at which the head is read in any case: a notification is only a hint."""
SEND = "SELECT pg_notify(%s, sent) FROM unnest(%s::text[]) WITH ORDINALITY AS texts (sent, place) ORDER BY place"


class PostgresCommitNotifier:
    """Listens for the notification of a commit, and rings from time to time in any case."""

    def __init__(self, url: str, own: Callable[[], int | None]) -> None:
        """Connect at the first pause; ``own`` returns the session whose commits are known here already."""
        self._url = url
        self._own = own
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def pause(self, *, found: bool) -> None:
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
        """Take the notifications. Return True if this process alone sent them."""
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
        """Stop listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


class PostgresChannel:
    """Notifications that carry texts: one session sends, another one listens."""

    def __init__(self, url: str) -> None:
        """Connect by need."""
        self._where = conninfo(url)
        self._sender: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._ours: int | None = None
        self._listener: psycopg.AsyncConnection[tuple[Any, ...]] | None = None

    async def send(self, texts: Sequence[str]) -> None:
        """Send texts to the others, in order. Raise StoreUnreachable."""
        with connection_errors():
            if self._sender is None or self._sender.closed:
                self._sender = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                ((self._ours,),) = await (await self._sender.execute("SELECT pg_backend_pid()")).fetchall()
            await self._sender.execute(SEND, (LIVE_CHANNEL, list(texts)))

    async def receive(self) -> list[str]:
        """Wait for texts of others. Raise StoreUnreachable."""
        with connection_errors():
            if self._listener is None or self._listener.closed:
                self._listener = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
                await self._listener.execute(f"LISTEN {LIVE_CHANNEL}")
            received = [sent async for sent in self._listener.notifies(stop_after=1)]  # with it comes all that is there
        return [sent.payload for sent in received if sent.pid != self._ours]

    async def close(self) -> None:
        """Close both sessions."""
        for connection in (self._sender, self._listener):
            if connection is not None:
                with suppress(psycopg.Error):
                    await connection.close()
