"""The dialog on a terminal that decides an ask: yes, no, an edited call, always, a choice, or the fields of a form."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from athena_cli import render
from athena_cli.exit_codes import Misused
from athena_cli.output.ask_text import (
    ask_lines,
    call_lines,
    choices,
    decoded,
    field_lines,
    is_locked,
    marks_in,
    visible,
    with_exact,
)
from athena_cli.output.options import span_ms

Remember = Literal["run", "session", "profile"]
SCOPES: Mapping[str, Remember] = {
    **dict.fromkeys(("r", "run"), "run"),
    **dict.fromkeys(("s", "session"), "session"),
    **dict.fromkeys(("p", "profile"), "profile"),
}
USUAL: Mapping[Remember, str] = {"run": "1d", "session": "7d", "profile": "30d"}
"""How long the server remembers a call if the person does not say it."""

YES, NO = ("y", "yes"), ("n", "no")
EXACT = ("e", "exact")
EDIT, ALWAYS, LEAVE = ("e", "edit"), ("a", "always"), ("", "q", "quit")
BOOLEANS: Mapping[str, bool] = {**dict.fromkeys((*YES, "true"), True), **dict.fromkeys((*NO, "false"), False)}


class Decision(NamedTuple):
    """A decision about an ask. ``edited`` are the arguments of the call that is allowed instead."""

    option_id: str
    note: str | None = None
    values: dict[str, Any] | None = None
    edited: dict[str, Any] | None = None
    remember: Remember | None = None
    remember_ms: int | None = None


def positive(ask: Mapping[str, Any]) -> str | None:
    """Return the only option that allows something; None if there are several."""
    found = [str(option["id"]) for option in choices(ask)]
    return found[0] if len(found) == 1 else None


def negative(ask: Mapping[str, Any]) -> str | None:
    """Return the option that refuses, if there is one."""
    options = ask.get("options") or ()
    return next((str(option["id"]) for option in options if option.get("kind") == "reject_once"), None)


def show_ask(ask: Mapping[str, Any]) -> None:
    """Print an ask. On a terminal, the marks in it stand out."""
    lines = ask_lines(ask, render.width())
    if not render.on_terminal():
        for line in lines:
            render.say(line)
        return

    from rich.text import Text

    from athena_core.text import printable

    def drawn(line: str) -> Text:
        text = Text(printable(line))
        for start, end in marks_in(line, ask):
            text.stylize("reverse", start, end)
        return text

    render.draw(map(drawn, lines))


def decide(ask: Mapping[str, Any], width: int, exact: Callable[[], dict[str, Any]]) -> Decision | None:
    """Ask the person at the terminal. Return None if nothing was decided.

    ``exact`` opens the exact text of an ask that hides a part. Only then it can be allowed.
    """
    with suppress(ImportError):
        import readline  # noqa: F401 - longer lines than the terminal's own 4,095 characters
    try:
        if is_locked(ask):
            return _open(ask, width, exact)
        if ask["kind"] == "choice":
            return _choose(ask)
        if ask["kind"] == "question":
            return _fill_in(ask)
        return _allow(ask, width)
    except EOFError:
        render.say("")
        return None


def _read(prompt: str) -> str:
    return input(prompt).strip()


def _refusal(ask: Mapping[str, Any]) -> Decision:
    return Decision(negative(ask) or "deny", note=_read("Reason (Enter for none): ") or None)


def _open(ask: Mapping[str, Any], width: int, exact: Callable[[], dict[str, Any]]) -> Decision | None:
    """Ask until the exact text is opened, and then for the decision, or the ask is refused or left."""
    while True:
        typed = _read("Allow it? Open it first: [e]xact text (recorded), [n]o: ").lower()
        if typed in EXACT:
            opened = with_exact(exact())
            show_ask(opened)
            return decide(opened, width, exact) if not is_locked(opened) else None
        if typed in NO:
            return _refusal(ask)
        if typed in LEAVE:
            return None


def _allow(ask: Mapping[str, Any], width: int) -> Decision | None:
    """Ask until the call or the step is allowed, refused or left."""
    edits = bool(ask.get("editable")) and ask.get("arguments") is not None
    edited: dict[str, Any] | None = None
    option = positive(ask) or "allow"
    while True:
        remembers = ask["kind"] == "tool-permission" and edited is None and not ask.get("hidden")
        verb = "Approve" if ask["kind"] == "workflow-approval" else "Allow"
        words = ["[y]es", "[n]o", *(["[e]dit"] if edits else ()), *(["[a]lways"] if remembers else ())]
        typed = _read(f"{verb} {'the changed call' if edited else 'it'}? {', '.join(words)}: ").lower()
        if typed in YES:
            return Decision(option, edited=edited)
        if typed in NO:
            return _refusal(ask)
        if typed in ALWAYS and remembers:
            return _always(option)
        if typed in EDIT and edits:
            original = decoded(ask["arguments"])
            changed = _edit(edited if edited is not None else original or {})
            edited = (None if changed == original else changed) if changed is not None else edited
            for line in call_lines(str(ask.get("toolName")), _text(edited or original or {}), width):
                render.say(line)
        elif typed in LEAVE:
            return None


def _always(option: str) -> Decision | None:
    """Ask where and how long exactly this call is allowed from now on."""
    where = "For this [r]un, its [s]ession, or every run of its agent [p]rofile? "
    while (typed := _read(where).lower()) not in SCOPES:
        if typed in LEAVE:
            return None
    scope = SCOPES[typed]
    while True:
        span = _read(f"For how long? (such as 8h or 30d; Enter for {USUAL[scope]}) ")
        try:
            return Decision(option, remember=scope, remember_ms=span_ms(span) if span else None)
        except ValueError as error:
            render.say(str(error))


def _text(arguments: Mapping[str, Any]) -> str:
    import msgspec

    return msgspec.json.encode(arguments).decode()


def _edit(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arguments as the person edited them; None if they are left as they were."""
    from athena_core.settings import other_environment

    environment = other_environment()
    editor = environment.get("VISUAL") or environment.get("EDITOR")
    text = _pretty(arguments)
    while True:
        typed = _edit_file(shlex.split(editor), text) if editor else _read("The arguments as JSON, in one line: ")
        if not typed.strip():
            return None
        changed = decoded(typed)
        if changed is not None:
            return changed
        render.say("This is not a JSON object.")
        if editor and _read("Edit it again? [y/N] ").lower() not in YES:
            return None
        text = typed


