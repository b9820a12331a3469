"""The graph of a workflow: its steps and dependencies, their checks, and which steps may start."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.enums import ApproverRole, Operator, SkipReason, TriggerRule
from athena_core.errors import ConfigError, Fault
from athena_core.event import Value, says
from athena_core.values import (
    ID_PATTERN,
    LIST_ITEMS_MAX,
    Body,
    Label,
    Metadata,
    Milliseconds,
    RecordId,
)

STEPS_MAX = 1_000
EDGES_MAX = 10_000
ATTEMPTS_MAX = 100
MAP_ITEMS_MAX = 1_000
PARALLEL_MAX = 100
PARALLEL_DEFAULT = 10
APPROVAL_MS_MAX = 31_536_000_000  # a year of 365 days
FAULTS_MAX = 20
NAMES_SHOWN_MAX = 50
OUTPUT = "output"
"""Name of a step's whole output in mappings. Every step has it."""

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ID = re.compile(ID_PATTERN)


Attempts: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=ATTEMPTS_MAX)]
Parallel: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=PARALLEL_MAX)]
ApprovalMs: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=APPROVAL_MS_MAX)]


class StepExecution(Body):
    """The execution of a step: attempts, milliseconds for each attempt, and metadata of its runs."""

    max_attempts: Annotated[Attempts | None, says("Most attempts of the step.")] = None
    timeout_ms: Annotated[Milliseconds | None, says("Timeout of an attempt in milliseconds.")] = None
    metadata: Metadata | None = None


class Condition(Body):
    """A condition on an earlier step's output. If it does not hold, the step is skipped.

    ``path`` is a JSON pointer into the output, which must be JSON. Without ``path`` the output is compared as text.
    """

    step: Annotated[RecordId, says("Id of the earlier step.")]
    op: Annotated[Operator, says("Comparison.")]
    path: Annotated[Label | None, says("JSON pointer into the output; absent: compared as text.")] = None
    value: Annotated[Any, says("Value to compare with.")] = None


class MapOver(Body):
    """A list from an earlier step's output or from the workflow's input. The step runs once for each item.

    ``path`` is a JSON pointer to the list. The item fills the placeholder ``item`` (or ``itemName``), its index fills
    ``index``.
    """

    step: Annotated[RecordId | None, says("Step whose output has the list.")] = None
    input: Annotated[Label | None, says("Workflow input with the list.")] = None
    path: Annotated[Label | None, says("JSON pointer to the list; absent: the whole value.")] = None
    item_name: Annotated[Label | None, says("Placeholder for the item; absent: `item`.")] = None
    max_parallel: Annotated[Parallel | None, says("Most items at once.")] = None


class Approval(Body):
    """A manual approval. Approvers need at least ``role`` and, if ``approvers`` is given, must be listed there.

    With ``not_requester`` the identities that requested or resumed the workflow run cannot approve.
    """

    message: Annotated[Label | None, says("Text for the approver.")] = None
    approvers: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)] | None = None
    role: Annotated[ApproverRole | None, says("Least role of an approver; absent: `Operator`.")] = None
    expires_after_ms: Annotated[ApprovalMs | None, says("Milliseconds until it expires; absent: never.")] = None
    on_expiry: Literal["approve", "reject"] | None = None
    not_requester: bool | None = None


