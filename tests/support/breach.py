"""Breaches: logs that break one rule each, and the violations that a verification finds in them."""

from collections.abc import Callable
from typing import Any

from athena_core.event import Event, Guard, Position
from tests.support.events.run import BUDGETED, CREATED, LEASED, STARTED
from tests.support.forged_log import Forge, Plain

Step = Callable[[Forge], Any]
Breach = tuple[Step, str, Position | None, str]
"""What writes the log, and the rule, the position and words of its violation."""

BEGUN = (CREATED, LEASED, STARTED)


def wrote(*steps: Step | str | Event | Plain) -> Step:
    """Return a log. A text begins a command: it is a stream, and its events follow."""

    def writes(forge: Forge) -> None:
        command: list[Any] = []
        for step in (*steps, ""):
            if command[1:] and (isinstance(step, str) or callable(step)):
                forge.add(*command)
            if callable(step):
                step(forge)
            command = [step] if isinstance(step, str) else [] if callable(step) else [*command, step]

    return writes


def breach(name: str, rule: str, position: Position | None, words: str) -> Callable[..., Breach]:
    """Return a function of the steps that write the log."""

    def written(*steps: Step | str | Event | Plain) -> Breach:
        writes = wrote(*steps)
        writes.__name__ = name
        return writes, rule, position, words

    return written


def lived(*events: Event, begun: tuple[Event, ...] = BEGUN) -> Step:
    """Return the events of a started run, in one command."""
    return wrote("run_1", *begun, *events)


def budgeted(*events: Event) -> Step:
    return lived(*events, begun=(BUDGETED, LEASED, STARTED))


def sql(statement: str) -> Step:
    return lambda forge: forge.execute(statement)


def keyed(first: Position, last: Position, **key: str) -> Step:
    """Return the only key, of the command of some positions."""
    return lambda forge: setattr(forge, "keys", [forge.key(first, last, **key)])


def guarded(kind: str, key: str, value: Any, position: Position) -> Step:
    """Return a guard that no event implies."""

    def writes(forge: Forge) -> None:
        with forge.store.exclusive():
            forge.store.put_guards([(Guard(kind=kind, key=key, value=value), position)])

    return writes


def sets(**values: Any) -> Step:
    """Return a step that sets what the following events are written with."""
    return lambda forge: forge.__dict__.update(values)


def described(**meta: str) -> Step:
    return lambda forge: forge.meta.update(meta)
