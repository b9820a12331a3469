"""Apply: write what a run changed in its own workspace into the shared one.

First everything is checked: for each file, the shared content is compared with what the run found and what it left. A
file that changed meanwhile is merged from these three. If any file conflicts, nothing is written.

Then the files are written one by one. If that is interrupted, the same apply finishes it: a file that has the content
already is left alone. To merge a file twice could repeat lines, so the hashes of merged files are stored before they
are written, and a run that was applied before is merged only where its change is certainly missing.
"""

import asyncio
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

import anyio
import msgspec
from anyio import to_thread

from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import workspace
from athena_core.errors import ExactNotOpened, Overloaded, WorkspaceConflict, WorkspaceMissing
from athena_core.event import Meta, Value, says
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.outside_text import DecidedText
from athena_core.services.states import at_head
from athena_core.services.workspaces.patches import ChangesOfRun, decided_changes
from athena_core.services.workspaces.places import WorkspacePlaces
from athena_core.services.workspaces.recording import FILE_BYTES_MAX
from athena_core.services.workspaces.snapshots import ChangedFile, Snapshots, TreeDiff
from athena_core.services.workspaces.staging import RecordedFile, stage
from athena_core.system import private_file
from athena_core.system.box.trees import delete_tree
from athena_core.system.git import Git
from athena_core.tools.refusal import PathRefused
from athena_core.tools.workspace import Parts, Workspace, parts_of
from athena_core.values import Body, Label

ApplyResult: TypeAlias = Literal["written", "deleted", "merged", "already", "conflict"]

CHANGING: frozenset[ApplyResult] = frozenset(("written", "deleted", "merged"))
"""The results of files that are written or deleted."""

MERGED_BYTES_MAX = 4_000_000
"""Maximum size of a text file that is merged."""

BINARY_PROBE_BYTES = 8_000
"""A file with a NUL in its first bytes is binary, as for git."""

TURN_SECONDS_MAX = 60.0
TURN_POLL_SECONDS = 0.05
"""How long an apply waits for another one, also of another server, and how often it tries."""

CONFLICTS_MAX = 100
"""Maximum number of conflicts in an error."""

MERGED = "merged-"
"""Prefix of the file with the hashes of the files that applies of a run merged, beside its files."""

APPLYING = "apply-"
"""Prefix of the directory in which an apply prepares its files, beside the files of the workspace."""

EXECUTABLE = 0o111
LINK_MODE = 0o120000
CHANGED = "it changed in the shared workspace too, and cannot be merged"
APPLIED = "the run was applied before, and it changed in the shared workspace since then"


class ApplyBody(Body):
    """An apply of the changes of a run; with ``dry_run``, only a report.

    ``subject_hash`` is the hash of the changes that were shown. Other changes are not applied.
    """

    dry_run: Annotated[bool | None, says("True to only report what would be done.")] = None
    subject_hash: Annotated[
        Label | None, says("Hash of the changes that were shown; required if the diff hides a part of them.")
    ] = None


class AppliedFile(Value):
    """A file of an apply: its path, what was done with it, and the reason of a conflict."""

    path: Annotated[str, says("Path in the shared workspace.")]
    result: Annotated[ApplyResult, says("What was done, or in a dry run would be done.")]
    reason: Annotated[str | None, says("Why it conflicts; absent otherwise.")] = None


class AppliedCount(Value):
    """The answer of an apply that is stored under its key: the number of files written or deleted."""

    files: int


class Content(NamedTuple):
    """The content of a file: its size and hash, and whether it may be executed."""

    size: int
    sha256: bytes
    executable: bool

    def same(self, other: "Content") -> bool:
        """Return True if the bytes are equal."""
        return self.size == other.size and self.sha256 == other.sha256


class Plan(msgspec.Struct):
    """The treatment of a file. ``now`` is its shared content, None if it does not exist.

    ``source`` holds the new content, None for a deletion. ``executable`` is set if that changes.
    """

    path: str
    parts: Parts
    result: ApplyResult
    reason: str | None = None
    now: Content | None = None
    source: Path | None = None
    executable: bool | None = None

    @property
    def writes(self) -> bool:
        """True if the file is written or deleted."""
        return self.result in CHANGING


