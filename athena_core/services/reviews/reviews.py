"""The service of reviews: start persona runs, wait for them, and record their results."""

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec
from anyio import to_thread
from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, facts_of, fold
from athena_core.domain import review, run
from athena_core.enums import PersonaStdout
from athena_core.errors import AthenaError, NotFound, StoreUnreachable
from athena_core.event import Event, Fact, Meta, Recorded
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.protocols import Row
from athena_core.services.access.access import Access
from athena_core.services.catalog import Catalog
from athena_core.services.reactors import NOW
from athena_core.services.reviews.definitions import PersonaFiles
from athena_core.services.reviews.preparation import PersonaRunBody, Preparation, repair_prompt
from athena_core.services.reviews.result import ReviewFiles, ReviewReply, build_result, parse_answer
from athena_core.services.runs.runs import Runs
from athena_core.services.sandboxes import RunSandboxes
from athena_core.services.states import committed
from athena_core.services.waiters import OneShot, Waiters
from athena_core.services.workspaces.workspaces import Workspaces
from athena_core.settings import Settings
from athena_core.text import clean
from athena_core.values import Identity, RunBody, unpinned

BEGINNING_TYPES = frozenset({review.PersonaRunStarted.TYPE, review.PersonaRunRepairRequested.TYPE})
ENDED_TYPES = frozenset({review.PersonaRunCompleted.TYPE, review.PersonaRunFailed.TYPE})
WAIT_GRACE_SECONDS = 30.0
OPERATION = "runPersona"


