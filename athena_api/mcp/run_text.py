"""Runs as models read them: the record with what to do next."""

from collections.abc import Mapping, Sequence
from typing import Any

from athena_api.document.schemas import Json
from athena_api.edge.replies import encode
from athena_api.mcp.bounded import result_of
from athena_api.mcp.tool_schemas import output_of
from athena_core.mcp.served import ServedResult

WITHOUT = frozenset({"links", "evidenceCount", "outputPreview", "outputChars"})
"""Members of a run that help a model little."""
ASK_MEMBERS = (
    *("id", "kind", "question", "subjectHash", "options", "toolName", "arguments", "form", "editable", "expiresAt"),
    "truncated",
)
RUN_NAMES = {"id": "runId", "workflowId": "workflowId", "status": "status", "createdAt": "createdAt"}
"""The members of a run of a workflow that are shown, and their names there."""
FAILED = frozenset({"failed", "cancelled", "timed-out", "crashed"})
OUTPUT_BYTES = 16_000
"""Size of the part of an output that an answer shows at once, as JSON."""


def run_result(run: Mapping[str, Any], asks: Sequence[Mapping[str, Any]] = (), output_from: int = 0) -> ServedResult:
    """Return the result of a tool that waits for a run, an error if the run ended without success.

    ``asks`` are the open ones that the caller may answer.
    """
    shown = {name: value for name, value in run.items() if name not in WITHOUT}
    hint = _next(run, asks)
    output = run.get("output")
    if isinstance(output, str):
        shown["output"] = part = _part(output, output_from)
        if (reached := output_from + len(part)) < len(output):
            rest = f"The output goes on: get_run with outputFrom={reached} (it has {len(output)} characters)."
            hint = " ".join(filter(None, (hint, rest)))
    if asks:
        shown["asks"] = [{name: ask[name] for name in ASK_MEMBERS if name in ask} for ask in asks]
    return result_of(shown, hint, is_error=run["status"] in FAILED)


def run_output(run: Json, ask: Json) -> Json:
    """Return the schema of the result of ``run_result``: members of a run, and of an ask."""
    members = {name: ask["properties"][name] for name in ASK_MEMBERS}
    asks = {"type": "object", "properties": members, "required": [one for one in ask["required"] if one in members]}
    properties = {name: part for name, part in run["properties"].items() if name not in WITHOUT}
    return output_of({**run, "properties": properties | {"asks": {"type": "array", "items": asks}}})


def _part(text: str, begin: int) -> str:
    part = text[begin : begin + OUTPUT_BYTES]
    while len(encode(part)) > OUTPUT_BYTES + 2:  # the quotes
        part = part[: len(part) * 3 // 4]
    return part


def _next(run: Mapping[str, Any], asks: Sequence[Mapping[str, Any]]) -> str | None:
    if asks:
        return (
            "The run asks a person. Show `asks` to the user, pass on the decision with answer_ask, then wait_for_run."
        )
    if (run.get("waiting") or {}).get("asks"):
        return "The run asks a person, and you may not answer. Tell the user, then call wait_for_run again."
    match run["status"]:
        case "queued" | "running":
            return "The run goes on. Call wait_for_run with this runId."
        case "paused":
            return "The run is paused until an operator resumes it, for example with a larger budget."
        case "completed":
            return None
    return "explain_run says why. retry_run runs the same request again."


def workflow_result(details: Mapping[str, Any]) -> ServedResult:
    """Return the result of a tool that shows a run of a workflow."""
    run = details.get("run") or {}
    shown = {name: value for name, value in details.items() if name not in ("workflow", "run")}
    shown = {"workflowId": details["workflow"]["id"], **_workflow_run(run), **shown}
    return result_of(shown, _workflow_next(run.get("status")))


def workflow_started(run: Mapping[str, Any]) -> ServedResult:
    """Return the result of a tool that started a run of a workflow."""
    return result_of(_workflow_run(run), _workflow_next(run["status"]))


def workflow_output(run: Json, details: Json | None = None) -> Json:
    """Return the schema of the results of the functions above, from a run of a workflow and its details."""
    rest = {} if details is None else details["properties"]
    parts = {shown: run["properties"][name] for name, shown in RUN_NAMES.items()}
    parts |= {name: part for name, part in rest.items() if name not in ("workflow", "run")}
    return output_of({"properties": parts, "required": ["workflowId"]})


def _workflow_run(run: Mapping[str, Any]) -> dict[str, Any]:
    return {shown: run[name] for name, shown in RUN_NAMES.items() if name in run}


def _workflow_next(status: str | None) -> str | None:
    if status == "running":
        return "The workflow goes on. Call wait_for_run with this runId."
    if status == "waiting":
        return "A step waits for an approval. list_asks shows it; pass on the user's decision with answer_ask."
    return None
