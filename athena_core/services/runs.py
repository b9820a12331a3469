"""Runs: asking for one, waiting for it, cancelling it; the transactions that keep limits and turns."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
from msgspec.structs import replace

from athena_core.clock import Ids, iso
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, fold
from athena_core.domain import directive, plane, policy, run, session
from athena_core.errors import (
    AthenaError,
    ConcurrencyLimitExceeded,
    ConfigError,
    IdempotencyInProgress,
    OutcomeUnknown,
    ProviderError,
    ProviderNotFound,
    RunCancelled,
    RunCrashed,
    RunTimeout,
    SessionLockTimeout,
)
from athena_core.event import Event, Fact, Meta, Position, Recorded, Value
from athena_core.protocols import Row
from athena_core.services.access import violation_of
from athena_core.services.catalog import Catalog, directive_facts
from athena_core.services.context import Compiler, Resolved, resolve
from athena_core.settings import Settings
from athena_core.store.log import SALT_BYTES, Committed, Log
from athena_core.store.tail import Tail
from athena_core.values import (
    Cancelled,
    HarnessConfig,
    HarnessPolicies,
    HarnessProfile,
    HarnessSpec,
    Identity,
    RunBody,
    RunResult,
)

WAIT_GRACE_SECONDS = 15.0


class Work(Value):
    """A run that this process is to execute, as its first commit describes it."""

    run_id: str
    request: run.RunCreated
    token: int
    correlation: str
    admitted_at: int
    position: Position
    said: str
    contents: tuple[str, ...]


class Waiting:
    """Somebody waits for a run: to be admitted, to end."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.admitted = asyncio.Event()
        self.ended = asyncio.Event()


