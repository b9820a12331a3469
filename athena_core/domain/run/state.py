"""The state of a run, and what its events occupy: slots, turns, leases, budgets."""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Decider
from athena_core.definitions.profile import workspace_owner
from athena_core.domain.run.attached import AgentAttached, McpAttached
from athena_core.domain.run.events import (
    ENDINGS,
    STATUS_OF_ENDING,
    WITHDRAWN_CAUSES,
    BudgetReserved,
    EvidenceAttached,
    MemoryRecalled,
    PolicyConcurrencyRejected,
    PolicyRejected,
    RunAnswered,
    RunAsked,
    RunAskOpened,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunEnding,
    RunFailed,
    RunLeased,
    RunPaused,
    RunQueued,
    RunRequest,
    RunRequeued,
    RunResumed,
    RunStarted,
    RunTimedOut,
    SandboxLifecycle,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
    WorkspaceChanged,
    WorkspaceOpened,
    limit_keys,
)
from athena_core.enums import PauseReason, WorkspaceKind
from athena_core.event import Event, Guard, Recorded, Value, parts_of

E = TypeVar("E", RunAsked, RunAnswered)

DAY_MS = 86_400_000
SPENT_DAYS = 40
"""Days of spending that are kept. If the clock goes back within them, no daily budget starts anew."""

ANSWERS_KEPT = 32
"""The most answers that the state of a run keeps, to tell a second answer which one was first."""

WORKSPACE_RUN = "workspace-run"
"""The guard kind of admitted runs with an own workspace, also while they are paused."""

LAST_SPENT_KEY = "day"
"""Key of the only ``spent`` row of release 0.1.0: the last day with any spending."""


class RunState(Value):
    """The state of a run. ``status`` is empty before the first event. ``request`` never holds text.

    ``executor`` is set while the run is leased, ``paused`` while it is paused. Money is in micro-USD. ``cut`` is True
    if the budget cut the last model output. ``asks`` are the open ones and ``answers`` the newest, both without text.
    ``opened`` are the openings of the exact texts of open asks. ``requeued`` is True while a parked run waits in line.
    """

    status: str = ""
    request: RunCreated | None = None
    executor: str | None = None
    token: int = 0
    attempt: int = 0
    budget_micro_usd: int | None = None
    spent_micro_usd: int = 0
    cut: bool = False
    cancel: RunCancelRequested | None = None
    withdrawn: bool = False
    paused: PauseReason | None = None
    asks: tuple[RunAsked, ...] = ()
    answers: tuple[RunAnswered, ...] = ()
    opened: tuple[RunAskOpened, ...] = ()
    requeued: bool = False

    @property
    def open(self) -> bool:
        """True until the terminal event."""
        return self.status in {"queued", "running", "paused"}


def evolve(state: RunState, event: Event) -> RunState:
    """Apply one event. Frequent types are matched first because failed patterns are slow."""
    match event:
        case TranscriptAppended():
            told = event.role == "assistant" and (state.cut or event.interrupted)
            return replace(state, cut=bool(event.interrupted)) if told else state
        case RunStarted():
            return state
        case UsageRecorded():
            cost = max(event.cost_micro_usd or 0, 0)
            return replace(state, spent_micro_usd=state.spent_micro_usd + cost) if cost else state
        case RunLeased():
            return replace(state, executor=event.executor, token=event.token, attempt=event.attempt)
        case RunCreated() | RunQueued():
            status = "queued" if isinstance(event, RunQueued) else "running"
            request = without_text(event)
            return replace(state, status=status, request=request, budget_micro_usd=event.budget_micro_usd)
        case RunCompleted() | RunFailed() | RunCancelled() | RunTimedOut() | RunCrashed():
            withdrawn = isinstance(event, RunCancelled) and event.cause in WITHDRAWN_CAUSES
            status = STATUS_OF_ENDING[event.TYPE]
            return replace(state, status=status, executor=None, cancel=None, withdrawn=withdrawn, requeued=False)
        case RunPaused():
            return replace(state, status="paused", executor=None, paused=event.reason)
        case RunAsked():
            return replace(state, asks=(*state.asks, _textless(event)))
        case RunAnswered():
            asks = tuple(ask for ask in state.asks if ask.ask_id != event.ask_id)
            opened = tuple(one for one in state.opened if one.ask_id != event.ask_id)
            answers = (*state.answers, _textless(event))[-ANSWERS_KEPT:]
            return replace(state, asks=asks, opened=opened, answers=answers)
        case RunAskOpened():
            return replace(state, opened=(*state.opened, event))
        case RunRequeued():
            return replace(state, requeued=True)
        case RunResumed():
            budget = event.budget_micro_usd
            return replace(state, status="running", budget_micro_usd=budget, cut=False, paused=None, requeued=False)
        case RunCancelRequested() if state.open and event.status == "cancelled":
            return replace(state, cancel=replace(event, note=None))
        case _:
            return state


