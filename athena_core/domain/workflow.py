"""The workflow: an immutable graph of steps and their dependencies."""

from typing import Annotated, ClassVar

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.definitions.workflow_graph import WorkflowDefinition, WorkflowGraph
from athena_core.event import EXTRA, TEXT, Event, Shows, Value
from athena_core.values import PinnedScope

# Stored events. Their TYPE is storage: never rename one.


class WorkflowCreated(Event):
    """A workflow was created. Its steps run on behalf of ``created_by``. ``metadata`` is keyed by step id."""

    TYPE: ClassVar[str] = "workflow.created"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workflow_id: str
    step_count: int
    dependency_count: int
    created_by: str
    definition: WorkflowDefinition
    scope: Annotated[PinnedScope | None, EXTRA] = None
    metadata: Annotated[dict[str, dict[str, str]] | None, TEXT] = None


# State


class WorkflowState(Value):
    """The graph of a workflow; None before it is created. Its metadata is text, so it is not here."""

    graph: WorkflowGraph | None = None
    created_by: str = ""
    scope: PinnedScope | None = None


def evolve(state: WorkflowState, event: Event) -> WorkflowState:
    match event:
        case WorkflowCreated():
            return WorkflowState(graph=WorkflowGraph(event.definition), created_by=event.created_by, scope=event.scope)
        case _:
            return state


# Commands


class CreateWorkflow(Value):
    """Create a workflow under a new id. The definition is already checked."""

    workflow_id: str
    definition: WorkflowDefinition
    by: str
    scope: PinnedScope | None = None


def decide(command: CreateWorkflow, state: WorkflowState, context: Context) -> tuple[Event, ...]:
    if state.graph is not None:
        return ()
    definition, metadata = without_texts(command.definition)
    return (
        WorkflowCreated(
            workflow_id=command.workflow_id,
            step_count=len(definition.steps),
            dependency_count=len(definition.dependencies),
            created_by=command.by,
            definition=definition,
            scope=command.scope,
            metadata=metadata or None,
        ),
    )


def without_texts(definition: WorkflowDefinition) -> tuple[WorkflowDefinition, dict[str, dict[str, str]]]:
    """Return a definition without its metadata, and the metadata of each step by its id."""
    metadata: dict[str, dict[str, str]] = {}
    steps = []
    for step in definition.steps:
        if step.execution is not None and step.execution.metadata:
            metadata[step.id] = step.execution.metadata
            step = replace(step, execution=replace(step.execution, metadata=None))  # noqa: PLW2901
        steps.append(step)
    return replace(definition, steps=tuple(steps)), metadata


DECIDER: Decider[WorkflowState] = Decider(
    category="wf", events=(WorkflowCreated,), initial=WorkflowState(), evolve=evolve
)
