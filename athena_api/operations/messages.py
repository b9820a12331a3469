"""Operations on messages to personas: send and read them."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply, existing
from athena_core.enums import MessageStatus
from athena_core.event import Value
from athena_core.services.queues.messages import MessageBody
from athena_core.values import Label
from projections import messages
from projections.engine.page import Page

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class MessagesQuery(Value):
    """Filters of messages."""

    from_persona: Label | None = None
    to_persona: Label | None = None
    status: MessageStatus | None = None


async def send_a2a_message(plane: "ControlPlane", call: ApiCall[MessageBody, NoQuery]) -> Reply:
    """Send a message to a persona. Its session's queue is drained automatically."""
    done = await plane.messages.send(call.body, call.who, call.meta, call.key)
    message_id = done.subject or ""
    message, position = await plane.read(
        ("messages",), done.position, lambda rows: messages.message_by_id(rows, message_id)
    )
    return Reply(data=message, position=position, replayed=done.replayed)


async def list_a2a_messages(plane: "ControlPlane", call: ApiCall[NoBody, MessagesQuery]) -> Reply:
    """List messages between personas, newest first."""
    query = call.query
    page, position = await plane.query(
        ("messages",),
        lambda rows: messages.list_messages(
            rows,
            from_persona=query.from_persona,
            to_persona=query.to_persona,
            status=query.status,
            cursor=call.cursor,
            limit=call.limit,
        ),
    )
    return Reply(data=page, position=position)


async def get_a2a_message(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """Get a message."""
    message_id = call.path["messageId"]
    message, position = await plane.query(("messages",), lambda rows: messages.message_by_id(rows, message_id))
    return Reply(data=existing(message, "message", message_id), position=position)


row = Noun("a2a", reads=("messages",), word="messages").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "a2a.messages.send",
        "POST /a2a/messages",
        send_a2a_message,
        answer=messages.Message,
        errors=("CONTEXT_OVERFLOW", "WORK_QUEUE_FULL"),
    ),
    row("a2a.messages.list", "GET /a2a/messages", list_a2a_messages, answer=Page[messages.Message], paging="cursor"),
    row("a2a.messages.get", "GET /a2a/messages/:messageId", get_a2a_message, answer=messages.Message),
)
