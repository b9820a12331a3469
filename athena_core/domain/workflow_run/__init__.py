"""The workflow run: one traversal of a workflow, whose state is how far each step is.

What lives here: what is stored (``events.py``), what follows from it and what it occupies (``state.py``), what may be
asked for and what is decided (``commands.py``). What may not: another room. Other modules import from this door only.
Read first: ``events.py``.
"""

from athena_core.domain.workflow_run.commands import *  # noqa: F403
from athena_core.domain.workflow_run.events import *  # noqa: F403
from athena_core.domain.workflow_run.state import *  # noqa: F403
