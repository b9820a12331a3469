"""Rules of redrives: each decides about a dead letter once, by its status."""

from athena_core.domain import redrive
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.dead_letter import DeadLetterRules

EVENTS = redrive.DECIDER.events


class RedriveRules(RuleSet):
    """The redrives before an event."""

    def __init__(self, dead_letters: DeadLetterRules) -> None:
        self._dead_letters = dead_letters
        self._states: dict[str, redrive.RedriveState] = {}

    @rule(*EVENTS)
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

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Apply the event."""
        state = self._states.get(row.stream, redrive.DECIDER.initial)
        self._states[row.stream] = redrive.evolve(state, event)
