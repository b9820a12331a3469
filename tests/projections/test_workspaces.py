"""Workspaces as views: their use, their end, what runs changed in them, and which of them a scope shows."""

from pathlib import Path

import msgspec

from athena_core.clock import iso
from athena_core.domain.run import WorkspaceChanged, WorkspaceOpened
from athena_core.domain.workspace import WorkspaceApplied, WorkspaceCleaned, WorkspaceCreated, WorkspaceRetained
from athena_core.values import Scope
from projections.workspaces import changes_of, list_workspaces, unkept, workspace_by_id
from tests.projections.history import BEGINNING, History
from tests.projections.support import shown

CHANGED = WorkspaceChanged(
    workspace_id="wsp_1",
    tree="bb",
    files=2,
    binary_files=1,
    added_lines=3,
    removed_lines=4,
    evidence_id="evd_1",
)


def with_workspaces() -> tuple[History, str]:
    """Return a history with a workspace of session ``s``, in which a run worked, and one of a workflow run."""
    history = History()
    run_id = history.request("s")
    own = WorkspaceCreated(
        workspace_id="wsp_1", kind="session", owner="s", source="clone", run_id=run_id, commit="c0ffee"
    )
    history.write("wsp_1", own)
    history.in_run(run_id, WorkspaceOpened(workspace_id="wsp_1", tree="aa"))
    other = WorkspaceCreated(workspace_id="wsp_2", kind="workflow-run", owner="wfr_1", source="empty", run_id=run_id)
    history.write("wsp_2", other)
    return history, run_id


def test_a_workspace_is_shown_until_it_is_cleaned(tmp_path: Path) -> None:
    history, run_id = with_workspaces()
    history.in_run(run_id, CHANGED)
    history.write("wsp_1", WorkspaceRetained(workspace_id="wsp_1", keep=True, by="ada"))
    connection = shown(tmp_path, history)
    found = workspace_by_id(connection, "wsp_1")
    assert msgspec.to_builtins(found) == {
        "workspaceId": "wsp_1",
        "kind": "session",
        "source": "clone",
        "status": "active",
        "keep": True,
        "runs": 1,
        "createdAt": iso(BEGINNING),
        "lastUsedAt": iso(BEGINNING),
        "sessionId": "s",
        "commit": "c0ffee",
    }
    assert [one.workspace_id for one in unkept(connection)] == ["wsp_2"]
    assert workspace_by_id(connection, "wsp_3") is None


def test_a_cleaned_workspace_says_why(tmp_path: Path) -> None:
    history, _ = with_workspaces()
    cleaned = WorkspaceCleaned(workspace_id="wsp_1", kind="session", owner="s", cause="requested", by="ada")
    history.write("wsp_1", cleaned)
    connection = shown(tmp_path, history)
    found = workspace_by_id(connection, "wsp_1")
    assert found is not None
    assert (found.status, found.cause, found.cleaned_by) == ("cleaned", "requested", "ada")
    page = list_workspaces(connection, status="active", cursor=None, limit=10)
    assert [one.workspace_id for one in page.items] == ["wsp_2"]
    assert [one.workspace_id for one in unkept(connection)] == ["wsp_2"]


def test_the_changes_of_a_run_are_recorded_and_applied(tmp_path: Path) -> None:
    history, run_id = with_workspaces()
    (tmp_path / "before").mkdir()
    before = changes_of(shown(tmp_path / "before", history), run_id)
    assert before is not None
    assert (before.before, before.after, before.applied) == ("aa", None, ())
    history.in_run(run_id, CHANGED)
    history.write("wsp_1", WorkspaceApplied(workspace_id="wsp_1", run_id=run_id, files=2, by="ada"))
    connection = shown(tmp_path, history)
    changes = changes_of(connection, run_id)
    assert changes is not None
    assert (changes.after, changes.files, changes.binary_files, changes.evidence_id) == ("bb", 2, 1, "evd_1")
    assert [(one.by, one.files) for one in changes.applied] == [("ada", 2)]
    assert changes_of(connection, "run_other") is None


def test_a_scope_of_sessions_shows_only_their_workspaces(tmp_path: Path) -> None:
    history, _ = with_workspaces()
    connection = shown(tmp_path, history)
    for names, expected in ((frozenset({"s"}), ["wsp_1"]), (frozenset({"wfr_1"}), []), (frozenset({"t"}), [])):
        scope = Scope(sessions=names)
        page = list_workspaces(connection, scope=scope, cursor=None, limit=10)
        assert [one.workspace_id for one in page.items] == expected
        assert (workspace_by_id(connection, "wsp_1", scope) is not None) is bool(expected)
        assert workspace_by_id(connection, "wsp_2", scope) is None
