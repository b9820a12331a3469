"""The command that creates a token and prints it once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ServerOptions, call_with, output_of, settings_of
from athena_cli.exit_codes import Failed, Misused, NotAllowed
from athena_cli.flags import TEXT
from athena_cli.output.columns import token_scope
from athena_cli.output.options import span_ms

if TYPE_CHECKING:
    from athena_cli.transport import Transport
    from athena_core.settings import Settings

KINDS = ("sessions", "runs", "personas")
UNKNOWN_CALLER = frozenset({"AUTH_IDENTITY_MISSING", "AUTH_TOKEN_MISSING"})
"""Codes of a request that names no caller."""
REVOKE = "athena tokens revoke"


def create_token(
    *,
    identity: Annotated[str, Parameter(metavar="NAME")],
    role: Literal["Admin", "Operator", "Viewer"],
    scope: Annotated[tuple[str, ...], Parameter(metavar="KIND=NAME,…", negative="", show_default=False)] = (),
    expires: Annotated[str, Parameter(metavar="SPAN")] = "90d",
    note: Annotated[str | None, Parameter(metavar="TEXT"), TEXT] = None,
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative="", show_default=False)] = False,
    connection: ServerOptions | None = None,
) -> None:
    """Create a token and print it. It is printed only once: the server stores its hash.

    Requests with the token have its role, or the role that its identity has then if that is lower. Only an Admin may
    create tokens. The owner of the state directory can create the first one with `--transport local`, also while a
    server runs.

    Args:
        identity: The identity that the token names, such as `ci`.
        role: The highest role of its requests.
        scope: Restrict it to sessions, runs or personas, such as `sessions=imports,exports`; may be repeated.
        expires: How long it is valid, such as 12h, 90d or 52w, up to 3650d.
        note: Its purpose, for people.
        quiet: Print only the token.
        connection: Connection options.
    """
    body: dict[str, Any] = {"identity": identity, "role": role, "expiresAfterMs": _expires_after_ms(expires)}
    if scope:
        body["scope"] = scope_of(scope)
    if note is not None:
        body["note"] = note
    settings = settings_of(connection)
    if settings.cli_transport == "local":
        _announce(settings)
    data = _created(settings, body) or _created(settings.replace(cli_identity=identity), body)
    _print(data, quiet=quiet, output=output_of(connection))


def _created(settings: "Settings", body: Mapping[str, Any]) -> bytes | None:
    """Create a token. Return None if nothing but the name of the caller is missing, which the owner may choose."""

    async def work(transport: "Transport") -> bytes | None:
        try:
            return await transport.request("createToken", body=body)
        except NotAllowed as error:
            code, here = error.error.get("code"), transport.server is None
            if here and code in UNKNOWN_CALLER and not settings.cli_identity:
                return None
            if here and code == "AUTHZ_DENIED":
                who = settings.cli_identity
                remedy = f"set ATHENA_CLI_IDENTITY to an Admin, or ATHENA_AUTH_IDENTITY_ROLE_MAP={who}:Admin"
            elif not here and code in UNKNOWN_CALLER:
                remedy = "set ATHENA_TOKEN, or make the first one on its machine with --transport local"
            else:
                raise
            raise NotAllowed(error.message, remedy, note=error.note, error=error.error) from None

    return call_with(settings, work)


def _announce(settings: "Settings") -> None:
    """Print that a new log begins, where the directory of an existing one was meant."""
    from athena_cli.transport import state_of

    place, exists = state_of(settings)
    if not exists:
        render.note(f"No log was in {place}. A new one begins there.")


def scope_of(given: Sequence[str]) -> dict[str, list[str]]:
    """Return a scope that is given as ``KIND=NAME,…``. Raise Misused."""
    scope: dict[str, list[str]] = {}
    for text in given:
        kind, equals, names = text.partition("=")
        if kind not in KINDS or not equals:
            raise Misused(f"--scope: {text[:80]!r} is not a scope", "give sessions=…, runs=… or personas=…")
        scope.setdefault(kind, []).extend(name.strip() for name in names.split(","))
    return scope


def _expires_after_ms(given: str) -> int:
    from athena_core.domain.token import EXPIRES_AFTER_MS_MAX, EXPIRES_AFTER_MS_MIN

    try:
        expires = span_ms(given)
    except ValueError as error:
        raise Misused(f"--expires: {error}") from error
    if not EXPIRES_AFTER_MS_MIN <= expires <= EXPIRES_AFTER_MS_MAX:
        raise Misused(f"--expires: {given!r} is out of range", "give 1m to 3650d")
    return expires


def _print(data: bytes | None, *, quiet: bool, output: str | None) -> None:
    """Print a new token: alone, as JSON, or with what to do next. Raise Failed without its text."""
    from msgspec import json

    record = json.decode(data or b"{}")
    if "token" not in record:  # the text is in the first answer only
        token_id = record.get("tokenId", "")
        raise Failed("the token was created, but its text was lost on the way", f"revoke it: {REVOKE} {token_id}")
    if quiet:
        render.say(record["token"])
    elif output in {"json", "jsonl"} or not (output == "table" or render.on_terminal()):
        render.show(data or b"", output)
    else:
        for line in lines_of(record):
            render.say(line)


def lines_of(record: Mapping[str, Any]) -> list[str]:
    """Return a new token with what to do next, in lines of at most 80 cells."""
    from athena_cli.output.values import local_time

    scope = token_scope(record)
    return [
        f"Token of {record['identity']}, {record['role']}" + (f", only for {scope}" if scope else ""),
        f"Valid until {local_time(record['expiresAt'])}",
        "",
        f"    {record['token']}",
        "",
        "It is not shown again. Keep it where you keep secrets.",
        "  Use it:     set ATHENA_TOKEN, or ATHENA_TOKEN_FILE to a file with it",
        "  Try it:     athena whoami",
        f"  Revoke it:  {REVOKE} {record['tokenId']}",
    ]
