"""Runs and their transcripts as resources."""

import re
from collections.abc import Sequence
from typing import Any

from athena_api.mcp.bounded import bounded
from athena_api.mcp.dispatch import Dispatch, DispatchedAnswer
from athena_api.mcp.tasks import refused
from athena_core.mcp.served import ResourceText, ServedResource, unknown_resource

URI = re.compile(r"athena://runs/([^/?#]{1,128})(/transcript)?")
LISTED_MAX = 20
"""Runs in the list of resources: the newest. Others are reached by the template."""
RESOURCE_BYTES_MAX = 200_000
"""Size of a resource. Longer texts in it are cut, and say so; the API has them whole."""
ENTRIES_MAX = 200
"""The newest entries of a session of which the transcript of a run is taken."""
TEMPLATES = (
    ServedResource("athena://runs/{runId}", "run", "A run: its status, answer, cost and error."),
    ServedResource(
        "athena://runs/{runId}/transcript", "transcript", "The newest messages and tool calls of a run, in order."
    ),
)


async def listed(dispatch: Dispatch) -> Sequence[ServedResource]:
    """Return the newest runs that the caller may see. Raise ServedError."""
    answer = await dispatch.request("GET", "/runs", query={"limit": LISTED_MAX})
    if not answer.ok:
        raise refused(answer)
    return [
        ServedResource(f"athena://runs/{run['runId']}", run["runId"], f"{run['status']}, created {run['createdAt']}")
        for run in answer.data["items"]
    ]


async def read(dispatch: Dispatch, uri: str) -> ResourceText:
    """Return a run or its transcript, as JSON. Raise ServedError."""
    found = URI.fullmatch(uri)
    if found is None:
        raise unknown_resource(uri)
    run = _existing(await dispatch.request("GET", "/runs/:runId", {"runId": found[1]}), uri)
    if found[2] is None:
        return ResourceText(uri, bounded(run, bytes_max=RESOURCE_BYTES_MAX))
    answer = await dispatch.request(
        "GET", "/sessions/:sessionId/transcript", {"sessionId": run["sessionId"]}, query={"limit": ENTRIES_MAX}
    )
    page = _existing(answer, uri)
    entries = [entry for entry in page["items"] if entry.get("runId") == run["runId"]]
    return ResourceText(uri, bounded({"runId": run["runId"], "entries": entries}, bytes_max=RESOURCE_BYTES_MAX))


def _existing(answer: DispatchedAnswer, uri: str) -> Any:
    if answer.error is None:
        return answer.data
    if answer.error["code"] in ("NOT_FOUND", "CONFIG_ERROR"):
        raise unknown_resource(uri)
    raise refused(answer)
