"""The schedule: the definition of when something runs, and the result of each of its slots.

What lives here: events (``events.py``), the state and what it occupies (``state.py``), commands and decisions
(``commands.py``). What may not: other rooms. Other modules import this package, not its modules. Read first:
``events.py``.
"""

from athena_core.domain.schedule.commands import *  # noqa: F403
from athena_core.domain.schedule.events import *  # noqa: F403
from athena_core.domain.schedule.state import *  # noqa: F403
