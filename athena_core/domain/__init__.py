"""The rules, one room per noun, pure: values in, values out.

What lives here: stored events, states, ``evolve``, commands, ``decide``, in that order in each room; a long room is a
folder of ``events.py``, ``state.py`` and ``commands.py``. What may not: input and output, clocks, randomness, threads;
and rooms do not know each other. Read first: ``directive.py``.
"""

from typing import Any

from athena_core.decider import Decider
from athena_core.domain import (
    anchor,
    dead_letter,
    directive,
    memory,
    message,
    plane,
    policy,
    profile,
    queue,
    redrive,
    review,
    run,
    schedule,
    session,
    template,
    workflow,
    workflow_run,
)
from athena_core.event import Event

DECIDERS: tuple[Decider[Any], ...] = (  # every category of streams
    run.DECIDER,
    session.DECIDER,
    directive.DECIDER,
    profile.DECIDER,
    template.DECIDER,
    workflow.DECIDER,
    workflow_run.DECIDER,
    policy.DECIDER,
    schedule.DECIDER,
    queue.DECIDER,
    dead_letter.DECIDER,
    message.DECIDER,
    memory.DECIDER,
    redrive.DECIDER,
    review.DECIDER,
    anchor.DECIDER,
    plane.DECIDER,
)

EVENTS: tuple[type[Event], ...] = tuple(event for decider in DECIDERS for event in decider.events)
"""Every event type that this release may store."""
