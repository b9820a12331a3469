"""The directive: the immutable input of a task, with its references."""

from typing import Annotated, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.event import TEXT, Event, Shows, Text, Value
from athena_core.values import CONTEXT_REFS_MAX, Body, Label, LongText, Metadata

# Stored events. Their TYPE is storage: never rename one.


class DirectiveCreated(Event):
    """A directive was created. With ``shadow`` it was created for a run with plain input."""

    TYPE: ClassVar[str] = "directive.created"
    SHOWS: ClassVar[Shows] = Shows()
    directive_id: str
    has_context_refs: bool
    has_metadata: bool
    shadow: bool | None = None
    input: Text = None
    context_refs: Annotated[tuple[str, ...] | None, TEXT] = None
    metadata: Annotated[dict[str, str] | None, TEXT] = None


# State


class DirectiveState(Value):
    """The existence of a directive."""

    exists: bool = False


def evolve(state: DirectiveState, event: Event) -> DirectiveState:
    match event:
        case DirectiveCreated():
            return DirectiveState(exists=True)
        case _:
            return state


# Commands


READABLE = r"^(?:file:(?!/)|memory:)(?!\s*$)(?!(?:[^#]*/)?\.\.(?:[/#]|$))[^#\x00]+(?:#L[0-9]{1,9}(?:-L?[0-9]{1,9})?)?$"
"""The references that ``check_references`` accepts, as the API document says it."""
ContextRef = Annotated[Label, msgspec.Meta(extra_json_schema={"pattern": READABLE})]


class DirectiveSpec(Body):
    """A directive as a client writes it."""

    input: LongText
    context_refs: Annotated[tuple[ContextRef, ...], msgspec.Meta(max_length=CONTEXT_REFS_MAX)] | None = None
    metadata: Metadata | None = None


class CreateDirective(Value):
    """Create a directive under a new id."""

    directive_id: str
    spec: DirectiveSpec
    shadow: bool = False


def decide(command: CreateDirective, state: DirectiveState, context: Context) -> tuple[Event, ...]:
    if state.exists:
        return ()
    return (
        DirectiveCreated(
            directive_id=command.directive_id,
            has_context_refs=bool(command.spec.context_refs),
            has_metadata=bool(command.spec.metadata),
            shadow=command.shadow or None,
            input=command.spec.input,
            context_refs=command.spec.context_refs or None,
            metadata=command.spec.metadata or None,
        ),
    )


DECIDER: Decider[DirectiveState] = Decider(
    category="dir",
    events=(DirectiveCreated,),
    initial=DirectiveState(),
    evolve=evolve,
    over=lambda state: state.exists,  # it never changes
)
