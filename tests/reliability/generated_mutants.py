"""Generated mutants: single edits, made by the operators of cosmic-ray, in the modules where parts of Athena meet.

A mutant is named by module, function, operator and line of code, never by a line number. So a seed samples the same
mutants after an unrelated change, and the reasons in ``equivalent_mutants.toml`` still apply.
``python -m tests.reliability.generated_mutants`` prints what pip has to install.
"""

import hashlib
import importlib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
REQUIREMENTS = ("cosmic-ray==8.7.0", "parso==0.8.7", "attrs")
"""Installed without their dependencies: only the operators are used, not the sessions and workers of cosmic-ray."""

MODULES = (
    "athena_core/clock.py",
    "athena_core/retry.py",
    "athena_core/domain: dead_letter queue redrive",
    "athena_core/domain/run: commands state",
    "athena_core/domain/schedule: commands state",
    "athena_core/domain/workflow_run: commands state",
    "athena_core/log: batch committed_state guards key_clock recent store_watch submission tail writer",
    "athena_core/log/postgres: executor_registry leader_lock notify reader session store views",
    "athena_core/log/sqlite: locks reader scrub shortage store",
    "athena_core/log/tools: backup move move_database move_files",
    "athena_core/services: clock_jumps reactors waiters",
    "athena_core/services/access: access rate_limits refusal_limits",
    "athena_core/services/context: history",
    "athena_core/services/erasure: erasure redaction",
    "athena_core/services/execution: agent lease_recorder live_relay live_text liveness model_call progress runner",
    "athena_core/services/queues: dead_letters drainer messages queues redrives",
    "athena_core/services/runs: admission prepared refusals results runs waiting",
    "athena_core/services/schedules: due_schedules schedules timer",
    "athena_core/services/workflows: step_inputs stepper workflows",
    "projections/engine: cursor file_lock generation projector replay updater views",
    "athena_api: answer_cache lifespan plane single_flight",
    "athena_api/endpoint: endpoint etag scope",
    "athena_api/streams: feed sse transcripts",
    "athena_cli: client in_process transport",
    "athena_cli/commands: events queues runs",
)
"""Parts meet here: log and database, time and what it causes, the routes to one answer, a command and its successor."""

OPERATORS = (
    "AddNot",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Add",
    "ExceptionReplacer",
    "ZeroIterationForLoop",
    "NumberReplacer",
)
"""One replacement for each operator of the language; a bound moves by one, AddNot turns it around."""

LEFT_OUT = {
    "ReplaceBinaryOperator_*": "a second replacement fails like the first; | joins types: & is a TypeError",
    "ReplaceComparisonOperator_*": "a second replacement fails like the first",
    "ReplaceUnaryOperator_*": "+ and ~ are not in the code, and another sign fails like none",
    "RemoveDecorator": "a dataclass, property or context manager without its decorator fails on import or first use",
    "Variable*": "they need names as arguments and put a number in place of an object: a TypeError",
}
"""Operators of cosmic-ray that make only noise in this code."""

DELETED = "DeleteStatement"
"""Our own operator, which cosmic-ray lacks: it deletes a call, an assignment to a field, raise or return."""


class Place(NamedTuple):
    """One mutation that an operator can make: where it is, and how often it says the same in the same function."""

    module: str
    function: str
    operator: str
    code: str
    number: int


class Mutation(NamedTuple):
    """A place as it is now: the operator's count for the whole module, and the first and last line."""

    place: Place
    occurrence: int
    lines: tuple[int, int]


@cache
def operators() -> dict[str, Any]:
    """The operators by name, ready to use. Raise ImportError where cosmic-ray is not installed."""
    provider = importlib.import_module("cosmic_ray.operators.provider").OperatorProvider()
    return {name: provider[name]() for name in OPERATORS} | {DELETED: _Deletion()}


def modules() -> list[str]:
    """The files of ``MODULES``."""
    found = []
    for line in MODULES:
        folder, _, names = line.partition(": ")
        found += [f"{folder}/{name}.py" for name in names.split()] if names else [line]
    return found


def mutations(module: str, root: Path = ROOT) -> Iterator[Mutation]:
    """Yield every mutation of a module, but those in places that no test should care about."""
    source = (root / module).read_text("utf-8")
    lines = source.splitlines()
    _, nodes = _parsed(source)
    seen: Counter[tuple[str, str, str]] = Counter()
    for name, operator in operators().items():
        occurrence = -1
        for node in nodes:
            for start, end in operator.mutation_positions(node):
                occurrence += 1
                if _is_noise(name, node):
                    continue
                code = re.sub(r"\s+#.*", "", lines[start[0] - 1]).strip()
                key = (_function(node), name, code)
                place = Place(module, *key, seen[key])
                seen[key] += 1
                yield Mutation(place, occurrence, (_statement(node).start_pos[0], end[0]))