class Reviews:
    """Starts reviews, waits for them, and, as a reactor, ends them."""

    name = "reviews"
    types = run.ENDING_TYPES | BEGINNING_TYPES

    def __init__(
        self,
        log: Log,
        reader: StoreReader,
        tail: Tail,
        runs: Runs,
        personas: PersonaFiles,
        access: Access,
        settings: Settings,
        ids: Ids,
        mask: Mask,
        workspaces: Workspaces,
        catalog: Catalog,
        sandboxes: RunSandboxes,
    ) -> None:
        self._log = log
        self._reader = reader
        self._runs = runs
        self._access = access
        self._ids = ids
        self._mask = mask
        self._files = ReviewFiles(settings.state_dir, workspaces.shared)
        self._preparation = Preparation(
            runs, personas, self._files, settings, mask, workspaces, catalog, sandboxes, ids
        )
        self._following: dict[str, str] = {}
        self._waiters = Waiters[str, OneShot](OneShot)
        tail.subscribe(self._on_rows, ENDED_TYPES | {run.RunPaused.TYPE})

    # Starting

    async def start(self, body: PersonaRunBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Start a review; the subject is the id of its run.

        Raise ConfigError for a wrong persona, repository or reference, and the errors of starting a run. Each is
        recorded.
        """
        try:
            launch, started = await self._preparation.prepare(body, who)
        except StoreUnreachable:
            raise
        except AthenaError as error:
            await self._record_refusal(self._ids.new("run"), body, error, meta)
            raise
        run_id, session_id = launch.run_id, launch.session_id

        def start(reader: Reader, context: Context) -> Outcome:
            fact = Fact(stream=review.stream(run_id), event=started, session_id=session_id, run_id=run_id)
            try:
                admission = self._runs.admit(reader, context, launch, 1)
                return Outcome(facts=(fact, *admission.facts), subject=run_id, handover=admission.lease)
            except Rejected as refusal:
                failed = replace(fact, event=self._failure(body, refusal.error))
                raise Rejected(refusal.error, (*refusal.facts, failed)) from None

        began = False
        try:
            launch = await self._runs.with_personas(launch)  # others may have joined while the diff was written
            done = await self._runs.launch(launch, meta, key, start, NoneType)
            began = done.subject == run_id
        finally:
            if not began:
                await to_thread.run_sync(self._files.remove, run_id)
        return done

    async def _record_refusal(self, run_id: str, body: PersonaRunBody, error: AthenaError, meta: Meta) -> None:
        fact = Fact(stream=review.stream(run_id), event=self._failure(body, error), session_id=body.session_id)

        def refuse(reader: Reader, context: Context) -> Outcome:
            raise Rejected(error, (fact,))

        await self._log.submit(refuse, meta)

    def _failure(self, body: PersonaRunBody, error: AthenaError) -> review.PersonaRunFailed:
        return review.PersonaRunFailed(
            persona_name=body.name,
            repo_path=body.repo_path,
            head_ref=body.head_ref,
            base_ref=body.base_ref,
            error_text=self._mask.hide(clean(error.message))[:500],
        )

    # Waiting

    def _on_rows(self, rows: Sequence[Row]) -> None:
        """Wake the callers that wait for a review that ended, or whose run was paused."""
        for row in rows:
            self._waiters.wake(row.run_id or "")

    async def settled(self, key: str) -> None:
        """Return once a review has ended or its run is paused, at the latest after the timeouts of its runs."""
        with self._waiters.wait(key) as waiter:
            if self.state(key).status != "running":
                return
            request = self._runs.state(key).request
            seconds = 2 * (request.timeout_ms if request else 0) / 1000 + WAIT_GRACE_SECONDS
            await waiter.within(seconds)

    def state(self, key: str) -> review.ReviewState:
        """Return the state of a review as committed."""
        return committed(self._log, self._reader, review.DECIDER, review.stream(key))

    def outcome(self, key: str) -> tuple[Any, PersonaStdout, int] | None:
        """Return the result of an ended review as decoded JSON, its output format, and its position.

        Return None while it is running. Raise NotFound after the result was erased.
        """
        form: PersonaStdout = "summary"
        for row in self._reader.stream(review.stream(key)):
            match self._log.codec.decode(row).event:
                case review.PersonaRunStarted(stdout=form):
                    pass
                case review.PersonaRunCompleted(result=str(text)):
                    return msgspec.json.decode(text), form, row.position
                case review.PersonaRunCompleted():
                    raise NotFound(f"the result of review {key!r} was erased")
        return None

    # The reactor (``reactors.Reactor``)

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        keys = {str(waits[0]): key for _, key, waits in reader.guards("review")}
        self._following.update(keys)  # some may have been added meanwhile
        return dict.fromkeys(keys.values(), NOW)

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the reviews that began or are to be repaired, and the ones whose run has ended."""
        for row in rows:
            if row.type in BEGINNING_TYPES:
                key = row.stream.removeprefix(review.PREFIX)
                self._following[row.run_id or ""] = key
                yield key
            elif row.stream in self._following:
                yield self._following.pop(row.stream)

    async def act(self, key: str) -> None:
        """End the review if its model has answered, or ask the model once more."""
        events = [self._log.codec.decode(row) for row in self._reader.stream(review.stream(key))]
        state = fold(review.DECIDER, (recorded.event for recorded in events))
        began = events[0] if events else None
        if state.status != "running" or began is None or not isinstance(began.event, review.PersonaRunStarted):
            return
        waits_for = state.run_id or key
        if self._runs.state(waits_for).open:
            return
        reply = self._read_reply(waits_for)
        if reply.answer is None and reply.problem is not None and not state.repaired:
            refused = await self._repair(key, began, reply.text, reply.problem)
            if refused is None:
                return
            reply = reply._replace(problem=f"{reply.problem}; the model could not be asked again: {refused}")
        await self._finish(key, began, waits_for if state.repaired else None, reply)
        return

    def _read_reply(self, run_id: str) -> ReviewReply:
        """Read the reply from the events of the model's run."""
        text, completed = "", False
        for recorded in self._runs.recorded(run_id):
            match recorded.event:
                case run.TranscriptAppended(role="assistant", kind="message", partial=None):
                    text = recorded.event.content or ""
                case run.RunCompleted():
                    completed = True
        if not completed:
            return ReviewReply(text, None, None)
        try:
            return ReviewReply(text, None, parse_answer(text, self._mask))
        except ValueError as error:
            return ReviewReply(text, str(error), None)

    async def _repair(self, key: str, began: Recorded[Event], text: str, problem: str) -> str | None:
        """Ask the model once more. Return the reason if it cannot be asked."""
        started = began.event
        assert isinstance(started, review.PersonaRunStarted)
        who = self._access.on_behalf(started.requested_by, unpinned(started.scope))
        if not self._access.allows(who, OPERATION):
            return f"{who.subject} may not run reviews any more"
        asked = RunBody(
            session_id=began.session_id,
            input=repair_prompt(problem, text),
            harness_profile_id=started.harness_profile_id,
            provider=started.provider,
            model=started.model,
            metadata={"personaName": started.persona_name, "trigger": "persona-run", "repairOf": key},
        )
        meta = _meta(began)
        try:
            launch = await self._runs.prepare(asked, who)
            requested = review.PersonaRunRepairRequested(
                persona_name=started.persona_name, repair_run_id=launch.run_id, problem=problem
            )

            def repair(reader: Reader, context: Context) -> Outcome:
                stream = review.stream(key)
                events = review.decide(requested, reader.state(review.DECIDER, stream), context)
                if not events:
                    return Outcome()
                facts = facts_of(stream, events, session_id=began.session_id, run_id=launch.run_id)
                admission = self._runs.admit(reader, context, launch, len(facts))
                return Outcome(facts=(*facts, *admission.facts), subject=launch.run_id, handover=admission.lease)

            await self._runs.launch(launch, meta, None, repair, NoneType)
        except AthenaError as error:
            if error.retryable:
                raise
            return error.message
        return None

    async def _finish(
        self,
        key: str,
        began: Recorded[Event],
        repair_run_id: str | None,
        reply: ReviewReply,
    ) -> None:
        """Write the files, then record the end, so that readers of the end find the files."""
        last = self._runs.recorded(repair_run_id or key)
        earlier = self._runs.recorded(key) if repair_run_id is not None else ()
        result = build_result(key, began, last, earlier, repair_run_id, reply)
        result = await to_thread.run_sync(self._files.write_result, result)
        counts = {name: sum(finding.priority == name for finding in result.findings) for name in ("P1", "P2", "P3")}
        ended = next((recorded.event for recorded in last if isinstance(recorded.event, run.RunCompleted)), None)
        completed = review.PersonaRunCompleted(
            persona_name=result.persona_name,
            status=result.status,
            merge_gate=result.merge_gate,
            p1=counts["P1"],
            p2=counts["P2"],
            p3=counts["P3"],
            repaired=repair_run_id is not None,
            artifacts=result.artifacts,
            provider=ended.provider if ended else None,
            model=ended.model if ended else None,
            usage=result.usage,
            result=msgspec.json.encode(result).decode(),
        )

        def finish(reader: Reader, context: Context) -> Outcome:
            stream = review.stream(key)
            events = review.decide(completed, reader.state(review.DECIDER, stream), context)
            return Outcome(facts=facts_of(stream, events, session_id=began.session_id, run_id=key))

        await self._log.submit(finish, _meta(began))


def _meta(began: Recorded[Event]) -> Meta:
    return Meta(actor="system:reviews", correlation=began.correlation, causation=began.position)
