"""Logs that break one rule of workspaces each."""

from collections.abc import Callable

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event, Position
from tests.support.events import workflow_run as flow
from tests.support.events.ask import PARKED, PERMISSION, answered
from tests.support.events.run import COMPLETED, CREATED, LEASED, PAID, RESUMED, SPEC, STARTED
from tests.support.events.workspace import (
    APPLIED,
    CHANGED,
    CLEANED,
    CREATED_WORKSPACE,
    DIFF,
    EXACT_OPENED,
    OPENED,
    RETAINED,
    SUBJECT,
    UNCHANGED,
)
from tests.support.forged_log import Forge

Breach = tuple[Callable[[Forge], None], str, Position | None, str]

DONE = replace(COMPLETED, evidence_count=1)
OWN = replace(CREATED, harness_profile_snapshot=replace(SPEC, workspace="session"))
SHARED = replace(CREATED, harness_profile_snapshot=replace(SPEC, workspace="workflow-run"), workflow_run_id="wfr_1")
OF_STEPS = replace(CREATED_WORKSPACE, workspace_id="wsp_3", kind="workflow-run", owner="wfr_1", run_id="run_a1")


def working(forge: Forge, run_id: str = "run_1", *events: Event, session: str = "s") -> None:
    """Write a run that works, and the events of it that follow."""
    forge.add(run_id, replace(OWN, session_id=session), LEASED, STARTED, *events)


def opened(forge: Forge, *events: Event) -> None:
    """Write a run that works in a new workspace (positions 1 to 5), and what it does in one command."""
    working(forge)
    forge.add("wsp_1", CREATED_WORKSPACE)
    forge.add("run_1", OPENED)
    if events:
        forge.add("run_1", *events)


def changed(forge: Forge) -> None:
    """Write a run that changed a file (positions 1 to 8)."""
    opened(forge, CHANGED, DIFF, DONE)


def created_twice(forge: Forge) -> None:
    opened(forge)
    forge.add("wsp_1", replace(CREATED_WORKSPACE, owner="other"))


def created_elsewhere(forge: Forge) -> None:
    working(forge)
    forge.add("wsp_9", CREATED_WORKSPACE)


def second_of_an_owner(forge: Forge) -> None:
    opened(forge)
    forge.add("wsp_2", replace(CREATED_WORKSPACE, workspace_id="wsp_2"))


def created_for_an_ended_run(forge: Forge) -> None:
    working(forge, "run_1", COMPLETED)
    forge.add("wsp_1", CREATED_WORKSPACE)


def created_for_another_session(forge: Forge) -> None:
    working(forge)
    forge.add("wsp_1", replace(CREATED_WORKSPACE, owner="other"))


def created_for_a_workflow_run_of_others(forge: Forge) -> None:
    working(forge)
    forge.add("wsp_1", replace(CREATED_WORKSPACE, kind="workflow-run", owner="wfr_1"))


def created_for_a_run_in_the_shared_workspace(forge: Forge) -> None:
    forge.add("run_1", CREATED, LEASED, STARTED)
    forge.add("wsp_1", CREATED_WORKSPACE)


def created_for_a_run_that_says_to_be_of_a_workflow(forge: Forge) -> None:
    forge.add("run_a1", SHARED, LEASED, STARTED)
    forge.add("wsp_3", OF_STEPS)


def created_for_a_run_that_says_to_retry_one(forge: Forge) -> None:
    forge.add("run_1", CREATED, LEASED, STARTED, COMPLETED)
    forge.add("run_a1", replace(SHARED, retry_of="run_1"), LEASED, STARTED)
    forge.add("wsp_3", OF_STEPS)


def opened_out_of_nothing(forge: Forge) -> None:
    working(forge, "run_1", OPENED)


def opened_after_it_was_cleaned(forge: Forge) -> None:
    working(forge)
    forge.add("wsp_1", CREATED_WORKSPACE, CLEANED)
    forge.add("run_1", OPENED)


def opened_twice(forge: Forge) -> None:
    opened(forge, OPENED)