class Runs:
    """Starts runs, waits for them, cancels them."""

    def __init__(
        self,
        log: Log,
        tail: Tail,
        catalog: Catalog,
        settings: Settings,
        ids: Ids,
        providers: frozenset[str],
        *,
        grace_seconds: float = WAIT_GRACE_SECONDS,
    ) -> None:
        """Take the parts; ``execute`` and ``executor`` are set by the runner once it has its lock.

        ``grace_seconds`` is how long a caller waits beyond the timeout of a run.
        """
        self._grace_seconds = grace_seconds
        self._log = log
        self._catalog = catalog
        self._settings = settings
        self._ids = ids
        self._providers = providers
        self._reader = log.reader()
        self.compiler = Compiler(settings, log.codec, self._reader)
        self._waiting: dict[str, list[Waiting]] = {}
        self.executor = ""
        self.pid = 0
        self.execute: Callable[[Work], None] | None = None
        tail.subscribe(self._notice)

    def _notice(self, rows: Sequence[Row]) -> None:
        """Wake whoever waits for a run that was admitted or ended."""
        for row in rows:
            if row.stream in self._waiting and (row.type in run.ENDING_TYPES or row.type == run.RunCreated.TYPE):
                for waiting in self._waiting[row.stream]:
                    waiting.admitted.set()
                    if row.type in run.ENDING_TYPES:
                        waiting.ended.set()

    # Starting

    async def start(self, body: RunBody, who: Identity, meta: Meta, key: Key | None, *, wait: bool) -> Committed:
        """Have a run admitted or queued, and with ``wait`` see it through; the subject is the run's id.

        Raises ConfigError for a wrong reference, ProviderNotFound, ContextOverflow, ConcurrencyLimitExceeded; with
        ``wait`` also what ended the run instead of an answer, and SessionLockTimeout.
        """
        plan = self._plan(body)
        key = key and replace(key, released=withdrawn)
        run_id = self._ids.new("run")
        session_id = body.session_id or self._ids.new("ses")
        directive_id = body.directive_id or self._ids.new("dir")
        fresh = {run_id}
        if body.session_id is None:
            fresh.add(session.stream(session_id))
        if body.directive_id is None:
            fresh.add(directive_id)
        waiting = Waiting()  # before the run exists, so that nothing is missed
        self._waiting.setdefault(run_id, []).append(waiting)
        try:
            committed = await self._log.submit(
                lambda reader, context: admit(reader, context, plan, self, run_id, session_id, directive_id, who),
                meta,
                key,
                frozenset(fresh),
            )
            if committed.subject != run_id:
                return await self._attach(committed, wait=wait)
            if plan.work is not None and self.execute is not None:
                waiting.admitted.set()
                self.execute(plan.work)
            if wait:
                await self._see_through(run_id, waiting, meta, plan.work)
            return committed
        finally:
            self._forget(run_id, waiting)

    def _plan(self, body: RunBody) -> "Plan":
        """Check the request in the contract's order, resolve its references."""
        if body.input is None and body.directive_id is None:
            raise ConfigError.of("input", "a run requires either input or directiveId", "one of the two")
        if body.harness_profile_id is not None and (body.provider or body.model):
            remedy = "either a profile, or provider and model"
            raise ConfigError.of("harnessProfileId", "cannot be combined with provider or model", remedy)
        if body.input is not None and body.directive_id is not None:
            raise ConfigError.of("directiveId", "cannot be combined with input", "one of the two")
        resolved, said = Resolved(self._ids.salt(SALT_BYTES)), body.input or ""
        if body.directive_id is not None:
            found, _ = self._catalog.directive(body.directive_id, "directiveId")
            if found.input is None:
                raise ConfigError.of(
                    "directiveId", f"the text of {body.directive_id} was redacted", "another directive"
                )
            said = found.input
            resolved = resolve(
                found.context_refs or (), self._settings.workspace_root, self.compiler.chars_max, resolved.salt
            )
        profile = None
        if body.harness_profile_id is not None:
            profile, _ = self._catalog.profile(body.harness_profile_id, "harnessProfileId")
        provider = profile.config.provider if profile else body.provider or self._settings.default_provider
        if provider not in self._providers:
            raise ProviderNotFound(
                f"no provider {provider!r} is registered; known: {', '.join(sorted(self._providers))}"
            )
        self.compiler.check(said, resolved)
        return Plan(body, said, resolved, profile, provider, self._settings)

    async def _see_through(self, run_id: str, waiting: Waiting, meta: Meta, work: Work | None) -> None:
        """Wait for the end; withdraw the run if its turn does not come in time."""
        with anyio.move_on_after(self._settings.session_wait_ms / 1000):
            await waiting.admitted.wait()
        if not waiting.admitted.is_set():
            withdraw = run.WithdrawRun(cause="session-busy")
            try:
                await self._log.submit(lambda reader, context: finish(reader, context, run_id, withdraw), meta)
            except AthenaError as error:  # it says "not done", but of the withdrawal: the run itself is in the log
                raise OutcomeUnknown(f"run {run_id} still waits; see GET /api/v1/runs/{run_id}") from error
        request = work.request if work else self.state(run_id).request
        seconds = (request.timeout_ms / 1000 if request else 0.0) + self._grace_seconds
        with anyio.move_on_after(seconds):
            await waiting.ended.wait()
        if not waiting.ended.is_set():
            raise OutcomeUnknown(f"run {run_id} goes on without you; see GET /api/v1/runs/{run_id}")

    async def _attach(self, committed: Committed, *, wait: bool) -> Committed:
        """A repeated key: wait for its run as the first caller did."""
        run_id = committed.subject or ""
        waiting = Waiting()
        self._waiting.setdefault(run_id, []).append(waiting)
        try:
            state = self.state(run_id)
            if wait and state.open:
                timeout = state.request.timeout_ms if state.request else 0
                with anyio.move_on_after(timeout / 1000 + self._grace_seconds):
                    await waiting.ended.wait()
                if not waiting.ended.is_set():
                    raise IdempotencyInProgress(f"run {run_id} of this key is still at work")
        finally:
            self._forget(run_id, waiting)
        return committed

    def _forget(self, run_id: str, waiting: Waiting) -> None:
        self._waiting[run_id].remove(waiting)
        if not self._waiting[run_id]:
            del self._waiting[run_id]

    def state(self, run_id: str) -> run.RunState:
        """The state of a run as committed."""
        rows = self._reader.stream(run_id)
        return fold(run.DECIDER, (self._log.codec.decode(row, text=False).event for row in rows))

    def recorded(self, run_id: str) -> list[Recorded[Event]]:
        """The events of a run with their text."""
        return [self._log.codec.decode(row) for row in self._reader.stream(run_id)]

    def result(self, run_id: str) -> tuple[RunResult, Position]:
        """The answer of a run that completed, rendered from its events. Raises what ended it instead."""
        recorded = self.recorded(run_id)
        return result_of(run_id, recorded), recorded[-1].position

    # Cancelling

    async def cancel_run(self, run_id: str, reason: str | None, meta: Meta, key: Key | None) -> Committed:
        """Ask for the cancel of a run; the answer is a ``Cancelled``."""
        command = run.CancelRun(reason=reason, by_run=run_id)
        return await self._log.submit(lambda reader, context: cancel(reader, context, run_id, command), meta, key)

    async def cancel_session(self, session_id: str, reason: str | None, meta: Meta, key: Key | None) -> Committed:
        """Ask for the cancel of the admitted run of a session; the answer is a ``Cancelled``."""
        command = run.CancelRun(reason=reason)

        def cancel_admitted(reader: Reader, context: Context) -> Outcome:
            holder = reader.guards("turn").get(session_id)
            if holder is not None:
                outcome = cancel(reader, context, str(holder[0]), command)
                return Outcome(facts=outcome.facts, answer=Cancelled(session_id=session_id, status="cancelled"))
            events = run.decide(command, run.DECIDER.initial, context)
            facts = tuple(Fact(stream=plane.STREAM, event=event, session_id=session_id) for event in events)
            return Outcome(facts=facts, answer=Cancelled(session_id=session_id, status="not-running"))

        return await self._log.submit(cancel_admitted, meta, key)

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


