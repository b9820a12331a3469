"""Prepared runs: requests that were checked and resolved outside of the log, before a transaction admits them."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from athena_core.decider import Reader, facts_of
from athena_core.definitions.profile import HarnessConfig, HarnessPolicies, HarnessSpec
from athena_core.domain import policy, run, session
from athena_core.event import Event, Fact, Value
from athena_core.services.context.compiler import ResolvedReferences
from athena_core.services.runs.agent_room import AGENT_KEY, AgentMemory, AgentRoom, GuardsOf, agent_of
from athena_core.values import MICRO_USD, Identity, PinnedScope, RunBody, persona_of

PROVIDER_KEY = "provider:"
"""The prefix of the keys by which the limit of a provider counts runs (``run.places_of``)."""


class ExecutorCapacity(NamedTuple):
    """This process's executor: its id, its run limit, its providers and its outside agents.

    Without an id, runs are admitted for any executor.
    """

    executor: str = ""
    pid: int = 0
    runs_max: int = 2**31
    providers: frozenset[str] = frozenset()
    agents: AgentRoom = AgentRoom()

    def left(self, reader: Reader, over: frozenset[str] = frozenset()) -> int:
        """Return how many more runs the executor takes, once the runs in ``over`` have ended."""
        mine = reader.count("lease", self.executor)
        if over:
            leases = reader.guards("lease")
            mine -= sum(1 for run_id in over if leases.get(run_id, ("",))[0] == self.executor)
        return max(self.runs_max - mine, 0)

    def serves(self, slot: Sequence[str | int]) -> bool:
        """Return True if the executor has the agent of the run of this slot, and every provider that it may call."""
        named = (place for place in map(str, slot) if place.startswith(PROVIDER_KEY))
        if not all(place.removeprefix(PROVIDER_KEY) in self.providers for place in named):
            return False
        return self.has_agent(slot)

    def has_agent(self, slot: Sequence[str | int]) -> bool:
        """Return True if the executor has the outside agent of the run of this slot, or the loop executes it."""
        agent = agent_of(slot)
        return agent is None or agent in self.agents.names

    def for_run(self, slot: Sequence[str | int]) -> str:
        """Return the executor that a run of this slot is admitted for: this one, or any if it lacks the agent."""
        return self.executor if self.has_agent(slot) else ""

    def memory(self, guards: GuardsOf, over: frozenset[str] = frozenset()) -> AgentMemory:
        """Return the memory of the executor's agents, once the runs in ``over`` have ended."""
        return AgentMemory(guards, self.agents, self.executor, over)


class RunRetry(Value):
    """The part of a retry that is not in its body: taken from the first request, or changed in it.

    ``provider`` and ``model`` replace the values of the profile. ``budget_usd`` replaces its budget; 0 means no budget.
    ``scope`` is the scope of the first request, and ``workflow_run_id`` the workflow run whose workspace it shared.
    """

    run_id: str
    provider: str | None = None
    model: str | None = None
    budget_usd: float | None = None
    fallbacks: tuple[str, ...] | None = None
    scope: PinnedScope | None = None
    workflow_run_id: str | None = None