def opened_after_a_turn(forge: Forge) -> None:
    working(forge)
    forge.add("wsp_1", CREATED_WORKSPACE)
    forge.add("run_1", replace(PAID, turn=1), OPENED)


def opened_by_another_session(forge: Forge) -> None:
    opened(forge)
    working(forge, "run_2", OPENED, session="other")


def changed_without_opening(forge: Forge) -> None:
    working(forge, "run_1", CHANGED)


def changed_elsewhere(forge: Forge) -> None:
    opened(forge, replace(CHANGED, workspace_id="wsp_2"), DIFF, DONE)


def changed_twice(forge: Forge) -> None:
    opened(forge, UNCHANGED, UNCHANGED, COMPLETED)


def changed_less_than_nothing(forge: Forge) -> None:
    opened(forge, replace(UNCHANGED, added_lines=-1), COMPLETED)


def more_binary_files_than_files(forge: Forge) -> None:
    opened(forge, replace(CHANGED, binary_files=2), DIFF, DONE)


def diff_of_nothing(forge: Forge) -> None:
    opened(forge, replace(UNCHANGED, evidence_id="ev_1"), DIFF, DONE)


def went_on_after_the_change(forge: Forge) -> None:
    opened(forge, UNCHANGED)
    forge.add("run_1", COMPLETED)


def never_ended(forge: Forge) -> None:
    opened(forge, UNCHANGED)


def ended_without_the_diff(forge: Forge) -> None:
    opened(forge, CHANGED, COMPLETED)


def changed_without_a_diff(forge: Forge) -> None:
    opened(forge, replace(CHANGED, evidence_id=None), COMPLETED)


def parked_without_the_diff(forge: Forge) -> None:
    opened(forge, PERMISSION, CHANGED, PARKED)


def diff_of_an_earlier_command(forge: Forge) -> None:
    opened(forge, DIFF)
    forge.add("run_1", CHANGED, DONE)


def diff_of_a_tool(forge: Forge) -> None:
    opened(forge, CHANGED, replace(DIFF, source="tool"), DONE)


def kept_after_it_was_cleaned(forge: Forge) -> None:
    changed(forge)
    forge.add("wsp_1", CLEANED, RETAINED)


def cleaned_under_a_run(forge: Forge) -> None:
    opened(forge)
    forge.add("wsp_1", CLEANED)


def cleaned_as_of_another(forge: Forge) -> None:
    changed(forge)
    forge.add("wsp_1", replace(CLEANED, owner="other"))


def applied_a_run_without_changes(forge: Forge) -> None:
    opened(forge, UNCHANGED, COMPLETED)
    forge.add("wsp_1", APPLIED)


def applied_other_changes(forge: Forge) -> None:
    changed(forge)
    forge.add("wsp_1", replace(APPLIED, subject_sha256="0" * 64))


def opened_other_changes(forge: Forge) -> None:
    changed(forge)
    forge.add("wsp_1", replace(EXACT_OPENED, subject_sha256="0" * 64))


def applied_hidden_changes_unopened(forge: Forge) -> None:
    opened(forge, replace(CHANGED, hidden=1), DIFF, DONE)
    forge.add("wsp_1", replace(EXACT_OPENED, by="ada"))
    forge.add("wsp_1", replace(APPLIED, subject_sha256=SUBJECT))


def applied_the_run_of_another(forge: Forge) -> None:
    changed(forge)
    forge.add("wsp_1", replace(APPLIED, run_id="run_2"))


