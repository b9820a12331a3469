"""Rules of the policy: the one in force at each position."""

from athena_core.domain import policy
from athena_core.protocols import Row
from athena_core.services.proof.rule import Noun, follow


class Policies(Noun):
    """The policy in force before an event."""

    def __init__(self) -> None:
        """Begin without one."""
        self.now = policy.DECIDER.initial

    @follow(policy.PolicyUpdated)
    def replace(self, row: Row, event: policy.PolicyUpdated) -> None:
        """Put another one in force."""
        self.now = policy.evolve(self.now, event)
