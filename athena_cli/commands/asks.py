"""The command that answers an ask: in a dialog on a terminal, or as its options say."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, machine_output_of, output_of
from athena_cli.commands.ask_dialog import Decision, Remember, decide, negative, positive, show_ask
from athena_cli.exit_codes import Misused
from athena_cli.flags import TEXT
from athena_cli.output.options import span_ms

if TYPE_CHECKING:
    from athena_cli.transport import Transport

ALLOWING = ("allow", "approve", "yes", "y")
REFUSING = ("deny", "reject", "decline", "no", "n")
HASH = Parameter(metavar="HASH")
JSON = Parameter(metavar="JSON|@FILE", allow_leading_hyphen=True)
SPAN = Parameter(name="--for", metavar="SPAN")


def answer(
    ask: str,
    option: str | None = None,
    /,
    *,
    note: Annotated[str | None, TEXT] = None,
    values: Annotated[str | None, JSON] = None,
    edit: Annotated[str | None, JSON] = None,
    remember: Remember | None = None,
    span: Annotated[str | None, SPAN] = None,
    subject_hash: Annotated[str | None, HASH] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Answer an ask. On a terminal, without an option, show the whole call or question, then ask for the decision.

    The options of a tool permission are `allow` and `deny`, of a question `answer` and `decline`, of a choice its
    numbers and `decline`, of a workflow step `approve` and `reject`. A script gives one of them.

    Args:
        ask: Id of the ask, or the end of it.
        option: The option to choose.
        note: Reason. A refused agent reads it.
        values: Answers to the form of a question, as a JSON object; `@FILE` reads a file, `-` standard input.
        edit: Allow the call with these arguments instead, as a JSON object; `@FILE` reads a file, `-` standard input.
        remember: Allow exactly this call from now on, in its run, its session, or every run of its profile.
        span: How long to remember it, such as 8h or 30d.
        subject_hash: Answer only if the ask still has this hash, from `asks get`.
        connection: Connection options.
    """
    if option is None:
        option = "answer" if values is not None else "allow" if edit is not None else None
    if span is not None and remember is None:
        raise Misused("--for requires --remember")
    if remember is not None and option is not None and option.lower() in REFUSING:
        raise Misused("--remember only allows: a refusal is not remembered")
    talks = sys.stdin.isatty() and render.on_terminal() and machine_output_of(connection) is None
    if option is None and not talks:
        words = "allow or deny, approve or reject, decline, or a number"
        raise Misused("athena answer needs an option without a terminal", f"give {words}; see athena asks get ASK")
    given = Decision(
        option or "",
        note,
        None if values is None else _object(values, "--values"),
        None if edit is None else _object(edit, "--edit"),
        remember,
        None if span is None else _span(span),
    )
    found = call(connection, lambda transport: read_ask(transport, ask))
    decision = _by_option(found, given) if option is not None else _by_dialog(found, given, connection)
    if decision is None:
        render.note("Nothing was decided.")
        return
    body = request_body(decision, subject_hash or found["subjectHash"])
    data = call(connection, lambda transport: transport.request("answerAsk", path={"askId": found["id"]}, body=body))
    if talks:
        _confirm(data)
    else:
        render.show(data, output_of(connection), "answerAsk")


async def read_ask(transport: "Transport", ask: str, *, exact: bool = False) -> dict[str, Any]:
    """Return an ask. With ``exact``, open its exact text."""
    import msgspec

    query = {"exact": "true"} if exact else {}
    found: dict[str, Any] = msgspec.json.decode(await transport.request("getAsk", path={"askId": ask}, query=query))
    return found


def _by_dialog(ask: dict[str, Any], given: Decision, connection: ConnectionOptions | None) -> Decision | None:
    def exact() -> dict[str, Any]:
        return call(connection, lambda transport: read_ask(transport, ask["id"], exact=True))

    return decide_by_dialog(ask, given, exact)


def _by_option(ask: dict[str, Any], given: Decision) -> Decision:
    """Return the decision with the id of its option: the word itself, or the one option that it can mean."""
    word = given.option_id
    ids = [str(option["id"]) for option in ask.get("options") or ()]
    if word in ids or not ids:
        return given
    meant = positive(ask) if word.lower() in ALLOWING else negative(ask) if word.lower() in REFUSING else None
    if meant is None:
        raise Misused(f"{ask['id']} has no option {word!r}", f"give {', '.join(ids[:-1])} or {ids[-1]}")
    return given._replace(option_id=meant)


def decide_by_dialog(ask: dict[str, Any], given: Decision, exact: Callable[[], dict[str, Any]]) -> Decision | None:
    """Show an ask and let the person decide. What the options of the command say holds for the decision too.

    ``exact`` returns the ask with its exact text, which the server records.
    """
    show_ask(ask)
    if ask["status"] != "open":
        raise Misused(f"{ask['id']} is {ask['status']}", "see athena asks list")
    decided = decide(ask, render.width(), exact)
    if decided is None:
        return None
    kept = {name: value for name, value in given._asdict().items() if value and not getattr(decided, name)}
    if decided.option_id == negative(ask):
        kept = {name: value for name, value in kept.items() if name == "note"}
    return decided._replace(**kept)


def request_body(decision: Decision, subject_hash: str) -> dict[str, Any]:
    """Return the body of the request that records a decision."""
    members = {
        "subjectHash": subject_hash,
        "optionId": decision.option_id,
        "note": decision.note,
        "values": decision.values,
        "editedArguments": decision.edited,
        "remember": decision.remember,
        "rememberForMs": decision.remember_ms,
    }
    return {name: value for name, value in members.items() if value is not None}


def _confirm(data: bytes) -> None:
    """Print what was decided, and how to follow the run."""
    import msgspec

    ask = msgspec.json.decode(data)
    run = ask.get("runId")
    follow = f"athena logs -f {run}" if run else f"athena workflows status {ask.get('workflowRunId')}"
    render.say(f"{ask['status'].capitalize()}. Follow it with: {follow}")


def _span(given: str) -> int:
    try:
        return span_ms(given)
    except ValueError as error:
        raise Misused(f"--for: {error}") from error


def _object(given: str, flag: str) -> dict[str, Any]:
    """Return a JSON object that is given as a text, as ``@FILE``, or on standard input. Raise Misused."""
    import msgspec

    try:
        if given == "-":
            text = sys.stdin.buffer.read()
        elif given.startswith("@"):
            text = Path(given[1:]).read_bytes()
        else:
            text = given.encode()
        return msgspec.json.decode(text, type=dict[str, Any])
    except OSError as error:
        raise Misused(f"{flag}: cannot read {given[1:]}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Misused(f"{flag}: {given[:80]!r} is not a JSON object: {error}") from error
