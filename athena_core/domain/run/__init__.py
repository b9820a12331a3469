"""The run: one execution of a directive in a session, from its request to its one terminal event.

What lives here: events (``events.py``, ``attached.py``) and the values in them (``parts.py``), the state and what it
occupies (``state.py``), commands and decisions (``commands.py``). What may not: other rooms. Other modules import this
package, not its modules. Read first: ``events.py``.
"""

from athena_core.domain.run.attached import *  # noqa: F403
from athena_core.domain.run.commands import *  # noqa: F403
from athena_core.domain.run.events import *  # noqa: F403
from athena_core.domain.run.parts import *  # noqa: F403
from athena_core.domain.run.state import *  # noqa: F403
