"""Rules of dead letters and redrives.

A dead letter is decided once, and holds exactly the items that left a queue for it. A redrive decides about each dead
letter once, by its status.
"""

from collections.abc import Iterator, Mapping

from athena_core.domain import dead_letter, queue, redrive
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule

EVENTS = dead_letter.DECIDER.events
REDRIVES = redrive.DECIDER.events
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


class RedriveRules(RuleSet):
    """The redrives before an event."""

    def __init__(self, dead_letters: DeadLetterRules) -> None:
        self._dead_letters = dead_letters
        self._states: dict[str, redrive.RedriveState] = {}

    @rule(*REDRIVES)
    def redrives(self, row: Row, event: Event) -> str | None:
        """A redrive decides about each dead letter once, by its status, and ends once with the right counts."""
        state = self._states.get(row.stream, redrive.DECIDER.initial)
        if isinstance(event, redrive.RedriveStarted):
            return f"{row.type} of {row.stream}, which is {state.status}" if state.status else None
        if state.status != "running":
            return f"{row.type} of {row.stream}, which is {state.status or 'new'}"
        match event:
            case redrive.RedriveAdvanced():
                status = self._dead_letters.status.get(event.dead_letter_id, "not there")
                if event.letter_position <= state.after:
                    return f"{row.stream} handled {event.dead_letter_id} after a later dead letter"
                if (event.result == "requeued" and status != "pending") or (
                    event.result == "skipped" and status == "pending"
                ):
                    return f"{row.stream} counts {event.dead_letter_id} as {event.result}, although it was {status}"
            case redrive.RedriveCompleted() | redrive.RedriveCancelled():
                counted = (state.requeued, state.skipped, state.failed)
                if (event.requeued, event.skipped, event.failed) != counted:
                    return f"{row.type} of {row.stream} does not have the counts {counted}"
        return None

    @follow(*REDRIVES)
    def advance(self, row: Row, event: Event) -> None:
        state = self._states.get(row.stream, redrive.DECIDER.initial)
        self._states[row.stream] = redrive.evolve(state, event)
