"""Commands that start, cancel and follow runs."""

from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, output_of, request, text_of
from athena_cli.commands.agent_profiles import AgentOptions, profile_of
from athena_cli.commands.bulk_requests import RunFilters, cancel_all, filter_of
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
    outside: AgentOptions | None = None,
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
        outside: The outside agent of the run.
        detach: Return at once; the server continues in the background.
        connection: Connection options.
    """
    prompt = _prompt(text, input)
    if prompt is None and directive is None and template is None:
        raise Misused("nothing to run", "give TEXT or --directive ID")
    body: Record = {
        "sessionId": session,
        "input": prompt,
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
        _start(connection, "createRun", detach=detach, body=body | _by_agent(outside, body, connection))
        return
    if outside is not None or any(value is not None for name, value in body.items() if name != "sessionId"):
        raise Misused("--template can only be combined with --param and --session; the template defines the rest")
    body = {"sessionId": session, "params": dict(map(_parse_param, param))}
    _start(connection, "runTemplate", detach=detach, path={"templateId": template}, body=body)


def _prompt(text: str | None, input_: str | None) -> str | None:
    """Return the prompt, from standard input if it is ``-``. Raise Misused."""
    if text is not None and input_ is not None:
        raise Misused("the prompt is given twice", "give either TEXT or --input TEXT")
    prompt = text if text is not None else input_
    return None if prompt is None else text_of(prompt, "--input")


def _by_agent(options: AgentOptions | None, body: Record, connection: ConnectionOptions | None) -> Record:
    """Return the members of a request that name the profile of an outside agent; none without an agent."""
    if options is None or options.agent is None:
        if options is not None:
            raise Misused("--allow and --sandbox require --agent", "give --agent NAME, or a profile with these values")
        return {}
    if body["harnessProfileId"] is not None:
        raise Misused("--agent and --profile exclude each other", "a profile names its agent")
    if body["provider"] is not None:
        raise Misused("--agent and --provider exclude each other", "the API of an agent decides who is paid")
    profile = call(connection, lambda transport: profile_of(transport, options, body["model"]))
    return {"harnessProfileId": profile, "model": None}


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


def retry(
    run: str,
    /,
    *,
    input: Annotated[str | None, TEXT] = None,
    profile: Annotated[str | None, Parameter(metavar="ID")] = None,
    provider: Annotated[str | None, Parameter(metavar="NAME")] = None,
    model: Annotated[str | None, Parameter(metavar="NAME")] = None,
    budget_usd: Annotated[float | None, Parameter(metavar="USD")] = None,
    detach: Detach = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Make the request of an ended run again, with changes, and wait for its end. On a terminal, follow it.

    Args:
        run: Id of the run.
        input: Another prompt; `-` reads standard input.
        profile: Another harness profile.
        provider: Another provider.
        model: Another model.
        budget_usd: Another budget in USD, 0 for none.
        detach: Return at once; the server continues in the background.
        connection: Connection options.
    """
    if budget_usd is not None and not isfinite(budget_usd):
        raise Misused(f"--budget-usd: {budget_usd} is not a number")
    body: Record = {
        "input": None if input is None else text_of(input, "--input"),
        "harnessProfileId": profile,
        "provider": provider,
        "model": model,
        "budgetUsd": budget_usd,
    }
    _start(connection, "retryRun", detach=detach, path={"runId": run}, body=body)


def cancel(
    run: str | None = None,
    /,
    *,
    session: Annotated[str | None, Parameter(metavar="ID")] = None,
    run_id: Annotated[str | None, Parameter(name="--run", metavar="ID")] = None,
    everything: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False,
    filters: RunFilters | None = None,
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reason: Annotated[str | None, TEXT] = None,
    subject_hash: Annotated[str | None, Parameter(metavar="HASH")] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Request the cancellation of a run, of the active run of a session, or with `--all` of all runs of a filter.

    Args:
        run: Id of the run.
        session: Cancel the active run of this session instead; with `--all`, also its waiting runs.
        run_id: Id of the run, as an option.
        everything: Cancel all open runs that the filters select, at most 10,000. Lists them without `--yes`.
        filters: Filters of `--all`.
        yes: With `--all`, cancel instead of listing.
        reason: Reason for the cancellation.
        subject_hash: With `--all --yes`, cancel only if the filters still select the runs that were listed.
        connection: Connection options.
    """
    if everything:
        if run is not None or run_id is not None:
            raise Misused("--all cannot be combined with a run", "give RUN, or --all with filters")
        cancel_all(filter_of(filters, session), reason, connection, yes=yes, subject_hash=subject_hash)
        return
    if yes or subject_hash or filter_of(filters):
        raise Misused("filters and --yes require --all", "give RUN, or --all with filters")
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
