"""Rules of workspaces: each belongs to one session or workflow run, and records what its runs changed in it."""

from collections.abc import Iterator
from typing import NamedTuple

from athena_core.domain import run
from athena_core.domain.workflow_run import WorkflowStepStarted
from athena_core.domain.workspace import (
    DIFF_LABEL,
    WORKSPACES_MAX,
    ExactDiffOpened,
    WorkspaceApplied,
    WorkspaceCleaned,
    WorkspaceCreated,
    WorkspaceRetained,
)
from athena_core.event import Event, Unknown
from athena_core.outside_text import subject_hash
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule
from athena_core.services.proof.rules.run import RunRules

SOURCE = "workspace"
"""The source of the evidence with the diff of a run."""


class OpenedWorkspace:
    """The workspace that an open run works in, and the change that it recorded last."""

    def __init__(self, workspace_id: str, tree: str) -> None:
        self.workspace_id = workspace_id
        self.tree = tree
        """The content before the first step of the run."""
        self.changed: run.WorkspaceChanged | None = None
        """The last change, until the run ends or pauses in the same command."""
        self.command = ""
        self.diffs: dict[str, str] = {}
        """The diffs attached as evidence, with their commands."""


class RecordedSubject(NamedTuple):
    """The hash and the number of the files that a run changed. ``hides``: the recorded diff hides a part of them."""

    sha256: str
    files: int
    hides: bool


