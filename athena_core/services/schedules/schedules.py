"""The service of schedules: change them, and start the runs of their slots.

The log's transactions decide about a slot (``domain/schedule``), so a manual tick, the timer of any process and a retry
after a crash agree. A run starts in the commit that records the decision. The cache beside the log only says which
schedules to look at, and when.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import anyio
from msgspec.structs import replace

from athena_core.clock import Clock, Ids, iso
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, facts_of, transact
from athena_core.definitions.schedule_definition import ScheduleDefinition, ScheduleSpec, ScheduleTarget, definition_of
from athena_core.definitions.slots import check_distance
from athena_core.domain import halt, plane, run, schedule, workflow_run
from athena_core.errors import (
    AthenaError,
    ConfigError,
    Conflict,
    NotFound,
    ProviderError,
    ProviderNotFound,
    RunCancelledError,
    StoreUnreachable,
)
from athena_core.event import Event, Fact, Meta, Value
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.services.access.access import Access
from athena_core.services.catalog import Catalog
from athena_core.services.runs.admission import Admission, RunTransaction
from athena_core.services.runs.prepared import PreparedRun
from athena_core.services.runs.results import run_error
from athena_core.services.runs.runs import Runs
from athena_core.services.schedules.due_schedules import DueSchedules, KnownSchedule
from athena_core.services.states import at_head
from athena_core.services.templates import Templates
from athena_core.services.workflows.workflows import WorkflowLaunch, Workflows, cancel_workflow_run
from athena_core.settings import Settings
from athena_core.values import Body, Identity, Label, RunBody, Scope, narrower, pinned, unpinned

ACTOR = "system:scheduler"
RUN_OPERATION = "runSchedule"
"""The operation that a schedule's last writer must be allowed when a slot runs on their behalf."""

GRACE_SECONDS = 15.0
MESSAGE_CHARS_MAX = 500


class RunScheduleBody(Body):
    """The provider and model for a schedule that names no harness profile."""

    provider: Label | None = None
    model: Label | None = None


class SlotLaunch(NamedTuple):
    """A run that may start: its id, and the function that admits it in a transaction, or raises why not.

    ``admit`` gets the number of events that precede its own in the transaction.
    """

    run_id: str
    admit: Callable[[Reader, Context, int], Admission]
    launch: PreparedRun | None = None


class SlotResult(Value):
    """The result of one step of a schedule.

    ``run_id`` is present if a run started; ``refused`` means that it was refused at once. ``due`` is when to look again
    (0: at once).
    """

    run_id: str | None = None
    refused: bool = False
    changed: bool = False
    due: int | None = None


class _Moved(Conflict):
    """The schedule was put again meanwhile, so nothing is decided, and no key is bound."""


class ScheduleChange(Value):
    """The result of a change: whether anything changed, and whether the schedule exists."""

    updated: bool
    exists: bool


class TickSummary(Value):
    """The result of a manual tick: the runs that it started, by schedule, and the number of schedules without one."""

    at: str
    runs: tuple[tuple[str, str], ...]
    skipped: int