class Plan:
    """A checked request: everything about a run that does not depend on the state of the plane.

    ``work`` is there once the run was admitted; it holds text, so it is no answer that a key could store.
    """

    def __init__(
        self,
        body: RunBody,
        said: str,
        resolved: Resolved,
        profile: HarnessSpec | None,
        provider: str,
        settings: Settings,
    ) -> None:
        """Take what was resolved."""
        self.body = body
        self.said = said
        self.resolved = resolved
        self.profile = profile
        self.provider = provider
        self.work: Work | None = None
        self.default_timeout_ms = settings.runtime_run_timeout_ms
        own_model = settings.default_model if provider == settings.default_provider else provider + "-default"
        self.model = profile.config.model if profile else body.model or own_model

    def request(
        self, session_id: str, directive_id: str, limits: policy.Policy | None, executor: str
    ) -> run.RunCreated:
        """The run as it is pinned, under the policy in force."""
        by_policy = limits.default_run_timeout_ms if limits else None
        timeout = self.profile.policies.timeout_ms if self.profile else by_policy or self.default_timeout_ms
        profile_id, snapshot = self.body.harness_profile_id, self.profile
        if profile_id is None or snapshot is None:
            profile_id, snapshot = shadow_profile(self.provider, self.model, timeout)
        return run.RunCreated(
            session_id=session_id,
            directive_id=directive_id,
            harness_profile_id=profile_id,
            provider=self.provider,
            model=self.model,
            harness_profile_snapshot=snapshot,
            profile_named=self.profile is not None,
            timeout_ms=timeout,
            requested_by=executor,
            context_refs=tuple(self.resolved.references) or None,
            contents=tuple(self.resolved.contents) or None,
            contents_salt=self.resolved.salt.hex() if self.resolved.contents else None,
            metadata=self.body.metadata or None,
        )


def shadow_profile(provider: str, model: str, timeout_ms: int) -> tuple[str, HarnessSpec]:
    """The profile that is shown for a run that named none; it is not stored (contract 4.2, decisions E26)."""
    digest = hashlib.sha256(f"{provider}\0{model}\0{timeout_ms}".encode()).hexdigest()
    spec = HarnessSpec(
        display_name="Shadow harness profile",
        version="v1",
        config=HarnessConfig(provider=provider, model=model, tools=("none",)),
        policies=HarnessPolicies(timeout_ms=timeout_ms, retry_limit=1, budget_usd=0),
    )
    return f"shadow-harness-{digest[:12]}", spec


# Transactions


def facts_of(run_id: str, session_id: str | None, events: Sequence[Event]) -> tuple[Fact, ...]:
    """The events of a run in their envelope."""
    return tuple(Fact(stream=run_id, event=event, session_id=session_id, run_id=run_id) for event in events)