class Step(Body):
    """A step of a workflow: a directive with the profile that runs it, or an approval."""

    id: RecordId
    directive_id: RecordId | None = None
    harness_profile_id: RecordId | None = None
    outputs: Annotated[
        Annotated[tuple[Label, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None, says("Names of the outputs.")
    ] = None
    execution: Annotated[StepExecution | None, says("Attempts and timeout of the step.")] = None
    trigger_rule: Annotated[TriggerRule | None, says("When the step starts; absent: `all-succeeded`.")] = None
    when: Annotated[Condition | None, says("Condition of the step; absent: none.")] = None
    map: Annotated[MapOver | None, says("List for whose items the step runs.")] = None
    approval: Approval | None = None


class OutputMapping(Body):
    """An output of one step that fills a placeholder in the directive of another."""

    from_output: Annotated[Label, says("Name of the output.")]
    to_input: Annotated[Label, says("Name of the placeholder.")]


class Dependency(Body):
    """An edge of the graph: ``to`` starts after ``from``."""

    source: Annotated[RecordId, says("Step that ends first.")] = msgspec.field(name="from")
    target: RecordId = msgspec.field(name="to")
    mappings: Annotated[
        Annotated[tuple[OutputMapping, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None,
        says("Outputs that fill placeholders."),
    ] = None


class WorkflowDefinition(Body):
    """The steps of a workflow and their dependencies."""

    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=STEPS_MAX)]
    dependencies: Annotated[tuple[Dependency, ...], msgspec.Meta(max_length=EDGES_MAX), says("Edges of the graph.")]


# Checking


class DefinitionFaults:
    """The first faults of a definition, up to a limit."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, field: str, reason: str, remedy: str | None = None) -> None:
        if len(self.found) < FAULTS_MAX:
            self.found.append(Fault(field=field, reason=reason, remedy=remedy))

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Add the faults of a ConfigError that is raised inside."""
        try:
            yield
        except ConfigError as error:
            for fault in error.details if isinstance(error.details, list) else ():
                self.add(fault.field, fault.reason, fault.remedy)

    def settle(self) -> None:
        """Raise ConfigError if there are faults."""
        if self.found:
            message = "; ".join(f"{fault.field}: {fault.reason}" for fault in self.found)
            raise ConfigError(message, *self.found)


def check(definition: WorkflowDefinition) -> "WorkflowGraph":
    """Return the graph of a valid definition. Raise ConfigError with its faults."""
    faults = DefinitionFaults()
    graph = graph_of(definition, faults)
    faults.settle()
    assert graph is not None, "a definition without faults has a graph"
    return graph


def graph_of(definition: WorkflowDefinition, faults: DefinitionFaults) -> "WorkflowGraph | None":
    """Return the graph of a definition and add its faults; None if they leave no graph."""
    seen: set[str] = set()
    for index, step in enumerate(definition.steps):
        if step.id in seen:
            faults.add(f"definition.steps[{index}].id", f"{step.id!r} is used twice", "use unique ids")
        seen.add(step.id)
    edges: set[tuple[str, str]] = set()
    for index, edge in enumerate(definition.dependencies):
        field, name = f"definition.dependencies[{index}]", f"{edge.source} → {edge.target}"
        for end, step_id in (("from", edge.source), ("to", edge.target)):
            if step_id not in seen:
                faults.add(f"{field}.{end}", f"step {step_id!r} does not exist", "use the id of a step")
        if edge.source == edge.target:
            faults.add(field, f"the edge {name} leads from a step to itself", "remove it")
        elif (edge.source, edge.target) in edges:
            faults.add(field, f"the edge {name} is listed twice", "remove one")
        edges.add((edge.source, edge.target))
    if faults.found:
        return None
    graph = WorkflowGraph(definition)
    _check_cycles(graph, faults)
    if not faults.found:
        _check_steps(graph, faults)
        _check_mappings(graph, faults)
    return graph


def _check_cycles(graph: "WorkflowGraph", faults: DefinitionFaults) -> None:
    try:
        TopologicalSorter(graph.parents).prepare()
    except CycleError as error:
        path = " → ".join(reversed(error.args[1]))
        nodes = sorted(_circling(graph))
        more = f" and {len(nodes) - NAMES_SHOWN_MAX} more" if len(nodes) > NAMES_SHOWN_MAX else ""
        names = ", ".join(nodes[:NAMES_SHOWN_MAX]) + more
        faults.add("definition.dependencies", f"the steps {names} form a cycle: {path}", "remove an edge")


def _circling(graph: "WorkflowGraph") -> set[str]:
    """Return the steps that are in a cycle or between two cycles."""
    left = set(graph.ids)
    for before in (graph.parents, graph.children):
        after = graph.children if before is graph.parents else graph.parents
        count = {step_id: sum(1 for other in before[step_id] if other in left) for step_id in left}
        free = [step_id for step_id in left if not count[step_id]]
        while free:
            step_id = free.pop()
            left.discard(step_id)
            for other in after[step_id]:
                if other in left:
                    count[other] -= 1
                    if not count[other]:
                        free.append(other)
    return left


def _check_steps(graph: "WorkflowGraph", faults: DefinitionFaults) -> None:
    for index, step in enumerate(graph.steps.values()):
        field = f"definition.steps[{index}]"
        runs = ("directiveId", step.directive_id), ("harnessProfileId", step.harness_profile_id)
        if step.approval is None:
            for name, value in runs:
                if value is None:
                    faults.add(
                        f"{field}.{name}", f"is required by step {step.id!r}", "add it, or make the step an approval"
                    )
        else:
            others = (*runs, ("outputs", step.outputs), ("execution", step.execution), ("map", step.map))
            for name, given in others:
                if given is not None:
                    faults.add(f"{field}.{name}", f"is not allowed for the approval {step.id!r}", "remove it")
            if not ID.fullmatch(step.id):
                faults.add(
                    f"{field}.id",
                    f"{step.id!r} cannot be part of a path",
                    "use letters, digits, dots, dashes, underscores",
                )
            if step.approval.on_expiry is not None and step.approval.expires_after_ms is None:
                faults.add(f"{field}.approval.onExpiry", "requires expiresAfterMs", "add it")
        if step.trigger_rule == "one-failed" and not graph.parents[step.id]:
            faults.add(f"{field}.triggerRule", f"step {step.id!r} has no parents that could fail", "remove it")
        if step.when is not None:
            _check_earlier(graph, faults, f"{field}.when", step.id, step.when.step, step.when.path)
        if step.map is not None:
            _check_map(graph, faults, f"{field}.map", step.id, step.map)


def _check_earlier(
    graph: "WorkflowGraph", faults: DefinitionFaults, field: str, step_id: str, other: str, path: str | None
) -> None:
    if other not in graph.steps:
        faults.add(f"{field}.step", f"step {other!r} does not exist", "use the id of an earlier step")
    elif graph.steps[other].approval is not None:
        faults.add(f"{field}.step", f"the approval {other!r} has no output", "use the id of a step with a directive")
    elif not graph.is_before(other, step_id):
        faults.add(f"{field}.step", f"{other!r} does not come before {step_id!r}", "use the id of an earlier step")
    if path is not None and path != "/" and not path.startswith("/"):
        faults.add(
            f"{field}.path", f"{path!r} is not a JSON pointer", "use one that starts with a slash, such as /items/0"
        )


def _check_map(graph: "WorkflowGraph", faults: DefinitionFaults, field: str, step_id: str, over: MapOver) -> None:
    if (over.step is None) == (over.input is None):
        faults.add(field, "needs either step or input", "give the source of the list")
    elif over.step is not None:
        _check_earlier(graph, faults, field, step_id, over.step, over.path)
    if over.item_name is not None and not IDENTIFIER.fullmatch(over.item_name):
        faults.add(f"{field}.itemName", f"{over.item_name!r} is not a placeholder", "use letters, digits, underscores")


def _check_mappings(graph: "WorkflowGraph", faults: DefinitionFaults) -> None:
    filled: dict[tuple[str, str], str] = {}
    for index, edge in enumerate(graph.definition.dependencies):
        source, target = graph.steps[edge.source], graph.steps[edge.target]
        for place, mapping in enumerate(edge.mappings or ()):
            field = f"definition.dependencies[{index}].mappings[{place}]"
            known = (OUTPUT, *(source.outputs or ()))
            if source.approval is not None or target.approval is not None:
                faults.add(field, f"{edge.source} → {edge.target}: an approval has no outputs", "remove it")
            elif mapping.from_output not in known:
                reason = f"step {source.id!r} does not declare the output {mapping.from_output!r}"
                faults.add(f"{field}.fromOutput", reason, f"use one of {', '.join(known)}")
            key = (edge.target, mapping.to_input)
            if key in filled:
                reason = f"{mapping.to_input!r} of step {edge.target!r} is already filled from {filled[key]!r}"
                faults.add(f"{field}.toInput", reason, "use another placeholder")
            filled[key] = edge.source


# The graph


class StepVerdict(NamedTuple):
    """The decision about a pending step: start, skip with a reason, or wait."""

    what: Literal["ready", "skip", "blocked"]
    reason: SkipReason | None = None


READY, BLOCKED = StepVerdict("ready"), StepVerdict("blocked")
FINISHED = frozenset(("ok", "failed", "skipped", "cancelled"))
UNSUCCESSFUL = frozenset(("failed", "cancelled"))


class WorkflowGraph:
    """An indexed definition: parents and children of each step, in the order of the definition."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        """Index a definition. Its edges must lead from steps to steps."""
        self.definition = definition
        self.steps = {step.id: step for step in definition.steps}
        self.ids = tuple(self.steps)
        parents: dict[str, list[str]] = {step_id: [] for step_id in self.ids}
        children: dict[str, list[str]] = {step_id: [] for step_id in self.ids}
        self.mappings: dict[str, list[Dependency]] = {}
        for edge in definition.dependencies:
            parents[edge.target].append(edge.source)
            children[edge.source].append(edge.target)
            if edge.mappings:
                self.mappings.setdefault(edge.target, []).append(edge)
        self.parents = {step_id: tuple(some) for step_id, some in parents.items()}
        self.children = {step_id: tuple(some) for step_id, some in children.items()}
        self._order: tuple[str, ...] | None = None
        self._before: dict[str, int] | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The steps in topological order."""
        if self._order is None:
            self._order = tuple(TopologicalSorter(self.parents).static_order())
        return self._order

    def is_before(self, first: str, second: str) -> bool:
        """Return True if the first step is a direct or indirect parent of the second."""
        if self._before is None:
            bits = {step_id: 1 << index for index, step_id in enumerate(self.ids)}
            self._before = {}
            for step_id in self.order:
                found = 0
                for parent in self.parents[step_id]:
                    found |= self._before[parent] | bits[parent]
                self._before[step_id] = found
        return bool(self._before[second] >> self.ids.index(first) & 1)

    def after(self, step_ids: Iterable[str]) -> set[str]:
        """Return all direct and indirect children of some steps."""
        found: set[str] = set()
        left = list(step_ids)
        while left:
            for child in self.children[left.pop()]:
                if child not in found:
                    found.add(child)
                    left.append(child)
        return found

    def verdict(self, step_id: str, statuses: Mapping[str, str], stuck: frozenset[str] | None = None) -> StepVerdict:
        """Decide about a pending step. A step that is not in ``statuses`` is pending.

        ``stuck`` are the pending steps that can never start, if the caller knows them.
        """
        parents = self.parents[step_id]
        found = [statuses.get(parent, "pending") for parent in parents]
        rule = self.steps[step_id].trigger_rule or "all-succeeded"
        if rule == "all-succeeded":
            if all(status == "ok" for status in found):
                return READY
            if any(status == "skipped" for status in found) and not any(status in UNSUCCESSFUL for status in found):
                return StepVerdict("skip", "upstream-skipped")
            return BLOCKED
        if rule == "one-failed" and any(status in UNSUCCESSFUL for status in found):
            return READY
        if "running" in found or "waiting" in found:
            return BLOCKED
        pending = [parent for parent, status in zip(parents, found, strict=True) if status == "pending"]
        if pending:
            known = self.stuck(statuses) if stuck is None else stuck
            if not known.issuperset(pending):
                return BLOCKED
            if rule == "one-failed":
                return READY
        return READY if rule == "all-done" else StepVerdict("skip", "no-failure")

    def stuck(self, statuses: Mapping[str, str]) -> frozenset[str]:
        """Return the pending steps that can never start because an earlier step failed."""
        if not any(status in UNSUCCESSFUL for status in statuses.values()):
            return frozenset()
        found: set[str] = set()
        for step_id in self.order:
            if statuses.get(step_id, "pending") != "pending":
                continue
            if (self.steps[step_id].trigger_rule or "all-succeeded") == "all-succeeded" and any(
                parent in found or statuses.get(parent) in UNSUCCESSFUL for parent in self.parents[step_id]
            ):
                found.add(step_id)
        return frozenset(found)

    def due(self, statuses: Mapping[str, str]) -> list[tuple[str, StepVerdict]]:
        """Return the pending steps that may start or are skipped, in the order of the definition."""
        stuck = self.stuck(statuses)
        found = []
        for step_id in self.ids:
            if statuses.get(step_id, "pending") == "pending" and step_id not in stuck:
                verdict = self.verdict(step_id, statuses, stuck)
                if verdict.what != "blocked":
                    found.append((step_id, verdict))
        return found

    def longest(self, lengths: Mapping[str, float]) -> float:
        """Return the length of the longest path. A step without a length counts 0."""
        ends: dict[str, float] = {}
        for step_id in self.order:
            begin = max((ends[parent] for parent in self.parents[step_id]), default=0.0)
            ends[step_id] = begin + lengths.get(step_id, 0.0)
        return max(ends.values(), default=0.0)


# Conditions


class OutputMismatch(Exception):
    """The value has no such part, or the comparison is not possible."""


def part_of(value: Any, path: str) -> Any:
    """Return the part of a value at a JSON pointer. Raise OutputMismatch."""
    for step in path.split("/")[1:] if path != "/" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name)] if isinstance(value, list) and name.isdecimal() else value[name]
        except (KeyError, IndexError, TypeError):
            raise OutputMismatch(f"the output has no value at {path}") from None
    return value


