"""Commands on the work queues of sessions: enqueue, inspect, drain."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from athena_cli.client import ConnectionOptions, ReadOptions, request, text_of
from athena_cli.exit_codes import Misused
from athena_cli.flags import TEXT
from athena_core.text import duration

MARKERS = {"ok": "[OK]", "running": "[..]", "waiting": "[..]", "failed": "[!!]", "cancelled": "[!!]"}


def enqueue_work(
    *,
    session: str,
    input: Annotated[str, TEXT],
    mode: Literal["followup", "collect"] = "followup",
    connection: ConnectionOptions | None = None,
) -> None:
    """Append an item to a session's queue.

    Args:
        session: Id of the session.
        input: The prompt of the item.
        mode: Run the item alone (followup), or merge it with adjacent `collect` items.
        connection: Connection options.
    """

    def reshape(queue: Any) -> Any:
        depth = len(queue["items"])
        return {"sessionId": queue["sessionId"], "queuedItems": depth, "queueDepth": depth}

    request(
        connection,
        "enqueueWork",
        body={"sessionId": session, "payload": text_of(input, "--input"), "mode": mode},
        reshape=reshape,
    )


def show_work(
    *, session: str | None = None, workflow: str | None = None, connection: ReadOptions | None = None
) -> None:
    """Show a session's queue, or the progress of a workflow run.

    Args:
        session: Id of the session.
        workflow: Id of a workflow or workflow run, instead of a session; `-o json` prints it as JSON.
        connection: Connection options.
    """
    if (session is None) == (workflow is None):
        raise Misused("queues get needs either a session or a workflow", "give --session ID or --workflow ID")

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
    """Return the progress of a workflow run as text: ids and status, progress, estimate, then one line per step."""
    run, progress, eta = observed["run"], observed["progress"], observed["eta"]
    left = eta.get("estimatedRemainingMs")
    estimate = "" if left is None else f", about {duration(left)} left ({eta['estimatedCompletionAt']})"
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
    """Run all items of a session's queue and wait for the end.

    Args:
        session: Id of the session.
        provider: Model provider, instead of the default.
        model: A model of that provider.
        detach: Return at once; the server continues in the background.
        connection: Connection options.
    """

    def reshape(result: Any) -> Any:
        if "drainId" in result:
            return result
        delta = result["queueDepthAfter"] - result["queueDepthBefore"]
        return {**result, "sessionId": session, "queueDepthDelta": delta}

    body = {"provider": provider, "model": model}
    request(connection, "drainWork", path={"sessionId": session}, body=body, detached=detach, reshape=reshape)
