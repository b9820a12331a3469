"""Logs that break one rule of workspaces each."""

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event
from tests.support.breach import Breach, Step, breach, lived, wrote
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

DONE = replace(COMPLETED, evidence_count=1)
OWN = replace(CREATED, harness_profile_snapshot=replace(SPEC, workspace="session"))
SHARED = replace(CREATED, harness_profile_snapshot=replace(SPEC, workspace="workflow-run"), workflow_run_id="wfr_1")
OF_STEPS = replace(CREATED_WORKSPACE, workspace_id="wsp_3", kind="workflow-run", owner="wfr_1", run_id="run_a1")


def working(run_id: str = "run_1", *events: Event, session: str = "s") -> Step:
    """Return a run that works, and the events of it that follow."""
    return wrote(run_id, replace(OWN, session_id=session), LEASED, STARTED, *events)


def opened(*events: Event) -> Step:
    """Return a run that works in a new workspace (positions 1 to 5), and what it does in one command."""
    return wrote(working(), "wsp_1", CREATED_WORKSPACE, "run_1", OPENED, "run_1", *events)


changed = opened(CHANGED, DIFF, DONE)
"""A run that changed a file (positions 1 to 8)."""


def applied_hidden_changes_unopened(forge: Forge) -> None:
    opened(replace(CHANGED, hidden=1), DIFF, DONE)(forge)
    forge.add("wsp_1", replace(EXACT_OPENED, by="ada"))
    forge.add("wsp_1", replace(APPLIED, subject_sha256=SUBJECT))


