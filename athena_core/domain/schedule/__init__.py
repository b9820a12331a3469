"""The schedule: a rule that says when something runs, and what became of each of its slots.

What lives here: what is stored (``events.py``), what follows from it and what it occupies (``state.py``), what may be
asked for and what is decided (``commands.py``). What may not: another room. Other modules import from this door only.
Read first: ``events.py``.
"""

from athena_core.domain.schedule.commands import *  # noqa: F403
from athena_core.domain.schedule.events import *  # noqa: F403
from athena_core.domain.schedule.state import *  # noqa: F403