def admit(
    reader: Reader,
    context: Context,
    plan: Plan,
    runs: Runs,
    run_id: str,
    session_id: str,
    directive_id: str,
    who: Identity,
) -> Outcome:
    """Admit a run, queue it behind its session, or refuse it (decisions E19: the fleet's limit first)."""
    limits = reader.state(policy.DECIDER, policy.STREAM).policy
    request = plan.request(session_id, directive_id, limits, runs.executor)
    slots, waiting = reader.guards("slot"), reader.guards("waiting")
    limit = limits.max_concurrent_runs if limits else None
    if limit is not None and len(slots) >= limit:
        raise refused(reader, context, request, run_id, len(slots), limit, who)
    facts: tuple[Fact, ...] = ()
    opened = session.decide(
        session.OpenSession(session_id=session_id), reader.state(session.DECIDER, session.stream(session_id)), context
    )
    facts += tuple(Fact(stream=session.stream(session_id), event=event, session_id=session_id) for event in opened)
    if plan.body.directive_id is None:
        spec = directive.DirectiveSpec(input=plan.said, metadata=plan.body.metadata)
        facts += directive_facts(reader, context, directive_id, spec, shadow=True)
    busy = session_id in reader.guards("turn") or any(session_id == queued[1] for queued in waiting.values())
    wait: run.WaitReason | None = "session-busy" if busy else None
    asked = run.decide(run.RequestRun(request=request, wait=wait), run.DECIDER.initial, context)
    facts += facts_of(run_id, session_id, asked)
    if wait is not None or runs.execute is None:
        return Outcome(facts=facts, subject=run_id)
    lease = run.LeaseRun(executor=runs.executor, pid=runs.pid, said=plan.said)
    taken = run.decide(lease, run.evolve(run.DECIDER.initial, asked[0]), context)
    plan.work = Work(
        run_id=run_id,
        request=run.without_text(request),
        token=1,
        correlation=context.meta.correlation,
        admitted_at=context.now,
        position=reader.head + len(facts),
        said=plan.said,
        contents=tuple(plan.resolved.contents),
    )
    return Outcome(facts=facts + facts_of(run_id, session_id, taken), subject=run_id)


def withdrawn(reader: Reader, run_id: str | None) -> bool:
    """Whether the run of a key was withdrawn, which frees the key (decisions E11)."""
    return run_id is not None and reader.state(run.DECIDER, run_id).withdrawn


def refused(
    reader: Reader, context: Context, request: run.RunCreated, run_id: str, active: int, limit: int, who: Identity
) -> Rejected:
    """The refusal events in the contract's order (decisions E17), then the error."""
    origin = run.PolicyOrigin(
        schema_version=1,
        engine="athena",
        rule_type="concurrency",
        policy_name="policy.maxConcurrentRuns",
        failure_action="enforce",
    )
    rejection = run.RunRejection(
        schema_version=1,
        timestamp=iso(context.now),
        policy_type="CONCURRENCY",
        limit=limit,
        rejected_run_details=run.RejectedRunDetails(session_id=request.session_id),
        reason="max-concurrent-runs-exceeded",
        active_runs=active,
        policy=origin,
    )
    concurrency = run.PolicyConcurrencyRejected(
        rejection=rejection,
        active_runs=active,
        max_concurrent_runs=limit,
        reason=rejection.reason,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        policy=origin,
    )
    code = "POLICY_CONCURRENCY_REJECTED"
    violation = violation_of(reader, context, concurrency.TYPE, who, "policy", "blocked", code)
    rejected = run.PolicyRejected(
        rejection=rejection,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        policy=origin,
    )
    error = ConcurrencyLimitExceeded(
        f"policy.maxConcurrentRuns exceeded: {active} of {limit} runs are active", {"runId": run_id}
    )
    return Rejected(error, facts_of(run_id, request.session_id, (concurrency, violation, rejected)))


def finish(reader: Reader, context: Context, run_id: str, command: run.RunCommand) -> Outcome:
    """Decide about one run; if that frees a slot or a turn, admit who waits for it."""
    state = reader.state(run.DECIDER, run_id)
    events = run.decide(command, state, context)
    session_id = state.request.session_id if state.request else None
    facts = facts_of(run_id, session_id, events)
    if session_id is not None and any(event.TYPE in run.ENDING_TYPES for event in events):
        facts += admitted_next(reader, context, run_id, session_id)
    return Outcome(facts=facts, subject=run_id)


