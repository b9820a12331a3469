"""Raising asks: the transaction that records steps of a run which ask a person."""

from msgspec.structs import replace

from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import run
from athena_core.errors import AskLimit
from athena_core.event import Event
from athena_core.services.asks.rules import without_revoked
from athena_core.services.runs.admission import apply_command
from athena_core.services.runs.prepared import ExecutorCapacity

ASKS_OPEN_MAX = 100_000
"""The most asks of all runs that may be open."""


def raise_asks(
    reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str, command: run.RecordStep
) -> Outcome[Event | None]:
    """Record steps with asks, and the answers of permission rules to them. Raise AskLimit if too many asks are open.

    An answer by a rule that was revoked meanwhile is left out, so its ask stays open. The answer is the one of
    ``apply_command``.
    """
    steps = without_revoked(reader, context, command.steps)
    raised = sum(isinstance(step, run.RunAsked) for step in steps)
    answered = sum(isinstance(step, run.RunAnswered) for step in steps)
    if len(reader.guards("ask")) + raised - answered > ASKS_OPEN_MAX:
        raise AskLimit(f"{ASKS_OPEN_MAX} asks of all runs are open. Answer some of them, then start the run again.")
    return apply_command(reader, context, capacity, run_id, replace(command, steps=steps))
