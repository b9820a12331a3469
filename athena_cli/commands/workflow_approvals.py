"""Commands that decide approvals of workflow steps, with the text to decide on a terminal."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, read_json, request
from athena_cli.exit_codes import Absent, Misused
from athena_cli.flags import TEXT

if TYPE_CHECKING:
    from athena_cli.transport import Transport

HASH = Parameter(metavar="HASH")
FILE = Parameter(metavar="FILE", allow_leading_hyphen=True)


def approve(
    run: str,
    step: str,
    /,
    *,
    subject_hash: Annotated[str | None, HASH] = None,
    note: Annotated[str | None, TEXT] = None,
    body: Annotated[str | None, FILE] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Approve a step of a workflow run. On a terminal, show the question and the whole text, then ask.

    Args:
        run: Id of the workflow run.
        step: Id of the step.
        subject_hash: Hash of the text to approve, from `asks list`. With it, nothing is asked.
        note: Reason.
        body: File with the request body as JSON; `-` reads standard input. Other options override its members.
        connection: Connection options.
    """
    _decide("approveWorkflowStep", (run, step), _body(subject_hash, note, body), connection)


def reject(
    run: str,
    step: str,
    /,
    *,
    subject_hash: Annotated[str | None, HASH] = None,
    note: Annotated[str | None, TEXT] = None,
    body: Annotated[str | None, FILE] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Reject a step of a workflow run; the step fails. On a terminal, show the question and the whole text, then ask.

    Args:
        run: Id of the workflow run.
        step: Id of the step.
        subject_hash: Hash of the text to reject, from `asks list`. With it, nothing is asked.
        note: Reason.
        body: File with the request body as JSON; `-` reads standard input. Other options override its members.
        connection: Connection options.
    """
    _decide("rejectWorkflowStep", (run, step), _body(subject_hash, note, body), connection)


def _body(subject_hash: str | None, note: str | None, file: str | None) -> dict[str, Any]:
    given = {"subjectHash": subject_hash, "note": note}
    return (read_json(file, "--body") if file else {}) | {name: value for name, value in given.items() if value}


def _decide(
    operation_id: str, place: tuple[str, str], body: dict[str, Any], connection: ConnectionOptions | None
) -> None:
    run, step = place
    if "subjectHash" not in body:
        verb = "approve" if operation_id == "approveWorkflowStep" else "reject"
        if not (sys.stdin.isatty() and render.on_terminal()):
            raise Misused(f"athena workflows {verb} needs --subject-hash", "see athena asks list")
        ask = call(connection, lambda transport: _waiting(transport, run, step))
        _show(ask)
        if input(f"{verb.capitalize()}? [y/N] ").strip().lower() not in {"y", "yes"}:
            render.note("Nothing was decided.")
            return
        run, body = ask["workflowRunId"], {**body, "subjectHash": ask["subjectHash"]}
    request(connection, operation_id, path={"id": run, "step": step}, body=body)


async def _waiting(transport: "Transport", run: str, step: str) -> dict[str, Any]:
    """Return the open ask of a step. Raise Absent."""
    import msgspec

    observed = msgspec.json.decode(await transport.request("getWorkflowRun", path={"id": run}))
    approval = ((observed["run"] or {}).get("stepStates", {}).get(step) or {}).get("approval") or {}
    if approval.get("askId") is None:
        raise Absent(f"step '{step}' of {run} waits for no approval", "see athena asks list")
    ask: dict[str, Any] = msgspec.json.decode(await transport.request("getAsk", path={"askId": approval["askId"]}))
    return ask


def _show(ask: dict[str, Any]) -> None:
    """Print the question and the text of an ask."""
    render.say(f"{ask['question']}\n")
    render.say(ask.get("subject") or "(The step has no text.)")
    if ask.get("truncated") or ask.get("redacted"):
        render.say("\nA part of the text is not shown: it is too long, or was redacted.")
    render.say("")