class _Conflict(Exception):
    """A file cannot be applied."""


class _UnboundKey(Exception):
    """An idempotency key that is not bound yet."""


class Merge(NamedTuple):
    """A file that must be merged: the plan, and copies of the shared content and of those before and after the run.

    ``again``: it may have been merged before.
    """

    plan: Plan
    ours: Path
    base: Path
    theirs: Path
    again: bool


class Applies:
    """Applies the changes of runs to the shared workspace, one after the other."""

    def __init__(
        self, log: Log, places: WorkspacePlaces, shared: Workspace, *, turn_seconds: float = TURN_SECONDS_MAX
    ) -> None:
        """Write into ``shared``, at most ``turn_seconds`` after another apply began."""
        self._log = log
        self._places = places
        self._shared = shared
        self._turn = asyncio.Lock()
        self._turn_seconds = turn_seconds

    async def plan(self, changes: ChangesOfRun) -> tuple[AppliedFile, ...]:
        """Return what an apply would do. Raise WorkspaceMissing, WorkspaceConflict or Overloaded."""
        async with self._prepared(changes) as plans:
            return _shown(plans)

    async def open_exact(self, changes: ChangesOfRun, by: str, meta: Meta, mask: Mask) -> tuple[DecidedText, TreeDiff]:
        """Return the exact diff of a run, and record that it was opened. Raise WorkspaceMissing or Overloaded."""
        snapshots = await self._snapshots(changes)
        diff = await snapshots.diff(changes.before, changes.after, exact=True)
        decided = await to_thread.run_sync(
            decided_changes, diff, mask, await to_thread.run_sync(lambda: snapshots.salt)
        )
        command = workspace.NoteExactDiff(
            workspace_id=changes.workspace_id, run_id=changes.run_id, subject_sha256=changes.subject_hash, by=by
        )

        def note(reader: Reader, context: Context) -> Outcome:
            events = workspace.decide(command, reader.state(workspace.DECIDER, changes.workspace_id), context)
            return Outcome(facts=facts_of(changes.workspace_id, events))

        await self._log.submit(note, meta)
        return decided, diff

    async def apply(
        self, changes: ChangesOfRun, by: str, meta: Meta, key: Key | None, *, shown: str | None = None
    ) -> Committed[AppliedCount]:
        """Apply the changes of a run. The handover of the commit are the files, without one for a repeated key.

        ``shown`` is the hash of the changes that ``by`` was shown. A second apply that finds nothing to do is not
        recorded. Raise WorkspaceConflict if any file conflicts; nothing is written then. Raise SubjectChanged,
        ExactNotOpened, WorkspaceMissing or Overloaded.
        """
        async with self._turn, self._alone():
            if key is not None and (before := await self._known_by(key, meta)) is not None:
                return before
            changes.check(shown)
            if changes.hides:
                await self._check_opened(changes, by, shown)
            async with self._prepared(changes) as plans:
                conflicts = [plan for plan in plans if plan.result == "conflict"]
                if conflicts:
                    raise _refused(changes.run_id, conflicts)
                await to_thread.run_sync(self._write, changes, plans)
            files = _shown(plans)
            written = sum(plan.writes for plan in plans)

            def note(reader: Reader, context: Context) -> Outcome[AppliedCount]:
                state = reader.state(workspace.DECIDER, changes.workspace_id)
                command = workspace.NoteApplied(
                    workspace_id=changes.workspace_id,
                    run_id=changes.run_id,
                    files=written,
                    by=by,
                    subject_sha256=changes.subject_hash,
                )
                events = workspace.decide(command, state, context) if written or (files and not changes.applied) else ()
                return Outcome(
                    facts=facts_of(changes.workspace_id, events),
                    subject=changes.run_id,
                    answer=AppliedCount(files=written),
                    handover=files,
                )

            return await self._log.submit(note, meta, key, answers=AppliedCount)

    async def _check_opened(self, changes: ChangesOfRun, by: str, shown: str | None) -> None:
        """Raise ExactNotOpened unless an identity names the changes, whose exact diff it opened."""
        state = await at_head(self._log, lambda reader: reader.state(workspace.DECIDER, changes.workspace_id))
        if shown is None or (by, changes.subject_hash) not in state.opened:
            raise ExactNotOpened(
                f"The diff of run {changes.run_id} hides a part of what would be written. Nothing was written. Open the"
                f" exact diff (GET /runs/{changes.run_id}/diff?exact=true, athena runs diff {changes.run_id} --exact),"
                " which is recorded, then apply with its subjectHash.",
                {"subjectHash": changes.subject_hash},
            )

    async def _known_by(self, key: Key, meta: Meta) -> Committed[AppliedCount] | None:
        """Return the earlier commit of a key if it is bound. This does not bind it."""

        def look(reader: Reader, context: Context) -> Outcome[AppliedCount]:
            raise _UnboundKey

        try:
            return await self._log.submit(look, meta, key, answers=AppliedCount)
        except _UnboundKey:
            return None

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until no other process applies to the shared workspace. Raise Overloaded."""
        try:
            root = os.open(self._shared.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise WorkspaceConflict(f"The shared workspace cannot be opened: {error.strerror}.") from error
        try:
            await _locked(root, self._turn_seconds)
            yield
        finally:
            os.close(root)

    async def _snapshots(self, changes: ChangesOfRun) -> Snapshots:
        """Return the snapshots of a workspace. Raise WorkspaceMissing."""
        if not await to_thread.run_sync(self._places.exists, changes.workspace_id):
            raise WorkspaceMissing(
                f"Workspace {changes.workspace_id} is cleaned, or its directory is not on this machine. Apply the"
                f" recorded diff by hand: athena runs diff {changes.run_id} --raw | git apply"
            )
        return Snapshots(self._places.at(changes.workspace_id), self._shared)

    @asynccontextmanager
    async def _prepared(self, changes: ChangesOfRun) -> AsyncIterator[list[Plan]]:
        """Yield the plans of all files, with their contents in a private directory."""
        diff = await (await self._snapshots(changes)).diff(changes.before, changes.after)
        if len(diff.files) < diff.files_total:
            problem = f"The run changed {diff.files_total:,} files, too many to apply. Copy them by hand."
            raise WorkspaceConflict(problem)
        scratch: Path | None = None
        try:
            try:
                directory = self._places.at(changes.workspace_id)
                scratch = Path(await to_thread.run_sync(lambda: tempfile.mkdtemp(prefix=APPLYING, dir=directory)))
                plans = await self._plans(changes, diff, scratch)
            except OSError as error:
                problem = (
                    f"The changes of run {changes.run_id} cannot be prepared: {error.strerror}. Nothing was written."
                )
                raise WorkspaceConflict(problem) from error
            yield plans
        finally:
            if scratch is not None:
                with anyio.CancelScope(shield=True), suppress(OSError):
                    await delete_tree(scratch)

    async def _plans(self, changes: ChangesOfRun, diff: TreeDiff, scratch: Path) -> list[Plan]:
        wanted = [
            RecordedFile(tree, file.path, scratch / f"{number}-{side}")
            for number, file in enumerate(diff.files)
            if file.recorded and file.exact
            for side, tree, mode in (
                ("before", changes.before, file.mode_before),
                ("after", changes.after, file.mode_after),
            )
            if mode
        ]
        await stage(self._places.git(changes.workspace_id), wanted)
        plans, merges = await to_thread.run_sync(self._compare, changes, diff.files, scratch)
        for merge in merges:
            await self._merge(merge, self._places.git(changes.workspace_id))
        return plans

    # The comparison, in a thread

    def _compare(
        self, changes: ChangesOfRun, files: Sequence[ChangedFile], scratch: Path
    ) -> tuple[list[Plan], list[Merge]]:
        """Decide about each file. Return the plans, and the merges that complete them."""
        plans, merges = [], list[Merge]()
        merged = self._merged_before(changes)
        for number, file in enumerate(files):
            plan = Plan(file.path, (), "already")
            plans.append(plan)
            place = scratch / str(number)
            try:
                if not (file.recorded and file.exact):
                    raise _Conflict("its content is not recorded" if file.exact else "its name is not UTF-8")
                plan.parts = parts_of(file.path)
                self._shared.check(plan.parts, write=True)
                if file.is_link:
                    self._compare_link(file, plan, place)
                elif self._decide(file, plan, place):
                    if plan.now is not None and merged.get(plan.path) == plan.now.sha256.hex():
                        continue
                    self._check_writable(plan.parts)
                    merges.append(self._to_merge(plan, place, again=changes.applied or plan.path in merged))
                elif plan.writes:
                    self._check_writable(plan.parts)
            except _Conflict as error:
                plan.result, plan.reason = "conflict", str(error)
            except PathRefused as error:
                plan.result, plan.reason = "conflict", error.problem
            except OSError as error:
                plan.result, plan.reason = "conflict", f"it cannot be read: {error.strerror}"
        return plans, merges

    def _compare_link(self, file: ChangedFile, plan: Plan, place: Path) -> None:
        """Accept a link that was made or deleted by hand. Raise _Conflict for any other."""
        wanted = None if not file.mode_after else _copy(place, "after").read_bytes()
        try:
            target = self._shared.target(plan.parts)
            found = target is not None and file.mode_after == LINK_MODE and target == wanted
        except (FileNotFoundError, NotADirectoryError):
            found = wanted is None
        if not found and file.mode_after and file.mode_after != LINK_MODE:
            now = self._now(plan.parts)
            found = now is not None and now == _content(_copy(place, "after"), file.mode_after)
        if not found:
            raise _Conflict("it is or was a symbolic link, which apply neither writes nor deletes; do that by hand")

    def _decide(self, file: ChangedFile, plan: Plan, place: Path) -> bool:
        """Compare a file with its contents before and after the run. Return True if it must be merged."""
        now = plan.now = self._now(plan.parts)
        before = _content(_copy(place, "before"), file.mode_before) if file.mode_before else None
        after = _content(_copy(place, "after"), file.mode_after) if file.mode_after else None
        if after is None:
            if now is None:
                return False
            if before is None or not now.same(before):
                raise _Conflict("the run deleted it, but it changed in the shared workspace")
            plan.result = "deleted"
            return False
        if now is None:
            if before is not None:
                raise _Conflict("the run changed it, but it was deleted in the shared workspace")
            plan.result, plan.source, plan.executable = "written", _copy(place, "after"), after.executable
            return False
        if (before is None or before.executable != after.executable) and now.executable != after.executable:
            plan.executable = after.executable
        if not now.same(after) and not (before is not None and before.same(after)):
            if before is None:
                raise _Conflict("the run created it, but another file has its name in the shared workspace")
            if not now.same(before):
                return True
            plan.source = _copy(place, "after")
        if plan.source is not None or plan.executable is not None:
            plan.result = "written"
        return False

    def _to_merge(self, plan: Plan, place: Path, *, again: bool) -> Merge:
        """Copy the shared content of a text file. Raise _Conflict for a binary or large one."""
        ours, base, theirs = (_copy(place, side) for side in ("now", "before", "after"))
        ours.write_bytes(self._shared.read(plan.parts, FILE_BYTES_MAX, ""))
        for copy in (ours, base, theirs):
            with copy.open("rb") as file:
                if b"\0" in file.read(BINARY_PROBE_BYTES):
                    raise _Conflict("it is binary, and changed in the shared workspace too")
            if copy.stat().st_size > MERGED_BYTES_MAX:
                raise _Conflict("it is too large to be merged, and changed in the shared workspace too")
        return Merge(plan, ours, base, theirs, again)

    def _now(self, parts: Parts) -> Content | None:
        """Return the shared content of a file; None if it does not exist. Raise _Conflict for anything but a file."""
        try:
            data, mode = self._shared.read_with_mode(parts, FILE_BYTES_MAX, "")
        except FileNotFoundError:
            return None
        except IsADirectoryError:
            raise _Conflict("it is a directory in the shared workspace") from None
        except NotADirectoryError:
            raise _Conflict("a part of its path is a file in the shared workspace") from None
        return Content(len(data), hashlib.sha256(data).digest(), bool(mode & EXECUTABLE))

    def _check_writable(self, parts: Parts) -> None:
        """Raise _Conflict if the directory of a file, or the nearest one that exists, cannot be written."""
        for end in range(len(parts) - 1, -1, -1):
            place = self._shared.root.joinpath(*parts[:end])
            if place.exists():
                if not os.access(place, os.W_OK | os.X_OK):
                    raise _Conflict("the server may not write to its directory")
                return

    # Merging

    async def _merge(self, merge: Merge, git: Path) -> None:
        """Merge a file that changed on both sides, unless the run's change may be in it already."""
        plan, merged = merge.plan, merge.ours.with_name(f"{merge.ours.name}-merged")
        try:
            found = await self._find(merge, git, merged) if merge.again else "missing"
            if found == "missing":
                fits = await _merge_file(git, merge.ours, merge.base, merge.theirs, merged)
                found = "missing" if fits else "unknown"
            if found == "unknown":
                plan.result, plan.reason = "conflict", APPLIED if merge.again else CHANGED
            elif merged.read_bytes() != merge.ours.read_bytes():
                plan.result, plan.source = "merged", merged
            else:
                plan.result = "written" if plan.executable is not None else "already"
        except OSError as error:
            plan.result, plan.reason = "conflict", f"it cannot be merged: {error.strerror}"

    async def _find(self, merge: Merge, git: Path, merged: Path) -> Literal["missing", "there", "unknown"]:
        """Look for the run's change in the shared content, by taking it out and putting it in again.

        It is missing if taking it out changes nothing, and there if the result is the same again.
        """
        taken_out = merge.ours.with_name(f"{merge.ours.name}-without")
        ours = merge.ours.read_bytes()
        if not await _merge_file(git, merge.ours, merge.theirs, merge.base, taken_out):
            return "unknown"
        if taken_out.read_bytes() == ours:
            return "missing"
        again = await _merge_file(git, taken_out, merge.base, merge.theirs, merged)
        return "there" if again and merged.read_bytes() == ours else "unknown"

    # Writing, in a thread

    def _write(self, changes: ChangesOfRun, plans: Sequence[Plan]) -> None:
        """Write all files: deletions first. Raise WorkspaceConflict if the system or another change interrupts that."""
        try:
            self._store_merged(changes, plans)
        except OSError as error:
            raise WorkspaceConflict(f"The apply cannot be prepared: {error.strerror}. Nothing was written.") from error
        left = sorted((plan for plan in plans if plan.writes), key=lambda plan: plan.result != "deleted")
        written = (plan.parts for plan in left if plan.result != "deleted")
        needed = {parts[:end] for parts in written for end in range(len(parts))}
        for done, plan in enumerate(left):
            try:
                if self._now(plan.parts) != plan.now:
                    raise _Conflict("it changed while the run was applied")
                if plan.result == "deleted":
                    self._shared.delete(plan.parts)
                    self._delete_empty(plan.parts[:-1], needed)
                else:
                    data = self._new_content(plan)
                    self._shared.write(plan.parts, data, executable=plan.executable)
            except (OSError, PathRefused, _Conflict) as error:
                raise _interrupted(changes.run_id, plan, error, done, len(left)) from error

    def _merges_of(self, changes: ChangesOfRun) -> Path:
        return self._places.at(changes.workspace_id) / f"{MERGED}{changes.run_id}"

    def _merged_before(self, changes: ChangesOfRun) -> dict[str, str]:
        """Return the hashes of the files that earlier applies of the run merged, or were about to, by path."""
        try:
            merged: dict[str, str] = msgspec.json.decode(self._merges_of(changes).read_bytes())
        except FileNotFoundError:
            return {}
        return merged

    def _store_merged(self, changes: ChangesOfRun, plans: Sequence[Plan]) -> None:
        """Store the hashes of merged files. Raise OSError."""
        merged = {
            plan.path: hashlib.sha256(plan.source.read_bytes()).hexdigest()
            for plan in plans
            if plan.result == "merged" and plan.source is not None
        }
        if merged:
            path = self._merges_of(changes)
            fresh = path.with_name(f"{path.name}.new")
            private_file.write(fresh, msgspec.json.encode(self._merged_before(changes) | merged), sync=True)
            fresh.replace(path)

    def _new_content(self, plan: Plan) -> bytes:
        return plan.source.read_bytes() if plan.source else self._shared.read(plan.parts, FILE_BYTES_MAX, "")

    def _delete_empty(self, above: Parts, needed: set[Parts]) -> None:
        """Delete the directories that a deletion left empty, as git does, except those that are needed."""
        for end in range(len(above), 0, -1):
            if above[:end] in needed:
                return
            try:
                self._shared.delete(above[:end])
            except (OSError, PathRefused):
                return