def legal(forge: Forge) -> None:
    """Write the events of a session with runs and two workspaces, and of a workflow run with two steps and a retry."""
    changed(forge)
    forge.add("wsp_1", RETAINED, replace(RETAINED, keep=False), APPLIED, APPLIED)
    forge.add("wsp_1", EXACT_OPENED, replace(APPLIED, subject_sha256=SUBJECT))
    working(forge, "run_2", OPENED)
    forge.add("run_2", PERMISSION, CHANGED, DIFF, PARKED)
    forge.add("run_2", answered("deny"), RESUMED)
    forge.add("run_2", replace(LEASED, token=2), STARTED)
    forge.add("run_2", UNCHANGED, DONE)
    working(forge, "run_3", OPENED, run.RunCrashed(executor="exe_1", attempt=1))
    forge.add("wsp_1", CLEANED)
    working(forge, "run_4")
    again = replace(CREATED_WORKSPACE, workspace_id="wsp_2", run_id="run_4")
    forge.add("wsp_2", again)
    forge.add("run_4", replace(OPENED, workspace_id="wsp_2"))
    forge.add("wfr_1", flow.CREATED, flow.started("a"), flow.started("b"))
    for name, retried in (("run_a1", None), ("run_b1", None), ("run_c", "run_a1"), ("run_d", "run_c")):
        forge.add(name, replace(SHARED, session_id=name, retry_of=retried), LEASED, STARTED)
        if name == "run_a1":
            forge.add("wsp_3", OF_STEPS)
        forge.add(name, replace(OPENED, workspace_id="wsp_3"), COMPLETED)


WORKSPACE_BREACHES: tuple[Breach, ...] = (
    (created_twice, "workspaces", 6, "created as event 2"),
    (created_elsewhere, "workspaces", 4, "of wsp_9"),
    (second_of_an_owner, "workspaces", 6, "which has wsp_1"),
    (created_for_an_ended_run, "workspaces", 5, "not open"),
    (created_for_another_session, "workspaces", 4, "of other is used by run_1, which works for s"),
    (created_for_a_workflow_run_of_others, "workspaces", 4, "of wfr_1 is used by run_1, which works for s"),
    (created_for_a_run_in_the_shared_workspace, "workspaces", 4, "which works for nothing"),
    (created_for_a_run_that_says_to_be_of_a_workflow, "workspaces", 4, "none of its steps"),
    (created_for_a_run_that_says_to_retry_one, "workspaces", 8, "none of its steps"),
    (opened_out_of_nothing, "openings", 4, "does not exist"),
    (opened_after_it_was_cleaned, "openings", 6, "was cleaned"),
    (opened_twice, "openings", 6, "after wsp_1"),
    (opened_after_a_turn, "openings", 6, "after its first turn"),
    (opened_by_another_session, "openings", 9, "which works for other"),
    (changed_without_opening, "changes", 4, "did not work"),
    (changed_elsewhere, "changes", 6, "did not work"),
    (changed_twice, "changes", 7, "twice"),
    (changed_less_than_nothing, "changes", 6, "impossible counts"),
    (more_binary_files_than_files, "changes", 6, "impossible counts"),
    (diff_of_nothing, "changes", 6, "changed no files"),
    (went_on_after_the_change, "changes_at_the_end", 7, "went on"),
    (never_ended, "changes_at_the_end", None, "has not ended or paused"),
    (ended_without_the_diff, "changes_at_the_end", 7, "without their diff ev_1"),
    (changed_without_a_diff, "changes_at_the_end", 7, "without their diff"),
    (parked_without_the_diff, "changes_at_the_end", 8, "without their diff ev_1"),
    (diff_of_an_earlier_command, "changes_at_the_end", 8, "without their diff ev_1"),
    (diff_of_a_tool, "changes_at_the_end", 8, "without their diff ev_1"),
    (kept_after_it_was_cleaned, "workspace_uses", 10, "was cleaned"),
    (cleaned_under_a_run, "workspace_uses", 6, "while run_1 worked"),
    (cleaned_as_of_another, "workspace_uses", 9, "workspace of other"),
    (applied_a_run_without_changes, "workspace_uses", 8, "recorded none there"),
    (applied_the_run_of_another, "workspace_uses", 9, "of run_2"),
    (applied_other_changes, "workspace_uses", 9, "other changes of run_1"),
    (opened_other_changes, "workspace_uses", 9, "other changes of run_1"),
    (applied_hidden_changes_unopened, "workspace_uses", 10, "without opening them"),
)
