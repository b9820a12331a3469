"""Runs: a handle that waits for a run, streams and cancels it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Literal, TypedDict

from athena_client import models
from athena_client._async.core import AsyncStream
from athena_client._async.operations import AsyncOperations
from athena_client.run_text import RunPart, RunText

WAIT_SECONDS = 30
OPEN = frozenset({"queued", "running"})
"""Statuses of a run that has neither ended nor is paused."""
TRANSCRIPT = "/sessions/{sessionId}/transcript"
ENTRIES = 500


class AsyncRunHandle:
    """A run on the server. Other programs may wait for it and stream it at the same time.

    Tasks may share a handle. Cancelling a task that waits or streams does not cancel the run.
    """

    def __init__(self, client: AsyncOperations, run_id: str) -> None:
        self._client = client
        self.id = run_id
        """Id of the run, ``run_…``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def get(self) -> models.Run:
        """Return the record of the run as it is now."""
        return await self._client.get_run(self.id)

    async def wait(self, timeout: float | None = None) -> models.Run:
        """Wait until the run ends or pauses, and return its record. Check its ``status``: a failed run has one, too.

        ``timeout`` is the time to wait in seconds; without it, wait as long as the run takes.

        Raise TimeoutError when it has passed, and AthenaError.
        """
        clock = self._client._clock
        until = None if timeout is None else clock.now() + timeout
        while True:
            left = WAIT_SECONDS if until is None else until - clock.now()
            run = await self._client.get_run(self.id, wait=max(min(WAIT_SECONDS, int(left)), 0))
            if run.status not in OPEN:
                return run
            if until is not None and clock.now() >= until:
                raise TimeoutError(f"run {self.id} is {run.status} after {timeout} seconds")
            if left < 1:  # the server waits whole seconds
                await clock.sleep(max(left, 0.0))

    async def stream(self) -> AsyncGenerator[RunPart, None]:
        """Yield the parts of the run from its beginning, live, and ``RunEnd`` when it ends or pauses.

        Each part comes once and in order, over all reconnections. The texts of the ``TextDelta`` since the last
        ``Message`` or ``TextReset`` add up to the text of the next ``Message``.

        Raise AthenaError.
        """
        run = await self.get()
        text = RunText(self.id)
        stream: AsyncStream[models.TranscriptEntry | models.TranscriptDelta] = self._client.stream(
            TRANSCRIPT + "/stream",
            models.TranscriptEntry,
            parameters={"sessionId": run.session_id},
            query={"after": run.created_at},
            transient=models.TranscriptDelta,
        )
        async with aclosing(stream.read()) as items:
            async for item in items:
                if item is None:  # the stream is open, or quiet
                    run = await self.get()
                    if run.status not in OPEN:
                        break
                elif isinstance(item.item, models.TranscriptEntry):
                    for part in text.take_entry(item.item):
                        yield part
                else:
                    for part in text.take_delta(item.item):
                        yield part
                    if item.item.settled and item.item.run_id == self.id:
                        break
        async with aclosing(self._entries(run, stream.cursor)) as entries:
            async for entry in entries:
                for part in text.take_entry(entry):
                    yield part
        for part in text.end(await self.get()):
            yield part

    async def _entries(self, run: models.Run, after: str | None) -> AsyncGenerator[models.TranscriptEntry, None]:
        """Yield the recorded entries of the session that follow a cursor, or all since the run began."""
        session = {"sessionId": run.session_id}
        if after is None:
            tail = self._client.pages(
                TRANSCRIPT, models.TranscriptEntry, parameters=session, query={"limit": ENTRIES}, cursor="after"
            )
            newest: list[models.TranscriptEntry] = [entry async for entry in tail]
            if not newest or newest[0].created_at < run.created_at:
                for entry in newest:
                    yield entry
                return
        pages = self._client.pages(
            TRANSCRIPT,
            models.TranscriptEntry,
            parameters=session,
            query={"limit": ENTRIES, "after": after or "0"},
            cursor="after",
        )
        async for entry in pages:
            yield entry

    async def cancel(self, reason: str | None = None) -> models.Cancelled:
        """Request the cancellation of the run. ``status`` of the answer is ``not-running`` if it has already ended.

        The run ends soon afterwards; ``wait`` for it.
        """
        return await self._client.cancel_run_by_run_id(self.id, reason=reason)


class RunOptions(TypedDict, total=False):
    """Options of a run.

    Either an input or ``directive_id`` is required. ``session_id`` continues a session. ``session_strategy`` says what
    happens if the session is busy: ``enqueue``, ``reject`` or ``interrupt``. ``idempotency_key`` identifies this call
    over restarts of the program; without it, the client makes one.
    """

    session_id: str
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    metadata: Mapping[str, str]
    session_strategy: Literal["enqueue", "interrupt", "reject"]
    parent_run_id: str
    idempotency_key: str