async def _locked(directory: int, seconds: float) -> None:
    """Lock a directory against other processes. Raise Overloaded after some seconds."""
    for _ in range(round(seconds / TURN_POLL_SECONDS)):
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(TURN_POLL_SECONDS)
        except OSError:  # the file system has no locks
            return
        else:
            return
    raise Overloaded("another run is being applied to the shared workspace")


async def _merge_file(git: Path, ours: Path, base: Path, theirs: Path, merged: Path) -> bool:
    """Merge three files into a new one. Return False if they conflict."""
    runner = Git(ours.parent, "workspace", {"GIT_DIR": str(git.absolute())})
    names = (ours.name, base.name, theirs.name)
    output = await runner.ask("merge-file", "-p", "-q", *names, bytes_max=3 * MERGED_BYTES_MAX)
    if output.status != 0 or output.cut:
        return False
    await to_thread.run_sync(merged.write_bytes, output.data)
    return True


def _copy(place: Path, side: str) -> Path:
    """Return the path of a prepared content: ``before``, ``after`` or ``now``."""
    return place.with_name(f"{place.name}-{side}")


def _content(copy: Path, mode: int) -> Content:
    data = copy.read_bytes()
    return Content(len(data), hashlib.sha256(data).digest(), bool(mode & EXECUTABLE))


