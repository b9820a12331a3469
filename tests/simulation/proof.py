"""Rules of ``athena verify`` on the events of short histories: their table is built once for each process."""

from collections.abc import Iterator
from typing import Any

from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, rules_by_event

_tables: dict[tuple[type[RuleSet], ...], dict[type[Event], Any]] = {}


class Proof:
    """The rules of some nouns and their state."""

    def __init__(self, *rule_sets: RuleSet) -> None:
        self._rule_sets = rule_sets
        kinds = tuple(map(type, rule_sets))
        if kinds not in _tables:
            _tables[kinds] = {
                kind: (
                    [(name, rule.__func__, rule_sets.index(rule.__self__)) for name, rule in found.rules],  # type: ignore[attr-defined]
                    [(update.__func__, rule_sets.index(update.__self__)) for update in found.followers],  # type: ignore[attr-defined]
                )
                for kind, found in rules_by_event(rule_sets, {}).items()
            }
        self._table = _tables[kinds]

    def breaches(self, row: Row, event: Event) -> Iterator[str]:
        """Check an event, then apply it. Yield each breach."""
        rules, followers = self._table.get(type(event), ((), ()))
        for name, rule, place in rules:
            breach = rule(self._rule_sets[place], row, event)
            if breach is not None:
                yield f"{name}: {breach[:200]}"
        for update, place in followers:
            update(self._rule_sets[place], row, event)

    def finish(self) -> Iterator[str]:
        """Yield the breaches that only the end of the log shows."""
        for rule_set in self._rule_sets:
            for found in rule_set.finish():
                yield str(found)[:200]
