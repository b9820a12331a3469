"""Commands that start, cancel and follow runs."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, output_of, request, text_of
from athena_cli.commands.run_timeline import Record, RunFollower, check_ended
from athena_cli.exit_codes import Misused
from athena_cli.flags import SWITCH, TEXT, Detach

if TYPE_CHECKING:
    from athena_cli.transport import Transport

INTERRUPTED = "interrupted by Ctrl-C"
CANCEL_SECONDS = "10"
"""Longest wait for the end of a run that Ctrl-C cancels."""


def run(
    text: str | None = None,
    /,
    *,
    session: str | None = None,
    input: Annotated[str | None, TEXT] = None,
    directive: str | None = None,
    profile: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    strategy: Literal["enqueue", "reject", "interrupt"] | None = None,
    parent: str | None = None,
    template: str | None = None,
    param: Annotated[tuple[str, ...], SWITCH] = (),
    detach: Detach = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Start a run and wait for its end. On a terminal, the answer is printed while it is written.

    Ctrl-C cancels the run there; use `--async` to leave it to the server.

    Args:
        text: The prompt; `-` reads standard input.
        session: Session of the run; a new one if absent.
        input: The prompt, as an option.
        directive: Id of a directive, instead of an input.
        profile: Id of a harness profile.
        provider: Model provider, instead of a profile.
        model: A model of that provider.
        strategy: What to do if the session is busy: wait, fail, or cancel the running one.
        parent: Parent run. Cancelling it also cancels this run.
        template: Id of a run template, instead of input and profile.
        param: A template parameter, `name=text` or `name:=JSON`; may be repeated.
        detach: Return at once; the server continues in the background.
        connection: Connection options.
    """
    if text is not None and input is not None:
        raise Misused("the prompt is given twice", "give either TEXT or --input TEXT")
    prompt = text if text is not None else input
    if prompt is None and directive is None and template is None:
        raise Misused("nothing to run", "give TEXT or --directive ID")
    body = {
        "sessionId": session,
        "input": None if prompt is None else text_of(prompt, "--input"),
        "directiveId": directive,
        "harnessProfileId": profile,
        "provider": provider,
        "model": model,
        "sessionStrategy": strategy,
        "parentRunId": parent,
    }
    if template is None:
        if param:
            raise Misused("--param requires --template")
        _start(connection, "createRun", detach=detach, body=body)
        return
    if any(value is not None for name, value in body.items() if name != "sessionId"):
        raise Misused("--template can only be combined with --param and --session; the template defines the rest")
    filled = {"sessionId": session, "params": dict(map(_parse_param, param))}
    _start(connection, "runTemplate", detach=detach, path={"templateId": template}, body=filled)


def _start(connection: ConnectionOptions | None, operation_id: str, *, detach: bool, **parts: Any) -> None:
    """Start a run. On a terminal, print its timeline while it is written; else wait and print the response."""
    if detach or output_of(connection) is not None or not render.on_terminal():
        request(connection, operation_id, detached=detach, **parts)
        return

    async def work(transport: "Transport") -> Record:
        import msgspec

        begun = msgspec.json.decode(await transport.request(operation_id, wait=False, **parts))
        try:
            return await RunFollower(transport, begun["runId"], None).follow()
        except asyncio.CancelledError:  # Ctrl-C
            await _cancel_interrupted(transport, begun["runId"])
            raise

    import asyncio

    check_ended(call(connection, work))


async def _cancel_interrupted(transport: "Transport", run_id: str) -> None:
    """Cancel the run of a command that was interrupted, and print how it ended."""
    import msgspec

    from athena_cli.output.timeline import end_line

    render.note("\nCancelling the run. Press Ctrl-C again to leave it.")
    await transport.request("cancelRunByRunId", path={"runId": run_id}, body={"reason": INTERRUPTED})
    data = await transport.request("getRun", path={"runId": run_id}, query={"wait": CANCEL_SECONDS})
    render.note(end_line(msgspec.json.decode(data)))


def _parse_param(text: str) -> tuple[str, Any]:
    """Parse a template parameter of the command line."""
    import msgspec

    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise Misused(f"--param: {text!r} is neither name=text nor name:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misused(f"--param: {name[:-1]}: {value[:80]!r} is not JSON: {error}") from error


def cancel(
    run: str | None = None,
    /,
    *,
    session: Annotated[str | None, Parameter(metavar="ID")] = None,
    run_id: Annotated[str | None, Parameter(name="--run", metavar="ID")] = None,
    reason: Annotated[str | None, TEXT] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Request the cancellation of a run, or of the active run of a session.

    Args:
        run: Id of the run.
        session: Cancel the active run of this session instead.
        run_id: Id of the run, as an option.
        reason: Reason for the cancellation.
        connection: Connection options.
    """
    targets = [target for target in (run, run_id, session) if target is not None]
    if len(targets) != 1:
        raise Misused("cancel needs either a run or a session", "give RUN or --session ID")
    by_run = session is None
    names = {"runId" if by_run else "sessionId": targets[0]}

    async def work(transport: "Transport") -> bytes:
        operation = "cancelRunByRunId" if by_run else "cancelRun"
        data = await transport.request(operation, path=names, body={"reason": reason})
        if b'"not-running"' in data:  # raise Absent for an unknown run or session
            await transport.request("getRun" if by_run else "getSession", path=names)
        return data

    render.show(call(connection, work), output_of(connection), "cancelRunByRunId")
