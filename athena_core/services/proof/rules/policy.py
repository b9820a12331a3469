"""Rules of the policy: each one names the policy that it replaces."""

from athena_core.domain import policy
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule


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
        """Apply the update."""
        self.now = policy.evolve(self.now, event)
