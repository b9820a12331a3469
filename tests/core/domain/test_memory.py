"""Tests of the decider of memory: an entry is noted once and forgotten once."""

from athena_core.domain.memory import (
    DECIDER,
    ForgetMemory,
    MemoryBody,
    MemoryForgotten,
    MemoryRecorded,
    RecordMemory,
    decide,
)
from athena_core.event import Event
from tests.core.domain.given import Given

NOTED = MemoryRecorded(entry_id="mem_1", chars=5, has_metadata=True, text="hello", metadata={"by": "ada"})
GONE = MemoryForgotten(entry_id="mem_1")
RECORD = RecordMemory(entry_id="mem_1", body=MemoryBody(text="hello", metadata={"by": "ada"}))
FORGET = ForgetMemory(entry_id="mem_1")


def given(*events: Event) -> Given[object]:
    return Given(DECIDER, decide, *events)  # type: ignore[arg-type]


def test_an_entry_is_noted_down_once() -> None:
    given().when(RECORD).then(NOTED)
    given(NOTED).when(RECORD).then_nothing()
    given(NOTED, GONE).when(RECORD).then_nothing()


def test_an_entry_is_forgotten_once_and_only_if_it_was_known() -> None:
    given().when(FORGET).then_nothing()
    given(NOTED).when(FORGET).then(GONE)
    given(NOTED, GONE).when(FORGET).then_nothing()
