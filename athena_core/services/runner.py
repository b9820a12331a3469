"""The runner: executes the runs that this process leased, and takes over from executors that died."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import run
from athena_core.errors import AthenaError, LeaseLost
from athena_core.event import Event, Meta, Recorded
from athena_core.protocols import Row
from athena_core.providers.provider import Completion, ModelRequest, Provider, ProviderFailure, complete
from athena_core.services.catalog import Catalog
from athena_core.services.runs import Runs, Work, facts_of, finish
from athena_core.store.log import Log
from athena_core.store.sqlite import Lock
from athena_core.store.tail import Tail
from athena_core.values import ContextMeta, HarnessSpec, Reliability, VerificationFailure

SWEEP_SECONDS = 2.0
DEFAULT_ATTEMPTS = 2  # of a run that named no profile
BACKOFF_SECONDS = 0.05
BACKOFF_SECONDS_MAX = 5.0
MESSAGE_CHARS_MAX = 500


class Runner:
    """One executor: alive while it holds its lock, which the system takes from it when it dies."""

    def __init__(
        self,
        log: Log,
        tail: Tail,
        runs: Runs,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        directory: Path,
        clock: Clock,
        ids: Ids,
    ) -> None:
        """Take the parts, and the lock of a new executor below ``directory``."""
        self._log = log
        self._runs = runs
        self._catalog = catalog
        self._providers = providers
        self._clock = clock
        self._ids = ids
        self._reader = log.reader()
        self._executors = directory / "executors"
        self._executors.mkdir(exist_ok=True, mode=0o700)
        self.executor = ids.new("exe")
        self._lock = Lock.own(self._executors / f"{self.executor}.lock")
        self._meta = Meta(actor="system:executor", correlation=ids.trace())
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._tasks: TaskGroup | None = None
        runs.executor, runs.pid = self.executor, os.getpid()
        tail.subscribe(self._notice)

    async def serve(self, tasks: TaskGroup, *, take_over: bool) -> None:
        """Execute runs in a task group from now on; with ``take_over`` also look after those of dead executors."""
        self._tasks = tasks
        self._runs.execute = self.execute
        await self.sweep(take_over=take_over)
        if take_over:
            tasks.start_soon(self._sweep_for_ever)

    def execute(self, work: Work) -> None:
        """Start a task for a leased run."""
        if self._tasks is not None:
            scope = self._scopes[work.run_id] = anyio.CancelScope()
            self._tasks.start_soon(self._execute, work, scope)

    def _notice(self, rows: Sequence[Row]) -> None:
        """Follow the log: a cancel stops the provider's call; an admitted run that was queued here is leased."""
        leased = {row.stream for row in rows if row.type == run.RunLeased.TYPE}
        for row in rows:
            if row.type == run.RunCancelRequested.TYPE and row.stream in self._scopes:
                self._scopes[row.stream].cancel()
            elif row.type == run.RunCreated.TYPE and row.stream not in leased and self._tasks is not None:
                event = self._log.codec.decode(row, text=False).event
                if isinstance(event, run.RunCreated) and event.requested_by == self.executor:
                    self._tasks.start_soon(self._lease, row.stream)

    # One run

    async def _lease(self, run_id: str) -> None:
        """Take an admitted run that nobody executes, and execute it."""
        recorded = self._runs.recorded(run_id)
        request = next((one.event for one in recorded if isinstance(one.event, run.RunRequest)), None)
        admitted = next((one for one in recorded if isinstance(one.event, run.RunCreated)), None)
        if request is None or admitted is None or any(isinstance(one.event, run.RunLeased) for one in recorded):
            return
        found, _ = self._catalog.directive(request.directive_id, "directiveId")
        said = found.input or ""  # redacted since it was asked for; the run still has to end
        command = run.LeaseRun(executor=self.executor, pid=os.getpid(), said=said)

        def lease(reader: Reader, context: Context) -> Outcome:
            state = reader.state(run.DECIDER, run_id)
            events = run.decide(command, state, context)
            return Outcome(facts=facts_of(run_id, request.session_id, events), answer=bool(events))

        committed = await self._log.submit(lease, self._meta)
        if committed.answer:
            contents = request.contents or ()
            self.execute(_work(run_id, request, admitted, said, contents))

    async def _execute(self, work: Work, scope: anyio.CancelScope) -> None:
        """See one run to its end, whatever the provider does."""
        meta = Meta(actor="system:executor", correlation=work.correlation, causation=work.position)
        left = (work.admitted_at + work.request.timeout_ms - self._clock.now()) / 1000
        ending: run.RunCompleted | run.RunFailed | run.RunCancelled | run.RunTimedOut
        last: tuple[run.TranscriptAppended | run.UsageRecorded, ...] = ()
        ending = run.RunCancelled(cause="requested")
        try:
            with scope:
                try:
                    with anyio.fail_after(max(left, 0)):
                        last, ending = await self._answer(work)
                except TimeoutError:
                    ending = run.RunTimedOut(timeout_ms=work.request.timeout_ms)
                except AthenaError as error:
                    message = error.message[:MESSAGE_CHARS_MAX]
                    ending = run.RunFailed(code=error.code, message=message, retryable=error.retryable)
                except Exception as error:  # a bug of ours must not strand the run
                    message = f"{type(error).__name__}: {error}"[:MESSAGE_CHARS_MAX]
                    ending = run.RunFailed(code="INTERNAL_ERROR", message=message, retryable=False)
            await self._end(work, last, ending, meta)
        finally:
            self._scopes.pop(work.run_id, None)

    async def _end(
        self,
        work: Work,
        last: tuple[run.TranscriptAppended | run.UsageRecorded, ...],
        ending: run.RunCompleted | run.RunFailed | run.RunCancelled | run.RunTimedOut,
        meta: Meta,
    ) -> None:
        """Commit the end; while the log cannot take it, try again, because the slot depends on it."""
        command = run.EndRun(token=work.token, last=last, ending=ending)
        delay = BACKOFF_SECONDS
        while True:
            try:
                await self._log.submit(lambda reader, context: finish(reader, context, work.run_id, command), meta)
            except LeaseLost:
                return
            except AthenaError as error:
                if not error.retryable:
                    raise
                await anyio.sleep(delay)
                delay = min(delay * 2, BACKOFF_SECONDS_MAX)
            else:
                return

    async def _answer(
        self, work: Work
    ) -> tuple[tuple[run.TranscriptAppended | run.UsageRecorded, ...], run.RunCompleted]:
        """Ask the provider, and judge what it said."""
        request = work.request
        messages, context_meta = self._runs.compiler.compile(
            request.session_id, work.position, work.said, request.context_refs or (), work.contents
        )
        provider = self._providers[request.provider]
        attempts = request.harness_profile_snapshot.policies.retry_limit if request.profile_named else DEFAULT_ATTEMPTS
        started = self._clock.monotonic()
        completion, tried = await self._ask(provider, ModelRequest(model=request.model, messages=messages), attempts)
        latency = round((self._clock.monotonic() - started) * 1000)
        return spoken(request, completion), completed(request, completion, context_meta, tried, latency)

    async def _ask(self, provider: Provider, request: ModelRequest, attempts: int) -> tuple[Completion, int]:
        """Call the provider until it answers, with full jitter between attempts; return the number of attempts."""
        tried = 0
        while True:
            tried += 1
            try:
                return await complete(provider, request), tried
            except ProviderFailure as failure:
                if tried >= attempts or not failure.worth_retrying:
                    raise
                wait = failure.wait_seconds
                if wait is None:
                    wait = self._ids.fraction() * BACKOFF_SECONDS * 2**tried
                await anyio.sleep(min(wait, BACKOFF_SECONDS_MAX))

    # Dead executors

    async def _sweep_for_ever(self) -> None:
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            await self.sweep(take_over=True)

    async def sweep(self, *, take_over: bool) -> None:
        """End the runs of executors that died; with ``take_over`` lease those that were admitted for one that died."""
        guards = self._reader.guards()
        leases = {key: value for kind, key, value in guards if kind == "lease"}
        for run_id, (executor, token) in leases.items():
            if executor != self.executor and self._dead(str(executor)):
                await self._crash(run_id, int(token))
        for kind, run_id, _ in guards:
            if take_over and kind == "slot" and run_id not in leases:
                request = self._runs.state(run_id).request
                if request is not None and request.requested_by != self.executor and self._dead(request.requested_by):
                    await self._lease(run_id)
        self._tidy({str(executor) for executor, _ in leases.values()})

    def _dead(self, executor: str) -> bool:
        """Whether nobody holds an executor's lock."""
        path = self._executors / f"{executor}.lock"
        if not path.exists():
            return True
        lock = Lock(path)
        try:
            return lock.try_acquire()
        finally:
            lock.close()

    def _tidy(self, leased: set[str]) -> None:
        """Remove the lock files of executors that are dead and hold nothing."""
        for path in self._executors.glob("exe_*.lock"):
            if path.stem != self.executor and path.stem not in leased and self._dead(path.stem):
                path.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Give up what is still running: it ends as crashed, because nobody will finish it.

        Whatever that admits is left to the next executor: leased here, it would crash as well.
        """
        self._tasks = None
        for run_id, scope in list(self._scopes.items()):
            await self._crash(run_id, self._runs.state(run_id).token)
            scope.cancel()

    async def _crash(self, run_id: str, token: int) -> None:
        command = run.CrashRun(token=token)
        await self._log.submit(lambda reader, context: finish(reader, context, run_id, command), self._meta)

    def alone(self) -> bool:
        """Whether no other process has an executor here."""
        return sum(1 for _ in self._executors.iterdir()) == 1

    def close(self) -> None:
        """Release the lock."""
        self._reader.close()
        self._lock.close()
        (self._executors / f"{self.executor}.lock").unlink(missing_ok=True)


def spoken(request: run.RunCreated, completion: Completion) -> tuple[run.TranscriptAppended | run.UsageRecorded, ...]:
    """What is recorded of a call before the end of the run."""
    text = completion.text
    said = run.TranscriptAppended(role="assistant", kind="message", chars=len(text), content=text)
    if completion.usage is None:
        return (said,)
    free = request.provider in {"mock", "local-exec"}
    paid = run.UsageRecorded(
        provider=request.provider,
        model=request.model,
        usage=completion.usage,
        cost_micro_usd=0 if free else None,
    )
    return (said, paid)


def completed(
    request: run.RunCreated, completion: Completion, context_meta: ContextMeta, tried: int, latency_ms: int
) -> run.RunCompleted:
    """The end of a run that got its answer, verified against its profile."""
    failures = verify(request.harness_profile_snapshot)
    return run.RunCompleted(
        provider=request.provider,
        model=request.model,
        harness_profile_id=request.harness_profile_id,
        usage=completion.usage,
        evidence_count=0,
        verification_status="verification-failed" if failures else "passed",
        verification_failures=failures or None,
        reliability=Reliability(
            provider_attempts=tried, provider_retries=tried - 1, fallback_hops=0, turn_latency_ms=latency_ms
        ),
        context_meta=context_meta,
    )


def verify(profile: HarnessSpec) -> tuple[VerificationFailure, ...]:
    """The policies that a run without evidence does not meet (contract 4.5)."""
    return tuple(
        VerificationFailure(
            policy_id=policy.id,
            kind=policy.kind,
            message=f"no evidence with the label {policy.label!r} was attached",
            details={"label": policy.label} | ({"evidenceType": policy.evidence_type} if policy.evidence_type else {}),
        )
        for policy in profile.verification_policies or ()
    )


def _work(
    run_id: str, request: run.RunRequest, admitted: Recorded[Event], said: str, contents: tuple[str, ...]
) -> Work:
    return Work(
        run_id=run_id,
        request=run.without_text(request),
        token=1,
        correlation=admitted.correlation,
        admitted_at=admitted.recorded_at,
        position=admitted.position,
        said=said,
        contents=contents,
    )