def mutated(mutation: Mutation, root: Path = ROOT) -> str:
    """Return the text of the module with this mutation."""
    source = (root / mutation.place.module).read_text("utf-8")
    tree, nodes = _parsed(source)
    operator = operators()[mutation.place.operator]
    places = ((node, index) for node in nodes for index, _ in enumerate(operator.mutation_positions(node)))
    node, index = next(islice(places, mutation.occurrence, None))
    siblings = node.parent.children
    siblings[siblings.index(node)] = operator.mutate(node, index)
    text = str(tree.get_code())
    assert text != source
    return text


def sampled(found: dict[str, list[Mutation]], count: int, seed: int) -> list[Mutation]:
    """Choose by a seed: each module has a share of ``count`` by its mutations, and at least one."""
    total = sum(map(len, found.values()))
    exact = {module: count * len(of_module) / total for module, of_module in found.items()}
    shares = {module: max(1, int(share)) for module, share in exact.items()}
    for module in sorted(exact, key=lambda module: int(exact[module]) - exact[module]):
        if sum(shares.values()) >= count:
            break
        shares[module] += 1
    return [
        mutation
        for module, of_module in found.items()
        for mutation in sorted(of_module, key=lambda each: _rank(seed, each.place))[: shares[module]]
    ]


def equivalent() -> dict[Place, str]:
    """Return the mutants that no test can catch, each with its reason."""
    entries = tomllib.loads(EQUIVALENT.read_text("utf-8")).get("mutant", ())
    return {
        Place(e["module"], e["function"], e["operator"], e["code"], e.get("number", 0)): e["reason"] for e in entries
    }


def _parsed(source: str) -> tuple[Any, list[Any]]:
    tree = importlib.import_module("parso").parse(source)
    return tree, list(importlib.import_module("cosmic_ray.ast").ast_nodes(tree))


def _rank(seed: int, place: Place) -> bytes:
    return hashlib.sha256(repr((seed, *place)).encode()).digest()


def _ancestors(node: Any) -> Iterator[Any]:
    while node is not None:
        yield node
        node = node.parent


def _function(node: Any) -> str:
    named = [each.name.value for each in _ancestors(node) if each.type in {"funcdef", "classdef"}]
    return ".".join(reversed(named))


def _statement(node: Any) -> Any:
    """Return the smallest statement around a node, or the clause of a compound one: lines that run together."""
    child = node
    for each in _ancestors(node):
        if each.type in {"suite", "file_input"}:
            return child
        if each.type.endswith("_stmt") and each.type not in {"expr_stmt", "simple_stmt"}:
            return node if child.type == "suite" else each if child in each.children[:2] else child
        child = each
    return child


def _is_noise(operator: str, node: Any) -> bool:
    """Return whether a mutation tunes a number, or is in a type, a message or another place without behaviour."""
    if node.type == "operator" and node.parent.type in {"parameters", "lambdef"}:
        return True  # the star before named parameters, which cosmic-ray takes for a product
    if operator == "ExceptionReplacer" and "." in node.get_code():
        return True  # cosmic-ray replaces only names without a dot
    if operator == "AddNot" and node.children[1].type == "namedexpr_test":
        return True  # cosmic-ray adds no parentheses
    if operator == "NumberReplacer" and ("." in node.value or not _function(node)):
        return True
    return any(_is_silent(operator, *pair) for pair in pairwise(_ancestors(node)))


def _is_silent(operator: str, child: Any, around: Any) -> bool:
    match around.type:
        case "decorator" | "assert_stmt" | "fstring" | "tfpdef":
            return True
        case "annassign":
            return child is around.children[1]
        case "param":
            return child is not around.default
        case "funcdef":
            fails_at_once = operator == DELETED and around.name.value == "__init__"
            return child is around.annotation or around.name.value == "__repr__" or fails_at_once
        case "classdef":
            return "Protocol" in around.get_code().partition(":")[0]
        case "simple_stmt":
            return re.match(r"\s*_?log(ger)?\.(debug|info|warning|error|exception)\(", around.get_code()) is not None
    return False


class _Deletion:
    """The operator that replaces a statement by ``pass``."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Yield the position of a node that is such a statement."""
        if node.type == "simple_stmt" and self._acts(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Replace it."""
        indent = node.get_first_leaf().prefix
        node.children[0] = importlib.import_module("parso.python.tree").Name("pass", node.start_pos, indent)
        return node

    @staticmethod
    def _acts(node: Any) -> bool:
        if node.type == "expr_stmt":
            target = node.children[0]
            return node.children[1].type != "annassign" and target.type in {"atom_expr", "power"}
        call = node.type in {"atom_expr", "power"} and node.children[-1].get_code().lstrip().startswith("(")
        return call or node.type in {"raise_stmt", "del_stmt"} or node.get_code().strip() in {"return", "raise"}


if __name__ == "__main__":
    print(*REQUIREMENTS)
