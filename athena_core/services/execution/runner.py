"""The runner: executes the runs that this process leased, and takes over runs of lost executors."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import islice

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace

from athena_core.clock import Clock, Ids
from athena_core.domain import halt, run
from athena_core.errors import AthenaError, ConfigError, InternalError, LeaseLost, StoreUnreachable
from athena_core.event import Meta
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.catalog import Catalog
from athena_core.services.execution.lease_recorder import LeaseRecorder, RunWriter
from athena_core.services.execution.leased_run import LeasedRun, RunTime
from athena_core.services.execution.liveness import SWEEP_SECONDS, Executors, ProcessInfo, ProcessStatus
from athena_core.services.execution.performer import Performer, Performers, RunEnd, run_failed
from athena_core.services.execution.progress import RunAssignment, RunProgress, assignment_of, open_asks
from athena_core.services.runs.admission import RunLease, abandon, claim, still_open, take_over
from athena_core.services.runs.agent_room import AgentRoom, agent_of
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun
from athena_core.services.runs.results import run_events, run_state
from athena_core.services.runs.waiting import LocalCompletion, RunWaiters
from athena_core.system.problems import described
from athena_core.system.timer import Timer

CANCEL_SECONDS_MAX = 5.0
"""How long an executor has to end a cancelled run before the run is ended without it."""

CLOSE_SECONDS_MAX = 3.0
"""How long it looks for the changes in the workspace of such a run."""

LEAVE_SECONDS_MAX = 2.0
"""How long an executor that leaves tries to record the cost of a model call that it cut off."""

FIRST_LEASE_VERSION_MAX = 3
"""The highest version of a first lease, after ``run.queued`` and ``run.created``; a later one may be a takeover."""

CLAIM, RUN, SWEEP, TAKE_OVER = "runner.claim", "runner.run", "runner.sweep", "runner.take-over"
"""The names of its loops."""

CLAIMS_MAX = 64
"""The most runs that one transaction leases."""

TURN_SECONDS, TURNS_MAX = 0.02, 3
"""How long an executor leaves a run to each executor with a better rank, and for how many at most."""

SWEEPS_BETWEEN_LOOKS = 10
"""Sweeps between two looks at which other executors exist."""

NOTICED_TYPES = run.ENDING_TYPES | {
    event.TYPE
    for event in (run.RunCreated, run.RunResumed, run.RunLeased, run.RunPaused, run.RunCancelRequested, run.RunAnswered)
}


class Runner:
    """The executor of this process.

    It leases runs admitted for it, or for any executor, as soon as it has room, the oldest first. The log's
    transactions decide which executor gets a run, and whether there is room.
    """

    def __init__(
        self,
        log: Log,
        tail: Tail,
        waiters: RunWaiters,
        catalog: Catalog,
        performers: Performers,
        executors: Executors,
        clock: Clock,
        ids: Ids,
        *,
        about: ProcessInfo,
        room: Callable[[], AgentRoom] = AgentRoom,
    ) -> None:
        """Connect the parts; ``about`` has the run limit and the providers, ``room`` returns the one for agents."""
        self._log = log
        self._problems = log.problems
        self._waiters = waiters
        self._catalog = catalog
        self._performers = performers
        self.executors = executors
        self._clock = clock
        self.about = about
        self._room = room
        self._known = ExecutorCapacity(executors.executor, about.pid, about.concurrency, frozenset(about.providers))
        self._reader = log.reader()
        self._writer = RunWriter(log, self._reader)
        self._meta = Meta(actor="system:executor", correlation=ids.trace())
        self._held: dict[str, LeasedRun] = {}
        self._cancelled: dict[str, float] = {}
        self._unleased: set[str] = set()
        self._unheld: set[tuple[str, int]] = set()
        self._wanted: dict[str, None] = {}
        """Runs that this process may be able to lease."""
        self._offered: set[str] = set()
        """Unassigned runs that executors with a better rank may lease first."""
        self._sweeps = 0
        self._claiming = False
        self._due = asyncio.Event()
        self._rested = asyncio.Event()
        self._foreign: set[str] = set()
        self._working = False
        self._executing: dict[asyncio.Task[None], LeasedRun] = {}
        self._broken: asyncio.Future[None] | None = None
        self._serving = self._draining = self._leaving = False
        self.executor = executors.executor
        self.timer = Timer(SWEEP, SWEEP_SECONDS, self._look, log.problems)
        tail.subscribe(self._on_rows, NOTICED_TYPES)

    def _capacity_now(self) -> ExecutorCapacity:
        """Return the capacity of this executor."""
        room = self._room()
        if self.executors.given_up:  # runs of these agents are taken to fail them
            room = room._replace(names=room.names | self.executors.given_up)
        if room is not self._known.agents:
            self._known = self._known._replace(agents=room)
        return self._known

    @property
    def capacity(self) -> ExecutorCapacity:
        """The capacity for the commit that admits a run; none in a worker, where no runs begin."""
        return self._writer.capacity_now()

    async def serve(self, tasks: TaskGroup, *, take_over: bool) -> None:
        """Execute runs in a task group from now on.

        With ``take_over``, runs of lost executors continue here, and others will continue ours. Without it, in a
        command that works alone, runs are executed until the command ends.
        """
        self._working = True
        self._broken = asyncio.get_running_loop().create_future()
        self._serving = take_over
        if self.about.kind != "worker" and self._capacity_now().runs_max:
            self._writer.capacity_now = self._capacity_now
        tasks.start_soon(self._end_with_tasks, self._broken)
        await self.sweep()
        tasks.start_soon(self.timer.serve)
        tasks.start_soon(self._claim_wanted)

    async def _end_with_tasks(self, broken: asyncio.Future[None]) -> None:
        """Raise the first error that escapes a run, and end all runs with the task group.

        Runs are plain asyncio tasks: a task-group task costs six times as much.
        """
        try:
            await broken
        finally:
            self._leaving = True
            for task, held in self._executing.items():
                if held.working:  # its cleanup must not be cut short by cancelling the task
                    held.scope.cancel()
                else:
                    task.cancel()
            with anyio.CancelScope(shield=True):
                while self._executing:
                    await asyncio.wait(self._executing)

    def _on_rows(self, rows: Sequence[Row]) -> None:
        """Handle new rows: a cancel or a lost lease stops a run, an admission for this executor is leased."""
        leased = {row.stream for row in rows if row.type == run.RunLeased.TYPE}
        for row in rows:
            match row.type:
                case run.RunCancelRequested.TYPE:
                    self._note_cancel(row)
                case run.RunCreated.TYPE | run.RunResumed.TYPE:
                    if row.stream not in leased and self._working and self._capacity_now().runs_max:
                        self._note_admission(row)
                case run.RunLeased.TYPE:
                    self._wanted.pop(row.stream, None)
                    self._offered.discard(row.stream)
                    self._forget_failures(row.stream)
                    if row.stream in self._held and row.version > FIRST_LEASE_VERSION_MAX:
                        self._note_lease(row)
                case kind if kind in run.ENDING_TYPES:
                    self._wanted.pop(row.stream, None)
                    self._offered.discard(row.stream)
                    self._forget_failures(row.stream)
                    self._cancelled.pop(row.stream, None)
                    self._stop_run(row.stream)
                case run.RunPaused.TYPE:  # by an executor that was lost for a while
                    self._forget_failures(row.stream)
                case run.RunAnswered.TYPE if row.stream in self._held:
                    self._held[row.stream].woken.happen()

    def _forget_failures(self, run_id: str) -> None:
        """Clear the problems of a run that is leased, paused or over."""
        self._problems.recovered(CLAIM, run_id)
        self._problems.recovered(TAKE_OVER, run_id)

    def _note_cancel(self, row: Row) -> None:
        event = self._log.codec.decode(row, text=False).event
        if isinstance(event, run.RunCancelRequested) and event.status == "cancelled":
            self._cancelled.setdefault(row.stream, self._clock.monotonic())
            self._stop_run(row.stream)

    def _note_lease(self, row: Row) -> None:
        event = self._log.codec.decode(row, text=False).event
        held = self._held[row.stream]
        if isinstance(event, run.RunLeased) and event.executor != self.executor and event.token > held.token:
            held.stop()  # an older lease is one that this executor took over, before it heard of it

    def _note_admission(self, row: Row) -> None:
        event = self._log.codec.decode(row, text=False).event
        if not isinstance(event, run.RunCreated | run.RunResumed):
            return
        if event.requested_by == self.executor:
            self._want(row.stream)
        elif not event.requested_by:
            turn = min(self.executors.claim_rank(row.stream), TURNS_MAX)
            self._offered.add(row.stream)
            asyncio.get_running_loop().call_later(turn * TURN_SECONDS, self._take_turn, row.stream)

    def _take_turn(self, run_id: str) -> None:
        """Lease an unassigned run, unless another executor did meanwhile."""
        if run_id in self._offered:
            self._offered.discard(run_id)
            self._want(run_id)

    def _want(self, run_id: str) -> None:
        """Lease a run here, if it is still free."""
        self._wanted[run_id] = None
        self._due.set()

    async def _claim_wanted(self) -> None:
        """Lease wanted runs while there is room. A task of its own, because listeners of the log cannot await."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._wanted and self._places and self._working:
                self._claiming = True
                try:
                    await self._claim(list(islice(self._wanted, min(self._places, CLAIMS_MAX))))
                finally:
                    self._claiming = False
                    self._rested.set()

    def _stop_run(self, run_id: str) -> None:
        held = self._held.get(run_id)
        if held is not None:
            held.stop()

    @property
    def idle(self) -> bool:
        """Return True if no run is executed here or about to be."""
        return not (self._held or self._claiming or self._offered or (self._wanted and self._places))

    # Getting runs

    def begin(self, prepared: PreparedRun, lease: RunLease, correlation: str) -> None:
        """Execute a run that was leased here in the commit that created it."""
        if prepared.run_id in self._held:  # a sweep was faster
            return
        assignment = RunAssignment(
            run_id=prepared.run_id,
            request=lease.request,
            token=1,
            correlation=correlation,
            clock_from=lease.at,
            position=lease.position,
            text=prepared.text,
            contents=prepared.resolved.contents,
            progress=RunProgress(budget_micro_usd=lease.request.budget_micro_usd),
            opens=lease.opens,
        )
        self._execute_soon(assignment)

    def take_up(self, run_id: str) -> None:
        """Execute a run that was leased here in a later commit; no effect otherwise."""
        state = self._state(run_id)
        held = self._held.get(run_id)
        if not state.open or state.executor != self.executor or (held is not None and held.token == state.token):
            return
        halted = halt.interval_of(self._reader.guards(halt.LAST_HALT))
        assignment = assignment_of(run_events(self._reader, self._log.codec, run_id), halted)
        if assignment is not None:
            self._execute_soon(assignment)

    def _state(self, run_id: str) -> run.RunState:
        return run_state(self._reader, self._log.codec, run_id)

    def _execute_soon(self, assignment: RunAssignment) -> None:
        if not self._working:
            return
        held = self._held[assignment.run_id] = LeasedRun(assignment.token, parks=self._draining)
        if assignment.run_id in self._cancelled:  # its cancel was read before its creator got an answer
            held.stop()
        task = asyncio.get_running_loop().create_task(self._execute(assignment, held))
        self._executing[task] = held
        task.add_done_callback(self._executed)

    def _executed(self, task: asyncio.Task[None]) -> None:
        del self._executing[task]
        error = None if task.cancelled() else task.exception()
        if error is not None and self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _claim(self, run_ids: list[str]) -> None:
        """Lease some admitted runs, unless they are taken, and execute them.

        Runs that cannot be leased are left to other executors or to the next sweep.
        """
        texts: dict[str, str] = {}
        for run_id in run_ids:
            self._wanted.pop(run_id, None)
            try:
                text = self._user_text(run_id)
            except Exception as error:
                self._problems.report(CLAIM, error, run_id)
            else:
                self._problems.recovered(CLAIM, run_id)
                if text is not None:
                    texts[run_id] = text
        if texts:
            await self._lease(texts)

    async def _lease(self, texts: dict[str, str]) -> None:
        """Lease runs in one transaction; if one of them fails, lease each in a transaction of its own."""
        own = self._capacity_now()
        try:
            committed = await self._log.submit(lambda reader, context: claim(reader, context, own, texts), self._meta)
        except Exception as error:
            busy = isinstance(error, AthenaError) and error.retryable
            if busy or len(texts) == 1:
                self._problems.report(CLAIM, error, "" if busy else next(iter(texts)))
                return
            for run_id, text in texts.items():
                await self._lease({run_id: text})
            return
        self._problems.recovered(CLAIM)
        for run_id in committed.answer:
            try:
                self.take_up(run_id)
            except Exception as error:  # the sweep starts runs that are leased here and not executed
                self._problems.report(CLAIM, error, run_id)

    def _user_text(self, run_id: str) -> str | None:
        """Return the user message of a run; None if the run is leased or over."""
        state = self._state(run_id)
        if state.status != "running" or state.request is None or state.executor is not None:
            return None
        directive, _ = self._catalog.directive(state.request.directive_id, "directiveId")
        return directive.input or ""  # redacted meanwhile; the run still has to end

    async def _take_over(self, run_id: str, token: int, loss: run.LossReason) -> None:
        """Take over a run from a lost executor; a run that cannot continue is ended."""
        own = self._capacity_now()
        try:
            committed = await self._log.submit(
                lambda reader, context: take_over(reader, context, own, run_id, token, loss), self._meta
            )
            if still_open(committed.answer):
                self.take_up(run_id)
        except Exception as error:  # the next sweep tries again
            self._problems.report(TAKE_OVER, error, run_id)
        else:
            self._problems.recovered(TAKE_OVER, run_id)

    @property
    def _places(self) -> int:
        """The number of further runs this executor has room for."""
        return 0 if self._draining else max(self._capacity_now().runs_max - len(self._held), 0)

    # One run

    async def _execute(self, assignment: RunAssignment, held: LeasedRun) -> None:
        """Execute one run until it ends, pauses or is stopped, and record its end."""
        meta = Meta(actor="system:executor", correlation=assignment.correlation, causation=assignment.position)
        request, now = assignment.request, self._clock.now()
        took_ms = max(now - assignment.clock_from, 0)  # 0 if it began by a clock ahead of ours
        time = RunTime(self._clock, held, request.timeout_ms, took_ms)
        recorder = LeaseRecorder(self._writer, assignment, meta, self._clock, held, time)
        if not open_asks(assignment.progress):
            time.go()
        performer = self._performers.of(assignment)
        done: RunEnd | None = None
        ended = False
        bug: Exception | None = None
        try:
            with held.scope:
                try:
                    done = await performer.work(assignment, recorder)
                except (LeaseLost, StoreUnreachable):  # another executor, or this one later, continues it
                    return
                except AthenaError as error:
                    bug = error if isinstance(error, InternalError) else None
                    failed = run_failed(error.code, error.message, retryable=error.retryable)
                    done = RunEnd(performer.cut_off(assignment), failed)
                except Exception as error:  # a bug of ours must not strand the run
                    bug = error
                    done = RunEnd(performer.cut_off(assignment), run_failed(InternalError.code, described(error)))
            held.working = False
            if self._leaving:
                await self._record_costs(performer.paid_in_vain(assignment), recorder)
            elif held.scope.cancelled_caught:
                late = run.RunTimedOut(timeout_ms=request.timeout_ms)
                stopped = run.RunCancelled(cause="requested") if held.stopped else late
                done = RunEnd(performer.cut_off(assignment), stopped)
            if done is not None and not self._leaving:
                last, problem = await self._closing(performer, assignment, held)
                bug, done = bug or problem, done._replace(last=(*done.last, *last))
                with suppress(LeaseLost):
                    committed = await recorder.end(done)
                    ended = isinstance(committed.answer, run.ENDINGS)
                    if committed.answer is done.ending and isinstance(done.ending, run.RunCompleted):
                        completion = LocalCompletion(done.answer, done.ending, committed.position)
                        self._waiters.completed(assignment.run_id, completion)
        except Exception as error:  # the sweep takes it up again, as leased and not executed
            bug = error
        finally:
            if bug is not None:
                self._problems.report(RUN, bug)
            elif ended:
                self._problems.recovered(RUN)
            performer.leave(assignment, ended=ended)
            held.over.happen()
            if self._held.get(assignment.run_id) is held:
                del self._held[assignment.run_id]
            if self._wanted:
                self._due.set()
            self._rested.set()

    async def _closing(
        self, performer: Performer, assignment: RunAssignment, held: LeasedRun
    ) -> tuple[tuple[run.RunStep, ...], Exception | None]:
        """Return what a run leaves to record with its end, and a bug that prevented it.

        The changes in a workspace that is gone, or takes too long, are not recorded.
        """
        try:
            with anyio.move_on_after(CLOSE_SECONDS_MAX) if held.stopped else nullcontext():
                return await performer.closing(assignment), None
        except AthenaError:
            return (), None
        except Exception as error:
            return (), error
        return (), None

    async def _record_costs(self, steps: tuple[run.RunStep, ...], recorder: LeaseRecorder) -> None:
        """Record the cost of a call that this executor cuts off when it leaves. Another one will call again."""
        if steps:
            with anyio.move_on_after(LEAVE_SECONDS_MAX), suppress(LeaseLost):
                await recorder.record(steps)

    def _time_out_late(self) -> None:
        """Time out runs that are due: the event loop's clock stops while the machine is suspended."""
        elapsed = self._clock.elapsed()
        for held in self._held.values():
            if held.working and elapsed >= held.due:
                held.scope.cancel()

    # Other executors

    async def _look(self) -> None:
        """Time out runs, write the heartbeat, and sweep. If that fails, an executor may take runs over."""
        self._time_out_late()
        self.executors.beat(replace(self.about, problems=self._problems.failing(), agents=self._room().shown))
        await self.sweep()

    async def sweep(self) -> None:
        """Take over the runs of lost executors, and runs that no executor took.

        These include runs that are leased here but not executed, because the outcome of a commit was unknown. An
        executor without ``take_over`` only ends cancelled runs of lost executors.
        """
        if self._sweeps % SWEEPS_BETWEEN_LOOKS == 0:
            self._check_formats(self.executors.processes())
        self._sweeps += 1
        guards = self._reader.guards("lease", "slot")
        leases = {key: (str(value[0]), int(value[1])) for kind, key, value in guards if kind == "lease"}
        losses = {executor: self.executors.loss(executor) for executor, _ in leases.values()}
        slots: Mapping[str, tuple[str | int, ...]] = {key: value for kind, key, value in guards if kind == "slot"}
        unheld = {
            (run_id, token)
            for run_id, (executor, token) in leases.items()
            if executor == self.executor and run_id not in self._held
        }
        self._find_cancels({run_id for run_id, (executor, _) in leases.items() if executor != self.executor})
        unleased = [run_id for run_id in slots if run_id not in leases]
        lost = (run_id for run_id, (executor, _) in leases.items() if losses[executor] is not None)
        self.executors.look_for_agents(agent_of(slots.get(run_id, ())) for run_id in (*unleased, *lost))
        places, own = self._places if self._serving else 0, self._capacity_now()
        memory = own.memory({"lease": leases, "slot": slots}.__getitem__)
        async with anyio.create_task_group() as tasks:
            for run_id, token in unheld & self._unheld:
                tasks.start_soon(self._take_over, run_id, token, "left")
            for run_id, (executor, token) in leases.items():
                loss = losses[executor]
                taken = places > 0 and own.serves(slots.get(run_id, ()))
                if loss is not None and (taken or run_id in self._cancelled):
                    tasks.start_soon(self._take_over, run_id, token, loss)
                    places -= 1
            for run_id in self._overdue():
                tasks.start_soon(self._force, run_id)
        for run_id in unleased if self._serving and own.runs_max else ():
            taken = run_id not in self._wanted and own.serves(slots[run_id]) and memory.fits(slots[run_id])
            if taken and (run_id in self._unleased or self._orphaned(run_id)):
                self._want(run_id)
        if not self._wanted:
            self._problems.recovered(CLAIM)
        self._unleased, self._unheld = set(unleased), unheld
        self.executors.tidy(set(losses))

    def _check_formats(self, present: Sequence[ProcessStatus]) -> None:
        """Report a process of an older release, which may have read the format just before it was raised."""
        older = self.executors.older_release(present, self._log.store.format)
        if older is None:
            self._problems.recovered("log.format")
        else:
            self._problems.report("log.format", ConfigError(older))

    def _find_cancels(self, foreign: set[str]) -> None:
        """Find cancels of other executors' runs that were requested before this process followed the log."""
        for run_id in foreign - self._foreign:
            if self._state(run_id).cancel is not None:
                self._cancelled.setdefault(run_id, self._clock.monotonic())
        self._foreign = foreign

    def _orphaned(self, run_id: str) -> bool:
        """Return True if the executor for which a run was admitted is lost."""
        request = self._state(run_id).request
        return request is not None and self.executors.loss(request.requested_by) is not None

    def _overdue(self) -> list[str]:
        """Return the runs that should have been cancelled by now; each is returned once."""
        now = self._clock.monotonic()
        overdue = [run_id for run_id, since in self._cancelled.items() if now - since >= CANCEL_SECONDS_MAX]
        for run_id in overdue:
            del self._cancelled[run_id]
        return overdue

    async def _force(self, run_id: str) -> None:
        try:
            with suppress(LeaseLost):
                await self._writer.apply(run_id, run.ForceCancel(), self._meta)
        except Exception as error:
            self._cancelled.setdefault(run_id, self._clock.monotonic())  # retried after the same delay
            self._problems.report(TAKE_OVER, error, run_id)
        else:
            self._problems.recovered(TAKE_OVER, run_id)

    async def drain(self, seconds: float) -> None:
        """Take no more runs, and park those that wait for a person.

        Return once all executed runs have ended or paused, or after this many seconds.
        """
        self._draining = True
        for held in self._held.values():
            held.park()
        with anyio.move_on_after(seconds):
            while self._held or self._claiming:
                self._rested.clear()
                await self._rested.wait()

    @property
    def busy(self) -> int:
        """The number of runs executed here."""
        return len(self._held)

    async def stop(self) -> None:
        """Stop executing: other executors continue the runs from what was recorded.

        The runs of a command working alone are cancelled instead, because the command ends with them.
        """
        self._working = False
        self._writer.capacity_now = ExecutorCapacity
        if not self._serving:
            await self._abandon()
        self._leaving = True
        for held in list(self._held.values()):
            held.scope.cancel()

    async def _abandon(self) -> None:
        """Cancel all runs leased here, executed or not: the command may end before it learns of a lease."""
        command = run.CancelRun(reason="the command that executed the run was ended")
        asked = partial(abandon, capacity=self.capacity, executor=self.executor, command=command)
        with anyio.move_on_after(CANCEL_SECONDS_MAX), suppress(AthenaError, LeaseLost):
            leased = (await self._log.submit(asked, self._meta)).answer
            for run_id, token in leased.items():
                held = self._held.get(run_id)
                if held is not None:
                    await held.over.within(CANCEL_SECONDS_MAX)
                else:
                    end = run.EndRun(token=token, last=(), ending=run.RunCancelled(cause="requested"))
                    await self._writer.apply(run_id, end, self._meta)

    def close(self) -> None:
        """Close the reader and leave: runs that are leased here may be taken over."""
        self._reader.close()
        self.executors.close()
