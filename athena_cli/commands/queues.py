"""The queues of sessions: put work in, see what waits, work it off."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from athena_cli.client import ConnectionOptions, request
from athena_cli.exit_codes import Misused
from athena_cli.flags import TEXT

MARKERS = {"ok": "[OK]", "running": "[..]", "waiting": "[..]", "failed": "[!!]", "cancelled": "[!!]"}


def enqueue_work(
    *,
    session: str,
    input: Annotated[str, TEXT],
    mode: Literal["followup", "collect"] = "followup",
    connection: ConnectionOptions | None = None,
) -> None:
    """Put an item at the end of a session's queue.

    Args:
        session: The session.
        input: What is to be done.
        mode: Alone, or together with the `collect` items before and after it.
        connection: How to reach the plane.
    """

    def reshape(queue: Any) -> Any:
        depth = len(queue["items"])
        return {"sessionId": queue["sessionId"], "queuedItems": depth, "queueDepth": depth}

    request(connection, "enqueueWork", body={"sessionId": session, "payload": input, "mode": mode}, reshape=reshape)


def show_work(
    *, session: str | None = None, workflow: str | None = None, connection: ConnectionOptions | None = None
) -> None:
    """Show what waits in a session's queue, or in lines of text how far a run of a workflow is.

    Args:
        session: The session.
        workflow: Instead: the workflow, or one of its runs; with `-o json` what `workflow status` prints.
        connection: How to reach the plane.
    """
    if (session is None) == (workflow is None):
        raise Misused("work status needs either --session or --workflow")

    def reshape(queue: Any) -> Any:
        modes = queue["itemCounts"]
        depth = sum(modes.values())
        return {
            "sessionId": queue["sessionId"],
            "draining": queue["draining"],
            "queuedItems": depth,
            "queueDepth": depth,
            "modes": modes,
        }

    if session is not None:
        request(connection, "getSessionWorkQueue", path={"sessionId": session}, reshape=reshape)
    else:
        request(connection, "getWorkflowRun", path={"id": workflow}, lines=progress_lines)


def progress_lines(observed: Any) -> list[str]:
    """Return the progress of a workflow run: ids and status, progress, estimate, then a line for each step."""
    run, progress, eta = observed["run"], observed["progress"], observed["eta"]
    left = eta.get("estimatedRemainingMs")
    estimate = "" if left is None else f", about {left / 1000:.1f} s left ({eta['estimatedCompletionAt']})"
    lines = [
        f"workflow {observed['workflow']['id']}, run {run['id']}: {run['status']}"
        if run
        else f"workflow {observed['workflow']['id']}: no run",
        f"progress: {progress['completedSteps']}/{progress['totalSteps']} ({progress['percentComplete']}%)",
        f"eta: {eta['source']}{estimate}",
    ]
    for node in observed["nodes"]:
        waits = node["dependencyReadiness"]["blockingStepIds"]
        after = f", after {', '.join(waits)}" if waits and node["status"] == "pending" else ""
        lines.append(f"{MARKERS.get(node['status'], '[  ]')} {node['stepId']}: {node['status']}{after}")
    return lines


def drain_work(
    *,
    session: str,
    provider: str | None = None,
    model: str | None = None,
    detach: Annotated[bool, Parameter(name="--async", negative="")] = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Work off a session's queue, and wait for the end.

    Args:
        session: The session.
        provider: A provider, instead of the default.
        model: A model of that provider.
        detach: Do not wait; a server goes on with it.
        connection: How to reach the plane.
    """

    def reshape(result: Any) -> Any:
        if "drainId" in result:
            return result
        delta = result["queueDepthAfter"] - result["queueDepthBefore"]
        return {**result, "sessionId": session, "queueDepthDelta": delta}

    body = {"provider": provider, "model": model}
    request(connection, "drainWork", path={"sessionId": session}, body=body, detached=detach, reshape=reshape)
