"""A made-up history of workflows: definitions, runs of two steps and of items, approvals, resumes and ends."""

from typing import TYPE_CHECKING, Any

from athena_core.domain import workflow_run as wr
from athena_core.domain.workflow import WorkflowCreated
from athena_core.event import Event
from tests.support.workflow_graphs import definition

if TYPE_CHECKING:
    from tests.projections.history import History

MOVES = 8
ITEMS = 2


class WorkflowHistory:
    """A writer of workflow runs: ``a`` is a step with items or without, ``b`` an approval after it."""

    def __init__(self, history: "History") -> None:
        self._history = history
        self.workflows: list[str] = []
        self.runs: dict[str, str] = {}
        self.running: dict[str, int] = {}
        self.asked: list[str] = []
        self.over: list[str] = []

    def create(self) -> None:
        workflow_id = self._history.ids.new("wf")
        self.workflows.append(workflow_id)
        created = WorkflowCreated(
            workflow_id=workflow_id,
            step_count=2,
            dependency_count=1,
            created_by="ada",
            definition=definition("ab", "a>b"),
            metadata={"a": {"why": "because"}},
        )
        self._history.write(workflow_id, created)

    def begin(self, workflow_id: str, *, items: bool) -> None:
        run_id = self._history.ids.new("wfr")
        self.runs[run_id] = workflow_id
        self._write(run_id, wr.WorkflowRunCreated(workflow_id=workflow_id, requested_by="ada", input_names=()))
        if items:
            self._write(run_id, wr.WorkflowStepExpanded(workflow_id=workflow_id, step_id="a", items=ITEMS))
        self._start(run_id, 1, items=items)

    def _start(self, run_id: str, attempt: int, *, items: bool) -> None:
        for item in range(ITEMS) if items else (None,):
            step_run_id = self._history.ids.new("run")
            fields: dict[str, Any] = {"workflow_id": self.runs[run_id], "step_id": "a", "attempt": attempt}
            self._write(run_id, wr.WorkflowStepStarted(**fields, step_run_id=step_run_id, item=item))
        self.running[run_id] = ITEMS if items else 0

    def complete(self, run_id: str) -> None:
        """Complete the first step. The run asks for an approval and waits."""
        fields: dict[str, Any] = {"workflow_id": self.runs[run_id], "step_id": "a", "attempt": 1}
        for item in range(self.running[run_id]):
            self._write(
                run_id, wr.WorkflowStepCompleted(**fields, output_chars=3, item=item, step_run_id=f"run_of_{item}")
            )
        alone = None if self.running.pop(run_id) else "run_of_a"
        self._write(run_id, wr.WorkflowStepCompleted(**fields, output_chars=3, step_run_id=alone, provider="mock"))
        asked = wr.WorkflowApprovalRequested(
            workflow_id=self.runs[run_id], step_id="b", attempt=1, subject_sha256="ab", subject="pears"
        )
        self._write(run_id, asked)
        self._write(run_id, wr.WorkflowRunSuspended(workflow_id=self.runs[run_id], step_ids=("b",)))
        self.asked.append(run_id)

    def fail(self, run_id: str, *, resume: bool) -> None:
        """Fail the first step, and the run with it unless a caller continues it."""
        workflow_id, items = self.runs[run_id], self.running.pop(run_id)
        fields: dict[str, Any] = {
            "workflow_id": workflow_id,
            "step_id": "a",
            "attempt": 1,
            "code": "X",
            "error_text": "no",
        }
        for item in range(items):
            self._write(run_id, wr.WorkflowStepFailed(**fields, will_retry=False, item=item))
        self._write(run_id, wr.WorkflowStepFailed(**fields, will_retry=False))
        self._write(run_id, wr.WorkflowRunFailed(workflow_id=workflow_id, failed_steps=("a",)))
        if not resume:
            self.over.append(run_id)
            return
        resumed = wr.WorkflowResumed(
            workflow_id=workflow_id,
            workflow_run_id=run_id,
            status="running",
            requested_by="bob",
            reset=("a",),
            input_names=(),
        )
        self._write(run_id, resumed)
        self._start(run_id, 2, items=bool(items))

    def decide(self, run_id: str, *, grant: bool) -> None:
        """Decide the approval or let it expire. The run ends."""
        self.asked.remove(run_id)
        workflow_id = self.runs[run_id]
        fields: dict[str, Any] = {"workflow_id": workflow_id, "step_id": "b", "subject_sha256": "ab"}
        if grant:
            self._write(run_id, wr.WorkflowApprovalGranted(**fields, cause="identity", by="bob", note="fine"))
            self._write(run_id, wr.WorkflowRunCompleted(workflow_id=workflow_id))
        else:
            self._write(run_id, wr.WorkflowApprovalRejected(**fields, cause="expiry"))
            self._write(run_id, wr.WorkflowRunFailed(workflow_id=workflow_id, failed_steps=("b",)))
        self.over.append(run_id)

    def cancel(self, run_id: str) -> None:
        workflow_id, items = self.runs[run_id], self.running.pop(run_id)
        self._write(run_id, wr.WorkflowRunCancelRequested(workflow_id=workflow_id, note="enough"))
        for item in (*range(items), None):
            fields: dict[str, Any] = {"workflow_id": workflow_id, "step_id": "a", "attempt": 1}
            self._write(run_id, wr.WorkflowStepCancelled(**fields, item=item))
        self._write(run_id, wr.WorkflowStepSkipped(workflow_id=workflow_id, step_id="b", reason="upstream-skipped"))
        self._write(run_id, wr.WorkflowRunCancelled(workflow_id=workflow_id))
        self.over.append(run_id)

    def move(self, kind: int, choice: int) -> None:
        """Make one move of a generated history, or begin another run where it does not fit."""
        running = list(self.running)
        run_id = running[choice % len(running)] if running else None
        if not self.workflows or kind == 0:
            self.create()
        elif kind == 3 and run_id:
            self.complete(run_id)
        elif kind == 4 and run_id:
            self.fail(run_id, resume=choice % 2 == 0)
        elif kind == 5 and run_id:
            self.cancel(run_id)
        elif kind >= 6 and self.asked:  # noqa: PLR2004
            self.decide(self.asked[choice % len(self.asked)], grant=kind == 6)  # noqa: PLR2004
        else:
            self.begin(self.workflows[choice % len(self.workflows)], items=choice % 3 == 0)

    def _write(self, run_id: str, event: Event) -> None:
        self._history.write(run_id, event)
