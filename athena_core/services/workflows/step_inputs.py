"""Step inputs: the values for the steps of a workflow run, from its input and the outputs of other steps."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from athena_core.clock import Ids
from athena_core.definitions import workflow_graph
from athena_core.definitions.workflow_graph import OutputMismatch, Step, WorkflowGraph
from athena_core.domain import run, workflow, workflow_run
from athena_core.domain.workflow_run import SaltedOutputHash, WorkflowRunState
from athena_core.event import Recorded
from athena_core.log.codec import SALT_BYTES
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.services.runs.runs import Runs


class StepRefused(Exception):
    """A step that cannot begin, with the recorded code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class WorkflowInput(NamedTuple):
    """The input of a workflow run without erased values, and the correlation and causation of its steps."""

    values: dict[str, Any]
    erased: frozenset[str]
    correlation: str
    causation: int


class StepInputs:
    """Reads the texts of workflow runs: their input, the outputs of steps, the lists of maps."""

    def __init__(self, log: Log, reader: StoreReader, runs: Runs, ids: Ids) -> None:
        self._codec = log.codec
        self._reader = reader
        self._runs = runs
        self._ids = ids
        self._inputs: dict[str, WorkflowInput] = {}

    def forget(self, key: str) -> None:
        """Read the input of a run again before the next use."""
        self._inputs.pop(key, None)

    def forget_all(self) -> None:
        """Read all inputs again before the next use, because text was erased."""
        self._inputs.clear()

    def output(self, graph: WorkflowGraph, state: WorkflowRunState, step_id: str) -> str:
        """Return the output of a step; for a step with items, a JSON list of their outputs. Raise StepRefused."""
        step = state.step(step_id)
        if step.items is None:
            return self._text(step_id, step.run_id or "")
        return msgspec.json.encode([self._text(step_id, one.run_id or "") for one in step.items]).decode()

    def _text(self, step_id: str, run_id: str) -> str:
        output = output_of(self._runs.recorded(run_id))
        if output is None:
            raise StepRefused("INPUT_REDACTED", f"input-redacted: the output of step {step_id!r} was erased")
        return output

    def given(self, key: str) -> WorkflowInput:
        """Return the current input of a run, including the values of its last resume."""
        given = self._inputs.get(key)
        if given is None:
            values: dict[str, Any] = {}
            erased: set[str] = set()
            correlation, causation = "", 0
            for row in self._reader.stream(key):
                if row.type in (workflow_run.WorkflowRunCreated.TYPE, workflow_run.WorkflowResumed.TYPE):
                    recorded = self._codec.decode(row)
                    correlation, causation = recorded.correlation, recorded.position
                    if isinstance(recorded.event, workflow_run.WorkflowRunCreated | workflow_run.WorkflowResumed):
                        names, present = set(recorded.event.input_names), recorded.event.input or {}
                        values = {name: value for name, value in values.items() if name not in names} | present
                        erased = (erased | names) - present.keys()
            given = self._inputs[key] = WorkflowInput(values, frozenset(erased), correlation, causation)
        return given

    def values(
        self, key: str, graph: WorkflowGraph, state: WorkflowRunState, step: Step, item: int | None
    ) -> dict[str, Any]:
        """Return the values for the placeholders of a step: the run's input, outputs of other steps, its item."""
        values = dict(self.given(key).values)
        for edge in graph.mappings.get(step.id, ()):
            source = graph.steps[edge.source]
            if state.step(source.id).status != "ok":
                continue
            output = self.output(graph, state, source.id)
            for mapping in edge.mappings or ():
                values[mapping.to_input] = _named(source, output, mapping.from_output)
        if item is not None and step.map is not None:
            elements, _ = self.items(key, graph, state, step.map)
            if item >= len(elements):
                raise StepRefused("MAP_ERROR", f"the list now has {len(elements)} items; item {item} does not exist")
            values |= {step.map.item_name or "item": elements[item], "index": item}
        return values

    def items(
        self, key: str, graph: WorkflowGraph, state: WorkflowRunState, over: workflow_graph.MapOver
    ) -> tuple[list[Any], SaltedOutputHash | None]:
        """Return the list of a map, and the hash of the output that it comes from. Raise StepRefused."""
        looked = None
        try:
            if over.step is not None:
                if state.step(over.step).status != "ok":
                    raise StepRefused("MAP_ERROR", f"step {over.step!r} has no output")
                output = self.output(graph, state, over.step)
                looked = self.hashed(over.step, output)
                elements = workflow_graph.part_of(workflow_graph.parse_output(output), over.path or "/")
                where = f"the output of step {over.step!r}"
            else:
                given, where = self.given(key), f"the input {over.input!r}"
                if over.input in given.erased:
                    raise input_erased(over.input)
                if over.input not in given.values:
                    raise StepRefused("MAP_ERROR", f"{where} is missing")
                elements = workflow_graph.part_of(given.values[over.input], over.path or "/")
        except OutputMismatch as unfit:
            raise StepRefused("MAP_ERROR", f"{over.step or over.input}: {unfit}") from None
        if not isinstance(elements, list):
            raise StepRefused("MAP_ERROR", f"{where} is not a list")
        if len(elements) > workflow_graph.MAP_ITEMS_MAX:
            raise StepRefused(
                "MAP_ERROR", f"{where} has {len(elements)} items; at most {workflow_graph.MAP_ITEMS_MAX} are allowed"
            )
        return elements, looked

    def hashed(self, step_id: str, output: str) -> SaltedOutputHash:
        """Return the salted hash of an output that decided something."""
        salt = self._ids.salt(SALT_BYTES)
        sha256 = hashlib.sha256(salt + output.encode()).hexdigest()
        return SaltedOutputHash(held=workflow_graph.OutputHash(step_id=step_id, sha256=sha256), salt=salt.hex())

    def metadata(self, workflow_id: str, step: Step) -> Mapping[str, str]:
        """Return the author's metadata of a step."""
        if step.execution is None:
            return {}
        for row in self._reader.stream(workflow_id):
            created = self._codec.decode(row).event
            if isinstance(created, workflow.WorkflowCreated):
                return (created.metadata or {}).get(step.id, {})
        return {}


