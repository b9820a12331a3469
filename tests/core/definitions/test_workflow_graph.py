"""Graphs of workflows: consistent definitions, startable steps, conditions."""

import time
from typing import Any

import msgspec
import pytest

from athena_core.definitions import workflow_graph
from athena_core.definitions.workflow_graph import Condition, OutputMismatch, WorkflowDefinition
from athena_core.errors import ConfigError
from tests.support.workflow_graphs import approval, definition, edge, graph, step


@pytest.mark.parametrize(
    ("wrong", "field", "names"),
    [
        (definition("aa"), "definition.steps[1].id", "'a' is used twice"),
        (definition("ab", "a>c"), "definition.dependencies[0].to", "step 'c' does not exist"),
        (definition("ab", "a>a"), "definition.dependencies[0]", "a → a leads from a step to itself"),
        (definition("ab", "a>b", "a>b"), "definition.dependencies[1]", "a → b is listed twice"),
        (definition("abcd", "a>c", "c>b", "b>a", "a>d"), "definition.dependencies", "the steps a, b, c form a cycle"),
        (definition([{"id": "a"}]), "definition.steps[0].directiveId", "required by step 'a'"),
        (definition([{**approval("a"), "map": {"input": "x"}}]), "definition.steps[0].map", "approval 'a'"),
        (definition([approval("a b")]), "definition.steps[0].id", "part of a path"),
        (definition([approval("a", onExpiry="approve")]), "definition.steps[0].approval.onExpiry", "expiresAfterMs"),
        (definition([step("a", triggerRule="one-failed")]), "definition.steps[0].triggerRule", "no parents"),
        (
            definition([step("a"), step("b", when={"step": "a", "op": "exists"})]),
            "definition.steps[1].when.step",
            "'a' does not come before 'b'",
        ),
        (
            definition([step("a"), step("b", when={"step": "a", "op": "exists", "path": "x"})], "a>b"),
            "definition.steps[1].when.path",
            "not a JSON pointer",
        ),
        (definition([step("a", map={})]), "definition.steps[0].map", "either step or input"),
        (
            definition("ab", edge("a>b", mappings=[{"fromOutput": "x", "toInput": "y"}])),
            "definition.dependencies[0].mappings[0].fromOutput",
            "does not declare the output 'x'",
        ),
        (
            definition(
                "abc",
                edge("a>c", mappings=[{"fromOutput": "output", "toInput": "y"}]),
                edge("b>c", mappings=[{"fromOutput": "output", "toInput": "y"}]),
            ),
            "definition.dependencies[1].mappings[0].toInput",
            "filled from 'a'",
        ),
    ],
)
def test_an_inconsistent_graph_is_refused_with_its_nodes_and_edges(
    wrong: WorkflowDefinition, field: str, names: str
) -> None:
    with pytest.raises(ConfigError, match=names) as caught:
        workflow_graph.check(wrong)
    assert isinstance(caught.value.details, list)
    assert field in [fault.field for fault in caught.value.details]


def test_every_fault_is_reported_and_a_cycle_edge_by_edge() -> None:
    with pytest.raises(ConfigError) as caught:
        workflow_graph.check(definition("aab", "a>x", "y>b"))
    assert isinstance(caught.value.details, list)
    assert len(caught.value.details) == 3
    with pytest.raises(ConfigError, match="b → a → b|a → b → a"):
        workflow_graph.check(definition("ab", "a>b", "b>a"))


def test_the_largest_definition_is_checked_in_little_time() -> None:
    names = [f"s{number}" for number in range(workflow_graph.STEPS_MAX)]
    edges = [edge(f"s{a}>s{b}") for b in range(1, 1000) for a in range(max(0, b - 11), b)][: workflow_graph.EDGES_MAX]
    steps = [step(name) for name in names]
    steps[900]["when"] = {"step": "s0", "op": "exists"}
    whole = definition(steps, *edges)
    began = time.process_time()
    workflow_graph.check(whole)
    seconds = time.process_time() - began
    print(f"{len(names)} steps, {len(edges)} edges: {seconds * 1000:.1f} ms")
    assert seconds < 1.0, "ten times what was promised, of this process alone"


