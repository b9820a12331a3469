"""Commands that show what a run changed in its workspace, apply it, and keep workspaces."""

import sys
from typing import Annotated, Any, cast

from athena_cli import render
from athena_cli.client import ConnectionOptions, ReadOptions, output_of, request, request_data
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH

STYLES = {"+": "green", "-": "red", "@": "cyan"}
"""Colours of the lines of a diff on a terminal, by their first character."""

HEADS = ("diff ", "index ", "--- ", "+++ ", "new file", "deleted file", "old mode", "new mode", "Binary files")


def diff(
    run: str,
    /,
    *,
    raw: Annotated[bool, SWITCH] = False,
    exact: Annotated[bool, SWITCH] = False,
    connection: ReadOptions | None = None,
) -> None:
    """Show what a run changed in the workspace of its session or workflow run, as a unified diff.

    Parts that look like secrets are replaced by marks, and control characters are replaced. `--raw` refuses a
    diff that hides a part, because it cannot be applied; use `--exact`.

    Args:
        run: Id of the run.
        raw: Print the text with its control characters, for `athena runs diff RUN --raw | git apply`.
        exact: Show the exact diff, from the files of the workspace. Needs the right to apply, and is recorded.
        connection: Connection options.
    """
    parts = {"query": {"exact": "true"}} if exact else {}
    data = request_data(connection, "getRunDiff", path={"runId": run}, **parts)
    if output_of(connection) in {"json", "jsonl"}:
        render.show(data, output_of(connection), "getRunDiff")
        return

    from msgspec import json

    if raw and render.on_terminal():
        raise Misused("--raw needs a pipe or a file, because the text may control a terminal")
    record = json.decode(data)
    if raw and (record.get("secrets") if exact else record["hiddenTotal"]):
        raise Failed(_no_patch(record))
    show_diff(record, raw=raw)


def _no_patch(record: dict[str, Any]) -> str:
    if names := record.get("secrets"):
        return (
            f"The exact diff names secrets of the server in their place, so it cannot be applied: {', '.join(names)}."
        )
    hidden = record["hiddenTotal"]
    return f"The diff hides {hidden:,} parts, so it cannot be applied. Use --exact --raw, which is recorded."


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
    if record.get("exact"):
        return [f"Not shown exactly: {path}" for path in record.get("notShown") or ()]
    hidden = []
    if record.get("redacted"):
        hidden.append("Not shown: the text of the diff was erased.")
    if record["hiddenTotal"]:
        marks = "1 part looks like a secret" if record["hiddenTotal"] == 1 else f"{record['hiddenTotal']:,} parts"
        hidden.append(f"Not shown: {marks}. Marks stand in their place.")
    if record["truncated"]:
        hidden.append(f"Not shown whole: the diff of {record['filesTotal']:,} files is too large to be recorded.")
    if record["binaryFiles"]:
        hidden.append(f"Not shown: {record['binaryFiles']:,} binary files.")
    if record["exactNeeded"] and not hidden:
        hidden.append("Not shown: parts that an earlier release masked with ***.")
    return hidden


def draw_diff(text: str) -> None:
    """Print a diff with colours."""
    from rich.text import Text

    from athena_core.outside_text import visible_marks
    from athena_core.text import printable

    lines = text.split("\n")
    render.draw(
        Text(printable(visible_marks(line)), style_of(line)) for line in (lines[:-1] if lines[-1] == "" else lines)
    )


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

    Files that changed meanwhile are merged. If one cannot be, nothing is written. If the diff hides a part, the exact
    diff must be opened first, here or with `athena runs diff --exact`.

    Args:
        run: Id of the run.
        yes: Do not ask. Required without a terminal.
        dry_run: Write nothing; show what would be done with each file.
        connection: Connection options.
    """
    if dry_run:
        request(connection, "applyRun", path={"runId": run}, body={"dryRun": True})
        return
    if not yes and not (sys.stdin.isatty() and render.on_terminal()):
        raise Misused("athena runs apply needs --yes", "see athena runs diff, and --dry-run")

    from msgspec import json

    def fetched(**query: str) -> dict[str, Any]:
        found = request_data(connection, "getRunDiff", path={"runId": run}, query=query)
        return cast(dict[str, Any], json.decode(found))

    record = fetched()
    if not yes:
        show_diff(record)
        if record["exactNeeded"] and _agreed("Open the exact diff? This is recorded. [y/N] "):
            record = fetched(exact="true")
            show_diff(record)
        if not _agreed("Apply? [y/N] "):
            render.note("Nothing was written.")
            return
    request(connection, "applyRun", path={"runId": run}, body={"subjectHash": record.get("subjectHash")})


def _agreed(question: str) -> bool:
    return input(question).strip().lower() in {"y", "yes"}


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
