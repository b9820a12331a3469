"""A made-up history of queues: items, drains, dead letters, messages and redrives."""

from typing import TYPE_CHECKING, Any

from athena_core.clock import iso
from athena_core.domain import dead_letter, message, queue, redrive
from athena_core.enums import QueueMode, RedriveDecision
from athena_core.event import Event, Position

if TYPE_CHECKING:
    from tests.projections.history import History

MOVES = 8


class QueueHistory:
    """A writer of queue events; a queue belongs to a session, and a drain has at most one batch."""

    def __init__(self, history: "History") -> None:
        self._history = history
        self.items: dict[str, list[str]] = {}
        self.drains: dict[str, tuple[str, int, int]] = {}
        self.letters: dict[str, str] = {}
        self.messages: list[str] = []
        self.redrive: str | None = None

    def _work(self, session_id: str, event: Event) -> Position:
        return self._history.write(f"work:{session_id}", event, session_id=session_id)

    def enqueue(self, session_id: str, payload: str, mode: QueueMode = "followup", **fields: Any) -> str:
        item_id = self._history.ids.new("wi")
        items = self.items.setdefault(session_id, [])
        items.append(item_id)
        event = queue.WorkEnqueued(
            queue_depth=len(items),
            item_id=item_id,
            mode=mode,
            chars=len(payload),
            enqueued_by="ada",
            payload=payload,
            **fields,
        )
        self._work(session_id, event)
        return item_id

    def drain(self, session_id: str) -> str:
        drain_id, depth = self._history.ids.new("drn"), len(self.items[session_id])
        self.drains[session_id] = (drain_id, depth, 0)
        started = queue.WorkDrainStarted(drain_id=drain_id, queue_depth_before=depth, requested_by="ada")
        self._work(session_id, started)
        return drain_id

    def do(self, session_id: str) -> None:
        """Complete the first item. The drain ends with the last one."""
        drain_id, depth, done = self.drains[session_id]
        item_id = self.items[session_id].pop(0)
        left, run_id = len(self.items[session_id]), self._history.ids.new("run")
        self._work(session_id, queue.WorkBatchStarted(drain_id=drain_id, run_id=run_id, item_ids=(item_id,)))
        drained = queue.WorkItemDrained(drain_id=drain_id, run_id=run_id, item_id=item_id, queue_depth=left)
        self._work(session_id, drained)
        self.drains[session_id] = (drain_id, depth, done + 1)
        if not left:
            end = queue.WorkDrained(
                status="ok", drained_items=done + 1, queue_depth_before=depth, queue_depth_after=0, drain_id=drain_id
            )
            self._work(session_id, end)
            del self.drains[session_id]

    def fail(self, session_id: str, *, bury: bool) -> str | None:
        """Give the first item back or make it a dead letter. The drain ends."""
        drain_id, depth, done = self.drains.pop(session_id)
        item_id, run_id = self.items[session_id][0], self._history.ids.new("run")
        self._work(session_id, queue.WorkBatchStarted(drain_id=drain_id, run_id=run_id, item_ids=(item_id,)))
        at = iso(self._history.now)
        returned = queue.WorkBatchReturned(
            drain_id=drain_id,
            run_id=run_id,
            item_ids=(item_id,),
            code="PROVIDER_ERROR",
            error_text="no",
            failed_at=at,
            counted=True,
        )
        self._work(session_id, returned)
        letter_id = self._bury(session_id, drain_id, item_id, run_id) if bury else None
        failed = queue.WorkDrainFailed(
            drain_id=drain_id,
            code="PROVIDER_ERROR",
            error_text="no",
            drained_items=done,
            queue_depth_before=depth,
            queue_depth_after=len(self.items[session_id]),
            run_id=run_id,
        )
        self._work(session_id, failed)
        return letter_id

    def _bury(self, session_id: str, drain_id: str, item_id: str, run_id: str) -> str:
        letter_id = self._history.ids.new("dlq")
        self.items[session_id].remove(item_id)
        buried = queue.WorkBatchDeadLettered(
            drain_id=drain_id,
            dead_letter_id=letter_id,
            item_ids=(item_id,),
            reason="attempts-exhausted",
            code="PROVIDER_ERROR",
            error_text="no",
            queue_depth=len(self.items[session_id]),
            run_id=run_id,
        )
        self._work(session_id, buried)
        added = dead_letter.DeadLetterAdded(
            id=letter_id,
            source="work",
            session_id=session_id,
            reason="attempts-exhausted",
            code="PROVIDER_ERROR",
            error_text="no",
            retry_count=0,
            items=(dead_letter.LetterItem(item_id=item_id, mode="followup", chars=4),),
            attempts=(dead_letter.DeadLetterAttempt(run_id=run_id, at=iso(self._history.now), code="PROVIDER_ERROR"),),
            attempt_errors=("no",),
            payload='{"sessionId":"s","items":[]}',
        )
        self._history.write(letter_id, added, session_id=session_id)
        self.letters[letter_id] = "pending"
        return letter_id

    def decide(self, letter_id: str, status: str) -> None:
        events: dict[str, Event] = {
            "requeued": dead_letter.DeadLetterRequeued(id=letter_id, retry_count=1, item_ids=()),
            "discarded": dead_letter.DeadLetterDiscarded(id=letter_id, note="so be it"),
            "pending": dead_letter.DeadLetterRestored(id=letter_id),
        }
        self._history.write(letter_id, events[status], actor="ada")
        self.letters[letter_id] = status

    def send(self, payload: str) -> str:
        message_id = self._history.ids.new("msg")
        names = {"message_id": message_id, "from_agent": "ada", "to_agent": "bob"}
        event = message.MessageSent(status="sent", hops=1, sent_by="ada", payload=payload, **names)
        self._history.write(message_id, event, session_id="persona-bob")
        self.messages.append(message_id)
        return message_id

    def move_message(self, message_id: str, status: str) -> None:
        names = {"message_id": message_id, "from_agent": "ada", "to_agent": "bob"}
        events: dict[str, Event] = {
            "started": message.MessageStarted(status="started", attempt=1, **names),
            "completed": message.MessageCompleted(status="completed", **names),
            "failed": message.MessageFailed(
                status="failed",
                reason="unrunnable",
                code="CONFIG_ERROR",
                error_text="no",
                dead_letter_id="dlq_1",
                **names,
            ),
        }
        self._history.write(message_id, events[status], session_id="persona-bob", run_id="run_1")
        if status != "started":
            self.messages.remove(message_id)

    def begin_redrive(self) -> str:
        self.redrive = self._history.ids.new("rdr")
        wanted = redrive.RedriveSelection(session_id="s1", created_after=self._history.now)
        event = redrive.RedriveStarted(
            redrive_id=self.redrive,
            filter=wanted,
            filter_hash="ab",
            rate_per_second=10,
            total=3,
            until=self._history.head(),
            requested_by="ada",
        )
        self._history.write(self.redrive, event)
        return self.redrive

    def advance_redrive(self, result: RedriveDecision) -> None:
        assert self.redrive is not None
        event = redrive.RedriveAdvanced(
            redrive_id=self.redrive, dead_letter_id="dlq_1", letter_position=self._history.head(), result=result
        )
        self._history.write(self.redrive, event)

    def end_redrive(self) -> None:
        assert self.redrive is not None
        event = redrive.RedriveCompleted(redrive_id=self.redrive, filter_hash="ab", requeued=1, skipped=0, failed=0)
        self._history.write(self.redrive, event)
        self.redrive = None

    def move(self, kind: int, choice: int) -> None:
        """Make one of the moves of a generated history, if it is possible."""
        session_id = f"s{choice % 4}"
        waiting, draining = self.items.get(session_id), session_id in self.drains
        if kind in {0, 1}:
            self.enqueue(session_id, f"do {choice} ÿ", "collect" if choice % 3 else "followup")
        elif kind == 2 and waiting and not draining:
            self.drain(session_id)
        elif kind == 3 and waiting and draining:
            self.do(session_id)
        elif kind == 4 and waiting and draining:
            self.fail(session_id, bury=choice % 2 == 0)
        elif kind == 5 and self.letters:
            letter_id = list(self.letters)[choice % len(self.letters)]
            if self.letters[letter_id] != "requeued":
                pending = self.letters[letter_id] == "pending"
                self.decide(letter_id, ("requeued", "discarded")[choice % 2] if pending else "pending")
        elif kind == 6:
            if self.messages and choice % 2:
                self.move_message(self.messages[0], ("started", "completed", "failed")[choice % 3])
            else:
                self.send(f"look at {choice} ÿ")
        elif kind == 7:
            if self.redrive is None:
                self.begin_redrive()
            elif choice % 3:
                self.advance_redrive("requeued")
            else:
                self.end_redrive()
