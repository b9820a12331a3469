"""Raising asks: the transactions that record steps of a run which ask a person, and park it until the answers."""

from msgspec.structs import replace

from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import halt, run
from athena_core.errors import AskLimit
from athena_core.event import Event
from athena_core.services.asks.rules import without_revoked
from athena_core.services.runs.admission import RunTransaction, apply_command
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


def park(
    reader: Reader, context: Context, capacity: ExecutorCapacity, run_id: str, command: run.PauseRun
) -> Outcome[Event | None]:
    """Park a run that asks a person. One that was answered during a halt waits in line until the halt is lifted.

    The answer is as in ``apply_command``, None if there is nothing to wait for.
    """
    transaction = RunTransaction(reader, context, capacity)
    events = transaction.decide(run_id, replace(command, halted=halt.current(reader) is not None))
    transaction.carry_on(run_id)
    transaction.admit_waiting()
    return Outcome(facts=tuple(transaction.facts), subject=run_id, answer=events[-1] if events else None)