def input_erased(name: str) -> StepRefused:
    """Return the refusal of a step whose input was erased."""
    return StepRefused("INPUT_REDACTED", f"input-redacted: the input {name!r} of the workflow run was erased")


def output_of(recorded: Sequence[Recorded[Any]]) -> str | None:
    """Return the output of a run, its last whole assistant message; None if it was redacted."""
    for entry in reversed(recorded):
        match entry.event:
            case run.TranscriptAppended(role="assistant", kind="message", partial=None) as answer:
                return answer.content
    return ""


def missing_outputs(step: Step, output: str | None) -> str | None:
    """Return the outputs that a step declares and its output lacks, in words; None if complete."""
    names = [name for name in step.outputs or () if name != workflow_graph.OUTPUT]
    if not names:
        return None
    try:
        value = workflow_graph.parse_output(output or "")
    except OutputMismatch:
        value = None
    if not isinstance(value, dict):
        return f"the output is not a JSON object; it must have {', '.join(names)}"
    missing = [name for name in names if name not in value]
    return f"the output lacks {', '.join(missing)}" if missing else None


def _named(step: Step, output: str, name: str) -> Any:
    """Return an output of a step by name; for a step with items, a list of theirs. Raise StepRefused."""
    try:
        if step.map is not None:
            texts = workflow_graph.parse_output(output)
            return (
                texts if name == workflow_graph.OUTPUT else [workflow_graph.parse_output(text)[name] for text in texts]
            )
        return output if name == workflow_graph.OUTPUT else workflow_graph.parse_output(output)[name]
    except (OutputMismatch, KeyError, TypeError):
        raise StepRefused("OUTPUT_MISSING", f"the output of step {step.id!r} has no {name!r}") from None
