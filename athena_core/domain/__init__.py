"""The rules of the domain, one room per noun, pure: values in, values out.

What lives here: in each room, in this order, stored events, states, ``evolve``, commands and ``decide``. A long room is
a folder of ``events.py``, ``state.py`` and ``commands.py``. What may not: I/O, clocks, randomness, threads, and imports
of other rooms. Read first: ``directive.py``.
"""

from typing import Any

from athena_core.decider import Decider
from athena_core.domain import (
    anchor,
    bulk_request,
    dead_letter,
    directive,
    halt,
    mcp_server,
    memory,
    message,
    permission_rule,
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
    token,
    workflow,
    workflow_run,
    workspace,
)
from athena_core.event import Event

DECIDERS: tuple[Decider[Any], ...] = (  # one for each category of streams
    run.DECIDER,
    session.DECIDER,
    directive.DECIDER,
    profile.DECIDER,
    permission_rule.DECIDER,
    token.DECIDER,
    workspace.DECIDER,
    mcp_server.DECIDER,
    template.DECIDER,
    workflow.DECIDER,
    workflow_run.DECIDER,
    policy.DECIDER,
    halt.DECIDER,
    schedule.DECIDER,
    queue.DECIDER,
    dead_letter.DECIDER,
    message.DECIDER,
    memory.DECIDER,
    redrive.DECIDER,
    bulk_request.DECIDER,
    review.DECIDER,
    anchor.DECIDER,
    plane.DECIDER,
)

EVENTS: tuple[type[Event], ...] = tuple(event for decider in DECIDERS for event in decider.events)
"""All event types that this release may store."""
