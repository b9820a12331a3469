"""Rules of messages: each is sent once, and ends once."""

from athena_core.domain import message
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule

EVENTS = message.DECIDER.events


class MessageRules(RuleSet):
    """The messages that have not ended."""

    def __init__(self) -> None:
        self._status: dict[str, str] = {}

    @rule(*EVENTS)
    def messages(self, row: Row, event: Event) -> str | None:
        """A message is sent once, and has no event after it was delivered or failed."""
        status = self._status.get(row.stream, "")
        match event:
            case message.MessageSent():
                legal = row.version == 1
            case message.MessageCompleted():
                legal = status == "started"
            case _:
                legal = status in {"sent", "started"}
        return (
            None
            if legal
            else f"{row.type} of {row.stream}, which {'was ' + status if status else 'had ended or was never sent'}"
        )

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Apply the event."""
        match event:
            case message.MessageSent() | message.MessageStarted():
                self._status[row.stream] = event.status
            case _:
                self._status.pop(row.stream, None)
