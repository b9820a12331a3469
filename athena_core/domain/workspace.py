"""The workspace of a session or of a workflow run: a directory tree in which its runs work."""

from typing import Annotated, ClassVar

from msgspec.structs import asdict, replace

from athena_core.decider import Context, Decider, Reader
from athena_core.enums import WorkspaceEnd, WorkspaceKind, WorkspaceSource
from athena_core.errors import NotFound, WorkspaceLimit
from athena_core.event import Event, Guard, Recorded, Shows, Value, says

WORKSPACES_MAX = 10_000
"""Maximum number of workspaces of sessions and workflow runs that are not cleaned."""

FILES_MAX = 500_000
"""Maximum number of files of a new workspace."""

DIFF_BYTES_MAX = 1_000_000
"""Maximum size of the recorded diff of a run."""

DIFF_FILES_MAX = 10_000
"""Maximum number of changed files that are listed."""

DIFF_LABEL = "workspace-diff"
"""The label of the evidence with the diff of a run."""

WORKSPACE_GUARD = "workspace"
"""The guard kind of workspaces that are not cleaned: the id of the workspace, by its place."""

# Stored events. Their TYPE is storage: never rename one.


class WorkspaceCreated(Event):
    """The first run of ``owner``, a session or a workflow run, got a workspace.

    ``commit`` is the commit of a clone. ``run_id`` is that run.
    """

    TYPE: ClassVar[str] = "workspace.created"
    SHOWS: ClassVar[Shows] = Shows(console=True)
    workspace_id: str
    kind: Annotated[WorkspaceKind, says("Whether it belongs to a session or to a workflow run.")]
    owner: str
    source: Annotated[WorkspaceSource, says("How it was made from the shared workspace.")]
    run_id: str
    commit: str | None = None

    @property
    def place(self) -> str:
        """The owner with its kind, as the guard names it."""
        return place_of(self.kind, self.owner)


class WorkspaceRetained(Event):
    """An identity decided whether the workspace is kept: not cleaned because it is unused."""

    TYPE: ClassVar[str] = "workspace.retained"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workspace_id: str
    keep: bool
    by: Annotated[str, says("Identity that decided it.")]


class WorkspaceApplied(Event):
    """An identity wrote the changes of a run into the shared workspace; ``files`` is the number of files written.

    ``subject_sha256`` is the hash of the changes, None before 0.3.
    """

    TYPE: ClassVar[str] = "workspace.applied"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workspace_id: str
    run_id: str
    files: int
    by: Annotated[str, says("Identity that applied the changes.")]
    subject_sha256: str | None = None


class ExactDiffOpened(Event):
    """An identity opened the exact diff of a run. It may apply the changes although the shown diff hides parts."""

    TYPE: ClassVar[str] = "workspace.exact-opened"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workspace_id: str
    run_id: str
    subject_sha256: str
    by: Annotated[str, says("Identity that opened it.")]


class WorkspaceCleaned(Event):
    """The workspace is deleted: on request, because it was unused for too long, or with the text of its owner."""

    TYPE: ClassVar[str] = "workspace.cleaned"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    workspace_id: str
    kind: Annotated[WorkspaceKind, says("Whether it belonged to a session or to a workflow run.")]
    owner: str
    cause: Annotated[WorkspaceEnd, says("Why it was deleted.")]
    by: Annotated[str | None, says("Identity that requested it; absent if no person did.")] = None


# State


class WorkspaceState(Value):
    """The workspace; None before it is created."""

    created: WorkspaceCreated | None = None
    keep: bool = False
    cleaned: bool = False
    opened: frozenset[tuple[str, str]] = frozenset()
    """The identities that opened exact diffs, each with the hash of the changes."""


def evolve(state: WorkspaceState, event: Event) -> WorkspaceState:
    match event:
        case WorkspaceCreated():
            return replace(state, created=event)
        case WorkspaceRetained(keep=keep):
            return replace(state, keep=keep)
        case WorkspaceCleaned():
            return replace(state, cleaned=True)
        case ExactDiffOpened(by=by, subject_sha256=subject):
            return replace(state, opened=state.opened | {(by, subject)})
        case _:
            return state


