"""The read models: what clients see, folded from the log, disposable at any time.

What lives here: one file for each read model, and in ``engine`` what folds and reads them. What may not: anything of
the core but events, values, errors and protocols; read models do not know each other. Read first:
``engine/projection.py``, then ``catalog.py``.
"""

from athena_core.domain.memory import MemoryForgotten
from athena_core.domain.plane import SafetyViolation
from athena_core.domain.review import PersonaRunFailed
from athena_core.domain.run import PolicyConcurrencyRejected
from athena_core.domain.schedule import ScheduleTickExecuted
from athena_core.event import Event
from projections.anchors import ANCHORS
from projections.audit import AUDIT
from projections.catalog import CATALOG
from projections.dead_letters import DEAD_LETTERS
from projections.engine.projection import Projection
from projections.evidence import EVIDENCES
from projections.feed import FEED
from projections.fleet import FLEET
from projections.memory import MEMORY
from projections.messages import MESSAGES
from projections.policy import POLICY
from projections.queues import QUEUES
from projections.redrives import REDRIVES
from projections.reviews import REVIEWS
from projections.runs import RUNS
from projections.schedules import SCHEDULES
from projections.sessions import SESSIONS
from projections.templates import TEMPLATES
from projections.workflows import WORKFLOWS

ALL: tuple[Projection, ...] = (
    *(RUNS, SESSIONS, EVIDENCES, CATALOG, TEMPLATES, WORKFLOWS, QUEUES, DEAD_LETTERS),
    *(MESSAGES, REDRIVES, MEMORY, REVIEWS, POLICY, SCHEDULES, ANCHORS, AUDIT, FLEET, FEED),
)
"""Every read model."""

NOT_SHOWN: dict[type[Event], str] = {
    SafetyViolation: "derived from a denial or a refusal, which are shown",
    PolicyConcurrencyRejected: "policy.rejected, which follows it, says the same",
    PersonaRunFailed: "it never began, and whoever asked was told; the feed is where it is read",
    MemoryForgotten: "payload.redacted, which is recorded with it, takes the entry away",
    ScheduleTickExecuted: "what the slots did that it brought is in the logs of their schedules",
}
"""Events that no read model but the feed shows, and why."""
