"""States: reading a stream outside of a transaction, in one of two ways.

``at_head`` asks the writer, which keeps states in memory: for streams that grow long, such as a queue. It waits for a
batch. ``committed`` folds the stored events: for short streams, such as a run.
"""

from collections.abc import Callable
from typing import TypeVar

from athena_core.decider import Context, Decider, Outcome, Reader, fold
from athena_core.event import Meta
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log

S = TypeVar("S")
T = TypeVar("T")

META = Meta(actor="system:reader", correlation="")
"""Never recorded, because reading appends no events."""


async def at_head(log: Log, read: Callable[[Reader], T]) -> T:
    """Return the result of ``read`` at the head of the log. Raise AthenaError if the log is unavailable."""

    def transaction(reader: Reader, context: Context) -> Outcome[T]:
        return Outcome(answer=read(reader))

    return (await log.submit(transaction, META)).answer


def committed(log: Log, reader: StoreReader, decider: Decider[S], stream: str) -> S:
    """Return the state of a stream as committed, without its text."""
    return fold(decider, (log.codec.decode(row, text=False).event for row in reader.stream(stream)))