def parse_output(output: str) -> Any:
    """Parse an output as JSON. Raise OutputMismatch."""
    try:
        return msgspec.json.decode(output)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise OutputMismatch("the output is not JSON") from None


def condition_holds(condition: Condition, output: str) -> bool:
    """Return True if an output meets a condition. Raise OutputMismatch if they cannot be compared."""
    try:
        found = output if condition.path is None else part_of(parse_output(output), condition.path)
    except OutputMismatch:
        if condition.op == "exists":
            return condition.value is False
        raise
    wanted = condition.value
    match condition.op:
        case "exists":
            return condition.value is not False
        case "eq" | "ne":
            return (found == wanted and isinstance(found, bool) == isinstance(wanted, bool)) == (condition.op == "eq")
        case "contains":
            if isinstance(found, str) and isinstance(wanted, str):
                return wanted in found
            if isinstance(found, list):
                return wanted in found
            raise OutputMismatch("'contains' needs text or a list; change the condition")
        case _:
            return _compared(condition.op, found, wanted)


def _compared(op: str, found: Any, wanted: Any) -> bool:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (found, wanted))
    if not numbers and not (isinstance(found, str) and isinstance(wanted, str)):
        raise OutputMismatch("only two numbers or two texts can be compared by size")
    return bool({"lt": found < wanted, "le": found <= wanted, "gt": found > wanted, "ge": found >= wanted}[op])


class OutputHash(Value):
    """The hash of an output that a condition or map read: SHA-256 of a salt and the text, which may be erased."""

    step_id: str
    sha256: str
