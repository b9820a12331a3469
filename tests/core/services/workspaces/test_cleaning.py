"""Cleaning: by age and on request, never under a run, and the removal of directories on this machine."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from athena_core.agents.homes import AgentHomes
from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Outcome, facts_of
from athena_core.domain import DECIDERS
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.run import RunCancelled
from athena_core.domain.workflow_run import WorkflowRunCreated
from athena_core.domain.workspace import WORKSPACE_GUARD, WorkspaceCreated
from athena_core.enums import WorkspaceKind
from athena_core.errors import NotFound, WorkspaceBusy
from athena_core.event import Meta
from athena_core.log.engine import open_store
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.services.erasure.erasure import PLACES, Erasure
from athena_core.services.reactors import NOW
from athena_core.services.workspaces.cleaning import (
    BUSY_MS,
    HOUR_MS,
    NEXT,
    KeepBody,
    LastUse,
    WorkspaceCleaner,
)
from athena_core.services.workspaces.places import WorkspacePlaces, delete_directory
from tests.support.event_samples import CODEC
from tests.support.events.agent import CREATED_FOR_AGENT

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")


class Corner:
    """A log with workspaces, and the service that cleans them."""

    def __init__(self, directory: Path, log: Log, clock: FixedClock, keep_hours: int = 2) -> None:
        self.log = log
        self.clock = clock
        self.places = WorkspacePlaces(directory / "own")
        self.used: list[LastUse] = []
        self.homes = AgentHomes(directory / "state", delete_directory)
        self.cleaner = WorkspaceCleaner(
            log, Tail(log), self.places, self.homes, self, clock, CountingIds(), keep_hours=keep_hours
        )

    async def unkept(self) -> Sequence[LastUse]:
        left = self.left()
        return sorted((use for use in self.used if use.workspace_id in left), key=lambda use: use.at)

    async def add(self, number: int, *, hours: float = 0.0, runs: int = 1, kind: WorkspaceKind = "session") -> str:
        """Add a workspace that was used some hours ago, with its directory."""
        workspace_id = f"wsp_{number}"
        created = WorkspaceCreated(
            workspace_id=workspace_id, kind=kind, owner=f"wfr_{number}", source="empty", run_id="run_1"
        )
        await self.log.submit(lambda reader, context: Outcome(facts=facts_of(workspace_id, (created,))), META)
        self.places.files(workspace_id).mkdir(parents=True)
        self.places.git(workspace_id).mkdir()
        self.used.append(LastUse(workspace_id, self.clock.now() - round(hours * HOUR_MS), runs))
        return workspace_id

    async def home(self, session_id: str, *, hours: float = 0.0) -> None:
        """Add the home of the agents of a session, used some hours ago."""
        home = self.homes.make(session_id, self.log.signal.position)
        (home / "note").write_text("what it was told")
        used = self.clock.now() / 1_000 - hours * 3_600
        os.utime(home.parent / "owner.json", (used, used))

    def left_homes(self) -> set[str]:
        return {home.session_id for home in self.homes.entries()}

    async def admit(self, run_id: str, session_id: str) -> None:
        created = replace(CREATED_FOR_AGENT, session_id=session_id)
        facts = facts_of(run_id, (created,), session_id=session_id, run_id=run_id)
        await self.commit(Outcome(facts=facts))

    async def commit(self, outcome: Outcome[None]) -> None:
        await self.log.submit(lambda reader, context: outcome, META)

    def left(self) -> list[str]:
        return [str(value[0]) for value in dict(self.log.guards.of(WORKSPACE_GUARD)).values()]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    ids = CountingIds()
    (tmp_path / "state").mkdir()
    log = Log(open_store(tmp_path / "state", None, ids), CODEC, DECIDERS, clock=FixedClock(), ids=ids, key_hours=24)
    log.start()
    yield log
    log.close()


@pytest.fixture
def corner(tmp_path: Path, log: Log) -> Corner:
    return Corner(tmp_path, log, FixedClock())


async def test_an_unused_workspace_is_cleaned_and_a_used_one_is_looked_at_in_time(corner: Corner) -> None:
    old, young = await corner.add(1, hours=2), await corner.add(2, hours=1.5)
    assert await corner.cleaner.act(NEXT) == corner.clock.now() + HOUR_MS // 2
    assert corner.left() == [young]
    assert await corner.cleaner.remove_cleaned()
    assert corner.places.ids() == [young]
    assert not corner.places.exists(old)


async def test_a_workspace_without_a_run_has_an_hour(corner: Corner, tmp_path: Path, log: Log) -> None:
    at_once = Corner(tmp_path, log, corner.clock, keep_hours=0)
    fresh, used = await at_once.add(1, hours=0.5, runs=0), await at_once.add(2)
    await at_once.cleaner.act(NEXT)
    assert at_once.left() == [fresh]
    assert used not in at_once.left()


async def test_without_workspaces_nothing_is_planned(corner: Corner) -> None:
    assert await corner.cleaner.act(NEXT) is None
    with closing(corner.log.reader()) as reader:
        assert corner.cleaner.open(reader) == {}
        await corner.add(1)
        assert corner.cleaner.open(reader) == {NEXT: NOW}
    assert await corner.cleaner.act(NEXT) == corner.clock.now() + 2 * HOUR_MS


async def test_an_open_workflow_run_keeps_its_workspace(corner: Corner) -> None:
    workspace_id = await corner.add(1, hours=9, kind="workflow-run")
    guard = WorkflowRunCreated(workflow_id="wf_1", requested_by="ada", input_names=())
    await corner.log.submit(lambda reader, context: Outcome(facts=facts_of("wfr_1", (guard,))), META)
    assert await corner.cleaner.act(NEXT) == corner.clock.now() + BUSY_MS
    with pytest.raises(WorkspaceBusy, match="Workflow run wfr_1"):
        await corner.cleaner.clean(workspace_id, "ada", META, None)
    assert corner.left() == [workspace_id]


async def test_a_kept_workspace_is_cleaned_only_on_request(corner: Corner) -> None:
    workspace_id = await corner.add(1, hours=9)
    await corner.cleaner.keep(workspace_id, KeepBody(keep=True), "ada", META, None)
    await corner.cleaner.act(NEXT)
    assert corner.left() == [workspace_id]
    await corner.cleaner.clean(workspace_id, "ada", META, None)
    await corner.cleaner.clean(workspace_id, "ada", META, None)
    assert corner.left() == []
    assert corner.places.ids() == []
    with pytest.raises(NotFound):
        await corner.cleaner.clean("wsp_none", "ada", META, None)
    with pytest.raises(NotFound):
        await corner.cleaner.keep("run_1", KeepBody(keep=True), "ada", META, None)


async def test_directories_of_other_logs_stay(corner: Corner) -> None:
    for name in ("wsp_other", "notes", ".making-wsp_9"):
        (corner.places.directory / name).mkdir(parents=True)
    assert await corner.cleaner.remove_cleaned()
    assert sorted(path.name for path in corner.places.directory.iterdir()) == [".making-wsp_9", "notes", "wsp_other"]


async def test_the_home_of_an_agent_is_removed_at_the_age_of_workspaces_unless_it_is_needed(corner: Corner) -> None:
    for session_id, hours in (("old", 3), ("new", 1), ("wfr_1", 3), ("open", 3)):
        await corner.home(session_id, hours=hours)
    await corner.add(1, hours=0)
    await corner.admit("run_1", "open")
    corner.cleaner.remove_directories()
    assert corner.left_homes() == {"new", "wfr_1", "open"}  # wfr_1 has a workspace


async def test_the_home_of_an_agent_is_removed_with_the_workspace_of_its_session(corner: Corner) -> None:
    workspace_id = await corner.add(1)
    for session_id in ("wfr_1", "other"):
        await corner.home(session_id)
    await corner.cleaner.clean(workspace_id, "ada", META, None)
    assert corner.left_homes() == {"other"}


async def test_the_homes_of_erased_text_are_removed_while_no_run_is_admitted(corner: Corner) -> None:
    for session_id in ("one", "two"):
        await corner.home(session_id)
    assert await corner.cleaner.erase((), META, ("one", "absent")) == ()
    assert corner.left_homes() == {"two"}
    await corner.admit("run_1", "two")
    with pytest.raises(WorkspaceBusy, match="Run run_1 uses the home of the agents of session two"):
        await corner.cleaner.erase((), META, ("one", "two"))
    assert corner.left_homes() == {"two"}


async def test_a_home_is_removed_wherever_it_is_once_a_text_of_its_session_is_erased(corner: Corner) -> None:
    await corner.home("before")
    for run_id, session_id in (("run_1", "before"), ("run_2", "after")):
        await corner.admit(run_id, session_id)
        cancelled = facts_of(run_id, (RunCancelled(cause="requested"),), session_id=session_id, run_id=run_id)
        await corner.commit(Outcome(facts=cancelled))
    for position in (1, 3):
        erased = facts_of("plane", (PayloadRedacted(target=position),))
        await corner.commit(Outcome(facts=erased, erase=(position,)))
    await corner.home("after")
    await corner.home("third")
    corner.cleaner.remove_directories()
    assert corner.left_homes() == {"after", "third"}


async def test_the_eraser_of_homes_names_the_sessions_whose_runs_are_admitted(corner: Corner) -> None:
    (place,) = (one for one in PLACES if one.name == "agents")
    assert place.erase is not None
    erasure = cast("Erasure", SimpleNamespace(homes=corner.homes, log=corner.log))
    for session_id in ("one", "two"):
        await corner.home(session_id)
        await corner.admit(f"run_{session_id}", session_id)
        erased = facts_of("plane", (PayloadRedacted(target=corner.log.signal.position),))
        await corner.commit(Outcome(facts=erased, erase=(corner.log.signal.position,)))
    ended = facts_of("run_one", (RunCancelled(cause="requested"),), session_id="one", run_id="run_one")
    await corner.commit(Outcome(facts=ended))
    (left,) = place.erase(erasure, 1.0)
    assert "a run of session two uses the home" in left.reason
    assert corner.left_homes() == {"two"}