class Schedules:
    """Changes schedules and runs their slots."""

    def __init__(
        self,
        log: Log,
        tail: Tail,
        runs: Runs,
        templates: Templates,
        workflows: Workflows,
        catalog: Catalog,
        access: Access,
        clock: Clock,
        ids: Ids,
        settings: Settings,
    ) -> None:
        self._log = log
        self._runs = runs
        self._templates = templates
        self._workflows = workflows
        self._catalog = catalog
        self._access = access
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self.due = DueSchedules(log, tail)

    # Changing

    async def put(
        self, schedule_id: str, spec: ScheduleSpec, meta: Meta, key: Key | None, scope: Scope | None = None
    ) -> Committed:
        """Create or replace a schedule; the subject is its id. Raise ConfigError."""
        definition = self._checked(spec)
        known = self.due.read(schedule_id)
        before = self.due.text_of(known)
        same = before is not None and (before.input, before.params) == (spec.input, spec.params)
        most = self._settings.schedules_max

        def put(reader: Reader, context: Context) -> Outcome:
            state = reader.state(schedule.DECIDER, schedule.stream(schedule_id))
            command = schedule.UpsertSchedule(
                id=schedule_id,
                definition=definition,
                input=spec.input,
                params=spec.params,
                enabled=spec.enabled,
                start_now=bool(spec.start_now),
                paused=spec.paused,
                note=spec.note,
                text_of=known.state.revision if same else None,
                scope=pinned(scope),
                others=len(reader.guards("schedule")) - state.exists,
                most=most,
            )
            events = schedule.decide(command, state, context)
            return Outcome(facts=_facts(schedule_id, definition, events), subject=schedule_id)

        return await self._log.submit(put, meta, key)

    def _checked(self, spec: ScheduleSpec) -> ScheduleDefinition:
        definition = definition_of(spec)
        target, trigger = definition.target, definition.trigger
        if target.directive_id is not None:
            self._catalog.directive(target.directive_id, "directiveId")
        if target.harness_profile_id is not None:
            self._catalog.profile(target.harness_profile_id, "harnessProfileId")
        if target.run_template_id is not None:
            try:
                self._templates.newest(target.run_template_id)
            except NotFound as error:
                raise ConfigError.of("runTemplateId", error.message, "the id of a run template") from None
        if target.workflow_id is not None and not self._workflows.exists(target.workflow_id):
            raise ConfigError.of("workflowId", f"no workflow {target.workflow_id!r} exists", "the id of a workflow")
        check_distance(trigger, self._clock.now(), self._settings.schedule_minutes_min)
        return definition

    async def change(
        self,
        schedule_id: str,
        command: schedule.ScheduleCommand,
        meta: Meta,
        key: Key | None,
    ) -> Committed[ScheduleChange]:
        """Remove, enable, disable, pause or resume a schedule. Raise NotFound if a pause or resume finds none."""

        def change(reader: Reader, context: Context) -> Outcome[ScheduleChange]:
            state = reader.state(schedule.DECIDER, schedule.stream(schedule_id))
            events = schedule.decide(command, state, context)
            if not state.exists:  # record the request for an unknown schedule
                return Outcome(facts=facts_of(plane.STREAM, events), answer=ScheduleChange(updated=False, exists=False))
            return Outcome(
                facts=_facts(schedule_id, state.definition, events),
                answer=ScheduleChange(updated=bool(events), exists=True),
            )

        return await self._log.submit(change, meta, key, answers=ScheduleChange)

    # Running

    async def run(
        self, schedule_id: str, asked: RunScheduleBody, who: Identity, meta: Meta, key: Key | None, *, wait: bool
    ) -> Committed[SlotResult]:
        """Run a schedule manually, as ``who``. The subject is the run's id, empty if another run is in flight.

        With ``wait``, wait for the run's end. Raise NotFound or ProviderNotFound.
        """
        committed = None
        while committed is None:
            known = self.due.read(schedule_id)
            if not known.state.exists:
                raise NotFound(f"no schedule {schedule_id!r} exists")
            scope = narrower(who.scope, unpinned(known.state.scope))
            attempt = await self._attempt(known, replace(who, scope=scope), asked, by_hand=True)
            command = schedule.RunSchedule(id=schedule_id, target_run_id=attempt.run_id)
            committed = await self._step(known, attempt, command, meta, key)
        if wait and committed.subject:
            await self._wait_for_runs((committed.subject,))
            await self.bring_back(schedule_id)
        return committed

    async def tick(self, at: int | None, asked: RunScheduleBody, meta: Meta, key: Key | None) -> Committed[TickSummary]:
        """Start the slots due at a time (now by default), and wait for the runs that started. Raise Halted."""
        if key is not None and (before := await self._known_by(key, meta)) is not None:
            return before
        await at_head(self._log, halt.refuse)
        now = self._clock.now()
        at = now if at is None else at
        await self.due.refresh()
        started: list[tuple[str, str]] = []
        for schedule_id in self.due.due_at(at):
            started += [(schedule_id, run_id) for run_id in await self.advance(schedule_id, at, asked, meta)]
        await self._wait_for_runs([run_id for _, run_id in started])
        for schedule_id in dict(started):
            await self.bring_back(schedule_id)

        def tick(reader: Reader, context: Context) -> Outcome[TickSummary]:
            skipped = len(reader.guards("schedule").keys() - dict(started).keys())
            ticked = TickSummary(at=iso(at), runs=tuple(started), skipped=skipped)
            event = schedule.ScheduleTickExecuted(at=ticked.at, run=len(started), skipped=skipped)
            return Outcome(facts=facts_of(plane.STREAM, (event,)), answer=ticked)

        return await self._log.submit(tick, meta, key, answers=TickSummary)

    async def _known_by(self, key: Key, meta: Meta) -> Committed[TickSummary] | None:
        """Return the earlier commit of a key if it is bound. This does not bind it."""

        def look(reader: Reader, context: Context) -> Outcome[TickSummary]:
            raise UnboundKey

        try:
            return await self._log.submit(look, meta, key, answers=TickSummary)
        except UnboundKey:
            return None

    async def advance(
        self, schedule_id: str, at: int, asked: RunScheduleBody | None = None, meta: Meta | None = None
    ) -> list[str]:
        """Advance a schedule up to a time, step by step. Return the ids of the runs that it started.

        A time in the future fires at most one slot. Raise Halted if something is due during a halt.
        """
        meta = Meta(actor=ACTOR, correlation=self._ids.trace() if meta is None else meta.correlation)
        started: list[str] = []
        while True:
            known = self.due.read(schedule_id)
            due, now = schedule.next_due(known.state), self._clock.now()
            self.due.set_due(schedule_id, due)
            if due is None or due > at:
                return started
            who = self._access.on_behalf(known.state.updated_by, unpinned(known.state.scope))
            attempt = await self._attempt(known, who, asked or RunScheduleBody())
            command = schedule.TickSchedule(at=at, target_run_id=attempt.run_id)
            done = await self._step(known, attempt, command, meta, None)
            if done is None:
                continue
            if done.answer.run_id is not None:
                started.append(done.answer.run_id)
            if due > now or not done.answer.changed:
                return started

    async def _attempt(
        self, known: KnownSchedule, who: Identity, asked: RunScheduleBody, *, by_hand: bool = False
    ) -> SlotLaunch:
        """Return the run that a schedule would start, or its refusal if ``who`` may not start it."""
        target = known.state.definition.target if known.state.definition else None
        put = self.due.text_of(known)
        if not self._access.allows(who, RUN_OPERATION):
            return SlotLaunch(
                self._ids.new("run"),
                lambda reader, context, behind: self._access.refuse(reader, context, who, RUN_OPERATION),
            )
        try:
            launch = await self._launch(target, put, who, asked)
        except StoreUnreachable:  # the slot is retried
            raise
        except AthenaError as error:
            if by_hand and isinstance(error, ProviderNotFound) and asked.provider is not None:
                raise
            return SlotLaunch(self._ids.new("run"), _raising(error))
        requesters = tuple(dict.fromkeys(filter(None, (who.subject, known.state.updated_by))))
        if isinstance(launch, WorkflowLaunch):
            return SlotLaunch(
                launch.run_id, lambda reader, context, behind: Admission(launch.admit(reader, context, requesters))
            )
        asked_by = replace(launch, requesters=requesters)
        return SlotLaunch(
            launch.run_id, lambda reader, context, behind: self._runs.admit(reader, context, asked_by, behind), asked_by
        )

    async def _launch(
        self,
        target: ScheduleTarget | None,
        put: schedule.ScheduleUpserted | None,
        who: Identity,
        asked: RunScheduleBody,
    ) -> PreparedRun | WorkflowLaunch:
        """Return the run for a schedule's target, checked. Raise AthenaError."""
        if target is None or put is None:
            raise ConfigError.of("id", "the schedule does not exist", "put it again")
        if target.workflow_id is not None:
            return self._workflows.prepare(target.workflow_id, None, who)
        if target.run_template_id is not None:
            return await self._templates.prepare(target.run_template_id, put.params, target.session_id, who)
        if target.directive_id is None and put.input is None:
            raise ConfigError.of("input", "was redacted", "put the schedule again")
        profiled = target.harness_profile_id is not None
        body = RunBody(
            session_id=target.session_id,
            input=put.input,
            directive_id=target.directive_id,
            harness_profile_id=target.harness_profile_id,
            provider=None if profiled else asked.provider,
            model=None if profiled else asked.model,
        )
        return await self._runs.prepare(body, who, scheduled=True)

    async def _step(
        self,
        known: KnownSchedule,
        attempt: SlotLaunch,
        command: schedule.RunSchedule | schedule.TickSchedule,
        meta: Meta,
        key: Key | None,
    ) -> Committed[SlotResult] | None:
        """Decide about one schedule, and admit or refuse its run in the same commit; None if it was put meanwhile."""
        schedule_id, capacity = known.state.id, self._runs.capacity

        def step(reader: Reader, context: Context) -> Outcome[SlotResult]:
            halt.refuse(reader)
            state = reader.state(schedule.DECIDER, schedule.stream(schedule_id))
            if state.revision != known.state.revision or state.exists != known.state.exists:
                raise _Moved(f"schedule {schedule_id!r} has changed")
            definition = state.definition
            now = command
            if isinstance(now, schedule.TickSchedule):
                now = replace(now, halted=halt.last_interval(reader))
            events = schedule.decide(now, state, context)
            for event in events:
                state = schedule.evolve(state, event)
            facts = _facts(schedule_id, definition, events)
            draft = RunTransaction(reader, context, capacity)
            draft.add(facts)
            last = events[-1] if events else None
            starts = last if isinstance(last, schedule.ScheduleRunStarted) else None
            admission, refused = Admission(()), False
            if starts is not None:
                try:
                    admission = attempt.admit(reader, context, len(facts))
                    draft.add(admission.facts)
                except (Rejected, AthenaError) as error:
                    refused = True
                    finish = _refusal(starts.target_run_id, error)
                    ends = schedule.decide(finish, state, context)
                    for event in ends:
                        state = schedule.evolve(state, event)
                    why = error.facts if isinstance(error, Rejected) else ()  # a violation refers to the first event
                    draft.facts = [*why, *facts, *_facts(schedule_id, definition, ends)]
            self._make_way(draft, reader, context, events, refused=refused)
            return Outcome(
                facts=tuple(draft.facts),
                subject=starts.target_run_id if starts else "",
                answer=SlotResult(
                    run_id=starts.target_run_id if starts else None,
                    refused=refused,
                    changed=bool(events),
                    due=schedule.next_due(state),
                ),
                handover=admission.lease,
            )

        try:
            if attempt.launch is not None:
                return await self._runs.launch(attempt.launch, meta, key, step, answers=SlotResult)
            return await self._log.submit(step, meta, key, answers=SlotResult)
        except _Moved:
            return None

    @staticmethod
    def _make_way(
        draft: RunTransaction, reader: Reader, context: Context, events: Iterable[Event], *, refused: bool
    ) -> None:
        """Cancel the runs that a slot displaces, unless the slot itself was refused."""
        displaced: list[str] = []
        for event in events:
            if isinstance(event, schedule.ScheduleRunStarted) and not refused:
                displaced += event.terminates or ()
            elif isinstance(event, schedule.ScheduleRunBuffered):
                displaced += event.cancels or ()
        reason = "the next slot of its schedule is due"
        for run_id in displaced:
            if workflow_run.DECIDER.owns(run_id):
                cancel_workflow_run(draft, reader, context, run_id, reason)
                continue
            state = draft.state(run_id)
            if state.open and state.request is not None and state.cancel is None:
                draft.cancel(run_id, run.CancelRun(cause="interrupted", reason=reason))
        draft.admit_waiting()

    # Endings

    async def bring_back(self, schedule_id: str) -> None:
        """Record on a schedule which of its runs have ended."""
        for flight in self.due.read(schedule_id).state.running:
            ended = self.due.ending(flight.target_run_id)
            if ended is None:
                continue
            ending, row, note = ended
            finish = _finish(flight.target_run_id, ending, note)
            if isinstance(ending, workflow_run.WorkflowRunFailed):
                finish = replace(finish, code=self.due.step_failure(flight.target_run_id))
            meta = Meta(actor=ACTOR, correlation=row.correlation, causation=row.position)

            stream, run_id = schedule.stream(schedule_id), finish.target_run_id
            end = transact(schedule, stream, finish, session_id=row.session_id, run_id=run_id)
            await self._log.submit(end, meta)

    async def _wait_for_runs(self, run_ids: Iterable[str]) -> None:
        """Return once runs have ended or are paused, or after the timeout of a scheduled run."""
        seconds = self._settings.schedule_run_timeout_ms / 1000 + GRACE_SECONDS
        async with anyio.create_task_group() as tasks:
            for run_id in run_ids:
                settled = self._workflows.settled if workflow_run.DECIDER.owns(run_id) else self._runs.settled
                tasks.start_soon(settled, run_id, seconds)

    def close(self) -> None:
        self.due.close()


