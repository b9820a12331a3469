"""Commands that show what a run changed in its workspace, apply it, and keep workspaces."""

import sys
from typing import Annotated, Any

from athena_cli import render
from athena_cli.client import ConnectionOptions, ReadOptions, output_of, request, request_data
from athena_cli.exit_codes import Misused
from athena_cli.flags import SWITCH

STYLES = {"+": "green", "-": "red", "@": "cyan"}
"""Colours of the lines of a diff on a terminal, by their first character."""

HEADS = ("diff ", "index ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new mode", "Binary files")


def diff(run: str, /, *, raw: Annotated[bool, SWITCH] = False, connection: ReadOptions | None = None) -> None:
    """Show what a run changed in the workspace of its session or workflow run, as a unified diff.

    Secrets of the server are masked in it, and control characters are replaced.

    Args:
        run: Id of the run.
        raw: Print the recorded text with its control characters, for `athena runs diff RUN --raw | git apply`.
        connection: Connection options.
    """
    data = request_data(connection, "getRunDiff", path={"runId": run})
    if output_of(connection) in {"json", "jsonl"}:
        render.show(data, output_of(connection), "getRunDiff")
        return

    from msgspec import json

    if raw and render.on_terminal():
        raise Misused("--raw needs a pipe or a file, because the text may control a terminal")
    show_diff(json.decode(data), raw=raw)


def show_diff(record: dict[str, Any], *, raw: bool = False) -> None:
    """Print the diff of a record, in colours on a terminal. Note what it lacks."""
    text = record.get("diff") or ""
    if raw:
        render.write_text(text)
    elif render.on_terminal():
        draw_diff(text)
    else:
        render.say(text, end="")
    for line in notes_of(record):
        render.note(line)


def notes_of(record: dict[str, Any]) -> list[str]:
    """Return what a diff does not show, and when it was applied."""
    notes = hidden_in(record)
    if not record["recorded"]:
        notes.append("The run recorded no changes: it has not ended, or it crashed.")
    elif not record["filesTotal"]:
        notes.append("The run changed no files.")
    notes += [f"Applied at {one['at']} by {one['by']}." for one in record["applied"][:1]]
    return notes


def hidden_in(record: dict[str, Any]) -> list[str]:
    """Return the changes of a run that its diff does not show."""
    hidden = []
    if record.get("redacted"):
        hidden.append("Not shown: the text of the diff was erased.")
    if record["truncated"]:
        hidden.append(f"Not shown whole: the diff of {record['filesTotal']:,} files is too large to be recorded.")
    if record["binaryFiles"]:
        hidden.append(f"Not shown: {record['binaryFiles']:,} binary files.")
    return hidden


def draw_diff(text: str) -> None:
    """Print a diff with colours."""
    from rich.text import Text

    from athena_core.text import printable

    lines = text.split("\n")
    render.draw(Text(printable(line), style_of(line)) for line in (lines[:-1] if lines[-1] == "" else lines))


def style_of(line: str) -> str:
    """Return the colour of a line of a diff."""
    return "bold" if line.startswith(HEADS) else STYLES.get(line[:1], "")


def apply(
    run: str,
    /,
    *,
    yes: Annotated[bool, SWITCH] = False,
    dry_run: Annotated[bool, SWITCH] = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Write what a run changed in its own workspace into the shared one. On a terminal, show the diff, then ask.

    Files that changed meanwhile are merged. If one cannot be, nothing is written. Secrets that the diff masks are
    written as they are.

    Args:
        run: Id of the run.
        yes: Do not ask. Required without a terminal.
        dry_run: Write nothing; show what would be done with each file.
        connection: Connection options.
    """
    if dry_run:
        request(connection, "applyRun", path={"runId": run}, body={"dryRun": True})
        return
    if not yes:
        if not (sys.stdin.isatty() and render.on_terminal()):
            raise Misused("athena runs apply needs --yes", "see athena runs diff, and --dry-run")

        from msgspec import json

        record = json.decode(request_data(connection, "getRunDiff", path={"runId": run}))
        show_diff(record)
        question = "Apply the hidden changes too? [y/N] " if hidden_in(record) else "Apply? [y/N] "
        if input(question).strip().lower() not in {"y", "yes"}:
            render.note("Nothing was written.")
            return
    request(connection, "applyRun", path={"runId": run}, body={})


def keep_workspace(
    workspace: str,
    /,
    *,
    release: Annotated[bool, SWITCH] = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Keep a workspace: it is not cleaned because it is unused.

    Args:
        workspace: Id of the workspace.
        release: Let it be cleaned again when it is unused.
        connection: Connection options.
    """
    request(connection, "keepWorkspace", path={"workspaceId": workspace}, body={"keep": not release})
