"""The dead letter: requeued once or discarded, never both, until that is taken back; and the message before it."""

import pytest

from athena_core.domain import dead_letter
from athena_core.domain import message as a2a
from athena_core.errors import Contradicted, NotFound
from athena_core.event import Event, Guard
from tests.core.domain.given import Given
from tests.support.events.dead_letter import ADDED, COMPLETED, DISCARDED, FAILED, REQUEUED, RESTORED, SENT, STARTED
from tests.support.events.run import recorded

REQUEUE = dead_letter.RequeueDeadLetter(id="dlq_1", item_ids=("wi_2",))
DISCARD = dead_letter.DiscardDeadLetter(id="dlq_1", audit_note="no use")
RESTORE = dead_letter.RestoreDeadLetter(id="dlq_1")


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


def test_a_discard_can_be_taken_back_at_any_time() -> None:
    letter(ADDED).when(RESTORE).then_nothing()
    letter(ADDED, DISCARDED).when(RESTORE).then(RESTORED)
    again = letter(ADDED, DISCARDED, RESTORED)
    again.when(RESTORE).then_nothing()
    again.when(REQUEUE).then(REQUEUED)
    again.when(DISCARD).then(DISCARDED)
    letter(ADDED, DISCARDED, RESTORED, DISCARDED).when(RESTORE).then(RESTORED)


# Messages

FAIL = a2a.FailMessage(reason="hop-limit", code="HOP_LIMIT", error="too far", dead_letter_id="dlq_1")


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
