"""Rules of things that are created once: sessions, directives, profiles, workflows, templates, memory entries."""

from athena_core.domain import directive, memory, profile, session, template, workflow, workflow_run
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule

CREATED: tuple[type[Event], ...] = (
    session.SessionCreated,
    directive.DirectiveCreated,
    profile.HarnessProfileCreated,
    workflow.WorkflowCreated,
    workflow_run.WorkflowRunCreated,
    template.RunTemplateCreated,
    memory.MemoryRecorded,
)


class CatalogRules(RuleSet):
    """The versions of run templates; the other nouns need only the versions of their streams."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}

    @rule(*CREATED)
    def created(self, row: Row, event: Event) -> str | None:
        """A created event is the first event of its stream."""
        return None if row.version == 1 else f"{row.type} of {row.stream}, which already existed"

    @rule(template.RunTemplateCreated, template.RunTemplateUpdated)
    def templates(self, row: Row, event: template.RunTemplateCreated | template.RunTemplateUpdated) -> str | None:
        """The versions of a run template are 1, 2, 3 and so on."""
        due = self._versions.get(row.stream, 0) + 1
        return None if event.version == due else f"{row.stream} has version {event.version}; expected {due}"

    @follow(template.RunTemplateCreated, template.RunTemplateUpdated)
    def advance(self, row: Row, event: template.RunTemplateCreated | template.RunTemplateUpdated) -> None:
        """Apply a version."""
        self._versions[row.stream] = event.version
