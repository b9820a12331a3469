"""The harness for state machines of hypothesis over one decider: its state, its stored events, what it occupies."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider
from athena_core.domain import EVENTS
from athena_core.event import Event, Meta
from athena_core.log.codec import Codec
from athena_core.log.guards import Guards
from athena_core.protocols import Row
from tests.core.domain.given import NOW
from tests.scale import SCALE, sized

M = TypeVar("M", bound=RuleBasedStateMachine)

CODEC = Codec(EVENTS)
SALT = bytes(16)
DATA: st.SearchStrategy[st.DataObject] = st.data()
LOOKS_MAX = 10_000
"""A reactor that needs more looks than this never settles."""


class Story(RuleBasedStateMachine):
    """A stream under commands in any order. A crash keeps only its stored rows."""

    DECIDER: ClassVar[Decider[Any]]
    DECIDE: ClassVar[Callable[[Any, Any, Context], tuple[Event, ...]]]
    STREAM: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.state = self.DECIDER.initial
        self.stored: list[Row] = []
        self.guards = Guards()
        self.ids = CountingIds()
        self.now = NOW

    def do(self, command: object) -> tuple[Event, ...]:
        events = type(self).DECIDE(command, self.state, self.context())
        for event in events:
            self.happens(event)
        return events

    def happens(self, event: Event) -> None:
        self.follows(event)
        row = self.row(event)
        self.stored.append(row)
        recorded = CODEC.decode(row)
        assert recorded.event == event, "it is read back as it was written"
        for guard in self.DECIDER.guards(recorded):
            self.guards.apply(guard)
        self.state = self.DECIDER.evolve(self.state, event)

    def context(self) -> Context:
        """Return the context of a decision."""
        return Context(now=self.now, ids=self.ids, meta=Meta(actor="alice", correlation="trace"))

    def row(self, event: Event) -> Row:
        kind, schema, data, extra, text = CODEC.encode(event, lambda: SALT)
        place = len(self.stored) + 1
        named = (self.STREAM, place, kind, schema, self.now, "cmd_1", "trace", None, "alice", "s", self.STREAM)
        return Row(place, *named, data, extra, b"", None, bytes(32), text)

    def follows(self, event: Event) -> None:
        """Fail for an event that may not follow the state."""

    @rule()
    def crash(self) -> None:
        """Drop the memory and fold the state from the stored rows, without text."""
        before, self.state = self.state, self.DECIDER.initial
        for row in self.stored:
            self.state = self.DECIDER.evolve(self.state, CODEC.decode(row, text=False).event)
        assert self.state == before
        self.crashed()

    def crashed(self) -> None:
        """Forget what a reactor remembers."""

    def occupied(self, kind: str) -> list[str]:
        return list(self.guards.of(kind))


def case(machine: type[M], quick: int, ci: int, full: int) -> Any:
    """Return the test of a machine with its numbers of examples. Only the quick one belongs to ``make test``."""
    found = machine.TestCase
    found.settings = settings(max_examples=sized(quick, ci, full), stateful_step_count=sized(15, 40, 80), deadline=None)
    return found if SCALE == "quick" else pytest.mark.heavy(found)
