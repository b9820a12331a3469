"""Reviews by personas, and the files that define personas."""

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
    """Have a persona review what changed between two commits; the gate is in the result, not in the exit code.

    Args:
        name: The persona.
        repo: The repository, in the workspace.
        head: What is reviewed: a branch, a tag or a commit.
        base: What it is compared with, as the persona says if absent.
        session: The session that the review belongs to; a new one if absent.
        out_json: Where to put the result, in the workspace.
        out_md: Where to put the report, in the workspace.
        stdout: What to print, as the persona says if absent; with `-o json` the whole answer is printed instead.
        provider: A provider, instead of the persona's profile.
        model: A model of that provider.
        connection: How to reach the plane.
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
    """Print a review as JSON, or its text for people. Raise Failed where it has no result, or a failed one."""
    import msgspec

    answer = msgspec.json.decode(data)
    if machine:
        render.show(data, machine)
    if "stdout" not in answer:  # its run is paused, or took too long
        raise Failed(f"the review goes on: athena persona show {answer['runId']}")
    if answer["stdout"] and not machine:
        render.say(answer["stdout"].rstrip("\n"))
    if answer["result"]["status"] == "failed":
        raise Failed(answer["result"]["error"]["message"])


def init_persona(
    id: str, /, *, role: str | None = None, description: str | None = None, options: OutputOptions | None = None
) -> None:
    """Write the definition of a persona, to be edited: personas/<id>.json of the workspace.

    Args:
        id: Its name.
        role: What it is, such as reviewer.
        description: What it is told about itself.
        options: How to show it.
    """
    import msgspec

    from athena_core.services.reviews.definitions import PersonaFiles
    from athena_core.tools.workspace import PERSONAS, open_workspace
    from athena_core.values import NAME

    if not NAME.fullmatch(id) or id in {".", ".."}:
        raise Misused(f"{id!r} is no name: letters, digits, dots, underscores and dashes")
    settings = settings_of()
    path = settings.workspace_root / PERSONAS / f"{id}.json"
    about = " ".join(part for part in (role, description) if part) or "Reviews changes."
    definition = {
        "schemaVersion": 1,
        "id": id,
        "description": about,
        "git": {"baseRefDefault": "main", "requireCleanWorktree": True},
        "review": {"rubric": "What is wrong, what could be simpler, what is not tested."},
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
    """Read the definition of a persona as a review would, and show it with its defaults.

    Args:
        id: Its name.
        options: How to show it.
    """
    from athena_core.services.reviews.definitions import PersonaFiles
    from athena_core.tools.workspace import open_workspace

    settings = settings_of()
    definition = PersonaFiles(open_workspace(settings)).read(id, "id")
    place = "/".join(definition.folder)
    show_value({"status": "valid", "id": id, "folder": place, "definition": definition.persona}, options)
