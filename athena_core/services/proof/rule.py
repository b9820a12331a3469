"""Rules of the verification: how a noun contributes rules, and the state that they compare events with."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from athena_core.event import Event, Position, Value
from athena_core.protocols import Row

M = TypeVar("M", bound=Callable[..., Any])

Rule = Callable[[Row, Event], str | None]
"""Check an event against the state before it. Return the breach in words, or None."""

StateUpdate = Callable[[Row, Event], None]
"""Apply an event to the state, after every rule has checked it."""


class Violation(Value):
    """A broken rule: why, and the position if one event breaks it."""

    rule: str
    reason: str
    position: Position | None = None

    def __str__(self) -> str:
        place = "" if self.position is None else f"position {self.position}: "
        return f"{place}{self.reason} [{self.rule}]"


def rule(*kinds: type[Event]) -> Callable[[M], M]:
    """Mark a method as a rule for events of these types; its name is the rule's."""
    return _marked("looks_at", kinds)


def follow(*kinds: type[Event]) -> Callable[[M], M]:
    """Mark a method that applies events of these types to the state."""
    return _marked("follows", kinds)


def _marked(name: str, kinds: tuple[type[Event], ...]) -> Callable[[M], M]:
    def mark(method: M) -> M:
        setattr(method, name, kinds)
        return method

    return mark


class RuleSet:
    """The rules of one noun and their state. Methods run in the order in which they are written."""

    def finish(self) -> Iterator[Violation]:
        """Yield the violations that only the end of the log shows."""
        return iter(())


class EventRules(NamedTuple):
    """The rules of an event type by name, its followers, and the allowed prefixes of its streams."""

    rules: tuple[tuple[str, Rule], ...] = ()
    followers: tuple[StateUpdate, ...] = ()
    streams: tuple[str, ...] = ("",)


NO_RULES = EventRules()


def rules_by_event(
    rule_sets: Iterable[RuleSet], streams: Mapping[type[Event], tuple[str, ...]]
) -> dict[type[Event], EventRules]:
    """Collect the rules and followers by event type; ``streams`` names every type."""
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
