"""The text that an approval of a workflow run is about: the outputs of the steps before it."""

from athena_core.definitions.workflow_graph import WorkflowGraph
from athena_core.protocols import Connection
from athena_core.text import ERASED
from projections.asks import AskSubject
from projections.workflow_rows import STEP, WORKFLOW, StepRow, graph_of
from projections.workflows import RUN_ITEMS_MAX, RUN_OUTPUT_CHARS_MAX, OutputOf

SELECT_RUNS = "SELECT step_run_id FROM workflow_item WHERE run_id = ? AND step_id = ? AND item < ? ORDER BY item"


class SubjectReader:
    """Reader of the texts to approve, for one page of asks. It reads each workflow once."""

    def __init__(self, connection: Connection, output_of: OutputOf) -> None:
        self._connection = connection
        self._output_of = output_of
        self._graphs: dict[str, WorkflowGraph] = {}

    def __call__(self, workflow_id: str, run_id: str, step_id: str, asked_at: int) -> AskSubject:
        """Return the approval of a step and the text that was to be approved at a time; no text if it was replaced.

        A text of several steps has a heading for each. One that is too long is cut to the preview of an output.
        """
        graph = self._graphs.get(workflow_id) or self._read(workflow_id)
        approval = graph.steps[step_id].approval
        assert approval is not None
        rows = [STEP.one(self._connection, run_id, parent) for parent in graph.parents[step_id]]
        before = [row for row in rows if row is not None and row.status == "ok" and row.approval is None]
        if any(row is None or row.finished_at is None or row.finished_at > asked_at for row in rows):
            return AskSubject(approval, None, truncated=False, redacted=False)
        parts: list[str] = []
        left, truncated, redacted = RUN_OUTPUT_CHARS_MAX, False, False
        for row in before:
            for run in self._runs(row):
                preview, whole = self._output_of(run, left)
                text = whole if whole is not None else preview
                truncated = truncated or (text is not None and whole is None)
                redacted = redacted or text is None
                left -= len(whole or "")
                heading = f"{row.step_id}:\n" if len(before) > 1 or row.items is not None else ""
                parts.append(heading + (ERASED if text is None else text))
            truncated = truncated or (row.items or 0) > RUN_ITEMS_MAX
        return AskSubject(approval, "\n\n".join(parts), truncated, redacted)

    def _read(self, workflow_id: str) -> WorkflowGraph:
        workflow = WORKFLOW.one(self._connection, workflow_id)
        assert workflow is not None
        graph = self._graphs[workflow_id] = graph_of(workflow)
        return graph

    def _runs(self, row: StepRow) -> list[str]:
        """Return the runs whose outputs are the output of a step."""
        if row.items is None:
            return [] if row.step_run_id is None else [row.step_run_id]
        found = self._connection.execute(SELECT_RUNS, (row.run_id, row.step_id, min(row.items, RUN_ITEMS_MAX)))
        return [str(run) for (run,) in found if run is not None]
