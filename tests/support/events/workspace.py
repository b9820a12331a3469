"""Sample events of workspaces, and of runs that work in them."""

from athena_core.domain import run
from athena_core.domain.workspace import (
    DIFF_LABEL,
    ExactDiffOpened,
    WorkspaceApplied,
    WorkspaceCleaned,
    WorkspaceCreated,
    WorkspaceRetained,
)
from athena_core.outside_text import subject_hash

TREE, NEXT_TREE = "a1" * 20, "b2" * 20
CREATED_WORKSPACE = WorkspaceCreated(
    workspace_id="wsp_1", kind="session", owner="s", source="clone", run_id="run_1", commit="c3" * 20
)
RETAINED = WorkspaceRetained(workspace_id="wsp_1", keep=True, by="olga")
APPLIED = WorkspaceApplied(workspace_id="wsp_1", run_id="run_1", files=1, by="olga")
SUBJECT = subject_hash("changes", TREE, NEXT_TREE)
EXACT_OPENED = ExactDiffOpened(workspace_id="wsp_1", run_id="run_1", subject_sha256=SUBJECT, by="olga")
CLEANED = WorkspaceCleaned(workspace_id="wsp_1", kind="session", owner="s", cause="requested", by="olga")
OPENED = run.WorkspaceOpened(workspace_id="wsp_1", tree=TREE)
CHANGED = run.WorkspaceChanged(
    workspace_id="wsp_1", tree=NEXT_TREE, files=1, binary_files=0, added_lines=2, removed_lines=1, evidence_id="ev_1"
)
UNCHANGED = run.WorkspaceChanged(
    workspace_id="wsp_1", tree=TREE, files=0, binary_files=0, added_lines=0, removed_lines=0
)
DIFF = run.EvidenceAttached(
    evidence_id="ev_1",
    evidence_type="text",
    size_bytes=1,
    sha256="",
    source="workspace",
    workspace=False,
    label=DIFF_LABEL,
)
