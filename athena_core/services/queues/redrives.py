"""Redrives: the reactor that requeues dead letters in bulk, one after another, at a fixed rate."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec.structs import asdict

from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of, transact
from athena_core.domain import dead_letter, redrive
from athena_core.enums import RedriveDecision
from athena_core.errors import AthenaError, AuthzDeniedError, Contradicted, NotFound
from athena_core.event import Meta, Position, Value, says
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.outside_text import check_subject, subject_hash
from athena_core.protocols import Row
from athena_core.services.access.access import Access
from athena_core.services.queues.dead_letters import DeadLetters, requeue_facts
from athena_core.services.reactors import NOW
from athena_core.services.states import at_head
from athena_core.values import Body, ClientId, Identity, Label, pinned, unpinned, with_times

RATE_DEFAULT = 10
REQUEUE = "redriveA2aDlq"
CATCH_UP_SECONDS = 0.1
"""How far a redrive may fall behind its rate and catch up."""

Rate = Annotated[int, msgspec.Meta(ge=1, le=redrive.RATE_PER_SECOND_MAX)]


class RedriveFilter(Body):
    """A filter for pending dead letters; times in ISO-8601, inclusive. An empty filter matches all."""

    session_id: Annotated[ClientId | None, says("Only dead letters of this session.")] = None
    source: Annotated[Label | None, says("Only dead letters of this source, `work` or `a2a`.")] = None
    source_persona: Label | None = None
    target_persona: Label | None = None
    reason: Annotated[Label | None, says("Only dead letters with this reason.")] = None
    created_after: Label | None = None
    created_before: Label | None = None


class RedriveBody(Body):
    """A redrive request: a filter, a rate per second, and ``dryRun`` to only count the dead letters.

    With ``subjectHash``, requeue only the dead letters that a dry run counted.
    """

    filter: Annotated[RedriveFilter, says("Which dead letters to requeue.")]
    rate_per_second: Rate | None = None
    dry_run: bool | None = None
    subject_hash: Annotated[Label | None, says("Hash of a dry run: requeue only if the same dead letters match.")] = (
        None
    )


class MatchedDeadLetter(NamedTuple):
    """A pending dead letter, and the position at which it was added."""

    id: str
    position: Position


class DeadLetterSearch(Protocol):
    """A search over the read model of dead letters."""

    async def matches(self, wanted: redrive.RedriveSelection) -> tuple[list[str], Position]:
        """Return the ids of the pending dead letters that match, and the position that they reflect."""

    async def next(
        self, wanted: redrive.RedriveSelection, after: Position, until: Position
    ) -> MatchedDeadLetter | None:
        """Return the oldest match that was added after one position and up to another."""


class RedrivePlan(Value):
    """The result of a dry run: the number of dead letters to requeue, and the hash that names them."""

    total: int
    position: Position
    subject_hash: str


class Redrives:
    """Starts and cancels redrives, and requeues their dead letters."""

    name = "redrives"
    types = frozenset({redrive.RedriveStarted.TYPE})

    def __init__(
        self,
        log: Log,
        dead_letters: DeadLetters,
        pending: DeadLetterSearch,
        access: Access,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._log = log
        self._dead_letters = dead_letters
        self._pending = pending
        self._access = access
        self._clock = clock
        self._ids = ids
        self._meta = Meta(actor="system:redrives", correlation=ids.trace())
        self._due: dict[str, float] = {}

    # Commands

    async def plan(self, body: RedriveBody) -> RedrivePlan:
        """Return how many dead letters a redrive would requeue. Raise ConfigError."""
        found, position = await self._pending.matches(_selection(body.filter))
        return RedrivePlan(total=len(found), position=position, subject_hash=_subject(found))

    async def start(self, body: RedriveBody, who: Identity, meta: Meta, key: Key | None) -> Committed:
        """Start a redrive; the subject is its id.

        Raise ConfigError, or Contradicted while another redrive with the same filter is running.
        """
        wanted = _selection(body.filter)
        found, position = await self._pending.matches(wanted)
        started = redrive.RedriveStarted(
            redrive_id=self._ids.new("rdr"),
            filter=wanted,
            filter_hash=hashlib.sha256(msgspec.json.encode(wanted)).hexdigest()[:32],
            rate_per_second=body.rate_per_second or RATE_DEFAULT,
            total=len(found),
            until=position,
            requested_by=who.subject,
            scope=pinned(who.scope),
        )

        def start(reader: Reader, context: Context) -> Outcome:
            check_subject(body.subject_hash, _subject(found), "The selection of dead letters")
            active = reader.guards("redrive").get(started.filter_hash)
            if active is not None:
                raise Contradicted(f"redrive {active[0]} with the same filter is still running", {"id": active[0]})
            events = redrive.decide(redrive.StartRedrive(started=started), redrive.DECIDER.initial, context)
            return Outcome(facts=facts_of(started.redrive_id, events), subject=started.redrive_id)

        return await self._log.submit(start, meta, key, frozenset((started.redrive_id,)))

    async def cancel(self, redrive_id: str, meta: Meta, key: Key | None) -> Committed:
        """Cancel a redrive; dead letters that it requeued stay so. Raise NotFound."""
        if not redrive.DECIDER.owns(redrive_id):
            raise _unknown(redrive_id)

        def cancel(reader: Reader, context: Context) -> Outcome:
            state = reader.state(redrive.DECIDER, redrive_id)
            if not state.status:
                raise _unknown(redrive_id)
            events = redrive.decide(redrive.CancelRedrive(), state, context)
            return Outcome(facts=facts_of(redrive_id, events), subject=redrive_id)

        return await self._log.submit(cancel, meta, key)

    # The reactor

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        return {str(value[0]): NOW for _, _, value in reader.guards("redrive")}

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the redrives that began."""
        return [row.stream for row in rows]

    async def act(self, key: str) -> int | None:
        """Requeue the next dead letter of a redrive when it is due."""
        while True:
            state = await at_head(self._log, lambda reader: reader.state(redrive.DECIDER, key))
            started = state.started
            if state.status != "running" or started is None:
                self._due.pop(key, None)
                return None
            left = self._due.get(key, 0.0) - self._clock.monotonic()
            if left > 0:
                return self._clock.now() + round(left * 1_000)
            match = await self._pending.next(started.filter, state.after, started.until)
            if match is None:
                await self._record(key, redrive.CompleteRedrive())
                continue
            # counted from the due time, so that slow requeues do not lower the rate
            now = self._clock.monotonic()
            due = max(self._due.get(key, now), now - CATCH_UP_SECONDS) + 1 / started.rate_per_second
            await self._redrive_letter(key, started, match)
            self._due[key] = due

    async def _record(self, redrive_id: str, command: redrive.RedriveCommand) -> None:
        await self._log.submit(transact(redrive, redrive_id, command), self._meta)

    async def _redrive_letter(self, redrive_id: str, started: redrive.RedriveStarted, match: MatchedDeadLetter) -> None:
        """Requeue one dead letter and record it in the same transaction; record a failure if it cannot be requeued."""

        def advance(result: RedriveDecision, code: str | None = None) -> redrive.AdvanceRedrive:
            return redrive.AdvanceRedrive(
                dead_letter_id=match.id, letter_position=match.position, result=result, code=code
            )

        who = self._access.on_behalf(started.requested_by, unpinned(started.scope))
        try:
            if not self._access.allows(who, REQUEUE):
                raise AuthzDeniedError(f"{who.subject} now has the role {who.role}, which may not call {REQUEUE}")
            plan = self._dead_letters.plan(match.id)

            def requeue(reader: Reader, context: Context) -> Outcome:
                state = reader.state(redrive.DECIDER, redrive_id)
                if not redrive.decide(advance("requeued"), state, context):
                    return Outcome()
                decided = reader.state(dead_letter.DECIDER, match.id).status != "pending"
                facts = () if decided else requeue_facts(reader, context, plan, who)
                events = redrive.decide(advance("skipped" if decided else "requeued"), state, context)
                return Outcome(facts=(*facts_of(redrive_id, events), *facts))

            await self._log.submit(requeue, self._meta)
        except AthenaError as error:
            if error.retryable and error.code != "WORK_QUEUE_FULL":
                raise
            await self._record(redrive_id, advance("failed", error.code))


def _selection(body: RedriveFilter) -> redrive.RedriveSelection:
    """Return the filter with times in milliseconds. Raise ConfigError."""
    return redrive.RedriveSelection(**with_times(asdict(body)))


def _unknown(redrive_id: str) -> NotFound:
    return NotFound(f"no redrive {redrive_id!r} exists")


def _subject(found: Sequence[str]) -> str:
    """Return the hash that names a selection of dead letters."""
    return subject_hash("redrive", *sorted(found))