class PreparedRun(Value, kw_only=True):
    """A checked request for a run: its ids, and everything that does not depend on the state of the log.

    ``origin`` is an event that records where the run comes from; it follows the request in the run's stream.
    ``capacity`` belongs to the executor of this process. A ``patient`` run waits for a slot instead of being refused,
    because no caller waits for its answer.
    """

    run_id: str
    session_id: str
    directive_id: str
    who: Identity
    capacity: ExecutorCapacity
    body: RunBody
    text: str
    """The user message for the model."""
    resolved: ResolvedReferences
    profile: HarnessSpec | None
    provider: str
    model: str
    fallbacks: tuple[str, ...] | None = None
    default_timeout_ms: int
    timeout_ms: int | None = None
    """A timeout of its own; the timeout of its profile still applies."""
    scheduled: bool = False
    patient: bool = False
    least_micro_usd: int | None = 0
    """The least that a call costs, in micro-USD; None if the price is unknown."""
    references: tuple[str, ...] | None = None
    """The context references of a directive that is made for this run."""
    names_notes: bool = False
    """True if the caller has a scope and the context references name notes of the memory."""
    personas: frozenset[str] = frozenset()
    """The personas of earlier runs of its session, if needed to check a scope; an empty name is a run without one."""
    origin: Event | None = None
    retry: RunRetry | None = None
    workflow_run_id: str | None = None
    """The workflow run that the run is a step of, if its profile shares the workspace of that."""
    requesters: tuple[str, ...] = ()
    """The identities that requested the run beside ``who``, or before it; ``who`` alone if empty."""
    mcp_tools: dict[str, dict[str, str]] | None = None
    """The accepted tools of MCP servers that the profile names, as SHA-256 by server and tool."""

    @property
    def fresh(self) -> frozenset[str]:
        """The streams that cannot exist yet."""
        streams = {self.run_id}
        if self.body.session_id is None:
            streams.add(session.stream(self.session_id))
        if self.body.directive_id is None:
            streams.add(self.directive_id)
        return frozenset(streams)

    @property
    def budget_micro_usd(self) -> int | None:
        """The run's own budget, in micro-USD; a ``budgetUsd`` of 0 means no budget."""
        if self.retry is not None and self.retry.budget_usd is not None:
            return micro_usd(self.retry.budget_usd)
        return micro_usd(self.profile.policies.budget_usd) if self.profile else None

    def pinned(self, limits: policy.Policy | None) -> run.RunCreated:
        """Return the request as it is recorded, under the policy in force."""
        timeout = self._timeout_ms(limits)
        profile_id, snapshot = self.body.harness_profile_id, self.profile
        if profile_id is None or snapshot is None:
            profile_id, snapshot = shadow_profile(self.provider, self.model, timeout)
        elif self.retry is not None:
            snapshot = replace(snapshot, config=replace(snapshot.config, provider=self.provider, model=self.model))
        resolved, agent = self.resolved, snapshot.agent
        capacity = self.capacity
        return run.RunCreated(
            session_id=self.session_id,
            directive_id=self.directive_id,
            harness_profile_id=profile_id,
            provider=self.provider,
            model=self.model,
            harness_profile_snapshot=snapshot,
            profile_named=self.profile is not None,
            timeout_ms=timeout,
            requested_by=capacity.executor if agent is None else capacity.for_run((f"{AGENT_KEY}{agent.name}",)),
            fallbacks=self.fallbacks,
            budget_micro_usd=self.budget_micro_usd,
            retry_budget=limits.retry_budget_per_run if limits else None,
            parent_run_id=self.body.parent_run_id,
            retry_of=self.retry.run_id if self.retry else None,
            workflow_run_id=self.workflow_run_id,
            mcp_tools=self.mcp_tools,
            requesters=tuple(dict.fromkeys(filter(None, self.requesters))) or (self.who.subject,),
            context_refs=resolved.references or None,
            contents=resolved.contents or None,
            contents_salt=resolved.salt.hex() if resolved.contents else None,
            persona_name=persona_of(self.body.metadata),
            metadata=self.body.metadata or None,
        )

    def _timeout_ms(self, limits: policy.Policy | None) -> int:
        if self.profile is not None:
            timeout = self.profile.policies.timeout_ms
            return timeout if self.timeout_ms is None else min(self.timeout_ms, timeout)
        if self.timeout_ms is not None:
            return self.timeout_ms
        by_policy = None
        if limits is not None:
            by_policy = limits.default_schedule_timeout_ms if self.scheduled else limits.default_run_timeout_ms
        return by_policy or self.default_timeout_ms


def joins(body: RunBody, who: Identity) -> bool:
    """Return True if the run joins a named session under a scope of personas, so that the session's runs matter."""
    return body.session_id is not None and who.scope is not None and who.scope.personas is not None


def micro_usd(dollars: float) -> int | None:
    """Return dollars in micro-USD, at least one; None for 0."""
    return max(round(dollars * MICRO_USD), 1) if dollars > 0 else None


@lru_cache(maxsize=64)
def shadow_profile(provider: str, model: str, timeout_ms: int) -> tuple[str, HarnessSpec]:
    """Return the profile shown for a run that named none: no budget, no tools, default retries. It is not stored."""
    digest = hashlib.sha256(f"{provider}\0{model}\0{timeout_ms}".encode()).hexdigest()
    spec = HarnessSpec(
        display_name="Shadow harness profile",
        version="v1",
        config=HarnessConfig(provider=provider, model=model, tools=("none",)),
        policies=HarnessPolicies(timeout_ms=timeout_ms, retry_limit=1, budget_usd=0.0),
    )
    return f"shadow-harness-{digest[:12]}", spec


def run_facts(run_id: str, session_id: str | None, events: Sequence[Event]) -> tuple[Fact, ...]:
    """Put the events of a run into their envelopes."""
    return facts_of(run_id, events, session_id=session_id, run_id=run_id)
