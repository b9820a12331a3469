"""Runs: asking for one, waiting for it, letting it go on, cancelling it, and what its caller is told."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from types import NoneType
from typing import NamedTuple, Protocol, Self, TypeAlias

from anyio import to_thread
from msgspec.structs import asdict, replace

from athena_core.clock import Ids, iso
from athena_core.decider import A, Context, Key, Outcome, Reader, Rejected, Transaction, fold
from athena_core.domain import run, session, template
from athena_core.errors import (
    AthenaError,
    ConcurrencyLimitExceeded,
    ConfigError,
    IdempotencyInProgress,
    OutcomeUnknown,
    Overloaded,
    ProviderNotFound,
    RunCancelledError,
    RunCrashedError,
    RunTimeout,
    SessionLockTimeout,
    recorded_error,
)
from athena_core.event import Event, Fact, Meta, Position, Recorded
from athena_core.log.codec import SALT_BYTES
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.providers.mask import Mask
from athena_core.providers.prices import Prices
from athena_core.services.access.access import Access, ScopeProof
from athena_core.services.catalog import Catalog
from athena_core.services.context.compiler import ContextCompiler, ResolvedReferences, names_notes, resolve
from athena_core.services.execution.model_call import FRAME_TOKENS, OUTPUT_TOKENS_LEAST
from athena_core.services.runs.admission import (
    ExecutorCapacity,
    Plan,
    RunLease,
    admit,
    apply_command,
    cancel,
    cancel_turn,
    facts_of,
    resume,
    withdrawn,
)
from athena_core.settings import Settings
from athena_core.text import or_erased
from athena_core.tools.workspace import Workspace
from athena_core.values import (
    INTEGER_MAX,
    MICRO_USD,
    Cancelled,
    HarnessProfile,
    Identity,
    RunBody,
    RunResult,
    TemplateUse,
)

WAIT_GRACE_SECONDS = 15.0
SETTLING_TYPES = run.ENDING_TYPES | {run.RunPaused.TYPE}
REQUEST_TYPES = frozenset((run.RunQueued.TYPE, run.RunCreated.TYPE))


class LocalExecutor(Protocol):
    """Who executes the runs that this process leased."""

    def begin(self, run_id: str, created: RunLease, said: str, contents: Sequence[str], correlation: str) -> None:
        """Execute a run that was leased in the commit that created it."""

    def take_up(self, run_id: str) -> None:
        """Execute a run that was leased here later on, if it was."""


class OneShot:
    """Something that happens once, if ever; one task may wait for it."""

    def __init__(self) -> None:
        """It has not happened."""
        self.came = False
        self._waiter: asyncio.Future[None] | None = None

    def come(self) -> None:
        """It happened."""
        self.came = True
        self._wake()

    async def within(self, seconds: float) -> bool:
        """Wait for it, but no longer than that; tell whether it happened."""
        if not self.came:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake)  # a third of what an event and a timeout cost
            try:
                await waiter
            finally:
                timer.cancel()
        return self.came

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class RunWaiter:
    """Somebody waits for a run: to be admitted, to end or be paused. It is a context while it waits."""

    def __init__(self, everybody: dict[str, list["RunWaiter"]], run_id: str) -> None:
        """Nothing happened yet."""
        self._everybody = everybody
        self._run_id = run_id
        self.admitted = OneShot()
        self.settled = OneShot()
        self.completion: LocalCompletion | None = None
        """How the run completed, where this process executed it."""

    def __enter__(self) -> Self:
        """Be told of the run."""
        self._everybody.setdefault(self._run_id, []).append(self)
        return self

    def __exit__(self, *error: object) -> None:
        """No more."""
        others = self._everybody[self._run_id]
        others.remove(self)
        if not others:
            del self._everybody[self._run_id]


class LocalCompletion(NamedTuple):
    """The end of a run as whoever executed it knows it, without a look into the log."""

    output: str
    ending: run.RunCompleted
    position: Position


class StartedRun(NamedTuple):
    """A run that was leased in the commit that created it, and where it comes from."""

    created: RunLease
    template: TemplateUse | None


class RunAnswer(NamedTuple):
    """The result of a run, None while it is paused, and the position that it reflects."""

    result: RunResult | None
    position: Position


RunReport: TypeAlias = RunAnswer | StartedRun | None
"""What is known of a run that was started: its result, that it began, or nothing more than its id."""


class PreparedRun:
    """A run that is to be started: what was checked outside of the log, and the ids that it will have."""

    def __init__(
        self,
        plan: Plan,
        who: Identity,
        access: Access,
        room: ExecutorCapacity,
        run_id: str,
        session_id: str,
        directive_id: str,
    ) -> None:
        """Take what ``Runs.prepare`` found out."""
        self.plan = plan
        self.run_id = run_id
        self.session_id = session_id
        self.directive_id = directive_id
        self.origin: Event | None = None
        """What is recorded behind the request, in the run's own stream: where the run comes from."""
        self.personas: frozenset[str] | None = None
        """The personas that runs of its session named, before the transaction; an empty name is that of none."""
        self._who = who
        self._access = access
        self._room = room

    @property
    def joins(self) -> bool:
        """Return True if it names a session under a scope of personas, so that the session's runs matter."""
        scope = self._who.scope
        return scope is not None and scope.personas is not None and self.plan.body.session_id is not None

    @property
    def fresh(self) -> frozenset[str]:
        """The streams that cannot exist yet."""
        streams = {self.run_id}
        if self.plan.body.session_id is None:
            streams.add(session.stream(self.session_id))
        if self.plan.body.directive_id is None:
            streams.add(self.directive_id)
        return frozenset(streams)

    def admit(self, reader: Reader, context: Context, behind: int = 0) -> tuple[Fact, ...]:
        """The events that admit or queue the run, ``behind`` so many others of the same transaction.

        At most once in a transaction, because limits do not see what it has decided so far. Raises Rejected.
        """
        noted = self._permitted(reader, context, behind)
        try:
            facts = admit(
                reader,
                context,
                self.plan,
                self._room,
                run_id=self.run_id,
                session_id=self.session_id,
                directive_id=self.directive_id,
                who=self._who,
                behind=behind + len(noted),
            )
        except Rejected as rejected:
            raise Rejected(rejected.error, tuple(map(self._traced, rejected.facts))) from None
        facts = noted + facts
        if self.origin is None:
            return facts
        place = next(index for index, fact in enumerate(facts, 1) if isinstance(fact.event, run.RunRequest))
        return facts[:place] + facts_of(self.run_id, self.session_id, (self.origin,)) + facts[place:]

    def _permitted(self, reader: Reader, context: Context, behind: int) -> tuple[Fact, ...]:
        """Return what is recorded about the rights to what the run causes or is given. Raise Rejected without them."""
        noted: tuple[Fact, ...] = ()
        for operation, proof, why in self._demands(reader):
            noted += self._access.demand(
                reader,
                context,
                self._who,
                operation,
                proof,
                why,
                session_id=self.session_id,
                behind=behind + len(noted),
            )
        return noted

    def _demands(self, reader: Reader) -> Iterator[tuple[str, ScopeProof, str]]:
        """Yield the operations that the run amounts to, what each is about, and why it is needed."""
        sessions = (self.session_id,)
        if self.plan.body.session_strategy == "interrupt":
            yield "cancelRun", {"sessions": sessions}, "sessionStrategy interrupt cancels the run of its session"
        if self.plan.names_notes:
            yield "getMemory", {}, "contextRefs name notes of the memory"
        if self.joins:
            personas = self.personas or frozenset()
            if not personas and reader.state(session.DECIDER, session.stream(self.session_id)).exists:
                personas = frozenset(("",))  # it began after its runs were looked up
            proof = {"sessions": sessions, "personas": tuple(personas)}
            yield "createRun", proof, f"session {self.session_id} holds runs of other personas, or of none"

    def _traced(self, fact: Fact) -> Fact:
        """A refusal with the template that the run would have been one of."""
        event, origin = fact.event, self.origin
        if not isinstance(event, run.PolicyRejected) or not isinstance(origin, template.RunTemplateRun):
            return fact
        traced = replace(event, run_template_id=origin.run_template_id, run_template_version=origin.version)
        return replace(fact, event=traced)


