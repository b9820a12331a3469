"""Rules of the verification: how a noun brings its rules, and the state that they compare events with."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from athena_core.event import Event, Position, Value
from athena_core.protocols import Row

M = TypeVar("M", bound=Callable[..., Any])

Rule = Callable[[Row, Event], str | None]
"""Return what is wrong with an event, given what is known before it; None if nothing is."""

StateUpdate = Callable[[Row, Event], None]
"""Take an event into the state, after every rule has looked at it."""


class Violation(Value):
    """A rule that does not hold, why, and where, if it is about one event."""

    rule: str
    reason: str
    position: Position | None = None

    def __str__(self) -> str:
        """The violation in words."""
        place = "" if self.position is None else f"position {self.position}: "
        return f"{place}{self.reason} [{self.rule}]"


def rule(*kinds: type[Event]) -> Callable[[M], M]:
    """Mark a method of a noun as the rule of its name, for events of these types."""
    return _marked("looks_at", kinds)


def follow(*kinds: type[Event]) -> Callable[[M], M]:
    """Mark a method of a noun that advances its state, for events of these types."""
    return _marked("follows", kinds)


def _marked(name: str, kinds: tuple[type[Event], ...]) -> Callable[[M], M]:
    def mark(method: M) -> M:
        setattr(method, name, kinds)
        return method

    return mark


class RuleSet:
    """The rules of one noun and their state. Methods are called in the order in which they are written."""

    def finish(self) -> Iterator[Violation]:
        """Return what is missing at the end of the log."""
        return iter(())


class EventRules(NamedTuple):
    """What is called for an event type: the rules by name, then the followers; and how its streams may begin."""

    rules: tuple[tuple[str, Rule], ...] = ()
    followers: tuple[StateUpdate, ...] = ()
    streams: tuple[str, ...] = ("",)


NO_RULES = EventRules()


def rules_by_event(
    rule_sets: Iterable[RuleSet], streams: Mapping[type[Event], tuple[str, ...]]
) -> dict[type[Event], EventRules]:
    """Collect by event type what the rule sets are called for; ``streams`` names every type."""
    rules: dict[type[Event], list[tuple[str, Rule]]] = defaultdict(list)
    followers: dict[type[Event], list[StateUpdate]] = defaultdict(list)
    for rule_set in rule_sets:
        for name, method in vars(type(rule_set)).items():
            for kind in getattr(method, "looks_at", ()):
                rules[kind].append((name, getattr(rule_set, name)))
            for kind in getattr(method, "follows", ()):
                followers[kind].append(getattr(rule_set, name))
    kinds = {**streams, **dict.fromkeys((*rules, *followers))}
    return {
        kind: EventRules(tuple(rules[kind]), tuple(followers[kind]), streams.get(kind, NO_RULES.streams))
        for kind in kinds
    }
