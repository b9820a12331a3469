"""Definitions of personas: who a reviewer or a correspondent is, as files of the workspace define it."""

from typing import Annotated

import msgspec

from athena_core.errors import ConfigError
from athena_core.event import Value
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.workspace import PERSONAS as FOLDER
from athena_core.tools.workspace import Parts, Workspace, parts_of
from athena_core.values import LIST_ITEMS_MAX, NAME, Label, PersonaStdout, RecordId

DEFINITION_BYTES_MAX = 256_000
CONTEXT_FILE_BYTES_MAX = 1_000_000
CONTEXT_FILE_CHARS = 8_000
CONTEXT_TOTAL_CHARS = 16_000
CHARS_MAX = 1_000_000
REFERENCED_FILES_MAX = 50

FileNames = Annotated[tuple[Label, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)]
Chars = Annotated[int, msgspec.Meta(ge=1, le=CHARS_MAX)]


class PersonaContext(Value):
    """What a persona reads before it begins; sizes in characters.

    ``workspace_doc_files`` are named from the workspace, the others from the folder of the definition.
    """

    prompt_files: FileNames = ()
    skill_files: FileNames = ()
    doc_files: FileNames = ()
    workspace_doc_files: FileNames = ()
    max_file_chars: Chars = CONTEXT_FILE_CHARS
    max_total_chars: Chars = CONTEXT_TOTAL_CHARS


class PersonaGit(Value):
    """How a persona compares: with what unless it is told, and whether the worktree has to be clean."""

    base_ref_default: Label = "main"
    require_clean_worktree: bool = True
    base_ref_autodetect: bool = True


class PersonaReview(Value):
    """What a persona looks at: globs of paths (none: everything), and how many changed files it is shown whole."""

    scope: Label | None = None
    include_globs: FileNames = ()
    exclude_globs: FileNames = ()
    rubric: str | None = None
    max_referenced_files: Annotated[int, msgspec.Meta(ge=0, le=REFERENCED_FILES_MAX)] = 0
    max_referenced_file_chars: Chars = 4_000


class PersonaOutput(Value):
    """What a review leaves beside its record, unless it is told otherwise; paths are relative to the workspace."""

    default_format: Label | None = None
    write_json_file: Label | None = None
    write_markdown_file: Label | None = None
    stdout_default: PersonaStdout | None = None


class PersonaDefinition(Value):
    """A persona (contract 4.13). What it does not know it ignores, as the original did."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)]
    id: str
    description: str | None = None
    harness_profile_id: RecordId | None = None
    context: PersonaContext = PersonaContext()
    skills: FileNames = ()
    git: PersonaGit = PersonaGit()
    review: PersonaReview = PersonaReview()
    output: PersonaOutput = PersonaOutput()


class LoadedPersona(Value):
    """A persona, and in which folder of the workspace its files are."""

    persona: PersonaDefinition
    folder: Parts


class PersonaFiles:
    """Reads definitions: ``personas/<name>.json`` or ``personas/<name>/persona.json`` of the workspace.

    It alone opens ``personas``, which is closed to tools, reports and references.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Read nothing yet."""
        self._workspace = workspace.with_personas()

    def read(self, name: str, field: str) -> LoadedPersona:
        """The persona of this name as it is now. Raises ConfigError naming ``field``. Blocking, for a small file."""
        places = ((FOLDER, f"{name}.json"), (FOLDER, name, "persona.json"))
        for parts in places if NAME.fullmatch(name) and name not in {".", ".."} else ():
            try:
                text = self._workspace.read(parts, DEFINITION_BYTES_MAX, "Put long texts into files of its context.")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ToolRefused) as error:
                raise ConfigError.of(field, f"{'/'.join(parts)} cannot be read: {error}") from error
            return LoadedPersona(persona=parse_persona(text, name, field, "/".join(parts)), folder=parts[:-1])
        remedy = f"a persona that {FOLDER}/<name>.json or {FOLDER}/<name>/persona.json of the workspace defines"
        raise ConfigError.of(field, f"no persona {name!r} is defined", remedy)

    def context(self, definition: LoadedPersona, name: str) -> tuple[Parts, bytes]:
        """A file that a definition names beside it. Raises ToolRefused and OSError."""
        parts = (*definition.folder, *parts_of(name))
        return parts, self._workspace.read(parts, CONTEXT_FILE_BYTES_MAX, "Name a smaller file.")


def parse_persona(text: bytes, name: str, field: str, place: str) -> PersonaDefinition:
    """A definition from its JSON. Raises ConfigError naming ``field``."""
    try:
        persona = msgspec.json.decode(text, type=PersonaDefinition)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError.of(field, f"{place} is no persona: {error}", "see docs/personas.md") from error
    if persona.id != name:
        raise ConfigError.of(field, f"{place} defines {persona.id!r}", f"the id {name!r} in the file")
    return persona
