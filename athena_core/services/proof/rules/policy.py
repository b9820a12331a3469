"""Rules of the policy, which names the one that it replaces, and of the halt, in which no work begins."""

from athena_core.domain import DECIDERS, halt, policy
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule

BEGINNINGS = tuple(kind for decider in DECIDERS for kind in decider.events if kind.BEGINS)


class PolicyRules(RuleSet):
    """The policy in force before an event."""

    def __init__(self) -> None:
        self.now = policy.DECIDER.initial

    @rule(policy.PolicyUpdated)
    def policies(self, row: Row, event: policy.PolicyUpdated) -> str | None:
        """An update names the policy in force as the one that it replaces."""
        return None if event.before == self.now.policy else "the policy it replaces is not the one in force"

    @follow(policy.PolicyUpdated)
    def replace(self, row: Row, event: policy.PolicyUpdated) -> None:
        self.now = policy.evolve(self.now, event)


class HaltRules(RuleSet):
    """The position of the halt before an event (``halted_at``), None without one."""

    def __init__(self) -> None:
        self.halted_at: int | None = None

    @rule(halt.HaltStarted)
    def halts(self, row: Row, event: halt.HaltStarted) -> str | None:
        """A halt starts only if there is none."""
        return None if self.halted_at is None else f"it starts during the halt of position {self.halted_at}"

    @rule(halt.HaltLifted)
    def lifts(self, row: Row, event: halt.HaltLifted) -> str | None:
        """Only a halt is lifted."""
        return "nothing is halted" if self.halted_at is None else None

    @rule(*BEGINNINGS)
    def halted(self, row: Row, event: Event) -> str | None:
        """No work begins during a halt."""
        return None if self.halted_at is None else f"{row.type} during the halt of position {self.halted_at}"

    @follow(halt.HaltStarted, halt.HaltLifted)
    def apply(self, row: Row, event: Event) -> None:
        self.halted_at = row.position if isinstance(event, halt.HaltStarted) else None
