"""Rules of things that are created once: sessions, directives, profiles, workflows, templates, notes, kept anchors."""

from athena_core.domain import anchor, directive, memory, profile, session, template, workflow, workflow_run
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


class AnchorRules(RuleSet):
    """The anchors of other logs; these rules need no state."""

    @rule(*anchor.DECIDER.events)
    def anchors(self, row: Row, event: Event) -> str | None:
        """An anchor is the first event of the stream of its log and position; conflicts with it follow."""
        assert isinstance(event, anchor.AnchorKept | anchor.AnchorConflicted)
        stream = anchor.stream_of(event.log_id, event.position)
        if row.stream != stream:
            return f"{row.type} of {stream} is in stream {row.stream}"
        legal = (row.version == 1) == isinstance(event, anchor.AnchorKept)
        return None if legal else f"{row.type} is event {row.version} of {stream}; only event 1 is an anchor.kept"