class Runs:
    """Starts runs, waits for them, cancels them."""

    def __init__(
        self,
        log: Log,
        tail: Tail,
        catalog: Catalog,
        access: Access,
        settings: Settings,
        ids: Ids,
        providers: frozenset[str],
        prices: Prices,
        mask: Mask,
        workspace: Workspace,
        *,
        grace_seconds: float = WAIT_GRACE_SECONDS,
    ) -> None:
        """Take the parts; ``room`` and ``executor`` are set by the runner once it has its lock.

        ``grace_seconds`` is how long a caller waits beyond the timeout of a run.
        """
        self._grace_seconds = grace_seconds
        self._log = log
        self._catalog = catalog
        self._access = access
        self._settings = settings
        self._ids = ids
        self._providers = providers
        self._prices = prices
        self._mask = mask
        self._workspace = workspace
        self._reader = log.reader()
        self.compiler = ContextCompiler(settings, log.codec, self._reader, lambda: tail.position)
        self._waiting: dict[str, list[RunWaiter]] = {}
        self.room = ExecutorCapacity()
        self.executor: LocalExecutor | None = None
        tail.subscribe(self._notice, SETTLING_TYPES | {run.RunCreated.TYPE})

    def _notice(self, rows: Sequence[Row]) -> None:
        """Wake whoever waits for a run that was admitted, was paused or ended."""
        for row in rows:
            for waiting in self._waiting.get(row.stream, ()):
                waiting.admitted.come()
                if row.type in SETTLING_TYPES:
                    waiting.settled.come()

    # Starting

    async def start(
        self, body: RunBody, who: Identity, meta: Meta, key: Key | None, *, wait: bool
    ) -> Committed[RunReport]:
        """Have a run admitted or queued, and with ``wait`` see it through; the subject is the run's id.

        The answer is a ``RunAnswer``, what ``result`` would say, where this process knows it already; without ``wait``
        it is a ``StartedRun``, where the run did not have to wait; else there is none.

        Raises ConfigError for a wrong reference, ProviderNotFound, ContextOverflow, DailyBudgetExceeded,
        ConcurrencyLimitExceeded, SessionLockTimeout; with ``wait`` also OutcomeUnknown while the run goes on, and
        IdempotencyInProgress while that of a repeated key does. What ended the run is for ``told`` to raise.
        """
        return await self.begin(self.prepare(body, who), meta, key, wait=wait)

    async def begin(self, launch: PreparedRun, meta: Meta, key: Key | None, *, wait: bool) -> Committed[RunReport]:
        """The same for a run that was prepared."""
        run_id = launch.run_id
        key = key and replace(key, released=withdrawn)

        def start(reader: Reader, context: Context) -> Outcome[RunReport]:
            return Outcome(facts=launch.admit(reader, context), subject=run_id)

        with self._wait(run_id) as waiting:  # before the run exists, so that nothing is missed
            committed = await self.launch(launch, meta, key, start, NoneType)
            if committed.subject != run_id:
                return await self._attach(committed, wait=wait)
            created = launch.plan.created
            if created is not None:
                waiting.admitted.come()
            if wait:
                await self._see_through(run_id, waiting, meta, created)
            if created is None:
                return committed
            used = template_use(launch.origin) if isinstance(launch.origin, template.RunTemplateRun) else None
            if not wait:
                return replace(committed, answer=StartedRun(created, used))
            if waiting.completion is None:
                return committed
            output, ending, position = waiting.completion
            told = RunAnswer(_result(run_id, created.request, created.at, output, ending, used), position)
            return replace(committed, answer=told)

    def prepare(
        self, body: RunBody, who: Identity, *, references: tuple[str, ...] | None = None, scheduled: bool = False
    ) -> PreparedRun:
        """Check a run that ``who`` asks for, outside of the log; nothing of it exists yet. Raises as ``start``.

        ``references`` are the context references that go with its input. A ``scheduled`` one may take as long as runs
        of schedules do.
        """
        return PreparedRun(
            self._plan(body, who, references, scheduled=scheduled),
            who,
            self._access,
            self.room,
            run_id=self._ids.new("run"),
            session_id=body.session_id or self._ids.new("ses"),
            directive_id=body.directive_id or self._ids.new("dir"),
        )

    async def launch(
        self, launch: PreparedRun, meta: Meta, key: Key | None, transaction: Transaction[A], answers: type[A]
    ) -> Committed[A]:
        """Have a transaction committed that may admit this run, among other things, and let our executor begin."""
        if launch.joins:
            launch.personas = await to_thread.run_sync(self._personas, launch.session_id)
        committed = await self._log.submit(transaction, meta, key, launch.fresh, answers=answers)
        plan = launch.plan
        if plan.created is not None and self.executor is not None:
            self.executor.begin(launch.run_id, plan.created, plan.said, plan.resolved.contents, meta.correlation)
        return committed

    def _personas(self, session_id: str) -> frozenset[str]:
        """Return the personas that runs of a session named; an empty name is that of none. Reads its whole log."""
        reader, found = self._log.reader(), set[str]()
        try:
            for row in reader.session(session_id, INTEGER_MAX):
                if row.type in REQUEST_TYPES:
                    event = self._log.codec.decode(row, text=False).event
                    found.add((isinstance(event, run.RunRequest) and event.persona_name) or "")
        finally:
            reader.close()
        return frozenset(found)

    def _wait(self, run_id: str) -> RunWaiter:
        """Be told of a run."""
        return RunWaiter(self._waiting, run_id)

    def completed(self, run_id: str, output: str, ending: run.RunCompleted, position: Position) -> None:
        """A run completed here: whoever waits for it need not look it up."""
        for waiting in self._waiting.get(run_id, ()):
            waiting.completion = LocalCompletion(output, ending, position)
            waiting.settled.come()

    def _plan(self, body: RunBody, who: Identity, references: tuple[str, ...] | None, *, scheduled: bool) -> Plan:
        """Check the request in the contract's order, resolve its references."""
        if body.input is None and body.directive_id is None:
            raise ConfigError.of("input", "a run requires either input or directiveId", "one of the two")
        if body.harness_profile_id is not None and (body.provider or body.model):
            remedy = "either a profile, or provider and model"
            raise ConfigError.of("harnessProfileId", "cannot be combined with provider or model", remedy)
        if body.input is not None and body.directive_id is not None:
            raise ConfigError.of("directiveId", "cannot be combined with input", "one of the two")
        resolved, said = ResolvedReferences(self._ids.salt(SALT_BYTES)), body.input or ""
        if body.directive_id is not None:
            found, _ = self._catalog.directive(body.directive_id, "directiveId")
            if found.input is None:
                raise ConfigError.of(
                    "directiveId", f"the text of {body.directive_id} was redacted", "another directive"
                )
            said, references = found.input, found.context_refs
        notes = who.scope is not None and any(map(names_notes, references or ()))
        if references and not (notes and self._access.hides(who, "getMemory")):
            resolved = resolve(references, self._workspace, self.compiler.chars_max, resolved.salt, self._mask)
        profile = None
        if body.harness_profile_id is not None:
            profile, _ = self._catalog.profile(body.harness_profile_id, "harnessProfileId")
        provider = profile.config.provider if profile else body.provider or self._settings.default_provider
        if provider not in self._providers:
            raise ProviderNotFound(
                f"no provider {provider!r} is registered; known: {', '.join(sorted(self._providers))}"
            )
        said = self._mask.hide(said)  # it may have been put together since its parts came in
        self.compiler.check(said, resolved)
        plan = Plan(body, said, resolved, profile, provider, self._settings, scheduled=scheduled)
        tokens = len(said.encode(errors="replace")) + FRAME_TOKENS
        plan.least = self._prices.ceiling(plan.provider, plan.model, tokens, OUTPUT_TOKENS_LEAST)
        plan.references = references
        plan.names_notes = notes
        if plan.budget_micro_usd is not None and plan.least is None:
            reason = f"unpriced-model: nobody could tell when {plan.provider} {plan.model!r} has spent budgetUsd"
            raise ConfigError.of("harnessProfileId", reason, "a model with a known price, or budgetUsd 0")
        return plan

    async def _see_through(self, run_id: str, waiting: RunWaiter, meta: Meta, created: RunLease | None) -> None:
        """Wait until the run has ended or is paused; withdraw it if its turn does not come in time."""
        if not await waiting.admitted.within(self._settings.session_wait_ms / 1000):
            try:
                await self._withdraw(run_id, meta)
            except AthenaError as error:  # it says "not done", but of the withdrawal: the run itself is in the log
                raise OutcomeUnknown(f"run {run_id} still waits; see GET /api/v1/runs/{run_id}") from error
        if not await self._settled(run_id, waiting, created.request if created else None):
            raise OutcomeUnknown(f"run {run_id} goes on without you; see GET /api/v1/runs/{run_id}")

    async def _settled(self, run_id: str, waiting: RunWaiter, request: run.RunCreated | None = None) -> bool:
        """Wait for as long as the run may take, and some more; tell whether it has ended or is paused."""
        if request is None:
            state = self.state(run_id)
            if not state.open or state.status == "paused":
                return True
            request = state.request
        return await waiting.settled.within((request.timeout_ms / 1000 if request else 0.0) + self._grace_seconds)

    async def _withdraw(self, run_id: str, meta: Meta) -> None:
        """The turn of the run did not come in time."""
        (first,) = self._reader.stream(run_id)[:1] or (None,)
        queued = None if first is None else self._log.codec.decode(first, text=False).event
        cause: run.CancelCause = "session-busy"
        if isinstance(queued, run.RunQueued) and queued.reason != "concurrency":
            cause = queued.reason
        withdraw = run.WithdrawRun(cause=cause)
        room = self.room
        await self._log.submit(lambda reader, context: apply_command(reader, context, room, run_id, withdraw), meta)

    async def _attach(self, committed: Committed[RunReport], *, wait: bool) -> Committed[RunReport]:
        """A repeated key: wait for its run as the first caller did."""
        run_id = committed.subject or ""
        with self._wait(run_id) as waiting:
            if wait and not await self._settled(run_id, waiting):
                raise IdempotencyInProgress(f"run {run_id} of this key is still at work")
        return committed

    # Resuming

    async def resume(
        self, run_id: str, budget_usd: float | None, who: Identity, meta: Meta, key: Key | None, *, wait: bool
    ) -> Committed:
        """Let a paused run go on, with a new budget or with none, and with ``wait`` see it through.

        Raises NotFound, RunNotPaused, ConfigError for a budget that is spent, DailyBudgetExceeded,
        ConcurrencyLimitExceeded; with ``wait`` also OutcomeUnknown, while the run goes on.
        """
        budget = None if budget_usd is None else round(budget_usd * MICRO_USD)
        room = self.room
        with self._wait(run_id) as waiting:
            committed = await self._log.submit(
                lambda reader, context: resume(reader, context, room, run_id, budget, who), meta, key
            )
            if not committed.replayed and self.executor is not None:
                self.executor.take_up(run_id)
            if wait and not await self._settled(run_id, waiting):
                raise OutcomeUnknown(f"run {run_id} goes on without you; see GET /api/v1/runs/{run_id}")
        return committed

    # Waiting, as somebody who did not ask for the run

    async def settled(self, run_id: str, seconds: float) -> None:
        """Return once a run has ended or is paused, whoever executes it, or after so many seconds."""
        with self._wait(run_id) as waiting:
            if self.state(run_id).status in {"queued", "running"}:
                await waiting.settled.within(seconds)

    def state(self, run_id: str) -> run.RunState:
        """The state of a run as committed."""
        rows = self._reader.stream(run_id)
        return fold(run.DECIDER, (self._log.codec.decode(row, text=False).event for row in rows))

    def recorded(self, run_id: str) -> list[Recorded[Event]]:
        """The events of a run with their text."""
        return [self._log.codec.decode(row) for row in self._reader.stream(run_id)]

    def told(self, started: Committed[RunReport]) -> RunAnswer:
        """What became of a run that was started and waited for. Raises what ended it instead of an answer."""
        known = started.answer
        return known if isinstance(known, RunAnswer) else self.result(started.subject or "")

    def result(self, run_id: str) -> RunAnswer:
        """The answer of a run that completed, rendered from its events; None while it is paused.

        Raises what ended it instead of an answer.
        """
        recorded = self.recorded(run_id)
        return RunAnswer(run_result(run_id, recorded), recorded[-1].position)

    # Cancelling

    async def cancel_run(self, run_id: str, reason: str | None, meta: Meta, key: Key | None) -> Committed[Cancelled]:
        """Ask for the cancel of a run."""
        command, room = run.CancelRun(reason=reason, by_run=run_id), self.room
        return await self._log.submit(
            lambda reader, context: cancel(reader, context, room, run_id, command), meta, key, answers=Cancelled
        )

    async def cancel_session(
        self, session_id: str, reason: str | None, meta: Meta, key: Key | None
    ) -> Committed[Cancelled]:
        """Ask for the cancel of the admitted run of a session."""
        command, room = run.CancelRun(reason=reason), self.room
        return await self._log.submit(
            lambda reader, context: cancel_turn(reader, context, room, session_id, command),
            meta,
            key,
            answers=Cancelled,
        )

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


