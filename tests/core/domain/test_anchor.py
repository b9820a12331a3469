"""Tests of kept anchors: one for each position of another log; another chain there is a conflict."""

from msgspec.structs import replace

from athena_core.domain.anchor import (
    DECIDER,
    KeepAnchor,
    decide,
    stream_of,
)
from athena_core.event import Event
from tests.core.domain.given import Given
from tests.support.events.anchor import ANCHOR, CONFLICTED, KEPT

KEEP = KeepAnchor(anchor=ANCHOR, sender="ada")
OTHER = KeepAnchor(anchor=replace(ANCHOR, chain="ef" * 32), sender="bob")


def given(*events: Event) -> Given[object]:
    return Given(DECIDER, decide, *events)  # type: ignore[arg-type]


def test_an_anchor_is_kept_once() -> None:
    given().when(KEEP).then(KEPT)
    given(KEPT).when(KEEP).then_nothing()
    given(KEPT).when(replace(KEEP, sender="bob")).then_nothing()


def test_another_chain_is_a_conflict_with_what_was_kept_first() -> None:
    given(KEPT).when(OTHER).then(CONFLICTED)
    given(KEPT, CONFLICTED).when(OTHER).then_nothing()
    third = replace(OTHER, anchor=replace(ANCHOR, chain="01" * 32))
    given(KEPT, CONFLICTED).when(third).then(replace(CONFLICTED, chain="01" * 32))
    given(KEPT, CONFLICTED).when(KEEP).then_nothing()


def test_each_position_has_a_stream() -> None:
    assert stream_of(ANCHOR.log_id, ANCHOR.position) == "anchor:abababababababab:7"
