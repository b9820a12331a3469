"""The message: work that one agent sends to another, and its delivery."""

from typing import Annotated, ClassVar, Literal

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.enums import MessageStatus
from athena_core.event import EXTRA, Event, Guard, Recorded, Shows, Text, Value, says

# Stored events. Their TYPE is storage: never rename one.


class MessageEvent(Event):
    """The common fields of message events. The sender's run and task are beside the payload."""

    message_id: str
    from_agent: str
    to_agent: str
    step_id: str | None = None
    task_id: Annotated[str | None, EXTRA] = None
    parent_run_id: Annotated[str | None, EXTRA] = None


class MessageSent(MessageEvent, kw_only=True):
    """A message was accepted and, within the hop limit, queued. ``hops`` is the number of messages that led to it."""

    TYPE: ClassVar[str] = "a2a.message.sent"
    SHOWS: ClassVar[Shows] = Shows()
    status: Literal["sent"]
    hops: int
    sent_by: str
    item_id: str | None = None
    dead_letter_id: str | None = None
    payload: Text = None


class MessageStarted(MessageEvent, kw_only=True):
    """A run started to work on the message."""

    TYPE: ClassVar[str] = "a2a.message.started"
    SHOWS: ClassVar[Shows] = Shows()
    status: Literal["started"]
    attempt: int


class MessageCompleted(MessageEvent, kw_only=True):
    """The run of the message completed."""

    TYPE: ClassVar[str] = "a2a.message.completed"
    SHOWS: ClassVar[Shows] = Shows()
    status: Literal["completed"]


class MessageFailed(MessageEvent, kw_only=True):
    """The message could not be delivered and became a dead letter."""

    TYPE: ClassVar[str] = "a2a.message.failed"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(console=True)
    status: Literal["failed"]
    reason: Annotated[str, says("Why it could not be delivered.")]
    code: str
    dead_letter_id: str
    error_text: Text = None


# State


class MessageState(Value):
    """The delivery state of a message. ``status`` is empty before the message is sent."""

    status: Literal["", MessageStatus] = ""
    sent: MessageSent | None = None

    @property
    def open(self) -> bool:
        """True if the message is not delivered yet."""
        return self.status in {"sent", "started"}


def evolve(state: MessageState, event: Event) -> MessageState:
    match event:
        case MessageSent():
            return MessageState(status="sent", sent=replace(event, payload=None))
        case MessageStarted() | MessageCompleted() | MessageFailed():
            return replace(state, status=event.status)
        case _:
            return state


# Guards: ``message`` by id, with its session, until the message is delivered or has failed.


def _sent_guards(recorded: Recorded[MessageSent]) -> tuple[Guard, ...]:
    return (Guard(kind="message", key=recorded.event.message_id, value=(recorded.session_id or "",)),)


def _ended_guards(recorded: Recorded[MessageCompleted | MessageFailed]) -> tuple[Guard, ...]:
    return (Guard(kind="message", key=recorded.event.message_id, value=None),)


# Commands


class SendMessage(Value):
    """Accept a message."""

    sent: MessageSent


class StartMessage(Value):
    """Start to work on the message, for the ``attempt``-th time."""

    attempt: int


class CompleteMessage(Value):
    """Mark the message as delivered."""


class FailMessage(Value):
    """Mark the message as undeliverable."""

    reason: str
    code: str
    error: str
    dead_letter_id: str


MessageCommand = SendMessage | StartMessage | CompleteMessage | FailMessage


def decide(command: MessageCommand, state: MessageState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it came too late."""
    if isinstance(command, SendMessage):
        return () if state.status else (command.sent,)
    if not state.open or state.sent is None:
        return ()
    names = {name: getattr(state.sent, name) for name in MessageEvent.__struct_fields__}
    match command:
        case StartMessage():
            return (MessageStarted(status="started", attempt=command.attempt, **names),)
        case CompleteMessage():
            return (MessageCompleted(status="completed", **names),)
        case FailMessage():
            return (
                MessageFailed(
                    status="failed",
                    reason=command.reason,
                    code=command.code,
                    error_text=command.error,
                    dead_letter_id=command.dead_letter_id,
                    **names,
                ),
            )


DECIDER: Decider[MessageState] = Decider(
    category="msg",
    events=(MessageSent, MessageStarted, MessageCompleted, MessageFailed),
    initial=MessageState(),
    evolve=evolve,
    occupies={MessageSent: _sent_guards, MessageCompleted: _ended_guards, MessageFailed: _ended_guards},
)
