"""The service of runs: start, wait, resume, cancel."""

from collections.abc import Callable, Coroutine, Iterator
from itertools import chain
from types import NoneType
from typing import Any, NamedTuple, Protocol, TypeAlias

from anyio import to_thread
from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.decider import A, Context, Key, Outcome, Reader, Transaction
from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import run, session, template
from athena_core.errors import (
    AthenaError,
    ConfigError,
    IdempotencyInProgress,
    OutcomeUnknown,
    ProviderNotFound,
)
from athena_core.event import Event, Fact, Meta, Position, Recorded
from athena_core.log.codec import SALT_BYTES
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.providers.model_choice import ModelChoice
from athena_core.providers.prices import FRAME_TOKENS, OUTPUT_TOKENS_LEAST, Prices
from athena_core.services.access.access import Access, ScopeProof
from athena_core.services.catalog import Catalog
from athena_core.services.context.compiler import (
    FILE_BYTES_MAX,
    ContextCompiler,
    ResolvedReferences,
    names_notes,
    referenced_files,
    resolve,
)
from athena_core.services.runs.admission import (
    Admission,
    RunLease,
    admit,
    apply_command,
    cancel,
    cancel_turn,
    resume,
    withdrawn,
)
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun, RunRetry, joins
from athena_core.services.runs.results import (
    RunResult,
    completed_result,
    held_seconds,
    run_events,
    run_result,
    run_state,
    template_use,
)
from athena_core.services.runs.retries import RetryBody, retried_request, retry_demands, with_model
from athena_core.services.runs.waiting import RunWaiter, RunWaiters
from athena_core.services.workspaces.workspaces import Workspaces
from athena_core.settings import Settings
from athena_core.values import INTEGER_MAX, MICRO_USD, Cancelled, Identity, RunBody, TemplateUse

WAIT_GRACE_SECONDS = 15.0
REQUEST_TYPES = frozenset((run.RunQueued.TYPE, run.RunCreated.TYPE))


class LocalExecutor(Protocol):
    """The executor of this process."""

    @property
    def capacity(self) -> ExecutorCapacity:
        """The current capacity, used by the commit that admits a run; it changes as the executor starts and stops."""

    def begin(self, prepared: PreparedRun, lease: RunLease, correlation: str) -> None:
        """Execute a run that was leased in the commit that created it."""

    def take_up(self, run_id: str) -> None:
        """Execute a run that was leased here in a later commit; no effect otherwise."""


class StartedRun(NamedTuple):
    """A run that was leased in the commit that created it, and its template."""

    lease: RunLease
    template: TemplateUse | None


class RunAnswer(NamedTuple):
    """The result of a run, None while it is paused, and the position that it reflects."""

    result: RunResult | None
    position: Position


RunReport: TypeAlias = RunAnswer | StartedRun | None
"""The known outcome of a started run: its result, its start, or None if only its id is known."""


