"""Specifications of deciders: given events, when a command comes, then events follow, or nothing, or a refusal."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, fold
from athena_core.errors import AthenaError
from athena_core.event import Event, Meta

S = TypeVar("S")

NOW = 1_767_225_600_000


class Given(Generic[S]):
    """The past of a stream."""

    def __init__(self, decider: Decider[S], decide: Callable[[Any, S, Context], tuple[Event, ...]], *events: Event):
        self.state = fold(decider, events)
        self._decide = decide

    def when(self, command: object) -> "When":
        context = Context(now=NOW, ids=CountingIds(), meta=Meta(actor="alice", correlation="trace"))
        return When(lambda: self._decide(command, self.state, context))


class When:
    """A decision that a test examines."""

    def __init__(self, decision: Callable[[], tuple[Event, ...]]) -> None:
        self.decision = decision

    def then(self, *events: Event) -> None:
        assert self.decision() == events

    def then_types(self, *types: type[Event]) -> tuple[Event, ...]:
        events = self.decision()
        assert tuple(type(event) for event in events) == types
        return events

    def then_nothing(self) -> None:
        assert self.decision() == ()

    def then_rejected(self, error: type[AthenaError], match: str | None = None) -> None:
        with pytest.raises(error, match=match):
            self.decision()
