"""Definitions of personas: reviewers and correspondents, as files of the workspace define them."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

from athena_core.enums import PersonaStdout
from athena_core.errors import ConfigError
from athena_core.event import Value
from athena_core.services.reviews.result import ContextFileKind
from athena_core.tools.refusal import PathRefused, ToolRefused
from athena_core.tools.workspace import PERSONAS as FOLDER
from athena_core.tools.workspace import Parts, Workspace, parts_of
from athena_core.values import LIST_ITEMS_MAX, NAME, Label, RecordId

DEFINITION_BYTES_MAX = 256_000
CONTEXT_FILE_BYTES_MAX = 1_000_000
CONTEXT_FILE_CHARS = 8_000
CONTEXT_TOTAL_CHARS = 16_000
CHARS_MAX = 1_000_000
REFERENCED_FILES_MAX = 50

FileNames = Annotated[tuple[Label, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)]
Chars = Annotated[int, msgspec.Meta(ge=1, le=CHARS_MAX)]


class PersonaContext(Value):
    """The files that a persona reads first; sizes in characters.

    ``workspace_doc_files`` are relative to the workspace, the others to the folder of the definition.
    """

    prompt_files: FileNames = ()
    skill_files: FileNames = ()
    doc_files: FileNames = ()
    workspace_doc_files: FileNames = ()
    max_file_chars: Chars = CONTEXT_FILE_CHARS
    max_total_chars: Chars = CONTEXT_TOTAL_CHARS


class PersonaGit(Value):
    """The default base of a persona's comparison, and whether the worktree must be clean."""

    base_ref_default: Label = "main"
    require_clean_worktree: bool = True
    base_ref_autodetect: bool = True


class PersonaReview(Value):
    """The files that a persona reviews, by globs (all by default), and how many changed files it gets in full."""

    scope: Label | None = None
    include_globs: FileNames = ()
    exclude_globs: FileNames = ()
    rubric: str | None = None
    max_referenced_files: Annotated[int, msgspec.Meta(ge=0, le=REFERENCED_FILES_MAX)] = 0
    max_referenced_file_chars: Chars = 4_000


class PersonaOutput(Value):
    """The default outputs of a review beside its record; paths are relative to the workspace."""

    default_format: Label | None = None
    write_json_file: Label | None = None
    write_markdown_file: Label | None = None
    stdout_default: PersonaStdout | None = None