class WorkspaceRules(RuleSet):
    """The workspaces that are not cleaned, and those that open runs work in."""

    def __init__(self, runs: RunRules) -> None:
        self._runs = runs
        self._workspaces: dict[str, WorkspaceCreated] = {}
        self._places: dict[str, str] = {}
        """The workspace of each owner."""
        self._opened: dict[str, OpenedWorkspace] = {}
        self._changed: dict[str, dict[str, RecordedSubject]] = {}
        """The runs that recorded changes, with their hash, by workspace."""
        self._read: set[tuple[str, str]] = set()
        """The identities that opened exact diffs, each with the hash of the changes."""
        self._own: dict[str, tuple[str, str]] = {}
        """The kind and the owner of the workspace of each open run that has one."""
        self._step_runs: dict[str, str] = {}
        """The workflow runs of runs of steps: of open ones, and of all in ``_origins``."""
        self._origins: dict[str, str] = {}
        """The first run of a chain of retries, for runs that share the workspace of a workflow run."""

    # The rules

    @rule(WorkspaceCreated)
    def workspaces(self, row: Row, event: WorkspaceCreated) -> str | None:
        """A workspace is created once, in a stream of its own, for a run of its owner, which has no other one."""
        named = event.workspace_id
        if row.stream != named or row.version != 1:
            return f"{named} was created as event {row.version} of {row.stream}"
        if event.place in self._places:
            return f"{named} was created for {event.owner}, which has {self._places[event.place]}"
        if len(self._workspaces) >= WORKSPACES_MAX:
            return f"{named} is beyond the limit of {WORKSPACES_MAX} workspaces"
        return self._foreign(event, event.run_id)

    @rule(run.WorkspaceOpened)
    def openings(self, row: Row, event: run.WorkspaceOpened) -> str | None:
        """A run works in one workspace, from before its first turn, and in no other owner's."""
        found = self._workspaces.get(event.workspace_id)
        if found is None:
            return f"{row.stream} works in {event.workspace_id}, which does not exist or was cleaned"
        if row.stream in self._opened:
            return f"{row.stream} opened {event.workspace_id} after {self._opened[row.stream].workspace_id}"
        if self._runs.turn(row.stream):
            return f"{row.stream} opened {event.workspace_id} after its first turn"
        return self._foreign(found, row.stream)

    @rule(run.WorkspaceChanged)
    def changes(self, row: Row, event: run.WorkspaceChanged) -> str | None:
        """A run records its changes in the workspace that it opened; counts are not negative."""
        opened = self._opened.get(row.stream)
        if opened is None or opened.workspace_id != event.workspace_id:
            return f"{row.stream} changed {event.workspace_id}, in which it did not work"
        if opened.changed is not None:
            return f"{row.stream} changed {event.workspace_id} twice before it ended or paused"
        counts = (event.files, event.binary_files, event.added_lines, event.removed_lines)
        if min(counts) < 0 or event.binary_files > event.files:
            return f"{row.stream} changed {event.workspace_id} by impossible counts"
        if not event.files and event.evidence_id is not None:
            return f"{row.stream} has the diff {event.evidence_id}, although it changed no files"
        return None

    @rule(run.RunPaused, *run.ENDINGS)
    def changes_at_the_end(self, row: Row, event: Event) -> str | None:
        """A run records its changes in the command that ends or pauses it, with their diff."""
        opened = self._opened.get(row.stream)
        if opened is None or opened.changed is None:
            return None
        if opened.command != row.command_id:
            return f"{row.stream} went on after it had recorded its changes"
        diff = opened.changed.evidence_id
        if opened.changed.files and (diff is None or opened.diffs.get(diff) != row.command_id):
            return f"{row.stream} recorded changes without their diff {diff or ''}".rstrip()
        return None

    @rule(WorkspaceRetained, WorkspaceApplied, ExactDiffOpened, WorkspaceCleaned)
    def workspace_uses(
        self, row: Row, event: WorkspaceRetained | WorkspaceApplied | ExactDiffOpened | WorkspaceCleaned
    ) -> str | None:
        """A workspace has events until it is cleaned, while no run works in it; applied is what a run changed.

        If the recorded diff hides a part of that, the identity that applied it had opened the exact diff.
        """
        named = event.workspace_id
        if row.stream != named or named not in self._workspaces:
            return f"{row.type} of {named} in {row.stream}, which does not exist or was cleaned"
        if isinstance(event, WorkspaceApplied | ExactDiffOpened):
            subject = self._changed.get(named, {}).get(event.run_id)
            if subject is None or (isinstance(event, WorkspaceApplied) and not subject.files):
                return f"the changes of {event.run_id} in {named} were applied or opened, but it recorded none there"
            if event.subject_sha256 not in (None, subject.sha256):
                return f"other changes of {event.run_id} were applied or opened than those it recorded"
            opened = event.subject_sha256 is None or (event.by, subject.sha256) in self._read
            if isinstance(event, WorkspaceApplied) and subject.hides and not opened:
                return f"{event.by} applied changes of {event.run_id} that the diff hides, without opening them"
        if isinstance(event, WorkspaceCleaned):
            created = self._workspaces[named]
            if (event.kind, event.owner) != (created.kind, created.owner):
                return f"{named} of {created.owner} was cleaned as the workspace of {event.owner}"
            working = (run_id for run_id, one in self._opened.items() if one.workspace_id == named)
            if (run_id := next(working, None)) is not None:
                return f"{named} was cleaned while {run_id} worked in it"
        return None

    def _foreign(self, created: WorkspaceCreated, run_id: str) -> str | None:
        """Return why a run does not belong to the owner of a workspace."""
        if run_id not in self._runs.open:
            return f"{created.workspace_id} is used by {run_id}, which is not open"
        kind, owner = self._own.get(run_id, ("", "nothing"))
        if (kind, owner) != (created.kind, created.owner):
            return f"{created.workspace_id} of {created.owner} is used by {run_id}, which works for {owner}"
        first = self._origins.get(run_id, run_id)
        if kind == "workflow-run" and self._step_runs.get(first) != owner:
            return f"{created.workspace_id} of {owner} is used by {run_id}, but none of its steps has that run"
        return None

    # The state

    @follow(run.RunCreated, run.RunQueued)
    def request(self, row: Row, event: run.RunRequest) -> None:
        """Record the owner of a run's workspace."""
        own = run.own_workspace(event)
        if own is not None:
            self._own[row.stream] = own
        if event.workflow_run_id is not None:
            retried = event.retry_of
            self._origins[row.stream] = row.stream if retried is None else self._origins.get(retried, retried)

    @follow(WorkflowStepStarted)
    def step(self, row: Row, event: WorkflowStepStarted) -> None:
        """Record the workflow run of a step's run."""
        self._step_runs[event.step_run_id] = row.stream

    @follow(WorkspaceCreated)
    def create(self, row: Row, event: WorkspaceCreated) -> None:
        self._workspaces[event.workspace_id] = event
        self._places[event.place] = event.workspace_id

    @follow(WorkspaceCleaned)
    def clean(self, row: Row, event: WorkspaceCleaned) -> None:
        found = self._workspaces.pop(event.workspace_id, None)
        self._changed.pop(event.workspace_id, None)
        if found is not None:
            self._places.pop(found.place, None)

    @follow(run.WorkspaceOpened)
    def open(self, row: Row, event: run.WorkspaceOpened) -> None:
        """Record where a run works."""
        self._opened[row.stream] = OpenedWorkspace(event.workspace_id, event.tree)

    @follow(run.EvidenceAttached)
    def attach(self, row: Row, event: run.EvidenceAttached) -> None:
        if row.stream in self._opened and (event.label, event.source) == (DIFF_LABEL, SOURCE):
            self._opened[row.stream].diffs[event.evidence_id] = row.command_id

    @follow(run.WorkspaceChanged)
    def change(self, row: Row, event: run.WorkspaceChanged) -> None:
        """Record the changes of a run. The last record counts."""
        opened = self._opened.get(row.stream)
        if opened is not None:
            opened.changed, opened.command = event, row.command_id
            sha256 = subject_hash("changes", opened.tree, event.tree)
            hides = bool(event.truncated or event.binary_files or event.hidden)
            self._changed.setdefault(event.workspace_id, {})[row.stream] = RecordedSubject(sha256, event.files, hides)

    @follow(ExactDiffOpened)
    def read(self, row: Row, event: ExactDiffOpened) -> None:
        """Record that an identity opened an exact diff."""
        self._read.add((event.by, event.subject_sha256))

    @follow(run.RunPaused)
    def pause(self, row: Row, event: run.RunPaused) -> None:
        """Record that the changes so far are complete."""
        opened = self._opened.get(row.stream)
        if opened is not None:
            opened.changed = None

    @follow(*run.ENDINGS, Unknown)
    def end(self, row: Row, event: Event) -> None:
        """Forget an ended run; the payload may be damaged."""
        if row.type in run.ENDING_TYPES:
            self._opened.pop(row.stream, None)
            self._own.pop(row.stream, None)
            if row.stream not in self._origins:
                self._step_runs.pop(row.stream, None)

    def finish(self) -> Iterator[Violation]:
        """Yield runs that recorded their changes, but did not end or pause."""
        for run_id, opened in self._opened.items():
            if opened.changed is not None:
                reason = f"{run_id} recorded its changes, but has not ended or paused"
                yield Violation(rule="changes_at_the_end", reason=reason)
