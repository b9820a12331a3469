"""Commands that start, cancel and follow runs."""

from typing import Annotated, Any, Literal

from athena_cli.client import ConnectionOptions, request
from athena_cli.commands.run_activity import logs
from athena_cli.exit_codes import Misused
from athena_cli.flags import SWITCH, TEXT, Detach


def run(
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
    """Start a run and wait for its result.

    Args:
        session: Session of the run; a new one if absent.
        input: The prompt.
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
    body = {
        "sessionId": session,
        "input": input,
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
        request(connection, "createRun", body=body, detached=detach)
        return
    if any(value is not None for name, value in body.items() if name != "sessionId"):
        raise Misused("--template can only be combined with --param and --session; the template defines the rest")
    filled = {"sessionId": session, "params": dict(map(_parse_param, param))}
    request(connection, "runTemplate", path={"templateId": template}, body=filled, detached=detach)


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
    *,
    session: str | None = None,
    run: str | None = None,
    reason: Annotated[str | None, TEXT] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Request the cancellation of a run, by run or session id.

    Args:
        session: Cancel the active run of this session.
        run: Cancel this run.
        reason: Reason for the cancellation.
        connection: Connection options.
    """
    if (session is None) == (run is None):
        raise Misused("cancel requires either --session or --run")
    if run is not None:
        request(connection, "cancelRunByRunId", path={"runId": run}, body={"reason": reason})
    else:
        request(connection, "cancelRun", path={"sessionId": session}, body={"reason": reason})


def watch(run: str, /, *, connection: ConnectionOptions | None = None) -> None:
    """Follow a run until it ends, as `logs -f` does.

    Args:
        run: Id of the run.
        connection: Connection options.
    """
    logs(run, follow=True, connection=connection)