# Rendering


def run_result(run_id: str, recorded: Sequence[Recorded[Event]]) -> RunResult | None:
    """The result of a completed run from its events, None while it is paused; else raise what ended it."""
    created: run.RunCreated | None = None
    used: TemplateUse | None = None
    created_at, output, paused = 0, "", False
    note: str | None = None
    for one in recorded:
        match one.event:
            case run.RunCreated():
                created, created_at = one.event, one.at
            case template.RunTemplateRun():
                used = template_use(one.event)
            case run.TranscriptAppended(role="assistant", kind="message"):
                output = one.event.content or ""
            case run.RunPaused() | run.RunResumed():
                paused = isinstance(one.event, run.RunPaused)
            case run.RunCompleted() if created is not None:
                return _result(run_id, created, created_at, output, one.event, used)
            case run.RunFailed() | run.RunCancelled() | run.RunTimedOut() | run.RunCrashed():
                raise run_error(run_id, one.event, note)
            case run.RunCancelRequested(status="cancelled"):
                note = one.event.note
    if paused:
        return None
    raise IdempotencyInProgress(f"run {run_id} is still at work")


def template_use(event: template.RunTemplateRun) -> TemplateUse:
    """The template of a run as its caller is told; parameters that were redacted are gone."""
    return TemplateUse(
        id=event.run_template_id,
        version=event.version,
        harness_profile_id=event.harness_profile_id,
        effective_params=event.effective_params or {},
    )


