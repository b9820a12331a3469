"""Errors as one sentence and a remedy."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from athena_cli.exit_codes import Absent, Exit, Failed, Misused, NotAllowed
from athena_cli.flags import CONNECTION, flag
from athena_cli.words.names import NEAR, VERBS

if TYPE_CHECKING:
    from athena_core.errors import AthenaError

FAULTS_MAX = 3
GIVEN = re.compile(r"(?:a|an|the|one of|another) ")
MEMBERS = re.compile(r"give one of [a-z]\w*(?:, [a-z]\w*)*")
NUMBER = re.compile(r'Invalid value for (\S+): unable to convert "(.*)" into (int|float)')
CHOICE = re.compile(r'Invalid value "(.*)" for (\S+)\. Choose from: (.*?)(?:\. Did you mean "(.*)")?\??$', re.DOTALL)
NUMBERS: Mapping[str, str] = {"int": "whole number", "float": "number"}
PREFIX = re.compile(r"[A-Z_]+: ")
NOUN = re.compile(r"\bno ([a-z ]+?) '")
LISTS: Mapping[str, str] = {
    "directive": "directives",
    "harness profile": "profiles",
    "run": "runs",
    "run template": "templates",
    "schedule": "schedules",
    "session": "sessions",
    "workflow": "workflows",
}
"""The command group that lists the records of a noun in messages of the server."""
REMEDIES: Mapping[str, str] = {
    "AUTH_IDENTITY_MISSING": "give --identity NAME, or set ATHENA_CLI_IDENTITY or ATHENA_TOKEN",
    "AUTH_PROXY_UNTRUSTED": "set ATHENA_TOKEN instead of an identity",
    "AUTH_TOKEN_EXPIRED": "ask an Admin for another one, made by athena tokens create",
    "AUTH_TOKEN_INVALID": "ask an Admin for another one, made by athena tokens create",
    "AUTH_TOKEN_MISSING": "set ATHENA_TOKEN to a token that an Admin made by athena tokens create",
    "ASK_CHANGED": "see athena asks get ASK",
    "AUTHZ_DENIED": "see athena whoami",
    "EXACT_NOT_OPENED": "open the exact text first: athena asks get ASK --exact, or athena runs diff RUN --exact",
    "HALTED": "see athena halted",
    "POLICY_BUDGET_EXCEEDED": "see athena policy get",
    "POLICY_CONCURRENCY_LIMIT_EXCEEDED": "retry later, or see athena policy get",
    "PROVIDER_NOT_FOUND": "see athena capabilities",
    "RUN_NOT_ENDED": "wait for its end, or cancel it: athena cancel RUN",
    "RUN_NOT_PAUSED": "see athena explain RUN",
    "SUBJECT_CHANGED": "look at it again, and then decide",
}
"""Remedies by error code, where the server gives none."""

MESSAGES: Mapping[str, str] = {
    "AUTH_IDENTITY_MISSING": "the server requires an identity",
    "AUTH_PROXY_UNTRUSTED": "the server accepts no identity from this address",
    "AUTH_TOKEN_EXPIRED": "the token in ATHENA_TOKEN has expired",
    "AUTH_TOKEN_INVALID": "the token in ATHENA_TOKEN is unknown or was revoked",
    "AUTH_TOKEN_MISSING": "the server requires a token",
}
"""Messages by error code, where the server names headers that people did not type."""


def exit_of(error: Mapping[str, Any], status: int, request: str = "", names: Sequence[str] = ()) -> Exit:
    """Return the exit for an error of the API: ``error`` of the envelope, its HTTP status, and its request.

    ``names`` are the path parameters of the request, which have no flag.
    """
    code = error["code"]
    message, remedy = MESSAGES.get(code, error["message"]), REMEDIES.get(code, "")
    if (faults := faults_of(error.get("details"))) and code != "CURSOR_INVALID":
        message, remedy = _faults_sentence(faults, names)
    elif noun := NOUN.search(message):
        remedy = f"see athena {LISTS[noun[1]]} list" if noun[1] in LISTS else remedy
    trace_id = error.get("traceId")
    note = " · ".join(part for part in (code, request, f"trace id {trace_id}" if trace_id else "") if part)
    return _kind_of(code, status)(message, remedy, note=note, error=error)


def exit_of_local(error: "AthenaError", details: object) -> Exit:
    """Return the exit for an error of a command that works directly on the state directory."""
    from athena_api.edge.replies import status_of
    from athena_core.errors import ConfigError

    remedies = dict.fromkeys(str(fault.get("remedy") or "") for fault in faults_of(details))
    remedy = "; ".join(filter(None, remedies))
    remedy = f"give {remedy}" if GIVEN.match(remedy) and remedy not in error.message else remedy
    body = {"code": error.code, "message": error.message, "retryable": error.retryable, "details": details}
    note = "" if isinstance(error, ConfigError) else error.code
    return _kind_of(error.code, status_of(error))(error.message, remedy, note=note, error=body)


def _kind_of(code: str, status: int) -> type[Exit]:
    if status == 404 and code != "UNKNOWN_ERROR":
        return Absent
    if status in {401, 403, 421, 429} or code == "HALTED":
        return NotAllowed
    if status in {400, 414, 422, 431} or code == "PAYLOAD_TOO_LARGE":
        return Misused
    return Failed


def faults_of(details: object) -> list[Mapping[str, Any]]:
    """Return the faults in the details of an error, each with ``field``, ``reason`` and maybe ``remedy``."""
    faults = details if isinstance(details, list) else []
    return [fault for fault in faults if isinstance(fault, dict) and {"field", "reason"} <= fault.keys()]


def _faults_sentence(faults: list[Mapping[str, Any]], names: Sequence[str]) -> tuple[str, str]:
    """Return the message and the remedy of wrong fields, named as the flags that people typed."""
    said = [
        f"{field_name(fault['field'], names)}: {PREFIX.sub('', str(fault['reason']), count=1)}"
        for fault in faults[:FAULTS_MAX]
    ]
    more = len(faults) - FAULTS_MAX
    message = "; ".join(said) + (f"; and {more} more (see -o json)" if more > 0 else "")
    remedy = str(faults[0].get("remedy") or "") if len(faults) == 1 else ""
    if remedy in message:
        return message, ""
    if MEMBERS.fullmatch(remedy):  # members of the request
        return message, "give one of " + ", ".join(
            f"--{flag(name)}" for name in remedy.removeprefix("give one of ").split(", ")
        )
    return message, f"give {remedy}" if GIVEN.match(remedy) else remedy


def field_name(field: str, names: Sequence[str] = ()) -> str:
    """Return the flag of a field of a request, with its path inside an object; a path parameter in capitals."""
    name, dot, _ = str(field).partition(".")
    if name in names:
        return flag(name).replace("-", "_").upper()
    return f"--{flag(name)}" + (f" ({field})" if dot else "")


def usage_of(error: CycloptsError) -> Misused:
    """Return the exit for arguments that cannot be parsed."""
    command = " ".join(("athena", *(error.command_chain or ())))
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error, command)
    if isinstance(error, UnknownOptionError):
        option = (error.token.keyword or error.token.value).partition("=")[0]
        near = re.search(r"Did you mean (--\S+)\?", str(error))
        remedy = f"did you mean {near[1]}?" if near else f"see {command} --help"
        if option in CONNECTION:
            remedy = "it works directly on the state directory (ATHENA_STATE_DIR), without a server"
        if option == "--as-of":
            remedy = "only commands that show or list records have a past"
        return Misused(f"{command} has no option {option}", remedy)
    if isinstance(error, UnusedCliTokensError):
        more = ", ".join(map(repr, error.unused_tokens or ()))
        return Misused(f"{command}: unexpected argument {more}", f"see {command} --help")
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        missing = f"{name} needs a value" if error.keyword else f"{command} needs {name}"
        return Misused(missing, f"see {command} --help")
    message = str(error).rstrip(".")
    if isinstance(error, CoercionError):
        if choice := CHOICE.match(message):
            allowed = ", ".join(sorted(re.findall('"(.*?)"', choice[3])))
            meant = f"did you mean {choice[4]}?" if choice[4] else f"see {command} --help"
            return Misused(f"{choice[2]}: '{choice[1]}' is not one of {allowed}", meant)
        if number := NUMBER.fullmatch(message):
            return Misused(f"{number[1]} needs a {NUMBERS[number[3]]}, not '{number[2]}'", f"see {command} --help")
    return Misused(message[:1].lower() + message[1:])


def _unknown_command(error: UnknownCommandError, command: str) -> Misused:
    import difflib

    word = (error.unused_tokens or ["?"])[0]
    chain = [*(error.command_chain or ())]
    names = [name for name in (error.app._commands if error.app else ()) if not name.startswith("-")]
    verb = [VERBS[word]] if VERBS.get(word) in names else difflib.get_close_matches(word, names, n=1)
    close = [" ".join([*chain, name]) for name in verb]
    near = NEAR.get(" ".join([*chain, word])) or next(iter(close), None)
    remedy = f"did you mean athena {near}?" if near else f"see {command} --help"
    return Misused(f"{command} has no command '{word}'" if chain else f"unknown command '{word}'", remedy)