def _shown(plans: Sequence[Plan]) -> tuple[AppliedFile, ...]:
    return tuple(AppliedFile(path=plan.path, result=plan.result, reason=plan.reason) for plan in plans)


def _refused(run_id: str, conflicts: Sequence[Plan]) -> WorkspaceConflict:
    """Return the error of an apply that conflicts."""
    first = conflicts[0]
    more = f", and {len(conflicts) - 1:,} more" if len(conflicts) > 1 else ""
    message = (
        f"The changes of run {run_id} do not fit the shared workspace: {first.path[:200]}: {first.reason}{more}."
        " Nothing was written. Resolve the conflicts by hand, then apply again."
    )
    listed = [AppliedFile(path=one.path, result="conflict", reason=one.reason) for one in conflicts[:CONFLICTS_MAX]]
    return WorkspaceConflict(message, {"conflicts": len(conflicts), "files": listed})


def _interrupted(run_id: str, plan: Plan, error: Exception, done: int, total: int) -> WorkspaceConflict:
    """Return the error of an apply that stopped in the middle."""
    reason = error.strerror if isinstance(error, OSError) else getattr(error, "problem", str(error))
    message = (
        f"Applying run {run_id} stopped at {plan.path[:200]}: {reason}. {done:,} of {total:,} files are written."
        " Apply it again to finish."
    )
    listed = [AppliedFile(path=plan.path, result="conflict", reason=str(reason))]
    return WorkspaceConflict(message, {"conflicts": 1, "files": listed})
