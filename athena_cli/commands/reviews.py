"""Commands that run code reviews and manage persona definitions."""

from typing import Literal

from athena_cli import render
from athena_cli.client import ConnectionOptions, machine_output_of, request_data, settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.render import OutputOptions, show_value


def run_persona(
    *,
    name: str,
    repo: str,
    head: str,
    base: str | None = None,
    session: str | None = None,
    out_json: str | None = None,
    out_md: str | None = None,
    stdout: Literal["summary", "json", "md", "none"] | None = None,
    provider: str | None = None,
    model: str | None = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Have a persona review the changes between two commits. The gate is in the result, not in the exit code.

    Args:
        name: Name of the persona.
        repo: Path of the repository in the workspace.
        head: Branch, tag or commit to review.
        base: Branch, tag or commit to compare with; the persona's default if absent.
        session: Session of the review; a new one if absent.
        out_json: File in the workspace for the result.
        out_md: File in the workspace for the report.
        stdout: Part to print; the persona's default if absent. `-o json` prints the whole response instead.
        provider: Model provider, instead of the persona's profile.
        model: A model of that provider.
        connection: Connection options.
    """
    body = {
        "name": name,
        "repoPath": repo,
        "headRef": head,
        "baseRef": base,
        "sessionId": session,
        "outJsonPath": out_json,
        "outMarkdownPath": out_md,
        "stdout": stdout,
        "provider": provider,
        "model": model,
    }
    render.note(f"Reviewing {head} as {name} ...")
    _show_review(request_data(connection, "runPersona", body=body), machine_output_of(connection))


def _show_review(data: bytes, machine: render.Output | None) -> None:
    """Print a review as JSON or as text. Raise Failed if it has no result yet, or failed."""
    import msgspec

    answer = msgspec.json.decode(data)
    if machine:
        render.show(data, machine)
    if "stdout" not in answer:  # its run is paused, or still in progress after the wait
        raise Failed(
            "the review is still in progress", f"see athena reviews get {answer['runId']}", printed=bool(machine)
        )
    if answer["stdout"] and not machine:
        render.say(answer["stdout"].rstrip("\n"))
    if answer["result"]["status"] == "failed":
        raise Failed(answer["result"]["error"]["message"], printed=bool(machine))


def init_persona(
    id: str, /, *, role: str | None = None, description: str | None = None, options: OutputOptions | None = None
) -> None:
    """Create a persona definition to edit: personas/<id>.json in the workspace.

    Args:
        id: Name of the persona.
        role: Role, such as reviewer.
        description: Description, part of its prompt.
        options: The output format.
    """
    import msgspec

    from athena_core.services.reviews.definitions import PersonaFiles
    from athena_core.tools.workspace import PERSONAS, open_workspace
    from athena_core.values import NAME

    if not NAME.fullmatch(id) or id in {".", ".."}:
        raise Misused(f"{id!r} is not a valid name; use letters, digits, dots, underscores and dashes")
    settings = settings_of()
    path = settings.workspace_root / PERSONAS / f"{id}.json"
    about = " ".join(part for part in (role, description) if part) or "Reviews changes."
    definition = {
        "schemaVersion": 1,
        "id": id,
        "description": about,
        "git": {"baseRefDefault": "main", "requireCleanWorktree": True},
        "review": {"rubric": "Report defects, needless complexity and missing tests."},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(definition), indent=2) + b"\n")
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error
    PersonaFiles(open_workspace(settings)).read(id, "id")
    show_value({"status": "written", "id": id, "path": f"{PERSONAS}/{id}.json"}, options)


def validate_persona(id: str, /, *, options: OutputOptions | None = None) -> None:
    """Validate a persona definition with its files and output paths, and show it with its defaults.

    A run also checks that its harness profile exists.

    Args:
        id: Name of the persona.
        options: The output format.
    """
    from athena_core.services.reviews.definitions import PersonaFiles
    from athena_core.tools.workspace import open_workspace

    settings = settings_of()
    files = PersonaFiles(open_workspace(settings))
    definition = files.read(id, "id")
    files.check(definition, "id")
    place = "/".join(definition.folder)
    show_value({"status": "valid", "id": id, "folder": place, "definition": definition.persona}, options)
