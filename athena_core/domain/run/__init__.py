"""The run: one execution of a directive in a session, from its request to its one terminal event.

What lives here: what is stored (``events.py``), what follows from it and what it occupies (``state.py``), what may be
asked for and what is decided (``commands.py``). What may not: another room. Other modules import from this door only.
Read first: ``events.py``.
"""

from athena_core.domain.run.commands import *  # noqa: F403
from athena_core.domain.run.events import *  # noqa: F403
from athena_core.domain.run.state import *  # noqa: F403