class PersonaDefinition(Value):
    """A persona. Unknown fields of its definition are ignored."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)]
    id: str
    description: str | None = None
    harness_profile_id: RecordId | None = None
    context: PersonaContext = PersonaContext()
    skills: FileNames = ()
    git: PersonaGit = PersonaGit()
    review: PersonaReview = PersonaReview()
    output: PersonaOutput = PersonaOutput()


CODE_REVIEW = PersonaDefinition(
    schema_version=1,
    id="code-review",
    description="You review changes to code as a careful colleague.",
    git=PersonaGit(require_clean_worktree=False),
    review=PersonaReview(
        rubric="Report defects first: wrong results, lost data, security, races, errors that are swallowed. Then report"
        " missing tests, and code that is more complex than its task. Name the file and line, and say what would be"
        " better. Do not report matters of taste.",
    ),
)
BUILT_IN: Mapping[str, PersonaDefinition] = {CODE_REVIEW.id: CODE_REVIEW}
"""Personas of the package, used where the workspace defines none of their name."""


class LoadedPersona(Value):
    """A persona, and the folder of its files in the workspace; a built-in persona has no files."""

    persona: PersonaDefinition
    folder: Parts


class NamedFile(NamedTuple):
    """A file that a definition names: its kind, its path in the workspace and its content."""

    kind: ContextFileKind
    path: str
    data: bytes


class PersonaFiles:
    """Reads definitions: ``personas/<name>.json`` or ``personas/<name>/persona.json`` of the workspace, or built-in.

    Only this class opens ``personas``, which is closed to tools, reports and references.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._plain = workspace
        self._workspace = workspace.with_personas()

    def read(self, name: str, field: str) -> LoadedPersona:
        """Return the current persona of this name. Raise ConfigError naming ``field``. Blocking, for a small file."""
        places = ((FOLDER, f"{name}.json"), (FOLDER, name, "persona.json"))
        for parts in places if NAME.fullmatch(name) and name not in {".", ".."} else ():
            try:
                text = self._workspace.read(parts, DEFINITION_BYTES_MAX, "Put long texts into files of its context.")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ToolRefused) as error:
                raise ConfigError.of(field, f"{'/'.join(parts)} cannot be read: {error}") from error
            return LoadedPersona(persona=parse_persona(text, name, field, "/".join(parts)), folder=parts[:-1])
        if name in BUILT_IN:
            return LoadedPersona(persona=BUILT_IN[name], folder=())
        remedy = f"a persona defined in {FOLDER}/<name>.json or {FOLDER}/<name>/persona.json of the workspace"
        raise ConfigError.of(field, f"no persona {name!r} is defined", remedy)

    def context(self, definition: LoadedPersona, field: str) -> list[NamedFile]:
        """Read the files that a definition names, in its order. Raise ConfigError naming ``field``. Blocking."""
        spec = definition.persona.context
        own, whole = (self._workspace, definition.folder), (self._plain, ())
        named: tuple[tuple[ContextFileKind, FileNames, tuple[Workspace, Parts]], ...] = (
            ("prompt", spec.prompt_files, own),
            ("skill", spec.skill_files, own),
            ("doc", spec.doc_files, own),
            ("workspace-doc", spec.workspace_doc_files, whole),
        )
        files: list[NamedFile] = []
        for kind, names, (workspace, folder) in named:
            for name in names:
                try:
                    parts = (*folder, *parts_of(name))
                    data = workspace.read(parts, CONTEXT_FILE_BYTES_MAX, "Name a smaller file.")
                except (OSError, ToolRefused) as error:
                    raise _unreadable(definition, kind, name, field, error) from error
                files.append(NamedFile(kind, "/".join(parts), data))
        return files

    def check(self, definition: LoadedPersona, field: str) -> None:
        """Check what a review checks of a definition: its files, and where it writes. Raise ConfigError."""
        self.context(definition, field)
        output = definition.persona.output
        for member, path in (
            ("writeJsonFile", output.write_json_file),
            ("writeMarkdownFile", output.write_markdown_file),
        ):
            if path is not None:
                output_path(self._plain, path, f"output.{member}")


def _unreadable(
    definition: LoadedPersona, kind: ContextFileKind, name: str, field: str, error: OSError | ToolRefused
) -> ConfigError:
    """Return the error for a file that a definition names. ``field`` of the caller is the name of the persona."""
    why = error.problem if isinstance(error, PathRefused) else getattr(error, "strerror", None) or "refused"
    reason = f"the {kind} file {name!r} of persona {definition.persona.id!r} cannot be read: {why}"
    return ConfigError.of(field, reason, "create the file, or correct the definition of the persona")


def output_path(workspace: Workspace, path: str, field: str) -> str:
    """Return a path of the workspace, to which a review may write. Raise ConfigError naming ``field``."""
    try:
        parts = parts_of(path)
    except PathRefused as refusal:
        raise ConfigError.of(field, refusal.problem, "a path inside the workspace") from refusal
    if not parts:
        raise ConfigError.of(field, f"{path!r} is the workspace itself, not a file", "a file in the workspace")
    try:
        workspace.check(parts, write=True)
    except PathRefused as refusal:
        raise ConfigError.of(field, refusal.problem, "another file in the workspace") from refusal
    return "/".join(parts)


def parse_persona(text: bytes, name: str, field: str, place: str) -> PersonaDefinition:
    """Parse a definition from JSON. Raise ConfigError naming ``field``."""
    try:
        persona = msgspec.json.decode(text, type=PersonaDefinition)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError.of(
            field, f"{place} is not a valid persona: {error}", "see docs/reference/personas.md"
        ) from error
    if persona.id != name:
        raise ConfigError.of(field, f"{place} defines {persona.id!r}", f"the id {name!r} in the file")
    return persona