TEXTS: dict[type[Event], dict[str, Any]] = {
    kind: {name: None for name, part in parts_of(kind).items() if part == "text"}
    for kind in (RunRequest, RunAsked, RunAnswered)
}
NO_TEXT = TEXTS[RunRequest]


def _textless(event: E) -> E:
    return replace(event, **TEXTS[type(event)])


def without_text(request: RunRequest) -> RunCreated:
    """Return a request without text, as states keep it and as an admission repeats it."""
    if isinstance(request, RunCreated):
        return replace(request, **NO_TEXT)
    return RunCreated(**{**request_fields(request), **NO_TEXT})


def own_workspace(request: RunRequest) -> tuple[WorkspaceKind, str] | None:
    """Return the kind and the owner of the workspace that a run works in; None if it is the shared one."""
    return workspace_owner(request.harness_profile_snapshot, request.session_id, request.workflow_run_id)


def request_fields(request: RunRequest) -> dict[str, Any]:
    """Return the fields of a request, without those that only a queued run has."""
    return {name: getattr(request, name) for name in RunRequest.__struct_fields__}


# Guards: ``waiting``, ``slot``, ``lease``, ``child`` and ``workspace-run`` by run, ``turn`` by session, ``ask`` by
# ask.
#
# An open ask has its run and its expiry. Waiting runs, requeued ones too, and runs with a slot have their limit keys.
# ``reserved`` is a run's reservation from the daily budget. ``spent`` is the spending of all runs on a UTC day: a ring
# with one row for each of the last ``SPENT_DAYS``. ``workspace-run`` has the owner of the workspace of an admitted run.


def _queued_guards(recorded: Recorded[RunQueued]) -> tuple[Guard, ...]:
    run_id, event = recorded.stream, recorded.event
    waiting = Guard(kind="waiting", key=run_id, value=(recorded.position, *event.places))
    return (waiting, *_child_guards(run_id, event))


def _created_guards(recorded: Recorded[RunCreated]) -> tuple[Guard, ...]:
    run_id, event = recorded.stream, recorded.event
    return (
        Guard(kind="waiting", key=run_id, value=None),
        Guard(kind="slot", key=run_id, value=(recorded.position, *event.places)),
        Guard(kind="turn", key=event.session_id, value=(run_id,)),
        *_child_guards(run_id, event),
        *_workspace_guards(run_id, event),
    )


def _child_guards(run_id: str, request: RunRequest) -> tuple[Guard, ...]:
    parent = request.parent_run_id
    return () if parent is None else (Guard(kind="child", key=run_id, value=(parent,)),)


def _workspace_guards(run_id: str, request: RunRequest) -> tuple[Guard, ...]:
    own = own_workspace(request) if request.harness_profile_snapshot.workspace else None
    return () if own is None else (Guard(kind=WORKSPACE_RUN, key=run_id, value=(":".join(own),)),)


def _leased_guards(recorded: Recorded[RunLeased]) -> tuple[Guard, ...]:
    return (Guard(kind="lease", key=recorded.stream, value=(recorded.event.executor, recorded.event.token)),)


def _reserved_guards(recorded: Recorded[BudgetReserved]) -> tuple[Guard, ...]:
    return (Guard(kind="reserved", key=recorded.stream, value=(recorded.event.reserved_micro_usd,)),)


def _paid_guards(recorded: Recorded[UsageRecorded]) -> tuple[Guard, ...]:
    left = recorded.event.reserved_micro_usd
    settled = Guard(kind="reserved", key=recorded.stream, value=(left,) if left else None)
    cost = recorded.event.cost_micro_usd or 0
    if cost <= 0:  # a negative cost reported by a provider is not credited
        return (settled,)
    return settled, Guard(kind="spent", key=spent_key(recorded.at), value=(day_of(recorded.at), cost), adds=True)


