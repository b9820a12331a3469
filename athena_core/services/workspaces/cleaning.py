"""Cleaning of workspaces: on request, by age, and the removal of their directories.

The event decides: with it, the workspace is gone for every process. Each process then removes the directory if it has
it, at once and again at its next start, because another host may have recorded the event.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing
from typing import Annotated, NamedTuple, Protocol

from anyio import to_thread

from athena_core.agents.homes import AgentHomes
from athena_core.clock import Clock, Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import workspace
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.run import WORKSPACE_RUN, WorkspaceChanged
from athena_core.domain.workspace import WORKSPACE_GUARD, WorkspaceCleaned, WorkspaceCreated, WorkspaceRetained
from athena_core.enums import WorkspaceEnd
from athena_core.errors import NotFound, Overloaded, WorkspaceBusy
from athena_core.event import Fact, Meta, says
from athena_core.log.port import StoreReader
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.services.erasure.erasure import TURN, TextTrace, erased_homes
from athena_core.services.reactors import NOW
from athena_core.services.states import committed
from athena_core.services.workspaces.places import WorkspacePlaces
from athena_core.services.workspaces.usage import size_of
from athena_core.system.timer import Timer
from athena_core.values import Body

HOUR_MS = 3_600_000
NEXT = "next"
"""The only key of the reactor: the workspace that was unused for the longest time."""

BUSY_MS = 60_000
"""The pause until a workspace that was busy is looked at again."""

REMOVAL = "workspaces.removal"
REMOVAL_SECONDS = 60.0

ELSEWHERE = "the directory of the workspace is not on this machine"
ON_ANOTHER_MACHINE = "a running server that has it deletes it; otherwise delete it by hand"


class KeepBody(Body):
    """The decision about a workspace: to keep it even if it is unused."""

    keep: Annotated[bool, says("True to keep it though unused.")]


class LastUse(NamedTuple):
    """The last use of a workspace, in milliseconds since 1970, and the number of its runs."""

    workspace_id: str
    at: int
    runs: int


class LastUses(Protocol):
    """The lookup of last uses, in the read model."""

    async def unkept(self) -> Sequence[LastUse]:
        """Return the last uses of all workspaces that are not cleaned and not kept, oldest first."""


def cleaned(
    reader: Reader, context: Context, workspace_id: str, cause: WorkspaceEnd, by: str | None
) -> tuple[Fact, ...]:
    """Return the event that cleans a workspace; nothing if it is cleaned, or kept and too old.

    Raise NotFound, or WorkspaceBusy while a run works in it or its workflow run is open.
    """
    state = reader.state(workspace.DECIDER, workspace_id)
    command = workspace.CleanWorkspace(workspace_id=workspace_id, cause=cause, by=by)
    events = workspace.decide(command, state, context)
    user = user_of(reader, state.created) if events and state.created is not None else None
    if user is not None:
        raise WorkspaceBusy(f"{user} uses workspace {workspace_id}. Wait for its end, or cancel it.")
    return facts_of(workspace_id, events)


def user_of(reader: Reader, created: WorkspaceCreated) -> str | None:
    """Return the admitted run that uses a workspace, also while it is paused, or its open workflow run."""
    if reader.count(WORKSPACE_RUN, created.place):
        runs = reader.guards(WORKSPACE_RUN).items()
        return "Run " + next(run_id for run_id, value in runs if value[0] == created.place)
    if created.kind == "workflow-run" and created.owner in reader.guards("flow"):
        return f"Workflow run {created.owner}"
    return None


class WorkspaceCleaner:
    """Keeps and cleans workspaces, and removes their directories. As a reactor it cleans unused ones."""

    name = "workspaces"

    def __init__(
        self,
        log: Log,
        tail: Tail,
        places: WorkspacePlaces,
        homes: AgentHomes,
        uses: LastUses,
        clock: Clock,
        ids: Ids,
        *,
        keep_hours: int,
    ) -> None:
        """Clean what was unused for ``keep_hours``; with 0, once its runs have ended.

        The homes of outside agents are removed with the workspaces of their sessions, or at the same age.
        """
        self._homes = homes
        self._log = log
        self._places = places
        self._uses = uses
        self._clock = clock
        self._meta = Meta(actor="system:workspaces", correlation=ids.trace())
        self._keep_ms = keep_hours * HOUR_MS
        self._removing = threading.Lock()
        self.timer = Timer(REMOVAL, REMOVAL_SECONDS, self.remove_cleaned, log.problems)
        self.timer.wake()
        changes = {WorkspaceCreated.TYPE, WorkspaceRetained.TYPE}
        self.types = frozenset(changes if keep_hours else changes | {WorkspaceChanged.TYPE})
        tail.subscribe(self._on_removals, frozenset((WorkspaceCleaned.TYPE, PayloadRedacted.TYPE)))

    async def keep(self, workspace_id: str, body: KeepBody, by: str, meta: Meta, key: Key | None) -> Committed:
        """Set whether a workspace is kept; the subject of the commit is its id. Raise NotFound.

        A cleaned workspace stays as it is.
        """
        self._check(workspace_id)

        def keep(reader: Reader, context: Context) -> Outcome:
            command = workspace.RetainWorkspace(workspace_id=workspace_id, keep=body.keep, by=by)
            events = workspace.decide(command, reader.state(workspace.DECIDER, workspace_id), context)
            return Outcome(facts=facts_of(workspace_id, events), subject=workspace_id)

        return await self._log.submit(keep, meta, key)

    async def clean(self, workspace_id: str, by: str, meta: Meta, key: Key | None) -> Committed:
        """Clean a workspace once, and remove its directory; the subject of the commit is its id.

        Raise NotFound or WorkspaceBusy.
        """
        self._check(workspace_id)

        def clean(reader: Reader, context: Context) -> Outcome:
            facts = cleaned(reader, context, workspace_id, "requested", by)
            return Outcome(facts=facts, subject=workspace_id)

        done = await self._log.submit(clean, meta, key)
        await self.remove_cleaned()
        return done

    async def erase(
        self, workspace_ids: Sequence[str], meta: Meta, agent_sessions: Sequence[str] = ()
    ) -> tuple[TextTrace, ...]:
        """Clean all of these workspaces or none, because a text that they may hold is erased; remove their directories.

        The homes of the agents of ``agent_sessions`` are removed too. Return the workspaces that are not on this
        machine. Raise WorkspaceBusy while a run uses one of them, or a home.
        """
        if not workspace_ids and not agent_sessions:
            return ()

        def clean(reader: Reader, context: Context) -> Outcome:
            turns = reader.guards(TURN)
            for session_id in agent_sessions:
                if (turn := turns.get(session_id)) is not None:
                    raise WorkspaceBusy(
                        f"Run {turn[0]} uses the home of the agents of session {session_id}. Wait for its end, or"
                        " cancel it."
                    )
            facts = (fact for name in workspace_ids for fact in cleaned(reader, context, name, "erasure", meta.actor))
            return Outcome(facts=tuple(facts))

        here = set(await to_thread.run_sync(self._places.ids))
        await self._log.submit(clean, meta)
        await self.remove_cleaned()
        for session_id in agent_sessions:
            await to_thread.run_sync(self._homes.remove, session_id)
        return tuple(
            TextTrace(place=name, reason=ELSEWHERE, remedy=ON_ANOTHER_MACHINE)
            for name in workspace_ids
            if name not in here
        )

    def _check(self, workspace_id: str) -> None:
        if not workspace.DECIDER.owns(workspace_id):
            raise NotFound(f"no workspace {workspace_id!r} exists")

    async def size_of(self, workspace_id: str) -> int | None:
        """Return the size of a workspace on disk; None if it is not on this machine, or cannot be measured now."""
        if not await to_thread.run_sync(self._places.exists, workspace_id):
            return None
        try:
            return await size_of(self._places.at(workspace_id))
        except (OSError, Overloaded):
            return None

    # Removal of directories

    def _on_removals(self, rows: Sequence[Row]) -> None:
        self.timer.wake()

    async def remove_cleaned(self) -> bool:
        """Remove the directories of cleaned workspaces, and homes, on this machine. Return False if that failed."""
        try:
            await to_thread.run_sync(self.remove_directories)
        except OSError as error:  # the timer tries again
            self._log.problems.report(REMOVAL, error)
            return False
        return True

    def remove_directories(self) -> None:
        """Remove the directories of cleaned workspaces on this machine, and what was made a day ago for nothing.

        Also remove the homes of agents that are not needed. It blocks. Raise OSError.
        """
        with self._removing, closing(self._log.reader()) as reader:
            self._places.remove_rests(self._clock.now())
            active = {place: str(value[0]) for _, place, value in reader.guards(WORKSPACE_GUARD)}
            left = set[str]()
            for workspace_id in self._places.ids():
                if workspace_id in active.values():
                    continue
                state = committed(self._log, reader, workspace.DECIDER, workspace_id)
                if state.cleaned:  # an unknown one is being made, or belongs to another log
                    left |= {state.created.owner} if state.created and state.created.kind == "session" else set()
                    self._places.remove(workspace_id)
            self._remove_homes(reader, frozenset(active), left)

    def _remove_homes(self, reader: StoreReader, active: frozenset[str], left: Set[str]) -> None:
        """Remove the homes that were unused for too long, of ``left`` sessions, or with text that was erased.

        The home of a session with an admitted run stays, and so does one with an ``active`` workspace until the text is
        erased.
        """
        self._homes.remove_rests()
        erased = {home.session_id for home in erased_homes(self._homes, reader, self._log.codec)}
        entries, until = list(self._homes.entries()), self._clock.now() - self._keep_ms
        turns = {session_id for _, session_id, _ in reader.guards(TURN)}  # after the last look at their use
        for home in entries:
            kept = workspace.place_of("session", home.session_id) in active
            over = home.session_id in left or (not kept and home.used_at <= until)
            if home.session_id not in turns and (over or home.session_id in erased):
                self._homes.remove(home.session_id)

    # Reactor

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        """Return the key if any workspace exists."""
        return {NEXT: NOW} if reader.guards(WORKSPACE_GUARD) else {}

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the key if a workspace may be due at once. Others are due long after the next ``open``."""
        return (NEXT,) if self._keep_ms == 0 else ()

    async def act(self, key: str) -> int | None:
        """Clean unused workspaces. Return when the next one is due."""
        now, later = self._clock.now(), list[int]()
        for use in await self._uses.unkept():
            due = use.at + (self._keep_ms if use.runs else max(self._keep_ms, HOUR_MS))  # its first run may begin
            if due > now:
                later.append(due)
            elif not await self._clean_unused(use.workspace_id):
                later.append(now + BUSY_MS)
        return min(later, default=None)

    async def _clean_unused(self, workspace_id: str) -> bool:
        """Clean a workspace because of its age. Return False if it is busy."""

        def clean(reader: Reader, context: Context) -> Outcome:
            return Outcome(facts=cleaned(reader, context, workspace_id, "policy", None))

        try:
            await self._log.submit(clean, self._meta)
        except WorkspaceBusy:
            return False
        return True
