"""The workflow run: one execution of a workflow, with the progress of each step.

What lives here: events (``events.py``), the state and what it occupies (``state.py``), commands and decisions
(``commands.py``). What may not: other rooms. Other modules import this package, not its modules. Read first:
``events.py``.
"""

from athena_core.domain.workflow_run.commands import *  # noqa: F403
from athena_core.domain.workflow_run.events import *  # noqa: F403
from athena_core.domain.workflow_run.state import *  # noqa: F403