class UnboundKey(Exception):
    """An idempotency key that is not bound yet."""


def _raising(error: AthenaError) -> Callable[[Reader, Context, int], Admission]:
    def admit(reader: Reader, context: Context, behind: int) -> Admission:
        raise error

    return admit


def _refusal(run_id: str, error: Rejected | AthenaError) -> schedule.FinishScheduledRun:
    """Return the end of a run that never began. A rejection by the policy is not a failure of the schedule."""
    why = error.error if isinstance(error, Rejected) else error
    outcome: schedule.ScheduledOutcome = "policy-rejected" if isinstance(error, Rejected) else "failed"
    return schedule.FinishScheduledRun(
        target_run_id=run_id, outcome=outcome, code=why.code, message=why.message[:MESSAGE_CHARS_MAX]
    )


def _finish(run_id: str, ending: Event, note: str | None) -> schedule.FinishScheduledRun:
    if isinstance(ending, run.RunCompleted):
        return schedule.FinishScheduledRun(target_run_id=run_id, outcome="ok")
    if isinstance(ending, workflow_run.WorkflowRunCompleted):
        return schedule.FinishScheduledRun(target_run_id=run_id, outcome="ok")
    if isinstance(ending, workflow_run.WorkflowRunCancelled):
        message = "the workflow run was cancelled"
        return schedule.FinishScheduledRun(
            target_run_id=run_id, outcome="cancelled", code=RunCancelledError.code, message=message
        )
    if isinstance(ending, workflow_run.WorkflowRunFailed):
        message = f"steps failed: {', '.join(ending.failed_steps)}"[:MESSAGE_CHARS_MAX]
        return schedule.FinishScheduledRun(
            target_run_id=run_id, outcome="failed", code=ProviderError.code, message=message
        )
    error = run_error(run_id, ending, note)
    outcome: schedule.ScheduledOutcome = "cancelled" if isinstance(ending, run.RunCancelled) else "failed"
    message = error.message[:MESSAGE_CHARS_MAX]
    return schedule.FinishScheduledRun(target_run_id=run_id, outcome=outcome, code=error.code, message=message)


def _facts(schedule_id: str, definition: ScheduleDefinition | None, events: Sequence[Event]) -> tuple[Fact, ...]:
    """Put the events of a schedule into envelopes: the session of its target, and the run that they concern."""
    session_id = definition.target.session_id if definition else None
    return facts_of(schedule.stream(schedule_id), events, session_id=session_id, run_field="target_run_id")
