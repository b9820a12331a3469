"""Operations on many runs at once: cancel or retry the runs of a filter."""

from typing import TYPE_CHECKING, Any

from athena_api.endpoint.operation import ApiCall, NoQuery, Noun, Operation, Reply
from athena_core.event import Position
from athena_core.services.runs.bulk_requests import BulkCancelBody, BulkResult, BulkRetryBody, RunSearch
from athena_core.values import RunFilter, Scope
from projections import runs

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


def _search(plane: "ControlPlane") -> RunSearch:
    """Return the search of a bulk request, in the read model of runs."""

    async def find(
        wanted: RunFilter, scope: Scope | None, *, ended: bool, until: Position | None, limit: int
    ) -> tuple[list[str], Position]:
        await plane.caught_up(("runs",), plane.reader.head())
        return await plane.search(
            ("runs",), lambda rows, _: runs.run_ids(rows, wanted, scope, ended=ended, until=until, limit=limit)
        )

    return find


async def cancel_runs(plane: "ControlPlane", call: ApiCall[BulkCancelBody, NoQuery]) -> Reply:
    """Cancel the open runs of a filter, at most 10,000. `dryRun` only lists them.

    The answer has a result for each run. To continue after a lost connection, repeat the request with its
    idempotency key.
    """
    done = await plane.bulk_requests.cancel(call.body, _search(plane), call.who, call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


async def retry_runs(plane: "ControlPlane", call: ApiCall[BulkRetryBody, NoQuery]) -> Reply:
    """Retry the ended runs of a filter, at most 10,000. `dryRun` only lists them.

    The retries wait for free slots. The answer does not wait for them. To continue after a lost connection, repeat
    the request with its idempotency key.
    """
    done = await plane.bulk_requests.retry(call.body, _search(plane), call.who, call.meta, call.key)
    return Reply(data=done.answer, position=done.position, replayed=done.replayed)


row = Noun("runs").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "runs.cancel",
        "POST /runs/cancel",
        cancel_runs,
        answer=BulkResult,
        narrows={"sessions", "runs"},
        errors=("SUBJECT_CHANGED",),
        command="cancel",
    ),
    row(
        "runs.retry",
        "POST /runs/retry",
        retry_runs,
        answer=BulkResult,
        narrows={"sessions"},
        errors=("SUBJECT_CHANGED",),
        command="retry",
    ),
)
