"""Small graphs of workflows."""

from typing import Any

import msgspec

from athena_core.definitions import workflow_graph
from athena_core.definitions.workflow_graph import WorkflowDefinition, WorkflowGraph


def step(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "directiveId": "dir_1", "harnessProfileId": "hp_1", **fields}


def edge(text: str, **fields: Any) -> dict[str, Any]:
    source, target = text.split(">")
    return {"from": source, "to": target, **fields}


def definition(steps: str | list[dict[str, Any]], *edges: str | dict[str, Any]) -> WorkflowDefinition:
    named = [step(name) for name in steps] if isinstance(steps, str) else steps
    written = [edge(one) if isinstance(one, str) else one for one in edges]
    return msgspec.convert({"steps": named, "dependencies": written}, WorkflowDefinition)


def graph(*parts: Any) -> WorkflowGraph:
    return workflow_graph.check(definition(*parts))


def approval(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "approval": fields}
