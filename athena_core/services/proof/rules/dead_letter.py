"""Rules of dead letters: each is decided once, and holds exactly the items that left a queue for it."""

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
"""The status of a dead letter that each event requires, and the status after it."""


class DeadLetterRules(RuleSet):
    """The status of each dead letter, and the items on their way to one or back to a queue."""

    def __init__(self) -> None:
        self.status: dict[str, str] = {}
        self._buried: dict[str, tuple[str, ...]] = {}
        """Items that left a queue for a dead letter that is not added yet."""
        self._requeued: dict[str, str] = {}
        """Items that were requeued but are not enqueued yet, with their dead letter."""

    @rule(*EVENTS, queue.WorkEnqueued)
    def letters(self, row: Row, event: Event) -> str | None:
        """A dead letter is requeued once or discarded; it holds the items that left a queue, and only those return."""
        match event:
            case queue.WorkEnqueued(dead_letter_id=str(letter)) if self._requeued.get(event.item_id) != letter:
                return f"{event.item_id} returned from {letter}, which was not requeued or does not hold it"
            case queue.WorkEnqueued():
                return None
        status = self.status.get(row.stream, "")
        if status != TRANSITIONS[type(event)][0]:
            return f"{row.type} of {row.stream}, which was {status or 'not added yet'}"
        if isinstance(event, dead_letter.DeadLetterAdded):
            item_ids = tuple(item.item_id for item in event.items)
            if self._buried.get(row.stream, ()) != item_ids:
                return f"{row.stream} does not hold the items that left a queue for it"
        return None

    @follow(queue.WorkBatchDeadLettered, queue.WorkEnqueued)
    def move(self, row: Row, event: queue.WorkBatchDeadLettered | queue.WorkEnqueued) -> None:
        """Track items that left a queue for a dead letter, and items that returned."""
        if isinstance(event, queue.WorkBatchDeadLettered):
            self._buried[event.dead_letter_id] = event.item_ids
        elif event.dead_letter_id is not None:
            self._requeued.pop(event.item_id, None)

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Apply the event."""
        self.status[row.stream] = TRANSITIONS[type(event)][1]
        if isinstance(event, dead_letter.DeadLetterAdded):
            self._buried.pop(row.stream, None)
        elif isinstance(event, dead_letter.DeadLetterRequeued):
            self._requeued |= dict.fromkeys(event.item_ids, row.stream)

    def finish(self) -> Iterator[Violation]:
        """Yield items that left a queue or a dead letter and arrived nowhere."""
        for letter, items in self._buried.items():
            yield Violation(
                rule="letters", reason=f"{', '.join(items)} left a queue for {letter}, which was never added"
            )
        for item, letter in self._requeued.items():
            yield Violation(rule="letters", reason=f"{item} was requeued from {letter} but never enqueued")
