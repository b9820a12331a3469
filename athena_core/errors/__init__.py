"""Errors by family: a stable code, a message for people, details for programs, but no HTTP status.

What lives here: the families (``families.py``), the errors by code (``codes.py``; ``agents.py`` for outside agents,
``mcp.py`` for MCP servers), and the way back from a recorded code (``recorded.py``). What may not: texts for one
caller. Other modules import this package, not its modules. Read first: ``families.py``.
"""

from athena_core.errors.agents import *  # noqa: F403
from athena_core.errors.codes import *  # noqa: F403
from athena_core.errors.families import *  # noqa: F403
from athena_core.errors.mcp import *  # noqa: F403
from athena_core.errors.recorded import *  # noqa: F403
