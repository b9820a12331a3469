"""Bulk requests: the cancellation or the retry of every run of a filter, each run in a transaction of its own.

Each run has an idempotency key, derived from the key of the request and the id of the run. A repeated request
continues where a crash ended the first one: runs that are done answer as before.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal, Protocol

import anyio
from msgspec.structs import asdict, replace

from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import bulk_request, halt
from athena_core.enums import RunStatus
from athena_core.errors import AthenaError, ConfigError
from athena_core.event import Meta, Position, Value, says
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.outside_text import check_subject, subject_hash
from athena_core.services.runs.retries import RetryBody
from athena_core.services.runs.runs import Runs
from athena_core.values import (
    MICRO_USD,
    Body,
    ClientId,
    Dollars,
    Identity,
    Label,
    Milliseconds,
    RunChanges,
    RunFilter,
    Scope,
    pinned,
    with_times,
)

AT_ONCE = 32
"""Runs of one request that are decided at the same time."""

FATAL = frozenset(("HALTED", "OVERLOADED", "POLICY_BUDGET_EXCEEDED", "STORE_FULL", "WAL_FULL"))
"""Errors that every other run of the request would get as well, so that none of them is tried."""


class RunFilterBody(Body):
    """A filter of runs, as in `GET /runs`. An empty filter matches all. Times in ISO-8601, inclusive."""

    session_id: ClientId | None = None
    status: RunStatus | None = None
    provider: Label | None = None
    model: Label | None = None
    harness_profile_id: Label | None = None
    error_code: Label | None = None
    parent_run_id: Label | None = None
    retry_of: Label | None = None
    created_after: Label | None = None
    created_before: Label | None = None
    cost_over_usd: Dollars | None = None
    duration_over_ms: Milliseconds | None = None


class BulkCancelBody(Body):
    """The runs to cancel, and the reason. ``dryRun`` only lists them. With ``subjectHash``, cancel only those runs."""

    filter: Annotated[RunFilterBody, says("Open runs to cancel.")]
    reason: Annotated[Label, says("Reason of the cancellations.")]
    dry_run: Annotated[bool | None, says("True to only list the runs.")] = None
    subject_hash: Annotated[Label | None, says("Hash of a dry run: cancel only if the same runs are selected.")] = None


class BulkRetryBody(Body):
    """The ended runs to retry, with changes to their requests. ``dryRun`` only lists them.

    With ``subjectHash``, retry only those runs.
    """

    filter: Annotated[RunFilterBody, says("Ended runs to retry.")]
    changes: Annotated[RunChanges | None, says("Changes to every request; absent: none.")] = None
    dry_run: Annotated[bool | None, says("True to only list the runs.")] = None
    subject_hash: Annotated[Label | None, says("Hash of a dry run: retry only if the same runs are selected.")] = None


class ItemError(Value):
    """The reason why an item was not changed."""

    code: str
    message: str


class BulkItem(Value):
    """The result for one run. ``retryRunId`` is the new run of a retry.

    ``status`` is ``selected`` in a dry run. ``not-running`` is a run that ended before its cancellation.
    """

    run_id: Annotated[str, says("Run of the filter.")]
    status: Annotated[Literal["selected", "cancelled", "not-running", "retried", "failed"], says("Result for the run.")]
    retry_run_id: Annotated[str | None, says("The new run of a retry; absent otherwise.")] = None
    error: Annotated[ItemError | None, says("Why it failed; absent otherwise.")] = None


class BulkResult(Value):
    """The result of a bulk request: counts, and the result for each run, the oldest first.

    ``id`` is absent in a dry run. ``position`` is where the request was recorded. ``subjectHash`` of a dry run names
    the runs that it selected.
    """

    dry_run: Annotated[bool, says("True if nothing was done.")]
    total: Annotated[int, says("Runs of the filter.")]
    done: Annotated[int, says("Runs that were cancelled or retried.")]
    failed: Annotated[int, says("Runs whose request failed.")]
    items: Annotated[tuple[BulkItem, ...], says("The runs, the oldest first.")]
    id: Annotated[str | None, says("Id of the request; absent in a dry run.")] = None
    subject_hash: Annotated[str | None, says("Hash of the runs that a dry run selected; absent otherwise.")] = None


class RunSearch(Protocol):
    """A search over the read model of runs."""

    async def __call__(
        self, wanted: RunFilter, scope: Scope | None, *, ended: bool, until: Position | None, limit: int
    ) -> tuple[list[str], Position]:
        """Return the ids of ended or of open runs, created up to a position, and the position of the search."""


class BulkStart(Value):
    """The answer of the first transaction, kept with the key: where the request stands, and the runs it selected.

    Before 0.3 only ``until`` was kept, up to where its runs were created.
    """

    position: Position
    until: Position
    run_ids: tuple[str, ...] | None = None


Act = Callable[[str, Meta, Key | None], Awaitable[BulkItem]]
"""Do to one run what the request says."""


class BulkRequests:
    """Cancels and retries the runs of a filter."""

    def __init__(self, log: Log, runs: Runs, ids: Ids) -> None:
        self._log = log
        self._runs = runs
        self._ids = ids

    async def cancel(
        self, body: BulkCancelBody, search: RunSearch, who: Identity, meta: Meta, key: Key | None
    ) -> Committed[BulkResult]:
        """Request the cancellation of the open runs of a filter. Raise ConfigError."""

        async def cancel(run_id: str, meta: Meta, key: Key | None) -> BulkItem:
            done = await self._runs.cancel_run(run_id, body.reason, meta, key)
            return BulkItem(run_id=run_id, status=done.answer.status)

        return await self._each("cancel", body, cancel, search, who, meta, key)

    async def retry(
        self, body: BulkRetryBody, search: RunSearch, who: Identity, meta: Meta, key: Key | None
    ) -> Committed[BulkResult]:
        """Retry the ended runs of a filter. Their retries wait for free slots. Raise ConfigError."""
        changes = RetryBody(**asdict(body.changes or RunChanges()))

        async def retry(run_id: str, meta: Meta, key: Key | None) -> BulkItem:
            done = await self._runs.retry(run_id, changes, who, meta, key, wait=False, patient=True)
            return BulkItem(run_id=run_id, status="retried", retry_run_id=done.subject)

        return await self._each("retry", body, retry, search, who, meta, key, changes=body.changes)

    async def _each(
        self,
        act: bulk_request.BulkAct,
        body: BulkCancelBody | BulkRetryBody,
        do: Act,
        search: RunSearch,
        who: Identity,
        meta: Meta,
        key: Key | None,
        *,
        changes: RunChanges | None = None,
    ) -> Committed[BulkResult]:
        wanted = _selection(body.filter)

        async def find(until: Position | None) -> tuple[list[str], Position]:
            limit = bulk_request.BULK_RUNS_MAX + 1
            return await search(wanted, who.scope, ended=act == "retry", until=until, limit=limit)

        run_ids, position = await find(None)
        subject = subject_hash(act, *sorted(run_ids))
        if body.dry_run:
            _check(run_ids)
            selected = _result([BulkItem(run_id=one, status="selected") for one in run_ids])
            return Committed(position=position, at=0, answer=replace(selected, subject_hash=subject))
        requested = bulk_request.BulkRequested(
            bulk_id=self._ids.new("bulk"),
            act=act,
            filter=wanted,
            total=len(run_ids),
            until=position,
            changes=changes,
            scope=pinned(who.scope),
        )
        started = await self._request(requested, run_ids, meta, key, (body.subject_hash, subject))
        if started.answer.run_ids is None:
            run_ids, _ = await find(started.answer.until)
        else:
            run_ids = list(started.answer.run_ids)
        meta = replace(meta, causation=started.answer.position)
        items = await self._items(run_ids[: bulk_request.BULK_RUNS_MAX], do, meta, key)
        result = _result(items, started.subject)
        return replace(started, position=self._log.signal.position, answer=result)  # type: ignore[arg-type]

    async def _request(
        self,
        requested: bulk_request.BulkRequested,
        run_ids: Sequence[str],
        meta: Meta,
        key: Key | None,
        subject: tuple[str | None, str],
    ) -> Committed[BulkStart]:
        """Record the request, or return the answer of the first one with this key.

        ``subject`` are the hashes of the runs that were shown, if given, and of those that are selected.
        """

        def request(reader: Reader, context: Context) -> Outcome[BulkStart]:
            if requested.act == "retry":
                halt.refuse(reader)
            _check(run_ids)
            check_subject(*subject, "The selection of runs")
            events = bulk_request.decide(
                bulk_request.RequestBulk(requested=requested), bulk_request.DECIDER.initial, context
            )
            answer = BulkStart(position=reader.head + 1, until=requested.until, run_ids=tuple(run_ids))
            return Outcome(facts=facts_of(requested.bulk_id, events), subject=requested.bulk_id, answer=answer)

        return await self._log.submit(request, meta, key, frozenset((requested.bulk_id,)), answers=BulkStart)

    async def _items(self, run_ids: Sequence[str], do: Act, meta: Meta, key: Key | None) -> list[BulkItem]:
        """Do one thing to each run, some at a time; after a fatal error the others fail like it, untried."""
        items: dict[str, BulkItem] = {}
        fatal: list[ItemError] = []

        async def one(run_id: str) -> None:
            try:
                items[run_id] = await do(run_id, meta, key and key.of_item(run_id))
            except AthenaError as error:
                failure = ItemError(code=error.code, message=error.message)
                items[run_id] = BulkItem(run_id=run_id, status="failed", error=failure)
                if error.code in FATAL:
                    fatal.append(failure)

        for begin in range(0, len(run_ids), AT_ONCE):
            chunk = run_ids[begin : begin + AT_ONCE]
            if fatal:
                items |= {run_id: BulkItem(run_id=run_id, status="failed", error=fatal[0]) for run_id in chunk}
                continue
            async with anyio.create_task_group() as group:
                for run_id in chunk:
                    group.start_soon(one, run_id)
        return [items[run_id] for run_id in run_ids]


def _check(run_ids: Sequence[str]) -> None:
    most = bulk_request.BULK_RUNS_MAX
    if len(run_ids) > most:
        raise ConfigError.of("filter", f"selects more than {most:,} runs", "a filter of fewer runs, one after another")


def _result(items: Sequence[BulkItem], bulk_id: str | None = None) -> BulkResult:
    failed = sum(item.status == "failed" for item in items)
    done = sum(item.status in {"cancelled", "retried"} for item in items)
    return BulkResult(
        id=bulk_id, dry_run=bulk_id is None, total=len(items), done=done, failed=failed, items=tuple(items)
    )


def _selection(body: RunFilterBody) -> RunFilter:
    """Return the filter with times in milliseconds. Raise ConfigError."""
    fields = with_times(asdict(body))
    dollars = fields.pop("cost_over_usd")
    return RunFilter(**fields, cost_over_micro_usd=None if dollars is None else round(dollars * MICRO_USD))