class Runs:
    """Starts runs, waits for them, cancels them."""

    def __init__(
        self,
        log: Log,
        catalog: Catalog,
        access: Access,
        settings: Settings,
        ids: Ids,
        providers: frozenset[str],
        models: ModelChoice,
        prices: Prices,
        mask: Mask,
        workspaces: Workspaces,
        compiler: ContextCompiler,
        waiters: RunWaiters,
        executor: LocalExecutor,
        mcp_pins: Callable[[HarnessSpec | None], dict[str, dict[str, str]] | None] = lambda profile: None,
        *,
        grace_seconds: float = WAIT_GRACE_SECONDS,
    ) -> None:
        """Connect the parts. A caller waits ``grace_seconds`` beyond the timeout of a run.

        ``mcp_pins`` returns the accepted tools of MCP servers that a profile names.
        """
        self._mcp_pins = mcp_pins
        self._grace_seconds = grace_seconds
        self._log = log
        self._catalog = catalog
        self._access = access
        self._settings = settings
        self._ids = ids
        self._providers = providers
        self._models = models
        self._prices = prices
        self._mask = mask
        self._workspaces = workspaces
        self._reader = log.reader()
        self.compiler = compiler
        self._waiters = waiters
        self._executor = executor

    @property
    def capacity(self) -> ExecutorCapacity:
        """The current capacity of this process's executor."""
        return self._executor.capacity

    # Preparing

    async def prepare(
        self,
        body: RunBody,
        who: Identity,
        *,
        references: tuple[str, ...] | None = None,
        scheduled: bool = False,
        patient: bool = False,
        timeout_ms: int | None = None,
        retry: RunRetry | None = None,
        workflow_run_id: str | None = None,
        decided: bool = False,
    ) -> PreparedRun:
        """Check a run request outside of the log; nothing is stored. Raise the errors of ``start``.

        ``references`` are the context references beside its input, which is not masked again if ``decided``. A
        ``scheduled`` run has the default timeout of schedules. The others are as in ``PreparedRun``.
        """
        _check(body)
        settings = self._settings
        text, references = self._text(body, references, decided=decided)
        profile, provider, model = await self._model(body, retry)
        if profile is None or profile.workspace != "workflow-run":
            workflow_run_id = None
        session_id = body.session_id or self._ids.new("ses")
        notes = who.scope is not None and any(map(names_notes, references or ()))
        personas = await to_thread.run_sync(self._personas, session_id) if joins(body, who) else frozenset[str]()
        refused = not self._joins(who, personas) or (notes and self._access.hides(who, "getMemory"))
        resolved = await self._resolve(() if refused else references or (), profile, session_id, workflow_run_id)
        self.compiler.check(text, resolved.contents)
        tokens = len(text.encode(errors="replace")) + FRAME_TOKENS
        prepared = PreparedRun(
            run_id=self._ids.new("run"),
            session_id=session_id,
            directive_id=body.directive_id or self._ids.new("dir"),
            who=who,
            capacity=self._executor.capacity,
            body=body,
            text=text,
            resolved=resolved,
            profile=profile,
            provider=provider,
            model=model,
            fallbacks=self._fallbacks(body, retry),
            default_timeout_ms=settings.schedule_run_timeout_ms if scheduled else settings.runtime_run_timeout_ms,
            timeout_ms=timeout_ms,
            scheduled=scheduled,
            patient=patient,
            least_micro_usd=self._prices.ceiling(provider, model, tokens, OUTPUT_TOKENS_LEAST),
            references=references,
            names_notes=notes,
            retry=retry,
            workflow_run_id=workflow_run_id,
            mcp_tools=self._mcp_pins(profile),
            personas=personas,
        )
        if prepared.budget_micro_usd is not None and prepared.least_micro_usd is None:
            reason = f"unpriced-model: {provider} {model!r} has no known price, so budgetUsd cannot be enforced"
            raise ConfigError.of("harnessProfileId", reason, "a model with a known price, or budgetUsd 0")
        return prepared

    async def _resolve(
        self, references: tuple[str, ...], profile: HarnessSpec | None, session_id: str, workflow_run_id: str | None
    ) -> ResolvedReferences:
        """Read context references where the run will work. Raise ConfigError."""
        salt = self._ids.salt(SALT_BYTES)
        if not references:
            return ResolvedReferences(salt=salt)
        paths = referenced_files(references)
        files = await self._workspaces.readable(profile, session_id, workflow_run_id, paths, FILE_BYTES_MAX)
        return resolve(references, files, self.compiler.chars_max, salt, self._mask, self._workspaces.shared)

    async def may_join(self, session_id: str | None, who: Identity) -> bool:
        """Return False if the admission will refuse a run in this session, so that nothing of it must be read."""
        if session_id is None or who.scope is None or who.scope.personas is None:
            return True
        return self._joins(who, await to_thread.run_sync(self._personas, session_id))

    def _joins(self, who: Identity, personas: frozenset[str]) -> bool:
        allowed = None if who.scope is None else who.scope.personas
        return allowed is None or personas <= allowed or not self._access.hides(who, "createRun")

    async def with_personas(self, prepared: PreparedRun) -> PreparedRun:
        """Return the run with the personas of its session's earlier runs, if a scope needs them."""
        if not joins(prepared.body, prepared.who):
            return prepared
        return replace(prepared, personas=await to_thread.run_sync(self._personas, prepared.session_id))

    def _text(
        self, body: RunBody, references: tuple[str, ...] | None, *, decided: bool
    ) -> tuple[str, tuple[str, ...] | None]:
        """Return the user message, masked unless it is ``decided``, and its context references. Raise ConfigError."""
        hide = (lambda text: text) if decided else self._mask.hide  # secrets may appear once its parts are joined
        if body.directive_id is None:
            return hide(body.input or ""), references
        directive, _ = self._catalog.directive(body.directive_id, "directiveId")
        if directive.input is None:
            raise ConfigError.of("directiveId", f"the text of {body.directive_id} was redacted", "another directive")
        return hide(directive.input), directive.context_refs

    def _fallbacks(self, body: RunBody, retry: RunRetry | None) -> tuple[str, ...] | None:
        """Return the fallback providers: none for a profile or a chosen provider, except in a retry."""
        if retry is not None:
            return tuple(name for name in retry.fallbacks or () if name in self._providers) or None
        named = body.harness_profile_id is not None or body.provider is not None
        return None if named else self._settings.provider_fallback_order or None

    async def _model(self, body: RunBody, retry: RunRetry | None) -> tuple[HarnessSpec | None, str, str]:
        """Return the requested profile, the provider and the model. Raise ConfigError or ProviderNotFound."""
        settings, profile = self._settings, None
        if body.harness_profile_id is not None:
            profile, _ = self._catalog.profile(body.harness_profile_id, "harnessProfileId")
        provider, model = body.provider or settings.default_provider, body.model
        if profile is not None:
            provider, model = profile.config.provider, profile.config.model
            if retry is not None:
                provider, model = with_model(profile, retry)
        if profile is not None and profile.agent is not None:
            known_agents = self._catalog.agents()
            if known_agents is not None and profile.agent.name not in known_agents:
                reason = f"no agent {profile.agent.name!r} is registered"
                raise ConfigError.of("harnessProfileId", reason, "register it (ATHENA_AGENTS), or use another profile")
            if provider != profile.config.provider:
                reason = f"agent {profile.agent.name!r} asks models of provider {profile.config.provider!r} only"
                raise ConfigError.of("provider", reason, "leave provider out")
        elif provider not in self._providers:
            known = ", ".join(sorted(self._providers))
            raise ProviderNotFound(f"provider {provider!r} is not registered; known: {known}")
        if not model and provider == settings.default_provider:
            model = settings.default_model
        return profile, provider, model or await self._models.only(provider)

    def _personas(self, session_id: str) -> frozenset[str]:
        """Return the personas of a session's runs, with an empty name for runs without one. Reads the whole session."""
        reader, personas = self._log.reader(), set[str]()
        try:
            for row in reader.session(session_id, INTEGER_MAX):
                if row.type in REQUEST_TYPES:
                    event = self._log.codec.decode(row, text=False).event
                    personas.add((isinstance(event, run.RunRequest) and event.persona_name) or "")
        finally:
            reader.close()
        return frozenset(personas)

    async def prepare_retry(
        self, run_id: str, changes: RetryBody, who: Identity, *, patient: bool = False
    ) -> PreparedRun:
        """Prepare the retry of a run: its request, with these changes. Nothing is stored.

        Raise NotFound, ConfigError if its text was erased, and the errors of ``prepare``.
        """
        first = retried_request(self._reader, self._log.codec, run_id, changes)
        references = None
        if changes.input is not None:
            directive, _ = self._catalog.directive(first.directive_id, "directiveId")
            references = directive.context_refs
            if directive.has_context_refs and references is None:
                raise ConfigError.of("runId", f"the context references of {run_id} were erased", "a new run")
        return await self.prepare(
            first.body,
            who,
            references=references,
            patient=patient,
            retry=first.retry,
            workflow_run_id=first.retry.workflow_run_id,
        )

    # Starting

    async def start(
        self, body: RunBody, who: Identity, meta: Meta, key: Key | None, *, wait: bool
    ) -> Committed[RunReport]:
        """Start a run, and with ``wait`` wait for its end. The subject of the commit is the run's id.

        The answer is a ``RunAnswer`` if this process knows the result. Without ``wait`` it is a ``StartedRun`` if the
        run did not have to queue. Otherwise it is None.

        Raise ConfigError for a wrong reference, ProviderNotFound, ContextOverflow, DailyBudgetExceeded,
        ConcurrencyLimitExceeded or SessionLockTimeout. With ``wait``, also raise OutcomeUnknown while the run
        continues, and IdempotencyInProgress while the run of a repeated key does. ``answer`` raises the error that
        ended the run.
        """
        return await self._start(self.prepare(body, who), meta, key, wait=wait)

    async def retry(
        self,
        run_id: str,
        changes: RetryBody,
        who: Identity,
        meta: Meta,
        key: Key | None,
        *,
        wait: bool,
        patient: bool = False,
    ) -> Committed[RunReport]:
        """Start a run with the request of one that ended, as ``start`` does. A ``patient`` run waits for a free slot.

        Also raise NotFound, RunNotEnded, or ConfigError if the text of the run was erased.
        """
        return await self._start(self.prepare_retry(run_id, changes, who, patient=patient), meta, key, wait=wait)

    async def _start(
        self, preparing: Coroutine[Any, Any, PreparedRun], meta: Meta, key: Key | None, *, wait: bool
    ) -> Committed[RunReport]:
        try:
            prepared = await preparing
        except ConfigError as error:
            if key is None:
                raise
            return await self._replay(error, meta, key, wait=wait)
        return await self.begin(prepared, meta, key, wait=wait)

    async def _replay(self, error: ConfigError, meta: Meta, key: Key, *, wait: bool) -> Committed[RunReport]:
        """Return the run of a repeated key, although its request would be refused now. Raise ``error`` if it is new."""

        def refuse(reader: Reader, context: Context) -> Outcome[RunReport]:
            raise error

        key = replace(key, released=withdrawn)
        committed = await self._log.submit(refuse, meta, key, frozenset(), answers=NoneType)
        return await self._attach(committed, wait=wait)

    async def begin(self, prepared: PreparedRun, meta: Meta, key: Key | None, *, wait: bool) -> Committed[RunReport]:
        """Start a run that ``prepare`` has already checked; see ``start``."""
        run_id = prepared.run_id
        key = key and replace(key, released=withdrawn)

        def start(reader: Reader, context: Context) -> Outcome[RunReport]:
            admission = self.admit(reader, context, prepared)
            return Outcome(facts=admission.facts, subject=run_id, handover=admission.lease)

        with self._waiters.wait(run_id) as waiter:  # registered before the run exists, so that no event is missed
            committed = await self.launch(prepared, meta, key, start, NoneType)
            if committed.subject != run_id:
                return await self._attach(committed, wait=wait)
            lease = _lease(committed)
            if lease is not None:
                waiter.admitted.happen()
            if wait:
                await self._see_through(run_id, waiter, meta, lease)
            if lease is None:
                return committed
            origin = prepared.origin
            used = template_use(origin) if isinstance(origin, template.RunTemplateRun) else None
            if not wait:
                return replace(committed, answer=StartedRun(lease, used))
            if waiter.completion is None:
                return committed
            output, ending, position = waiter.completion
            answer = RunAnswer(completed_result(run_id, lease.request, lease.at, output, ending, used), position)
            return replace(committed, answer=answer)

    def admit(self, reader: Reader, context: Context, prepared: PreparedRun, behind: int = 0) -> Admission:
        """Check the right to everything the run causes or reads, then call ``admission.admit``. Raise Rejected.

        Runs in the writer's thread, in transactions that ``launch`` commits; their ``handover`` is the lease.
        """
        noted: tuple[Fact, ...] = ()
        for operation, proof, why in chain(_demands(reader, prepared), retry_demands(prepared)):
            noted += self._access.demand(
                reader,
                context,
                prepared.who,
                operation,
                proof,
                why,
                session_id=prepared.session_id,
                behind=behind + len(noted),
            )
        admission = admit(reader, context, prepared, behind=behind + len(noted))
        return admission._replace(facts=noted + admission.facts) if noted else admission

    async def launch(
        self, prepared: PreparedRun, meta: Meta, key: Key | None, transaction: Transaction[A], answers: type[A]
    ) -> Committed[A]:
        """Commit a transaction that may admit this run, and start it if it was leased here.

        ``answers`` is the type of the transaction's answer.
        """
        committed = await self._log.submit(transaction, meta, key, prepared.fresh, answers=answers)
        lease = _lease(committed)
        if lease is not None:
            self._executor.begin(prepared, lease, meta.correlation)
        return committed

    async def _see_through(self, run_id: str, waiter: RunWaiter, meta: Meta, lease: RunLease | None) -> None:
        """Wait until the run has ended or is paused; withdraw it if its turn does not come in time."""
        if not await waiter.admitted.within(self._settings.session_wait_ms / 1000):
            try:
                await self._withdraw(run_id, meta)
            except AthenaError as error:  # "not done" refers to the withdrawal; the run itself is stored
                raise OutcomeUnknown(f"Run {run_id} is still queued. Poll GET /api/v1/runs/{run_id}.") from error
        if not await self._settled(run_id, waiter, lease.request if lease else None):
            raise OutcomeUnknown(f"Run {run_id} is still in progress. Poll GET /api/v1/runs/{run_id}.")

    async def _settled(self, run_id: str, waiter: RunWaiter, request: run.RunCreated | None = None) -> bool:
        """Wait up to the run's timeout plus the grace period, and as long as it asked a person before it is parked.

        Return whether it ended or paused.
        """
        if request is None:
            state = self.state(run_id)
            if not state.open or state.status == "paused":
                return True
            request = state.request
        seconds, asked = (request.timeout_ms / 1000 if request else 0.0) + self._grace_seconds, 0.0
        while not await waiter.within(seconds):
            before, asked = asked, held_seconds(self.recorded(run_id))
            seconds = asked - before
            if seconds <= 0:
                return False
        return True

    async def _withdraw(self, run_id: str, meta: Meta) -> None:
        """Withdraw a queued run whose turn did not come in time."""
        (first,) = self._reader.stream(run_id)[:1] or (None,)
        queued = None if first is None else self._log.codec.decode(first, text=False).event
        cause: run.CancelCause = "session-busy"
        if isinstance(queued, run.RunQueued) and queued.reason != "concurrency":
            cause = "executor" if queued.reason == "agent-memory" else queued.reason
        withdraw = run.WithdrawRun(cause=cause)
        capacity = self.capacity
        await self._log.submit(lambda reader, context: apply_command(reader, context, capacity, run_id, withdraw), meta)

    async def _attach(self, committed: Committed[RunReport], *, wait: bool) -> Committed[RunReport]:
        """Wait for the run of a repeated key as the first caller did."""
        run_id = committed.subject or ""
        with self._waiters.wait(run_id) as waiter:
            if wait and not await self._settled(run_id, waiter):
                raise IdempotencyInProgress(f"run {run_id} of this key is still in progress; retry later")
        return committed

    # Resuming

    async def resume(
        self, run_id: str, budget_usd: float | None, who: Identity, meta: Meta, key: Key | None, *, wait: bool
    ) -> Committed:
        """Resume a paused run, with a new budget or without one, and with ``wait`` wait for its end.

        Raise NotFound, RunNotPaused, ConfigError for a budget that is already spent, DailyBudgetExceeded, or
        ConcurrencyLimitExceeded. With ``wait``, also raise OutcomeUnknown while the run continues.
        """
        budget = None if budget_usd is None else round(budget_usd * MICRO_USD)
        capacity = self.capacity
        with self._waiters.wait(run_id) as waiter:
            committed = await self._log.submit(
                lambda reader, context: resume(reader, context, capacity, run_id, budget, who), meta, key
            )
            if not committed.replayed and capacity.executor:
                self._executor.take_up(run_id)
            if wait and not await self._settled(run_id, waiter):
                raise OutcomeUnknown(f"Run {run_id} is still in progress. Poll GET /api/v1/runs/{run_id}.")
        return committed

    # Waiting for runs of other callers

    async def settled(self, run_id: str, seconds: float) -> None:
        """Return once a run has ended or is paused, in any process, or after this many seconds."""
        with self._waiters.wait(run_id) as waiter:
            if self.state(run_id).status in {"queued", "running"}:
                await waiter.within(seconds)

    def state(self, run_id: str) -> run.RunState:
        """Return the state of a run as committed."""
        return run_state(self._reader, self._log.codec, run_id)

    def recorded(self, run_id: str) -> list[Recorded[Event]]:
        """Return the events of a run with their text."""
        return run_events(self._reader, self._log.codec, run_id)

    def answer(self, started: Committed[RunReport]) -> RunAnswer:
        """Return the result of a run that was started and waited for. Raise the error that ended it."""
        known = started.answer
        return known if isinstance(known, RunAnswer) else self.result(started.subject or "")

    def result(self, run_id: str) -> RunAnswer:
        """Return the result of a run from its events, None in it while the run is paused.

        Raise the error that ended it.
        """
        recorded = self.recorded(run_id)
        return RunAnswer(run_result(run_id, recorded), recorded[-1].position)

    # Cancelling

    async def cancel_run(self, run_id: str, reason: str | None, meta: Meta, key: Key | None) -> Committed[Cancelled]:
        """Request the cancellation of a run."""
        command, capacity = run.CancelRun(reason=reason, by_run=run_id), self.capacity
        return await self._log.submit(
            lambda reader, context: cancel(reader, context, capacity, run_id, command), meta, key, answers=Cancelled
        )

    async def cancel_session(
        self, session_id: str, reason: str | None, meta: Meta, key: Key | None
    ) -> Committed[Cancelled]:
        """Request the cancellation of the admitted run of a session."""
        command, capacity = run.CancelRun(reason=reason), self.capacity
        return await self._log.submit(
            lambda reader, context: cancel_turn(reader, context, capacity, session_id, command),
            meta,
            key,
            answers=Cancelled,
        )

    def close(self) -> None:
        self._reader.close()


