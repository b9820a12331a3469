"""What one transaction decides about many runs."""

from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, fold
from athena_core.domain import run, workflow_run
from athena_core.event import Meta
from athena_core.services.admission import Draft, Room
from athena_core.services.workflows import stop
from tests.core.domain.given import NOW
from tests.core.domain.test_run import CREATED
from tests.support.counted import lines

S = TypeVar("S")

CONTEXT = Context(now=NOW, ids=CountingIds(), meta=Meta(actor="ada", correlation="trace"))
GROWTH_MAX = 2.2
"""Of twice as many runs."""


class Head:
    """The head of a log with open runs, each a child of the one that is named."""

    head = 1

    def __init__(self, count: int, parent: str | None) -> None:
        runs = [f"run_{number}" for number in range(count)]
        self._runs = dict.fromkeys(runs, fold(run.DECIDER, [CREATED]))
        steps = [
            workflow_run.WorkflowStepStarted(workflow_id="wf_1", step_id=run_id, attempt=1, step_run_id=run_id)
            for run_id in runs
        ]
        began = workflow_run.WorkflowRunCreated(workflow_id="wf_1", requested_by="ada", input_names=())
        self._flow = fold(workflow_run.DECIDER, [began, *steps])
        children = {} if parent is None else {run_id: (parent,) for run_id in runs if run_id != parent}
        waiting = {f"run_waiting{number}": ("w", f"w{number}") for number in range(count)}
        self._runs |= dict.fromkeys(waiting, fold(run.DECIDER, [QUEUED]))
        self._guards: dict[str, dict[str, Any]] = {
            "child": children,
            "slot": {run_id: (run_id,) for run_id in runs},
            "turn": {f"s_{run_id}": (run_id,) for run_id in runs},
            "waiting": waiting,
        }

    def state(self, decider: Decider[S], stream: str) -> Any:
        return self._runs.get(stream) or (self._flow if stream == "wfr_1" else decider.initial)

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        return self._guards.get(kind, {})

    def count(self, kind: str, word: str) -> int:
        return 0


QUEUED = run.RunQueued(
    reason="concurrency", **{name: getattr(CREATED, name) for name in run.RunRequest.__struct_fields__}
)


def cancelled(count: int, parent: str | None) -> Draft:
    """What follows from the cancel of a workflow run with so many steps at work, or of a run with so many children."""
    head = Head(count, parent)
    draft = Draft(head, CONTEXT, Room())
    if parent is None:
        assert stop(draft, head, CONTEXT, "wfr_1", "enough")
    else:
        draft.cancel(parent, run.CancelRun(reason="enough"))
    draft.settle()
    return draft


@pytest.mark.parametrize("parent", [None, "run_0"])
def test_a_cancel_of_twice_as_many_runs_takes_twice_as_much(parent: str | None) -> None:
    few, many = (lines(lambda count=count: cancelled(count, parent)) for count in (100, 200))  # type: ignore[misc]
    assert many < GROWTH_MAX * few
    asked = [one for one in cancelled(100, parent).facts if one.event.TYPE == run.RunCancelRequested.TYPE]
    assert len(asked) == 100
