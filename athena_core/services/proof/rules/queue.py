"""Rules of queues: an item leaves its queue once."""

from athena_core.domain import queue, run
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.log import LogRules

EVENTS = queue.DECIDER.events


class QueueRules(RuleSet):
    """The queues before an event, and the runs that have their items."""

    def __init__(self, log: LogRules) -> None:
        """Begin without queues."""
        self._log = log
        self._states: dict[str, queue.QueueState] = {}
        self._working: dict[str, str] = {}
        """The runs that have items of a queue, and how they ended."""

    def _state(self, row: Row) -> queue.QueueState:
        return self._states.get(row.stream, queue.DECIDER.initial)

    @rule(*EVENTS)
    def queues(self, row: Row, event: Event) -> str | None:
        """An item waits in its queue until it is done or becomes a dead letter: it leaves once, to one of them."""
        state = self._state(row)
        waiting = {item.id for item in state.items}
        batch, drain = state.batch, state.drain
        leased = set(batch.item_ids) if batch else set()
        match event:
            case queue.WorkEnqueued():
                legal = event.item_id not in waiting
            case queue.WorkDrainStarted():
                legal = drain is None and bool(waiting)
            case queue.WorkBatchStarted() | queue.WorkBatchDeadLettered():
                legal = drain is not None and batch is None and waiting.issuperset(event.item_ids)
            case queue.WorkItemDrained():
                legal = event.item_id in leased and batch is not None and batch.run_id == event.run_id
            case queue.WorkBatchReturned():
                legal = batch is not None and batch.run_id == event.run_id and leased == set(event.item_ids)
            case queue.WorkDrained() | queue.WorkDrainFailed():
                legal = drain is not None and batch is None and drain.id == event.drain_id
                legal = legal and event.queue_depth_after == len(waiting)
            case _:
                return None
        return None if legal else f"{row.type} of {row.stream}, which could not be"

    @rule(*EVENTS)
    def envelope(self, row: Row, event: Event) -> str | None:
        """The envelope of each event of a queue names the queue's session."""
        if row.session_id is not None and row.stream == queue.stream(row.session_id):
            return None
        return f"{row.type} of {row.stream} under the session {row.session_id}"

    @rule(queue.WorkItemDrained, queue.WorkBatchReturned, queue.WorkBatchStarted)
    def acknowledged(self, row: Row, event: Event) -> str | None:
        """The items of a run are acknowledged once it completed, given back once it ended otherwise."""
        batch = self._state(row).batch
        ended = self._working.get(batch.run_id) if batch else None
        match event:
            case queue.WorkItemDrained() if batch and ended != run.RunCompleted.TYPE:
                return f"{row.stream} acknowledged {event.item_id} while its run {batch.run_id} had not completed"
            case queue.WorkBatchReturned() if batch and ended in {"", run.RunCompleted.TYPE}:
                return f"{row.stream} gave back the items of {batch.run_id}, which had {ended or 'not ended'}"
            case queue.WorkBatchStarted(run_id=run_id) if run_id in self._log.versions:
                return f"{row.stream} gave items to {run_id}, which had been there before"
        return None

    @follow(*run.ENDINGS)
    def end(self, row: Row, event: Event) -> None:
        """Note how a run ended that has items."""
        if row.stream in self._working:
            self._working[row.stream] = row.type

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        """Take an event in."""
        state = self._states[row.stream] = queue.evolve(self._state(row), event)
        match event:
            case queue.WorkBatchStarted():
                self._working[event.run_id] = ""
            case queue.WorkItemDrained() | queue.WorkBatchReturned() if state.batch is None:
                self._working.pop(event.run_id, None)
