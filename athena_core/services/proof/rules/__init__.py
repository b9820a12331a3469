"""The rules of the verification, one module per noun, each with the state that its rules compare events with.

What lives here: rules and states. What may not: input and output. Read first: ``../rule.py``, then ``review.py``. A
rule names the event types that it checks; a state is advanced by the types that it follows. An event type that no rule
names gives the reason in ``Shows.verify``.
"""

from collections.abc import Mapping

from athena_core.domain import DECIDERS, plane, template
from athena_core.domain.run import DECIDER as RUN
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import NO_RULES, EventRules, RuleSet, rules_by_event
from athena_core.services.proof.rules.ask import AskRules
from athena_core.services.proof.rules.catalog import AnchorRules, CatalogRules, McpServerRules
from athena_core.services.proof.rules.dead_letter import DeadLetterRules, RedriveRules
from athena_core.services.proof.rules.erasure import ErasureRules
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.permission_rule import PermissionRuleRules
from athena_core.services.proof.rules.policy import HaltRules, PolicyRules
from athena_core.services.proof.rules.precedence import PrecedenceRules
from athena_core.services.proof.rules.queue import MessageRules, QueueRules
from athena_core.services.proof.rules.review import ReviewRules
from athena_core.services.proof.rules.run import RunRules
from athena_core.services.proof.rules.schedule import ScheduleRules
from athena_core.services.proof.rules.token import TokenRules
from athena_core.services.proof.rules.workflow_run import WorkflowRunRules
from athena_core.services.proof.rules.workspace import WorkspaceRules

STANDS_IN_RUNS = (plane.SafetyViolation, template.RunTemplateRun)
"""Event types of other nouns that occur in the streams of runs."""


def _streams() -> dict[type[Event], tuple[str, ...]]:
    """Return the allowed prefixes of each event type's streams.

    Requests about unknown things go to the plane's stream.
    """
    found: dict[type[Event], tuple[str, ...]] = {}
    for decider in DECIDERS:
        for kind in decider.events:
            more = (f"{RUN.category}_",) if kind in STANDS_IN_RUNS else ()
            found[kind] = (f"{decider.category}_", f"{decider.category}:", decider.category, plane.STREAM, *more)
    return found


STREAMS = _streams()


class Rules:
    """Every rule of the verification, with the states before an event."""

    def __init__(self) -> None:
        self.log = LogRules()
        self.policies = PolicyRules()
        asks, halts = AskRules(), HaltRules()
        self.runs = RunRules(self.log, self.policies, halts, asks)
        self.erasure = ErasureRules()
        dead_letters = DeadLetterRules()
        self.rule_sets: tuple[RuleSet, ...] = (
            *(
                self.policies,
                CatalogRules(),
                self.erasure,
                asks,
                self.runs,
                WorkflowRunRules(),
                ScheduleRules(self.log),
            ),
            *(QueueRules(self.log), dead_letters, MessageRules(), ReviewRules(self.log, self.runs)),
            *(
                RedriveRules(dead_letters),
                AnchorRules(),
                PermissionRuleRules(asks, self.runs),
                halts,
                TokenRules(),
                WorkspaceRules(self.runs),
                McpServerRules(),
                PrecedenceRules(self.log, self.runs),
            ),
        )
        self.table: Mapping[type[Event], EventRules] = rules_by_event(self.rule_sets, STREAMS)

    def look(self, row: Row, event: Event) -> list[tuple[str, str]]:
        """Check and apply an event; return the rules that it breaks, with reasons. A damaged event is ``Unknown``."""
        found = self.log.faults(row)
        if row.text is None and row.text_hash is not None:
            self.erasure.missing.add(row.position)
        entry = self.table.get(type(event), NO_RULES)
        if not row.stream.startswith(entry.streams):
            found.append(("streams", f"{row.type} is in {row.stream}, a stream of another kind"))
        for name, rule in entry.rules:
            breach = rule(row, event)
            if breach is not None:
                found.append((name, breach))
        for follower in entry.followers:
            follower(row, event)
        self.log.advance(row)
        return found


def rule_names() -> set[str]:
    """Return the names of all rules of events."""
    return {"streams", *LogRules.NAMES, *(name for entry in Rules().table.values() for name, _ in entry.rules)}