# Guards


def place_of(kind: WorkspaceKind, owner: str) -> str:
    """Return the name of an owner in a guard."""
    return f"{kind}:{owner}"


def workspace_at(reader: Reader, place: str) -> str | None:
    """Return the id of the workspace of an owner, None if it has none. Reads one guard."""
    guard = reader.guards(WORKSPACE_GUARD).get(place)
    return None if guard is None else str(guard[0])


def check_room(reader: Reader) -> None:
    """Raise WorkspaceLimit if no further workspace may be created."""
    if (count := len(reader.guards(WORKSPACE_GUARD))) >= WORKSPACES_MAX:
        raise WorkspaceLimit(f"{count} workspaces exist. Clean some (`athena workspaces clean`), then retry.")


def _created_guards(recorded: Recorded[WorkspaceCreated]) -> tuple[Guard, ...]:
    event = recorded.event
    return (Guard(kind=WORKSPACE_GUARD, key=event.place, value=(event.workspace_id,)),)


def _cleaned_guards(recorded: Recorded[WorkspaceCleaned]) -> tuple[Guard, ...]:
    event = recorded.event
    return (Guard(kind=WORKSPACE_GUARD, key=place_of(event.kind, event.owner), value=None),)


# Commands


class CreateWorkspace(Value):
    """Create a workspace under a new id, unless its owner has one."""

    workspace: WorkspaceCreated


class RetainWorkspace(Value):
    """Set whether a workspace is kept."""

    workspace_id: str
    keep: bool
    by: str


class NoteApplied(Value):
    """Record that the changes of a run were written into the shared workspace."""

    workspace_id: str
    run_id: str
    files: int
    by: str
    subject_sha256: str


class NoteExactDiff(Value):
    """Record that an identity opened the exact diff of a run, once."""

    workspace_id: str
    run_id: str
    subject_sha256: str
    by: str


class CleanWorkspace(Value):
    """Clean a workspace; ``by`` is who requested it."""

    workspace_id: str
    cause: WorkspaceEnd
    by: str | None = None


WorkspaceCommand = CreateWorkspace | RetainWorkspace | NoteApplied | NoteExactDiff | CleanWorkspace


def decide(command: WorkspaceCommand, state: WorkspaceState, context: Context) -> tuple[Event, ...]:
    """Create, keep or clean the workspace once, or record an apply or a read. Raise NotFound if it does not exist."""
    if isinstance(command, CreateWorkspace):
        return () if state.created else (command.workspace,)
    if state.created is None:
        raise NotFound(f"no workspace {command.workspace_id!r} exists")
    match command:
        case RetainWorkspace(workspace_id=workspace_id, keep=keep, by=by):
            if state.cleaned or state.keep == keep:
                return ()
            return (WorkspaceRetained(workspace_id=workspace_id, keep=keep, by=by),)
        case NoteApplied():
            return (WorkspaceApplied(**asdict(command)),)
        case NoteExactDiff(subject_sha256=subject, by=by):
            return () if (by, subject) in state.opened else (ExactDiffOpened(**asdict(command)),)
        case CleanWorkspace(workspace_id=workspace_id, cause=cause, by=by):
            if state.cleaned or (cause == "policy" and state.keep):
                return ()
            kind, owner = state.created.kind, state.created.owner
            return (WorkspaceCleaned(workspace_id=workspace_id, kind=kind, owner=owner, cause=cause, by=by),)


DECIDER: Decider[WorkspaceState] = Decider(
    category="wsp",
    events=(WorkspaceCreated, WorkspaceRetained, WorkspaceApplied, ExactDiffOpened, WorkspaceCleaned),
    initial=WorkspaceState(),
    evolve=evolve,
    occupies={WorkspaceCreated: _created_guards, WorkspaceCleaned: _cleaned_guards},
)
