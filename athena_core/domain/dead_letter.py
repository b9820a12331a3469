"""The dead letter: work that could not be done, until it is either requeued or discarded."""

from typing import Annotated, ClassVar, Literal

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.enums import DeadLetterReason, DeadLetterSource, DeadLetterStatus, QueueMode
from athena_core.errors import Contradicted, NotFound
from athena_core.event import EXTRA, TEXT, Event, Shows, Text, Value, says
from athena_core.values import PinnedScope


class LetterItem(Value):
    """A work item in a dead letter."""

    item_id: str
    mode: Annotated[QueueMode, says("`followup`: a run of its own. `collect`: consecutive items share one run.")]
    chars: int


class DeadLetterAttempt(Value):
    """A failed run of the work: its id, time (ISO-8601) and error code."""

    run_id: str
    at: Annotated[str, says("When it failed.")]
    code: str


# Stored events. Their TYPE is storage: never rename one.


class DeadLetterAdded(Event):
    """Work could not be done. ``retry_count`` counts its requeues. ``payload`` is a JSON object.

    ``previous_id`` is the dead letter that the work was requeued from. ``attempt_errors`` has one text for each of the
    ``attempts``.
    """

    TYPE: ClassVar[str] = "a2a.dlq.added"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(console=True)
    id: str
    source: Annotated[DeadLetterSource, says("`work`: a queue item. `a2a`: a message.")]
    session_id: str
    reason: Annotated[DeadLetterReason, says("Why it could not be done.")]
    code: str
    retry_count: int
    items: tuple[LetterItem, ...]
    attempts: tuple[DeadLetterAttempt, ...]
    message_id: str | None = None
    source_persona: str | None = None
    target_persona: str | None = None
    previous_id: str | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None
    payload: Text = None
    error_text: Text = None
    attempt_errors: Annotated[tuple[str, ...] | None, TEXT] = None


class DeadLetterRequeued(Event):
    """The work was put back into its queue, as new items or as a new message."""

    TYPE: ClassVar[str] = "a2a.dlq.requeued"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    BEGINS: ClassVar[bool] = True
    id: str
    retry_count: int
    item_ids: tuple[str, ...]
    message_id: str | None = None


class DeadLetterDiscarded(Event):
    """The dead letter was discarded; its work will not be done."""

    TYPE: ClassVar[str] = "a2a.dlq.discarded"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    note: Text = None


class DeadLetterRestored(Event):
    """The dead letter was restored after it had been discarded."""

    TYPE: ClassVar[str] = "a2a.dlq.restored"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    id: str
    note: Text = None


# State


class DeadLetterState(Value):
    """The decision about a dead letter. ``status`` is empty if the letter does not exist."""

    status: DeadLetterStatus | Literal[""] = ""
    retry_count: int = 0
    added: DeadLetterAdded | None = None


def evolve(state: DeadLetterState, event: Event) -> DeadLetterState:
    match event:
        case DeadLetterAdded():
            return DeadLetterState(status="pending", retry_count=event.retry_count, added=_without_text(event))
        case DeadLetterRequeued():
            return replace(state, status="requeued", retry_count=event.retry_count)
        case DeadLetterDiscarded():
            return replace(state, status="discarded")
        case DeadLetterRestored():
            return replace(state, status="pending")
        case _:
            return state


def _without_text(added: DeadLetterAdded) -> DeadLetterAdded:
    return replace(added, payload=None, error_text=None, attempt_errors=None)


# Commands


class AddDeadLetter(Value):
    """Keep work that could not be done."""

    letter: DeadLetterAdded


class RequeueDeadLetter(Value):
    """Put the work back under new ids."""

    id: str
    item_ids: tuple[str, ...]
    message_id: str | None = None


class DiscardDeadLetter(Value):
    """Discard a dead letter."""

    id: str
    audit_note: str | None = None


class RestoreDeadLetter(Value):
    """Restore a discarded dead letter."""

    id: str
    audit_note: str | None = None


DeadLetterCommand = AddDeadLetter | RequeueDeadLetter | DiscardDeadLetter | RestoreDeadLetter


def decide(command: DeadLetterCommand, state: DeadLetterState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it was already done. Raise NotFound or Contradicted."""
    if isinstance(command, AddDeadLetter):
        return () if state.status else (command.letter,)
    if not state.status:
        raise NotFound(f"no dead letter {command.id!r} exists")
    match command:
        case RequeueDeadLetter():
            if state.status == "discarded":
                raise _contradicted(command.id, state, "restore it, then requeue it")
            if state.status == "requeued":
                return ()
            return (
                DeadLetterRequeued(
                    id=command.id,
                    retry_count=state.retry_count + 1,
                    item_ids=command.item_ids,
                    message_id=command.message_id,
                ),
            )
        case DiscardDeadLetter():
            if state.status == "requeued":
                raise _contradicted(command.id, state, "its work is back in the queue")
            return () if state.status == "discarded" else (DeadLetterDiscarded(id=command.id, note=command.audit_note),)
        case RestoreDeadLetter():
            if state.status == "requeued":
                raise _contradicted(command.id, state, "its work is back in the queue")
            return () if state.status == "pending" else (DeadLetterRestored(id=command.id, note=command.audit_note),)


def _contradicted(letter_id: str, state: DeadLetterState, why: str) -> Contradicted:
    return Contradicted(f"{letter_id} is already {state.status}: {why}", {"id": letter_id, "status": state.status})


DECIDER: Decider[DeadLetterState] = Decider(
    category="dlq",
    events=(DeadLetterAdded, DeadLetterRequeued, DeadLetterDiscarded, DeadLetterRestored),
    initial=DeadLetterState(),
    evolve=evolve,
)