def legal(forge: Forge) -> None:
    """Write the events of a session with runs and two workspaces, and of a workflow run with two steps and a retry."""
    changed(forge)
    forge.add("wsp_1", RETAINED, replace(RETAINED, keep=False), APPLIED, APPLIED)
    forge.add("wsp_1", EXACT_OPENED, replace(APPLIED, subject_sha256=SUBJECT))
    working("run_2", OPENED)(forge)
    forge.add("run_2", PERMISSION, CHANGED, DIFF, PARKED)
    forge.add("run_2", answered("deny"), RESUMED)
    forge.add("run_2", replace(LEASED, token=2), STARTED)
    forge.add("run_2", UNCHANGED, DONE)
    working("run_3", OPENED, run.RunCrashed(executor="exe_1", attempt=1))(forge)
    forge.add("wsp_1", CLEANED)
    working("run_4")(forge)
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
    breach("created_twice", "workspaces", 6, "created as event 2")(
        opened(), "wsp_1", replace(CREATED_WORKSPACE, owner="other")
    ),
    breach("created_elsewhere", "workspaces", 4, "of wsp_9")(working(), "wsp_9", CREATED_WORKSPACE),
    breach("second_of_an_owner", "workspaces", 6, "which has wsp_1")(
        opened(), "wsp_2", replace(CREATED_WORKSPACE, workspace_id="wsp_2")
    ),
    breach("created_for_an_ended_run", "workspaces", 5, "not open")(
        working("run_1", COMPLETED), "wsp_1", CREATED_WORKSPACE
    ),
    breach("created_for_another_session", "workspaces", 4, "of other is used by run_1, which works for s")(
        working(), "wsp_1", replace(CREATED_WORKSPACE, owner="other")
    ),
    breach("created_for_a_workflow_run_of_others", "workspaces", 4, "of wfr_1 is used by run_1, which works for s")(
        working(), "wsp_1", replace(CREATED_WORKSPACE, kind="workflow-run", owner="wfr_1")
    ),
    breach("created_for_a_run_in_the_shared_workspace", "workspaces", 4, "which works for nothing")(
        lived(), "wsp_1", CREATED_WORKSPACE
    ),
    breach("created_for_a_run_that_says_to_be_of_a_workflow", "workspaces", 4, "none of its steps")(
        "run_a1", SHARED, LEASED, STARTED, "wsp_3", OF_STEPS
    ),
    breach("created_for_a_run_that_says_to_retry_one", "workspaces", 8, "none of its steps")(
        lived(COMPLETED), "run_a1", replace(SHARED, retry_of="run_1"), LEASED, STARTED, "wsp_3", OF_STEPS
    ),
    breach("opened_out_of_nothing", "openings", 4, "does not exist")(working("run_1", OPENED)),
    breach("opened_after_it_was_cleaned", "openings", 6, "was cleaned")(
        working(), "wsp_1", CREATED_WORKSPACE, CLEANED, "run_1", OPENED
    ),
    breach("opened_twice", "openings", 6, "after wsp_1")(opened(OPENED)),
    breach("opened_after_a_turn", "openings", 6, "after its first turn")(
        working(), "wsp_1", CREATED_WORKSPACE, "run_1", replace(PAID, turn=1), OPENED
    ),
    breach("opened_by_another_session", "openings", 9, "which works for other")(
        opened(), working("run_2", OPENED, session="other")
    ),
    breach("changed_without_opening", "changes", 4, "did not work")(working("run_1", CHANGED)),
    breach("changed_elsewhere", "changes", 6, "did not work")(
        opened(replace(CHANGED, workspace_id="wsp_2"), DIFF, DONE)
    ),
    breach("changed_twice", "changes", 7, "twice")(opened(UNCHANGED, UNCHANGED, COMPLETED)),
    breach("changed_less_than_nothing", "changes", 6, "impossible counts")(
        opened(replace(UNCHANGED, added_lines=-1), COMPLETED)
    ),
    breach("more_binary_files_than_files", "changes", 6, "impossible counts")(
        opened(replace(CHANGED, binary_files=2), DIFF, DONE)
    ),
    breach("diff_of_nothing", "changes", 6, "changed no files")(
        opened(replace(UNCHANGED, evidence_id="ev_1"), DIFF, DONE)
    ),
    breach("went_on_after_the_change", "changes_at_the_end", 7, "went on")(opened(UNCHANGED), "run_1", COMPLETED),
    breach("never_ended", "changes_at_the_end", None, "has not ended or paused")(opened(UNCHANGED)),
    breach("ended_without_the_diff", "changes_at_the_end", 7, "without their diff ev_1")(opened(CHANGED, COMPLETED)),
    breach("changed_without_a_diff", "changes_at_the_end", 7, "without their diff")(
        opened(replace(CHANGED, evidence_id=None), COMPLETED)
    ),
    breach("parked_without_the_diff", "changes_at_the_end", 8, "without their diff ev_1")(
        opened(PERMISSION, CHANGED, PARKED)
    ),
    breach("diff_of_an_earlier_command", "changes_at_the_end", 8, "without their diff ev_1")(
        opened(DIFF), "run_1", CHANGED, DONE
    ),
    breach("diff_of_a_tool", "changes_at_the_end", 8, "without their diff ev_1")(
        opened(CHANGED, replace(DIFF, source="tool"), DONE)
    ),
    breach("kept_after_it_was_cleaned", "workspace_uses", 10, "was cleaned")(changed, "wsp_1", CLEANED, RETAINED),
    breach("cleaned_under_a_run", "workspace_uses", 6, "while run_1 worked")(opened(), "wsp_1", CLEANED),
    breach("cleaned_as_of_another", "workspace_uses", 9, "workspace of other")(
        changed, "wsp_1", replace(CLEANED, owner="other")
    ),
    breach("applied_a_run_without_changes", "workspace_uses", 8, "recorded none there")(
        opened(UNCHANGED, COMPLETED), "wsp_1", APPLIED
    ),
    breach("applied_the_run_of_another", "workspace_uses", 9, "of run_2")(
        changed, "wsp_1", replace(APPLIED, run_id="run_2")
    ),
    breach("applied_other_changes", "workspace_uses", 9, "other changes of run_1")(
        changed, "wsp_1", replace(APPLIED, subject_sha256="0" * 64)
    ),
    breach("opened_other_changes", "workspace_uses", 9, "other changes of run_1")(
        changed, "wsp_1", replace(EXACT_OPENED, subject_sha256="0" * 64)
    ),
    (applied_hidden_changes_unopened, "workspace_uses", 10, "without opening them"),
)
