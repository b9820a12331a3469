"""Submissions: transactions that wait for the writer, and the delivery of their results."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Generic, NamedTuple

from athena_core.decider import A, Key, Transaction
from athena_core.event import Meta, Position, Value
from athena_core.protocols import Row


class Submission(NamedTuple):
    """A waiting transaction. ``fresh`` names streams that cannot exist yet; ``loop`` is None if a thread waits.

    ``answers`` is the type to decode the stored answer of a repeated key.
    """

    transaction: Transaction[Any]
    meta: Meta
    key: Key | None
    fresh: frozenset[str]
    loop: asyncio.AbstractEventLoop | None
    future: Any
    answers: Any = Any


class CommitNotice(NamedTuple):
    """A finished commit of this process: number, head after it, and rows (empty: read them from the log)."""

    commit: int
    head: Position
    rows: Sequence[Row]


class CommitSubscriber(NamedTuple):
    """A callback for every commit of this process. Runs in its event loop after all results are delivered there."""

    loop: asyncio.AbstractEventLoop
    on_commit: Callable[[CommitNotice], None]


class Committed(Value, Generic[A]):
    """The result of a transaction: last position, decision time, answer, and whether a repeated key replayed it.

    A replayed answer has the same type as the first one, but ``handover`` is None.
    """

    position: Position
    at: int
    subject: str | None = None
    answer: A = None  # type: ignore[assignment]
    replayed: bool = False
    handover: object = None


SubmissionResult = Committed[Any] | BaseException


def resolve(
    results: Sequence[tuple[Submission, object]],
    subscriber: CommitSubscriber | None = None,
    notice: CommitNotice | None = None,
) -> None:
    """Deliver the results: to threads directly, to each event loop with one call. Then call the subscriber."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Submission, object]]] = {}
    if subscriber is not None:
        loops[subscriber.loop] = []
    for job, result in results:
        if job.loop is not None:
            loops.setdefault(job.loop, []).append((job, result))
        elif isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
    for loop, jobs in loops.items():
        with suppress(RuntimeError):  # the loop is closed, so nothing waits there
            after = partial(subscriber.on_commit, notice) if subscriber and notice and subscriber.loop is loop else None
            loop.call_soon_threadsafe(_resolve, jobs, after)


def _resolve(jobs: list[tuple[Submission, object]], after: Callable[[], None] | None) -> None:
    for job, result in jobs:
        if job.future.done():
            continue
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
    if after is not None:
        asyncio.get_running_loop().call_soon(after)  # after the waiting callers, which are scheduled first
