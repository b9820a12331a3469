"""The client: one method for each operation, and runs, handles and events on top."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from athena_client import models
from athena_client._async.core import AsyncStream
from athena_client._async.operations import AsyncOperations
from athena_client._async.runs import AsyncRunHandle, RunOptions
from athena_client.errors import AthenaError

if TYPE_CHECKING:
    from athena_client.events import Event, EventType


class AsyncAthena(AsyncOperations):
    """A client of a control plane: a method for each operation, and ``run``, ``start``, ``follow`` and ``events``.

    ``AsyncAthena("https://athena.example", token=token)`` connects at the first call. Use it as a context manager, or
    call ``aclose``. ``timeout`` is the longest silence of the server and ``deadline`` the time for the attempts of
    a call, in seconds. ``AsyncCore`` describes all arguments.
    """

    async def run(self, input: str | None = None, **options: Unpack[RunOptions]) -> models.RunResult:
        """Start a run, wait for its end, and return its result.

        Raise AthenaError with the error that ended the run; its ``run_id`` is the run. ``RUN_PAUSED`` means that the
        run waits for a budget: resume it with ``resume_run``.
        """
        answer = await self.create_run(input=input, **options)
        if isinstance(answer, models.RunResult):
            return answer
        raise AthenaError(
            "RUN_PAUSED",
            f"Run {answer.run_id} is {answer.status}. Resume it with another budget, or cancel it.",
            status=202,
            details={"runId": answer.run_id},
            request="POST /api/v1/runs",
        )

    async def start(self, input: str | None = None, **options: Unpack[RunOptions]) -> AsyncRunHandle:
        """Start a run and return its handle at once. Raise AthenaError if the run is refused."""
        run = await self.create_run(input=input, respond_async=True, **options)
        return AsyncRunHandle(self, run.run_id)

    def follow(self, run_id: str) -> AsyncRunHandle:
        """Return the handle of a run that was started before, without a request."""
        return AsyncRunHandle(self, run_id)

    def events(
        self,
        *,
        after: str | None = None,
        types: "Sequence[EventType] | None" = None,
        session_id: str | None = None,
        run_id: str | None = None,
    ) -> "AsyncStream[Event]":
        """Return the recorded events, each once and in order, first the old ones and then live. It never ends.

        ``after`` is the id of the last event that you have processed, ``latest``, or an ISO-8601 time; without it, all
        events come. To resume exactly after a restart of your program, store ``event.id`` together with the effects of
        the event, and pass it here. Types that this client does not know come as ``UnknownEvent``.

        Raise AthenaError, for example with ``CURSOR_FOREIGN`` if ``after`` belongs to another log.
        """
        return self.stream_events(after=after, types=types, session_id=session_id, run_id=run_id)