CASES: list[tuple[str | None, dict[str, str], str]] = [
    (None, {"a": "ok", "b": "ok"}, "ready"),
    (None, {"a": "ok"}, "blocked"),
    (None, {"a": "ok", "b": "failed"}, "blocked"),
    (None, {"a": "ok", "b": "skipped"}, "skip"),
    (None, {"a": "failed", "b": "skipped"}, "blocked"),
    ("all-done", {"a": "failed", "b": "skipped"}, "ready"),
    ("all-done", {"a": "failed", "b": "running"}, "blocked"),
    ("all-done", {"a": "failed"}, "blocked"),
    ("one-failed", {"a": "failed"}, "ready"),
    ("one-failed", {"a": "ok"}, "blocked"),
    ("one-failed", {"a": "ok", "b": "skipped"}, "skip"),
    ("one-failed", {"a": "ok", "b": "cancelled"}, "ready"),
]


@pytest.mark.parametrize(("rule", "statuses", "what"), CASES)
def test_a_step_begins_when_its_rule_says_so(rule: str | None, statuses: dict[str, str], what: str) -> None:
    fields = {} if rule is None else {"triggerRule": rule}
    found = graph([step("a"), step("b"), step("c", **fields)], "a>c", "b>c")
    assert found.verdict("c", statuses).what == what


def test_earlier_failures_count_for_a_step_that_waits_for_every_parent() -> None:
    chain = [step("a"), step("b"), step("c", triggerRule="all-done"), step("d", triggerRule="one-failed")]
    found = graph(chain, "a>b", "b>c", "b>d")
    assert [name for name, _ in found.due({"a": "failed"})] == ["c", "d"]
    assert found.stuck({"a": "failed"}) == {"b"}
    assert found.due({"a": "running"}) == []
    assert [name for name, _ in found.due({})] == ["a"]


def test_branches_are_due_together_in_the_order_of_the_definition() -> None:
    found = graph("abcd", "a>b", "a>d", "a>c")
    assert [name for name, _ in found.due({"a": "ok"})] == ["b", "c", "d"]
    assert found.after(["b"]) == set()
    assert found.after(["a"]) == set("bcd")
    assert found.longest({"a": 1, "b": 5, "c": 2}) == 6


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"op": "eq", "value": "x"}, False),
        ({"op": "contains", "value": "score"}, True),
        ({"op": "ge", "path": "/score", "value": 7}, True),
        ({"op": "lt", "path": "/score", "value": 7}, False),
        ({"op": "eq", "path": "/tags/0", "value": "a"}, True),
        ({"op": "ne", "path": "/tags/0", "value": "a"}, False),
        ({"op": "contains", "path": "/tags", "value": "b"}, True),
        ({"op": "exists", "path": "/none"}, False),
        ({"op": "exists", "path": "/none", "value": False}, True),
        ({"op": "exists", "path": "/score"}, True),
        ({"op": "eq", "path": "/yes", "value": 1}, False),
    ],
)
def test_a_condition_is_about_the_output_or_a_part_of_it(condition: dict[str, Any], held: bool) -> None:
    found = msgspec.convert({"step": "a", **condition}, Condition)
    assert workflow_graph.condition_holds(found, '{"score": 7.5, "tags": ["a", "b"], "yes": true}') is held


@pytest.mark.parametrize(
    ("condition", "output"),
    [
        ({"op": "eq", "path": "/a", "value": 1}, "no JSON"),
        ({"op": "eq", "path": "/a", "value": 1}, '{"b": 1}'),
        ({"op": "lt", "path": "/a", "value": 1}, '{"a": "x"}'),
        ({"op": "contains", "path": "/a", "value": 1}, '{"a": 3}'),
    ],
)
def test_an_undecidable_condition_has_no_answer(condition: dict[str, Any], output: str) -> None:
    with pytest.raises(OutputMismatch):
        workflow_graph.condition_holds(msgspec.convert({"step": "a", **condition}, Condition), output)
