"""The place where a run is executed: its workspace and the sandbox of its commands, and what they leave to record."""

import logging
from pathlib import Path

import anyio
from anyio import to_thread
from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.domain import run
from athena_core.domain.workspace import DIFF_LABEL
from athena_core.errors import AthenaError
from athena_core.mask import Mask
from athena_core.outside_text import HIDDEN_SPANS_MAX
from athena_core.services.execution.progress import RunProgress
from athena_core.services.execution.verification import to_evidence
from athena_core.services.sandboxes import RunSandbox
from athena_core.services.workspaces.patches import decided_changes
from athena_core.services.workspaces.workspaces import RunWorkspace
from athena_core.system.sandbox import SandboxRefused
from athena_core.tools.tool import CommandBox, ToolEvidence
from athena_core.tools.workspace import Workspace

LEFT_SHOWN = 10
_log = logging.getLogger(__name__)


class RunPlace:
    """The workspace and the sandbox of a run under one lease."""

    def __init__(
        self, sandbox: RunSandbox, workspace: RunWorkspace, progress: RunProgress, ids: Ids, mask: Mask
    ) -> None:
        """``progress`` is what earlier executors of the run recorded."""
        self.sandbox = sandbox
        self._workspace = workspace
        self._ids = ids
        self._mask = mask
        self._opened = progress.opened is not None
        self._recorded = None if progress.changed is None else progress.changed.tree
        self._last: tuple[run.RunStep, ...] | None = None if workspace.opened else ()

    @property
    def files(self) -> Workspace:
        """The files that the tools work on."""
        return self._workspace.files

    @property
    def readonly(self) -> tuple[Path, ...]:
        """The paths that commands may read beside the workspace."""
        return self._workspace.readonly

    @property
    def box(self) -> CommandBox | None:
        """The sandbox of the commands, None without one."""
        box = self.sandbox.box
        return box and replace(box, readonly=(*box.readonly, *self._workspace.readonly))

    async def sync_mirror(self) -> None:
        """Carry changes between the shared workspace and the mirror of it that sandboxes show."""
        with anyio.CancelScope(shield=True):
            try:
                left = await to_thread.run_sync(self.files.sync_mirror)
            except SandboxRefused as error:
                _log.warning("The changes of a sandbox were not carried into the workspace: %s", error)
                return
        for one in left[:LEFT_SHOWN]:
            _log.warning("A change of a sandbox was not carried into the workspace: %r: %s", one.path, one.reason)

    def beginning(self) -> tuple[run.RunStep, ...]:
        """Return what to record before the first step."""
        opened = () if self._opened or self._workspace.opened is None else (self._workspace.opened,)
        return *self.sandbox.beginning(), *opened

    async def changes(self) -> tuple[run.RunStep, ...]:
        """Return the record of what the run has changed in its own workspace since the last such record."""
        changes = await self._workspace.changes(self._recorded)
        if changes is None or self._workspace.opened is None:
            return ()
        diff = changes.diff
        decided = decided_changes(diff, self._mask, changes.salt)
        evidence = self._evidence(decided.shown) if diff.files_total else None
        changed = run.WorkspaceChanged(
            workspace_id=self._workspace.opened.workspace_id,
            tree=changes.tree,
            files=diff.files_total,
            binary_files=diff.binary_files,
            added_lines=diff.added_lines,
            removed_lines=diff.removed_lines,
            truncated=diff.truncated or None,
            evidence_id=None if evidence is None else evidence.evidence_id,
            hidden=len(decided.hidden),
            hidden_spans=decided.hidden[:HIDDEN_SPANS_MAX] or None,
        )
        return (changed,) if evidence is None else (evidence, changed)

    def _evidence(self, text: str) -> run.EvidenceAttached:
        shown = ToolEvidence(label=DIFF_LABEL, type="text", content=text, workspace=True)
        return to_evidence(self._ids, shown, "workspace", (DIFF_LABEL,))

    async def last_changes(self) -> tuple[run.RunStep, ...]:
        """Return the record of the changes for the end of the run. Later changes do not count.

        Raise AthenaError the first time if there can be none.
        """
        if self._last is None:
            try:
                self._last = await self.changes()
            except AthenaError:
                self._last = ()
                raise
        return self._last

    async def closing(self) -> tuple[run.RunStep, ...]:
        """Return what to record with the end of the run, whatever ended it."""
        return *self.sandbox.cleaned(), *await self.last_changes()
