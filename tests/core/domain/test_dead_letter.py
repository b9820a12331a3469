"""The dead letter: requeued once or discarded, never both, until that is taken back; and the message before it."""

from typing import Any

import pytest

from athena_core.clock import iso
from athena_core.domain import dead_letter
from athena_core.domain import message as a2a
from athena_core.errors import Contradicted, NotFound
from athena_core.event import Event, Guard
from tests.core.domain.given import NOW, Given
from tests.core.domain.test_run import recorded

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
REQUEUE = dead_letter.RequeueDeadLetter(id="dlq_1", item_ids=("wi_2",))
REQUEUED = dead_letter.DeadLetterRequeued(id="dlq_1", retry_count=3, item_ids=("wi_2",))
DISCARD = dead_letter.DiscardDeadLetter(id="dlq_1", audit_note="no use")
DISCARDED = dead_letter.DeadLetterDiscarded(id="dlq_1", note="no use")
RESTORE = dead_letter.RestoreDeadLetter(id="dlq_1")
RESTORED = dead_letter.DeadLetterRestored(id="dlq_1")


def letter(*events: Event) -> Given[dead_letter.DeadLetterState]:
    return Given(dead_letter.DECIDER, dead_letter.decide, *events)


def test_a_letter_is_added_once() -> None:
    add = dead_letter.AddDeadLetter(letter=ADDED)
    letter().when(add).then(ADDED)
    letter(ADDED).when(add).then_nothing()


@pytest.mark.parametrize("command", [REQUEUE, DISCARD, RESTORE])
def test_nothing_is_decided_about_a_letter_that_is_not_there(command: dead_letter.DeadLetterCommand) -> None:
    letter().when(command).then_rejected(NotFound)


def test_a_letter_is_requeued_once_and_then_no_longer_discarded() -> None:
    letter(ADDED).when(REQUEUE).then(REQUEUED)
    letter(ADDED, REQUEUED).when(REQUEUE).then_nothing()
    letter(ADDED, REQUEUED).when(DISCARD).then_rejected(Contradicted)
    letter(ADDED, REQUEUED).when(RESTORE).then_rejected(Contradicted)


def test_a_letter_is_discarded_once_and_then_no_longer_requeued() -> None:
    letter(ADDED).when(DISCARD).then(DISCARDED)
    letter(ADDED, DISCARDED).when(DISCARD).then_nothing()
    letter(ADDED, DISCARDED).when(REQUEUE).then_rejected(Contradicted)


def test_a_discard_is_taken_back_for_ever() -> None:
    letter(ADDED).when(RESTORE).then_nothing()
    letter(ADDED, DISCARDED).when(RESTORE).then(RESTORED)
    again = letter(ADDED, DISCARDED, RESTORED)
    again.when(RESTORE).then_nothing()
    again.when(REQUEUE).then(REQUEUED)
    again.when(DISCARD).then(DISCARDED)
    letter(ADDED, DISCARDED, RESTORED, DISCARDED).when(RESTORE).then(RESTORED)


# Messages

NAMES: dict[str, Any] = {"message_id": "msg_1", "from_agent": "ada", "to_agent": "bob", "task_id": "task_1"}
SENT = a2a.MessageSent(status="sent", hops=1, sent_by="alice", item_id="wi_1", payload="do it", **NAMES)
STARTED = a2a.MessageStarted(status="started", attempt=1, **NAMES)
COMPLETED = a2a.MessageCompleted(status="completed", **NAMES)
FAIL = a2a.FailMessage(reason="hop-limit", code="HOP_LIMIT", error="too far", dead_letter_id="dlq_1")
FAILED = a2a.MessageFailed(
    status="failed", reason="hop-limit", code="HOP_LIMIT", error_text="too far", dead_letter_id="dlq_1", **NAMES
)


def message(*events: Event) -> Given[a2a.MessageState]:
    return Given(a2a.DECIDER, a2a.decide, *events)


def test_a_message_is_sent_once() -> None:
    send = a2a.SendMessage(sent=SENT)
    message().when(send).then(SENT)
    message(SENT).when(send).then_nothing()


def test_a_message_is_started_as_often_as_it_is_tried() -> None:
    message(SENT).when(a2a.StartMessage(attempt=1)).then(STARTED)
    message(SENT, STARTED).when(a2a.StartMessage(attempt=2)).then_types(a2a.MessageStarted)


def test_a_message_ends_once() -> None:
    message(SENT, STARTED).when(a2a.CompleteMessage()).then(COMPLETED)
    message(SENT, STARTED).when(FAIL).then(FAILED)
    for end in (COMPLETED, FAILED):
        for command in (a2a.CompleteMessage(), FAIL, a2a.StartMessage(attempt=2)):
            message(SENT, STARTED, end).when(command).then_nothing()
    message().when(a2a.CompleteMessage()).then_nothing()


def test_a_message_is_known_to_wait_until_it_ends() -> None:
    assert a2a.DECIDER.guards(recorded(SENT)) == (Guard(kind="message", key="msg_1", value=("s",)),)
    assert a2a.DECIDER.guards(recorded(STARTED)) == ()
    for end in (COMPLETED, FAILED):
        assert a2a.DECIDER.guards(recorded(end)) == (Guard(kind="message", key="msg_1", value=None),)