def _result(
    run_id: str, created: run.RunCreated, at: int, output: str, end: run.RunCompleted, used: TemplateUse | None
) -> RunResult:
    fields = asdict(created.harness_profile_snapshot)
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
        template=used,
    )


def cancel_note(events: Iterable[Event]) -> str | None:
    """Return why a run was cancelled, by its events; None where no reason was given, or where it was erased."""
    note = None
    for event in events:
        if isinstance(event, run.RunCancelRequested) and event.status == "cancelled":
            note = event.note
    return note


def run_error(run_id: str, ending: Event, note: str | None = None) -> AthenaError:
    """Return the error of a run that did not complete, as its caller gets it; ``note`` is that of its cancel."""
    details = {"runId": run_id}
    match ending:
        case run.RunTimedOut():
            return RunTimeout(f"run {run_id} took longer than {ending.timeout_ms} ms", details)
        case run.RunCancelled(cause="session-busy"):
            return SessionLockTimeout("the session is busy with another run; the run was withdrawn", details)
        case run.RunCancelled(cause="executor"):
            return Overloaded("no executor had room for the run; it was withdrawn", details)
        case run.RunCancelled(cause="key-limit"):
            return ConcurrencyLimitExceeded("policy.limits left no room for the run in time; it was withdrawn", details)
        case run.RunCancelled():
            reason = f": {note}" if note else ""
            return RunCancelledError(f"run {run_id} was cancelled{reason}", details)
        case run.RunCrashed():
            return RunCrashedError(f"the executor of run {run_id} died; retry with a new key", details)
        case run.RunFailed():
            error = recorded_error(ending.code, or_erased(ending.error_text), details)
            error.retryable = ending.retryable
            return error
        case _:
            raise TypeError(ending)
