"""Rules of dead letters: each is decided once, and holds what left a queue."""

from collections.abc import Iterator, Mapping

from athena_core.domain import dead_letter, queue
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule

EVENTS = dead_letter.DECIDER.events
TRANSITIONS: Mapping[type[Event], tuple[str, str]] = {
    dead_letter.DeadLetterAdded: ("", "pending"),
    dead_letter.DeadLetterRequeued: ("pending", "requeued"),
    dead_letter.DeadLetterDiscarded: ("pending", "discarded"),
    dead_letter.DeadLetterRestored: ("discarded", "pending"),
}
"""What a dead letter has to be for an event of it, and is then."""


class DeadLetterRules(RuleSet):
    """The dead letters before an event, and the items on their way to one or back."""

    def __init__(self) -> None:
        """Begin without dead letters."""
        self.status: dict[str, str] = {}
        self._buried: dict[str, tuple[str, ...]] = {}
        """The items that left a queue for a dead letter which is to follow."""
        self._requeued: dict[str, str] = {}
        """The items that are to come back to a queue, and from which dead letter."""

    @rule(*EVENTS, queue.WorkEnqueued)
    def letters(self, row: Row, event: Event) -> str | None:
        """A dead letter is requeued once or discarded, not both; it holds what left a queue, only that comes back."""
        match event:
            case queue.WorkEnqueued(dead_letter_id=str(letter)) if self._requeued.get(event.item_id) != letter:
                return f"{event.item_id} came back from {letter}, which does not know of it"
            case queue.WorkEnqueued():
                return None
        status = self.status.get(row.stream, "")
        if status != TRANSITIONS[type(event)][0]:
            return f"{row.type} of {row.stream}, which was {status or 'not there'}"
        if isinstance(event, dead_letter.DeadLetterAdded):
            item_ids = tuple(item.item_id for item in event.items)
            if self._buried.get(row.stream, ()) != item_ids:
                return f"{row.stream} holds other items than those that left a queue for it"
        return None

    @follow(queue.WorkBatchDeadLettered, queue.WorkEnqueued)
    def move(self, row: Row, event: queue.WorkBatchDeadLettered | queue.WorkEnqueued) -> None:
        """Note what left a queue for a dead letter, and what came back from one."""
        if isinstance(event, queue.WorkBatchDeadLettered):
            self._buried[event.dead_letter_id] = event.item_ids
        elif event.dead_letter_id is not None:
            self._requeued.pop(event.item_id, None)

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Take an event in."""
        self.status[row.stream] = TRANSITIONS[type(event)][1]
        if isinstance(event, dead_letter.DeadLetterAdded):
            self._buried.pop(row.stream, None)
        elif isinstance(event, dead_letter.DeadLetterRequeued):
            self._requeued |= dict.fromkeys(event.item_ids, row.stream)

    def finish(self) -> Iterator[Violation]:
        """Return the items that are nowhere."""
        for letter, items in self._buried.items():
            yield Violation(rule="letters", reason=f"{', '.join(items)} left a queue for {letter}, which is not there")
        for item, letter in self._requeued.items():
            yield Violation(rule="letters", reason=f"{item} was to come back from {letter}, and did not")
