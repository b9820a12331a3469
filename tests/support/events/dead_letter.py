"""Sample events of a dead letter and of its message."""

from typing import Any

from athena_core.clock import iso
from athena_core.domain import dead_letter
from athena_core.domain import message as a2a
from tests.core.domain.given import NOW

ADDED = dead_letter.DeadLetterAdded(
    id="dlq_1",
    source="work",
    session_id="s",
    reason="attempts-exhausted",
    code="PROVIDER_ERROR",
    error_text="no",
    retry_count=2,
    items=(dead_letter.LetterItem(item_id="wi_1", mode="followup", chars=4),),
    attempts=(dead_letter.DeadLetterAttempt(run_id="run_1", at=iso(NOW), code="PROVIDER_ERROR"),),
    attempt_errors=("no",),
    payload='{"sessionId":"s"}',
)
REQUEUED = dead_letter.DeadLetterRequeued(id="dlq_1", retry_count=3, item_ids=("wi_2",))
DISCARDED = dead_letter.DeadLetterDiscarded(id="dlq_1", note="no use")
RESTORED = dead_letter.DeadLetterRestored(id="dlq_1")
NAMES: dict[str, Any] = {"message_id": "msg_1", "from_agent": "ada", "to_agent": "bob", "task_id": "task_1"}
SENT = a2a.MessageSent(status="sent", hops=1, sent_by="alice", item_id="wi_1", payload="do it", **NAMES)
STARTED = a2a.MessageStarted(status="started", attempt=1, **NAMES)
COMPLETED = a2a.MessageCompleted(status="completed", **NAMES)
FAILED = a2a.MessageFailed(
    status="failed", reason="hop-limit", code="HOP_LIMIT", error_text="too far", dead_letter_id="dlq_1", **NAMES
)