def _check(body: RunBody) -> None:
    """Raise ConfigError for fields that exclude each other."""
    if body.input is None and body.directive_id is None:
        raise ConfigError.of("input", "a run requires either input or directiveId", "one of the two")
    if body.harness_profile_id is not None and (body.provider or body.model):
        remedy = "either a profile, or provider and model"
        raise ConfigError.of("harnessProfileId", "cannot be combined with provider or model", remedy)
    if body.input is not None and body.directive_id is not None:
        raise ConfigError.of("directiveId", "cannot be combined with input", "one of the two")


def _demands(reader: Reader, prepared: PreparedRun) -> Iterator[tuple[str, ScopeProof, str]]:
    """Yield the operations that a run amounts to, with what each concerns and why it is needed."""
    sessions = (prepared.session_id,)
    if prepared.body.session_strategy == "interrupt":
        yield "cancelRun", {"sessions": sessions}, "sessionStrategy interrupt cancels the run of its session"
    if prepared.names_notes:
        yield "getMemory", {}, "contextRefs name notes of the memory"
    if joins(prepared.body, prepared.who):
        personas = prepared.personas
        if not personas and reader.state(session.DECIDER, session.stream(prepared.session_id)).exists:
            personas = frozenset(("",))  # it began after its runs were read
        proof = {"sessions": sessions, "personas": tuple(personas)}
        yield "createRun", proof, f"session {prepared.session_id} has runs of other personas, or without one"


def _lease(committed: Committed[object]) -> RunLease | None:
    lease = committed.handover
    return lease if isinstance(lease, RunLease) else None