def admitted_next(reader: Reader, context: Context, ended: str, session_id: str) -> tuple[Fact, ...]:
    """Admit the oldest waiters whose session is free, as far as slots are, now that a run has ended."""
    slots = reader.guards("slot")
    if ended not in slots:
        return ()
    limits = reader.state(policy.DECIDER, policy.STREAM).policy
    limit = limits.max_concurrent_runs if limits else None
    used = len(slots) - 1
    turns: Mapping[str, Any] = reader.guards("turn")
    taken: set[str] = set()
    facts: tuple[Fact, ...] = ()
    for run_id, (_, waiting_session) in reader.guards("waiting").items():
        if limit is not None and used >= limit:
            break
        name = str(waiting_session)
        if name in taken or (name in turns and name != session_id):
            continue
        events = run.decide(run.AdmitRun(), reader.state(run.DECIDER, run_id), context)
        facts += facts_of(run_id, name, events)
        taken.add(name)
        used += 1
    return facts


def cancel(reader: Reader, context: Context, run_id: str, command: run.CancelRun) -> Outcome:
    """Record the request; a run without an executor ends at once. Unknown runs are recorded on the plane."""
    state = reader.state(run.DECIDER, run_id) if run_id.startswith("run_") else run.DECIDER.initial
    if state.request is None:
        events = run.decide(command, state, context)
        facts = tuple(Fact(stream=plane.STREAM, event=event) for event in events)
        return Outcome(facts=facts, answer=Cancelled(run_id=run_id, status="not-running"))
    outcome = finish(reader, context, run_id, command)
    if not state.open:
        return Outcome(facts=outcome.facts, answer=Cancelled(run_id=run_id, status="not-running"))
    done = Cancelled(run_id=run_id, session_id=state.request.session_id, status="cancelled")
    return Outcome(facts=outcome.facts, answer=done)


# Rendering


def result_of(run_id: str, recorded: Sequence[Recorded[Event]]) -> RunResult:
    """The result of a completed run from its events; else raise what ended it."""
    created: run.RunCreated | None = None
    created_at, output = 0, ""
    for one in recorded:
        match one.event:
            case run.RunCreated():
                created, created_at = one.event, one.recorded_at
            case run.TranscriptAppended(role="assistant"):
                output = one.event.content or ""
            case run.RunCompleted() if created is not None:
                return _result(run_id, created, created_at, output, one.event)
            case run.RunFailed() | run.RunCancelled() | run.RunTimedOut() | run.RunCrashed():
                raise error_of(run_id, one.event)
    raise IdempotencyInProgress(f"run {run_id} is still at work")


def _result(run_id: str, created: run.RunCreated, at: int, output: str, end: run.RunCompleted) -> RunResult:
    spec = created.harness_profile_snapshot
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return RunResult(
        session_id=created.session_id,
        run_id=run_id,
        output=output,
        provider=end.provider,
        model=end.model,
        created_at=iso(at),
        directive_id=created.directive_id,
        harness_profile_id=created.harness_profile_id,
        harness_profile_snapshot=HarnessProfile(id=created.harness_profile_id, created_at=iso(at), **fields),
        evidence_count=end.evidence_count,
        verification_status=end.verification_status,
        verification_failures=end.verification_failures,
        context_meta=end.context_meta,
        reliability=end.reliability,
        usage=end.usage,
    )


def error_of(run_id: str, ending: Event) -> AthenaError:
    """What a synchronous caller is told about a run that did not complete."""
    details = {"runId": run_id}
    match ending:
        case run.RunTimedOut():
            return RunTimeout(f"run {run_id} took longer than {ending.timeout_ms} ms", details)
        case run.RunCancelled(cause="session-busy"):
            return SessionLockTimeout("the session is busy with another run; the run was withdrawn", details)
        case run.RunCancelled():
            reason = f": {ending.reason}" if ending.reason else ""
            return RunCancelled(f"run {run_id} was cancelled{reason}", details)
        case run.RunCrashed():
            return RunCrashed(f"the executor of run {run_id} died; retry with a new key", details)
        case run.RunFailed():
            return ProviderError(ending.message, details)
        case _:
            raise TypeError(ending)
