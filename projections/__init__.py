"""The read models: views for clients, folded from the log, which can be deleted and rebuilt at any time.

What lives here: one file per read model, and ``<noun>_rows.py`` beside it if tables and handlers need a file of their
own; the machinery is in ``engine``. What may not: anything of the core but events, values, errors and protocols; read
models do not import each other. Read first: ``engine/projection.py``, then ``directives.py``.
"""

from projections.anchors import ANCHORS
from projections.ask_rows import ASKS
from projections.audit import AUDIT
from projections.dead_letters import DEAD_LETTERS
from projections.directives import DIRECTIVES
from projections.engine.projection import Projection, joined
from projections.evidence import EVIDENCES
from projections.feed import FEED
from projections.fleet_rows import FLEET
from projections.ids import IDS
from projections.memory import MEMORY
from projections.messages import MESSAGES
from projections.names import NAMES
from projections.permission_rules import PERMISSION_RULES
from projections.policy import POLICY
from projections.profiles import PROFILES
from projections.queues import QUEUES
from projections.redrives import REDRIVES
from projections.reviews import REVIEWS
from projections.run_rows import RUNS
from projections.schedule_rows import SCHEDULES
from projections.sessions import SESSIONS
from projections.templates import TEMPLATES
from projections.tokens import TOKENS
from projections.workflow_rows import WORKFLOWS
from projections.workspaces import WORKSPACES

CATALOG = joined(DIRECTIVES, PROFILES)

ALL: tuple[Projection, ...] = (
    *(RUNS, SESSIONS, EVIDENCES, CATALOG, TEMPLATES, WORKFLOWS, QUEUES, DEAD_LETTERS),
    *(
        MESSAGES,
        REDRIVES,
        MEMORY,
        REVIEWS,
        POLICY,
        SCHEDULES,
        ANCHORS,
        ASKS,
        PERMISSION_RULES,
        TOKENS,
        WORKSPACES,
        AUDIT,
        FLEET,
        IDS,
        NAMES,
        FEED,
    ),
)
"""All read models."""
