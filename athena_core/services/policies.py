"""The service of the policy: replaces the limits of the whole plane, with optimistic concurrency."""

from collections.abc import Callable

from athena_core.clock import iso
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import policy
from athena_core.errors import PreconditionFailed
from athena_core.event import Meta, Value
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.catalog import Catalog
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.runs import Runs
from athena_core.values import Identity


class PolicyInForce(Value):
    """The policy in force after an update: its document and version."""

    version: int
    document: policy.PolicyDocument


class Policies:
    """Replaces the policy."""

    def __init__(self, log: Log, catalog: Catalog, providers: frozenset[str], runs: Runs) -> None:
        self._log = log
        self._catalog = catalog
        self._providers = providers
        self._runs = runs

    async def put(
        self,
        body: policy.PutPolicyBody,
        who: Identity,
        meta: Meta,
        key: Key | None,
        expected: Callable[[int], bool] | None = None,
    ) -> Committed[PolicyInForce]:
        """Replace the policy as a whole.

        Waiting runs that have room under it are admitted in the same commit. ``expected`` returns True if the version
        in force may be replaced. Raise ConfigError or PreconditionFailed.
        """
        wanted, comment = policy.policy_of(body)
        place = "policy." if body.policy else ""
        self.check(wanted.limits or (), place)
        capacity = self._runs.capacity

        def put(reader: Reader, context: Context) -> Outcome[PolicyInForce]:
            state = reader.state(policy.DECIDER, policy.STREAM)
            if expected is not None and not expected(state.version):
                raise PreconditionFailed("the policy was replaced meanwhile", {"version": state.version})
            if wanted != state.policy:  # release 0.1 stored budgets of 0, and answers for their keys
                policy.check_budget(wanted, place)
            command = policy.PutPolicy(policy=wanted, at=iso(context.now), by=who.subject, audit_comment=comment)
            events = policy.decide(command, state, context)
            for event in events:
                state = policy.evolve(state, event)
            document = policy.policy_document(state)
            draft = RunTransaction(reader, context, capacity)
            draft.add(facts_of(policy.STREAM, events))
            if events:
                draft.admit_waiting(state)
            return Outcome(facts=tuple(draft.facts), answer=PolicyInForce(version=state.version, document=document))

        return await self._log.submit(put, meta, key, answers=PolicyInForce)

    def check(self, limits: tuple[policy.KeyLimit, ...], place: str) -> None:
        """Check that limits do not repeat each other and name only existing things. Raise ConfigError."""
        policy.check_limits(limits, place, self._providers, self._catalog.agents())
        for index, limit in enumerate(limits):
            if limit.scope == "harness-profile" and limit.key is not None:
                self._catalog.profile(limit.key, f"{place}limits[{index}].key")