def _paused_guards(recorded: Recorded[RunPaused]) -> tuple[Guard, ...]:
    return tuple(Guard(kind=kind, key=recorded.stream, value=None) for kind in ("slot", "lease", "reserved"))


def _asked_guards(recorded: Recorded[RunAsked]) -> tuple[Guard, ...]:
    event = recorded.event
    return (Guard(kind="ask", key=event.ask_id, value=(recorded.stream, event.expires_at_ms)),)


def _answered_guards(recorded: Recorded[RunAnswered]) -> tuple[Guard, ...]:
    return (Guard(kind="ask", key=recorded.event.ask_id, value=None),)


def _requeued_guards(recorded: Recorded[RunRequeued]) -> tuple[Guard, ...]:
    return (Guard(kind="waiting", key=recorded.stream, value=_places_again(recorded)),)


def _resumed_guards(recorded: Recorded[RunResumed]) -> tuple[Guard, ...]:
    run_id = recorded.stream
    return (
        Guard(kind="waiting", key=run_id, value=None),
        Guard(kind="slot", key=run_id, value=_places_again(recorded)),
    )


def _places_again(recorded: Recorded[RunRequeued] | Recorded[RunResumed]) -> tuple[str | int, ...]:
    """Return the position of an event and the limit keys of its run."""
    event = recorded.event
    keys = limit_keys(recorded.session_id or "", event.harness_profile_id, event.provider, event.fallbacks, event.agent)
    return (recorded.position, *keys)


def _ended_guards(recorded: Recorded[RunEnding]) -> tuple[Guard, ...]:
    run_id = recorded.stream
    return (
        Guard(kind="waiting", key=run_id, value=None),
        Guard(kind="slot", key=run_id, value=None),
        Guard(kind="turn", key=recorded.session_id or "", value=None, held=(run_id,)),
        Guard(kind="lease", key=run_id, value=None),
        Guard(kind="child", key=run_id, value=None),
        Guard(kind="reserved", key=run_id, value=None),
        Guard(kind=WORKSPACE_RUN, key=run_id, value=None),
    )


def day_of(at: int) -> str:
    """Return the UTC day of a time in milliseconds, as ``2026-01-31``."""
    return iso(at)[:10]


def spent_key(at: int) -> str:
    """Return the key of the ``spent`` row of a UTC day."""
    return str(at // DAY_MS % SPENT_DAYS)


def spent_on(rows: Mapping[str, tuple[str | int, ...]], at: int) -> int:
    """Return the spending of a UTC day by the ``spent`` rows, in micro-USD."""
    day = day_of(at)
    found = [row for key in (spent_key(at), LAST_SPENT_KEY) if (row := rows.get(key)) is not None]
    return sum(int(row[1]) for row in found if row[0] == day)


DECIDER: Decider[RunState] = Decider(
    category="run",
    events=(
        RunQueued,
        RunCreated,
        RunLeased,
        RunStarted,
        MemoryRecalled,
        AgentAttached,
        McpAttached,
        TranscriptAppended,
        ToolCalled,
        EvidenceAttached,
        SandboxLifecycle,
        WorkspaceOpened,
        WorkspaceChanged,
        UsageRecorded,
        BudgetReserved,
        RunAsked,
        RunAskOpened,
        RunAnswered,
        RunPaused,
        RunRequeued,
        RunResumed,
        RunCancelRequested,
        RunCompleted,
        RunFailed,
        RunCancelled,
        RunTimedOut,
        RunCrashed,
        PolicyConcurrencyRejected,
        PolicyRejected,
    ),
    initial=RunState(),
    evolve=evolve,
    occupies={
        RunQueued: _queued_guards,
        RunCreated: _created_guards,
        RunLeased: _leased_guards,
        BudgetReserved: _reserved_guards,
        UsageRecorded: _paid_guards,
        RunAsked: _asked_guards,
        RunAnswered: _answered_guards,
        RunPaused: _paused_guards,
        RunRequeued: _requeued_guards,
        RunResumed: _resumed_guards,
        **dict.fromkeys(ENDINGS, _ended_guards),
    },
    over=lambda state: not state.open,
)
