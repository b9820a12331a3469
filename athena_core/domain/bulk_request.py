"""The bulk request: one request that concerns every run of a filter."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from athena_core.decider import Context, Decider
from athena_core.event import EXTRA, Event, Shows, Value, says
from athena_core.values import PinnedScope, RunChanges, RunFilter

BULK_RUNS_MAX = 10_000
"""The most runs of a bulk request."""

BulkAct: TypeAlias = Literal["cancel", "retry"]


# Stored events. Their TYPE is storage: never rename one.


class BulkRequested(Event):
    """A cancellation or a retry was requested for ``total`` runs, all created up to position ``until``."""

    TYPE: ClassVar[str] = "bulk.requested"
    SHOWS: ClassVar[Shows] = Shows(audit=True, verify="each of its runs has events of its own, which are checked")
    bulk_id: str
    act: BulkAct
    filter: Annotated[RunFilter, says("Filter that selected the runs.")]
    total: int
    until: int
    changes: RunChanges | None = None
    scope: Annotated[PinnedScope | None, EXTRA] = None


# State


class BulkState(Value):
    """A bulk request: recorded or not."""

    requested: bool = False


def evolve(state: BulkState, event: Event) -> BulkState:
    return BulkState(requested=True) if isinstance(event, BulkRequested) else state


# Commands


class RequestBulk(Value):
    """Record a bulk request."""

    requested: BulkRequested


def decide(command: RequestBulk, state: BulkState, context: Context) -> tuple[Event, ...]:
    """Return the event of a bulk request, once."""
    return () if state.requested else (command.requested,)


DECIDER: Decider[BulkState] = Decider(
    category="bulk", events=(BulkRequested,), initial=BulkState(), evolve=evolve, occupies={}
)