def _pretty(arguments: Mapping[str, Any]) -> str:
    import msgspec

    from athena_core.text import escape_json

    return escape_json(msgspec.json.format(msgspec.json.encode(arguments), indent=2)).decode() + "\n"


def _edit_file(editor: list[str], text: str) -> str:
    """Open an editor on a file that only its owner can read. Return what it holds afterwards. Raise Misused."""
    import subprocess
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", prefix="athena-ask-", suffix=".json", encoding="utf-8", delete=False) as file:
        file.write(text)
    path = Path(file.name)
    try:
        code = subprocess.run([*editor, file.name], check=False).returncode
        return path.read_text("utf-8", errors="replace") if code == 0 else ""
    except OSError as error:
        raise Misused(f"cannot start the editor {editor[0]!r}: {error.strerror}", "set EDITOR") from error
    finally:
        path.unlink(missing_ok=True)


def _choose(ask: Mapping[str, Any]) -> Decision | None:
    """Ask for one of the options, by its number."""
    ids = [str(option["id"]) for option in choices(ask)]
    while True:
        typed = _read(f"Which one? {ids[0]} to {ids[-1]}, or [n]one of them: ").lower()
        if typed in ids:
            return Decision(typed)
        if typed in (*NO, "none"):
            return _refusal(ask)
        if typed in LEAVE:
            return None


def _fill_in(ask: Mapping[str, Any]) -> Decision | None:
    """Ask whether to answer, then for each field of the form."""
    while (typed := _read("Answer it? [y]es, [n]o: ").lower()) not in YES:
        if typed in NO:
            return _refusal(ask)
        if typed in LEAVE:
            return None
    form = ask.get("form") or {}
    required = set(form.get("required") or ())
    fields: Mapping[str, Any] = form.get("properties") or {}
    values = {}
    for number, (name, field) in enumerate(fields.items(), 1):
        for line in field_lines(name, field, f"{number} of {len(fields)}", required=name in required):
            render.say(line)
        value = _read_field(field, required=name in required)
        if value is not None:
            values[name] = value
    return Decision(positive(ask) or "answer", values=values)


def _read_field(field: Mapping[str, Any], *, required: bool) -> Any:
    """Return a value that the field takes; None if it is left out."""
    from athena_core.schema import Schema

    schema = Schema(dict(field))
    while True:
        typed = _read("> ")
        if not typed:
            if "default" in field or not required:
                return field.get("default")
            render.say("A value is required.")
            continue
        value = _parsed(field, typed)
        problems = [*schema.problems(value), *_format_problem(field, value)]
        if not problems:
            return value
        render.say(visible(problems[0].removeprefix("/: ")))


def _format_problem(field: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield the problem of a date or a time, whose format the schema does not check."""
    kind = {"date": date, "date-time": datetime}.get(str(field.get("format")))
    if kind is not None:
        try:
            kind.fromisoformat(str(value))
        except ValueError:
            yield f"it is not a {field['format']} such as {'2026-10-03' if kind is date else '2026-10-03T18:00:00Z'}"


def _parsed(field: Mapping[str, Any], typed: str) -> Any:
    """Return what was typed as a value of the field's type, or as it is if it is none."""
    listed = field.get("enum") or ()
    if listed and typed not in listed and typed.isdecimal() and 0 < int(typed) <= len(listed):
        return listed[int(typed) - 1]
    kind = field.get("type")
    if kind == "boolean":
        return BOOLEANS.get(typed.lower(), typed)
    if kind in {"integer", "number"}:
        with suppress(ValueError):
            return int(typed)
        if kind == "number":
            with suppress(ValueError):
                return float(typed)
    return typed
