"""Rules of queues and messages: an item leaves its queue once; a message is sent once, and ends once."""

from athena_core.domain import message, queue, run
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.log import LogRules

EVENTS = queue.DECIDER.events
MESSAGE_EVENTS = message.DECIDER.events


class QueueRules(RuleSet):
    """The queues before an event, and the runs that hold their items."""

    def __init__(self, log: LogRules) -> None:
        self._log = log
        self._states: dict[str, queue.QueueState] = {}
        self._working: dict[str, str] = {}
        """The runs that hold items of a queue, with the type of their ending (empty while open)."""

    def _state(self, row: Row) -> queue.QueueState:
        return self._states.get(row.stream, queue.DECIDER.initial)

    @rule(*EVENTS)
    def queues(self, row: Row, event: Event) -> str | None:
        """An item waits in its queue until it is done or becomes a dead letter, and leaves once."""
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
        return None if legal else f"{row.type} of {row.stream}, which is impossible in its state"

    @rule(*EVENTS)
    def envelope(self, row: Row, event: Event) -> str | None:
        """The envelope of each event of a queue names the queue's session."""
        if row.session_id is not None and row.stream == queue.stream(row.session_id):
            return None
        return f"{row.type} of {row.stream} names the session {row.session_id}"

    @rule(queue.WorkItemDrained, queue.WorkBatchReturned, queue.WorkBatchStarted)
    def acknowledged(self, row: Row, event: Event) -> str | None:
        """The items of a run are acknowledged after it completed, and returned after any other end."""
        batch = self._state(row).batch
        ended = self._working.get(batch.run_id) if batch else None
        match event:
            case queue.WorkItemDrained() if batch and ended != run.RunCompleted.TYPE:
                return f"{row.stream} acknowledged {event.item_id} although its run {batch.run_id} had not completed"
            case queue.WorkBatchReturned() if batch and ended in {"", run.RunCompleted.TYPE}:
                had = "completed" if ended else "not ended"
                return f"{row.stream} returned the items of {batch.run_id}, although it had {had}"
            case queue.WorkBatchStarted(run_id=run_id) if run_id in self._log.versions:
                return f"{row.stream} gave items to {run_id}, which already existed"
        return None

    @follow(*run.ENDINGS)
    def end(self, row: Row, event: Event) -> None:
        """Record the end of a run that holds items."""
        if row.stream in self._working:
            self._working[row.stream] = row.type

    @follow(*EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        state = self._states[row.stream] = queue.evolve(self._state(row), event)
        match event:
            case queue.WorkBatchStarted():
                self._working[event.run_id] = ""
            case queue.WorkItemDrained() | queue.WorkBatchReturned() if state.batch is None:
                self._working.pop(event.run_id, None)


class MessageRules(RuleSet):
    """The messages that have not ended."""

    def __init__(self) -> None:
        self._status: dict[str, str] = {}

    @rule(*MESSAGE_EVENTS)
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

    @follow(*MESSAGE_EVENTS)
    def advance(self, row: Row, event: Event) -> None:
        match event:
            case message.MessageSent() | message.MessageStarted():
                self._status[row.stream] = event.status
            case _:
                self._status.pop(row.stream, None)
