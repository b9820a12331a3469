"""Runs as tasks of the extension ``io.modelcontextprotocol/tasks``: the id of a task is the id of its run."""

from collections.abc import Mapping
from typing import Any

from athena_api.mcp.asks import answer_ask_by_form, answerable_asks, forms_of
from athena_api.mcp.dispatch import Dispatch, DispatchedAnswer
from athena_api.mcp.run_text import run_result
from athena_core.mcp.served import ElicitationAnswer, ServedError, ServedTask, TaskStatus, unknown_task
from athena_core.mcp.versions import REFUSED

WORKING = frozenset(("queued", "running", "paused"))

Run = Mapping[str, Any]
"""A run as the API answers it."""


def task_of(run: Run) -> ServedTask:
    """Return the task of a run. A run that waits for a person is working until ``task`` finds forms for the caller."""
    status: TaskStatus = "completed"  # also of a run that failed: its result says so
    if run["status"] in WORKING:
        status = "working"
    elif run["status"] == "cancelled":
        status = "cancelled"
    updated = run.get("finishedAt") or run.get("startedAt") or run["createdAt"]
    return ServedTask(
        run["runId"],
        status,
        run["createdAt"],
        updated,
        message=_message(run),
        result=run_result(run) if status == "completed" else None,
    )


async def task(dispatch: Dispatch, task_id: str) -> ServedTask:
    """Return the task of a run, with the forms of what it asks the caller. Raise ServedError."""
    found = task_of(_existing(await dispatch.request("GET", "/runs/:runId", {"runId": task_id})))
    if found.status != "working":
        return found
    asks = await answerable_asks(dispatch, task_id)
    return found._replace(status="input_required", requests=forms_of(asks)) if asks else found


async def update(dispatch: Dispatch, task_id: str, answers: Mapping[str, ElicitationAnswer]) -> None:
    """Answer open asks of a run. Ignore answers to anything else. Raise ServedError."""
    _existing(await dispatch.request("GET", "/runs/:runId", {"runId": task_id}))
    outstanding = forms_of(await answerable_asks(dispatch, task_id))
    for key in answers.keys() & outstanding.keys():
        answered = await answer_ask_by_form(dispatch, key, answers[key])
        if answered is not None and not answered.ok:
            raise refused(answered)


async def cancel(dispatch: Dispatch, task_id: str) -> None:
    """Cancel a run. Raise ServedError."""
    _existing(await dispatch.request("GET", "/runs/:runId", {"runId": task_id}))
    _existing(await dispatch.request("POST", "/run-control/by-run/:runId/cancel", {"runId": task_id}, body={}))


def _existing(answer: DispatchedAnswer) -> Run:
    """Return the record of a run. Raise ServedError."""
    if answer.error is None:
        run: Run = answer.data
        return run
    if answer.error["code"] in ("NOT_FOUND", "CONFIG_ERROR"):
        raise unknown_task()
    raise refused(answer)


def refused(answer: DispatchedAnswer) -> ServedError:
    """Return the error of an operation as an error of the protocol."""
    error = answer.error or {}
    data = {name: error[name] for name in ("code", "retryable", "traceId") if name in error}
    return ServedError(REFUSED, error.get("message", ""), data, status=answer.status)


def _message(run: Run) -> str | None:
    if run.get("error") is not None:
        return f"{run['status']}: {run['error'].get('code')}"
    waiting = run.get("waiting")
    return f"{run['status']}, waits for {waiting['reason']}" if waiting else str(run["status"])
