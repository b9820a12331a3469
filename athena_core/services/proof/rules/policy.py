"""Rules of the policy: the one in force at each position."""

from athena_core.domain import policy
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule


class PolicyRules(RuleSet):
    """The policy in force before an event."""

    def __init__(self) -> None:
        """Begin without one."""
        self.now = policy.DECIDER.initial

    @rule(policy.PolicyUpdated)
    def policies(self, row: Row, event: policy.PolicyUpdated) -> str | None:
        """What a policy replaces is the policy before it."""
        return None if event.before == self.now.policy else "it replaces another policy than the one in force"

    @follow(policy.PolicyUpdated)
    def replace(self, row: Row, event: policy.PolicyUpdated) -> None:
        """Put another one in force."""
        self.now = policy.evolve(self.now, event)
