"""Tests of apply: all or nothing, once, and never outside of the shared workspace."""

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Key, Outcome, facts_of
from athena_core.domain import DECIDERS
from athena_core.domain.workspace import WorkspaceApplied, WorkspaceCreated
from athena_core.errors import Overloaded, WorkspaceConflict, WorkspaceMissing
from athena_core.event import Meta
from athena_core.log.engine import open_store
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.workspaces.applying import APPLYING, AppliedCount, AppliedFile, Applies
from athena_core.services.workspaces.making import make
from athena_core.services.workspaces.patches import ChangesOfRun
from athena_core.services.workspaces.places import WorkspacePlaces
from athena_core.services.workspaces.snapshots import Snapshots
from athena_core.tools.workspace import Workspace
from tests.support.event_samples import CODEC

META = Meta(actor="ada", correlation="00000000-0000-4000-8000-000000000000")
OWN = "wsp_1"
TEXT = "".join(f"line {number}\n" for number in range(9))


class Desk:
    """A shared workspace, a copy of it in which a run works, and the service that applies the run."""

    def __init__(self, directory: Path, log: Log) -> None:
        self.log = log
        self.directory = directory
        self.shared = directory / "shared"
        self.places = WorkspacePlaces(directory / "own")
        self.own = self.places.files(OWN)
        self.root = Workspace(self.shared, patterns=("*.pem",), code=(self.shared / "bin",))
        self.applies = Applies(log, self.places, self.root)
        self.snapshots = Snapshots(self.places.at(OWN), self.root.own(self.own))
        self.before = self.after = ""

    async def begin(self, **files: str) -> None:
        """Make the shared workspace with files, and the copy."""
        self.shared.mkdir()
        for name, text in files.items():
            (self.shared / name).write_text(text)
        await make("copy", self.root, self.places.at(OWN), self.directory, bytes(32))
        self.before = (await self.snapshots.take()).tree
        created = WorkspaceCreated(workspace_id=OWN, kind="session", owner="s", source="copy", run_id="run_1")
        await self.log.submit(lambda reader, context: Outcome(facts=facts_of(OWN, (created,))), META)

    async def changes(self) -> ChangesOfRun:
        """End the run."""
        self.after = (await self.snapshots.take()).tree
        return ChangesOfRun("run_1", OWN, self.before, self.after)

    async def plan(self) -> dict[str, str]:
        return {file.path: file.result for file in await self.applies.plan(await self.changes())}

    async def apply(self, key: Key | None = None) -> Committed[AppliedCount]:
        return await self.applies.apply(await self.changes(), "ada", META, key)

    async def results(self) -> dict[str, str]:
        done = (await self.apply()).handover
        assert isinstance(done, tuple)
        return {file.path: file.result for file in done if isinstance(file, AppliedFile)}

    async def refused(self) -> dict[str, str]:
        """Apply, and return the reasons of the conflicts by path. Nothing may be written."""
        before = tree(self.shared)
        with pytest.raises(WorkspaceConflict) as refused:
            await self.apply()
        assert tree(self.shared) == before
        assert self.applied() == []
        details = refused.value.details
        assert isinstance(details, dict)
        return {file.path: file.reason for file in details["files"]}

    def applied(self) -> list[WorkspaceApplied]:
        with closing(self.log.reader()) as reader:
            events = [CODEC.decode(row).event for row in reader.stream(OWN)]
        return [event for event in events if isinstance(event, WorkspaceApplied)]


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and content of each file of a directory; of a link, its target."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    ids = CountingIds()
    (tmp_path / "state").mkdir()
    store = open_store(tmp_path / "state", None, ids)
    log = Log(store, CODEC, DECIDERS, clock=FixedClock(), ids=ids, key_hours=24)
    log.start()
    yield Desk(tmp_path, log)
    log.close()


async def test_changed_new_and_deleted_files_are_applied(desk: Desk) -> None:
    await desk.begin(changed="one\n", gone="x\n", left="same\n", run="#!/bin/sh\n")
    (desk.shared / "run").chmod(0o640)
    (desk.own / "changed").write_text("two\n")
    (desk.own / "gone").unlink()
    (desk.own / "run").chmod(0o755)
    (desk.own / "deep").mkdir()
    (desk.own / "deep" / "tool").write_bytes(b"\0\1\xff")
    (desk.own / "deep" / "tool").chmod(0o755)
    (desk.own / "deep" / "na me\n").write_text("odd\n")
    expected = {
        "changed": "written",
        "deep/na me\n": "written",
        "deep/tool": "written",
        "gone": "deleted",
        "run": "written",
    }
    assert await desk.plan() == expected
    assert (desk.shared / "gone").exists()
    assert await desk.results() == expected
    assert (desk.shared / "changed").read_text() == "two\n"
    assert not (desk.shared / "gone").exists()
    assert (desk.shared / "left").read_text() == "same\n"
    assert stat.S_IMODE((desk.shared / "run").stat().st_mode) == 0o750
    assert (desk.shared / "deep" / "tool").read_bytes() == b"\0\1\xff"
    assert (desk.shared / "deep" / "tool").stat().st_mode & stat.S_IXUSR
    assert not (desk.shared / "deep" / "na me\n").stat().st_mode & 0o111
    (applied,) = desk.applied()
    assert (applied.run_id, applied.files, applied.by) == ("run_1", 5, "ada")
    assert not list(desk.places.at(OWN).glob(f"{APPLYING}*"))


async def test_a_second_apply_changes_nothing(desk: Desk) -> None:
    await desk.begin(a=TEXT, b="b\n")
    (desk.own / "a").write_text(TEXT.replace("line 2", "LINE 2"))
    (desk.own / "b").unlink()
    (desk.shared / "a").write_text(TEXT.replace("line 7", "LINE 7"))
    assert await desk.results() == {"a": "merged", "b": "deleted"}
    merged = TEXT.replace("line 2", "LINE 2").replace("line 7", "LINE 7")
    assert (desk.shared / "a").read_text() == merged
    before = tree(desk.shared)
    assert await desk.results() == {"a": "already", "b": "already"}
    again = (await desk.changes())._replace(applied=True)
    assert (await desk.applies.apply(again, "ada", META, None)).answer.files == 0
    assert tree(desk.shared) == before
    assert [one.files for one in desk.applied()] == [2, 0]


async def test_an_interrupted_apply_is_finished(desk: Desk) -> None:
    """The process ends after it merged one file and deleted another, before it wrote the last."""
    await desk.begin(a="a\n", b=lines("aaa{"), c="c\n")
    (desk.own / "a").write_text("A\n")
    (desk.own / "b").write_text(lines("aaaa{a"))
    (desk.own / "c").unlink()
    (desk.shared / "b").write_text(lines("a}aa{"))
    assert await desk.results() == {"a": "written", "b": "merged", "c": "deleted"}
    merged = (desk.shared / "b").read_text()
    (desk.shared / "a").write_text("a\n")
    assert await desk.results() == {"a": "written", "b": "already", "c": "already"}
    assert (desk.shared / "b").read_text() == merged


@pytest.mark.parametrize(
    ("base", "hand", "run"),
    [
        ("}}", "}{}}", "a}}"),  # to merge the result again conflicts
        ("aaa{", "a}aa{", "aaaa{a"),  # to merge the result again adds a line again
        ("bbbb", "Ybbbbb", "bbb"),  # to merge the result again takes a line away again
    ],
)
async def test_nothing_is_merged_twice(desk: Desk, base: str, hand: str, run: str) -> None:
    await desk.begin(a=lines(base))
    (desk.own / "a").write_text(lines(run))
    (desk.shared / "a").write_text(lines(hand))
    assert await desk.results() == {"a": "merged"}
    merged = (desk.shared / "a").read_text()
    assert await desk.results() == {"a": "already"}
    (desk.shared / "a").write_text("top\n" * 5 + merged)
    changes = (await desk.changes())._replace(applied=True)
    assert [file.result for file in await desk.applies.plan(changes)] in (["already"], ["conflict"])


async def test_a_run_that_was_taken_out_by_hand_is_merged_again(desk: Desk) -> None:
    await desk.begin(a=TEXT)
    (desk.own / "a").write_text(TEXT.replace("line 2", "LINE 2"))
    (desk.shared / "a").write_text(TEXT.replace("line 7", "LINE 7"))
    await desk.apply()
    changes = (await desk.changes())._replace(applied=True)
    (desk.shared / "a").write_text(TEXT.replace("line 8", "LINE 8"))
    assert [file.result for file in await desk.applies.plan(changes)] == ["merged"]
    (desk.shared / "a").write_text(TEXT.replace("line 2", "LINE 2").replace("line 5", "LINE 5"))
    assert [file.result for file in await desk.applies.plan(changes)] == ["already"]
    (desk.shared / "a").write_text(TEXT.replace("line 2", "line two"))
    assert [file.result for file in await desk.applies.plan(changes)] == ["conflict"]


def lines(letters: str) -> str:
    return "".join(f"{letter}\n" for letter in letters)


async def test_one_conflict_keeps_everything_from_being_written(desk: Desk) -> None:
    await desk.begin(fine="1\n", both="1\n", gone="1\n", deleted="1\n", binary="\0")
    (desk.own / "fine").write_text("2\n")
    (desk.own / "both").write_text("2\n")
    (desk.own / "gone").write_text("2\n")
    (desk.own / "deleted").unlink()
    (desk.own / "binary").write_text("\0a")
    (desk.own / "new").write_text("mine\n")
    (desk.shared / "both").write_text("3\n")
    (desk.shared / "gone").unlink()
    (desk.shared / "deleted").write_text("3\n")
    (desk.shared / "binary").write_text("\0b")
    (desk.shared / "new").write_text("yours\n")
    assert (await desk.plan())["fine"] == "written"
    assert sorted(await desk.refused()) == ["binary", "both", "deleted", "gone", "new"]


async def test_closed_and_linked_paths_are_never_written(desk: Desk) -> None:
    await desk.begin(notes="1\n")
    (desk.directory / "outside").mkdir()
    (desk.directory / "outside" / "file").write_text("theirs\n")
    for name in ("bin", "linked", "a"):
        (desk.own / name).mkdir()
    (desk.own / "bin" / "tool").write_text("x\n")
    (desk.own / "linked" / "file").write_text("x\n")
    (desk.own / "notes").write_text("2\n")
    (desk.own / "link").symlink_to("notes")
    (desk.own / "a" / "file").write_text("x\n")
    (desk.shared / "linked").symlink_to(desk.directory / "outside")
    (desk.shared / "notes").rename(desk.shared / "old")
    (desk.shared / "notes").symlink_to(desk.directory / "outside" / "file")
    (desk.shared / "a").write_text("a file\n")
    reasons = await desk.refused()
    assert sorted(reasons) == ["a/file", "bin/tool", "link", "linked/file", "notes"]
    assert "read-only" in reasons["bin/tool"]
    assert "symbolic link" in reasons["linked/file"]
    assert "symbolic link" in reasons["notes"]
    assert (desk.directory / "outside" / "file").read_text() == "theirs\n"


async def test_closed_files_are_refused_by_name(desk: Desk) -> None:
    await desk.begin(notes="1\n")
    (desk.own / "key.pem").write_text("x\n")
    (desk.own / ".env").write_text("x\n")
    (desk.own / "café\x7f").write_text("x\n")
    (desk.own / os.fsdecode(b"caf\xe9")).write_text("x\n")
    assert sorted(await desk.refused()) == [".env", "caf\\xe9", "key.pem"]


async def test_a_link_that_was_made_by_hand_is_accepted(desk: Desk) -> None:
    await desk.begin(notes="1\n")
    (desk.own / "link").symlink_to("notes")
    (desk.own / "notes").write_text("2\n")
    assert list(await desk.refused()) == ["link"]
    (desk.shared / "link").symlink_to("notes")
    assert await desk.results() == {"link": "already", "notes": "written"}


async def test_directories_that_become_empty_are_deleted(desk: Desk) -> None:
    desk.shared.mkdir()
    for name in ("left/deep/a", "moved/a", "closed/a"):
        (desk.shared / name).parent.mkdir(parents=True, exist_ok=True)
        (desk.shared / name).write_text("x\n")
    (desk.shared / "closed" / "key.pem").write_text("secret\n")
    (desk.shared).rename(desk.directory / "prepared")
    await desk.begin()
    desk.shared.rmdir()
    (desk.directory / "prepared").rename(desk.shared)
    for name in ("left/deep/a", "moved/a", "closed/a"):
        (desk.own / name).parent.mkdir(parents=True, exist_ok=True)
        (desk.own / name).write_text("x\n")
    desk.before = (await desk.snapshots.take()).tree
    for name in ("left/deep/a", "moved/a", "closed/a"):
        (desk.own / name).unlink()
    (desk.own / "moved" / "b").write_text("x\n")
    inode = (desk.shared / "moved").stat().st_ino
    await desk.apply()
    assert not (desk.shared / "left").exists()
    assert (desk.shared / "moved").stat().st_ino == inode
    assert (desk.shared / "closed" / "key.pem").read_text() == "secret\n"


async def test_a_repeated_key_writes_nothing(desk: Desk) -> None:
    await desk.begin(a="1\n")
    (desk.own / "a").write_text("2\n")
    key = Key.of("ada", "applyRun", "k", b"{}")
    first = await desk.apply(key)
    (desk.shared / "a").write_text("1\n")  # undone by hand
    again = await desk.apply(key)
    assert (again.replayed, again.answer, again.handover) == (True, first.answer, None)
    assert (desk.shared / "a").read_text() == "1\n"


async def test_applies_follow_each_other(desk: Desk) -> None:
    await desk.begin(a=TEXT)
    (desk.own / "a").write_text(TEXT.replace("line 1", "LINE 1"))
    one = await desk.changes()
    (desk.own / "a").write_text(TEXT.replace("line 7", "LINE 7"))
    two = ChangesOfRun("run_2", OWN, desk.before, (await desk.snapshots.take()).tree)
    other = Applies(desk.log, desk.places, desk.root)  # as in another process
    await asyncio.gather(desk.applies.apply(one, "ada", META, None), other.apply(two, "bob", META, None))
    assert (desk.shared / "a").read_text() == TEXT.replace("line 1", "LINE 1").replace("line 7", "LINE 7")


async def test_an_apply_waits_for_the_one_of_another_process(desk: Desk) -> None:
    await desk.begin(a="1\n")
    (desk.own / "a").write_text("2\n")
    impatient = Applies(desk.log, desk.places, desk.root, turn_seconds=0.1)
    other = os.open(desk.shared, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(Overloaded):
        await impatient.apply(await desk.changes(), "ada", META, None)
    os.close(other)
    assert (await impatient.apply(await desk.changes(), "ada", META, None)).answer.files == 1


async def test_a_workspace_that_is_gone_is_an_error(desk: Desk) -> None:
    await desk.begin(a="1\n")
    (desk.own / "a").write_text("2\n")
    changes = await desk.changes()
    desk.places.remove(OWN)
    with pytest.raises(WorkspaceMissing, match="git apply"):
        await desk.applies.apply(changes, "ada", META, None)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
async def test_a_directory_that_cannot_be_written_is_a_conflict(desk: Desk) -> None:
    await desk.begin(a="1\n")
    (desk.own / "a").write_text("2\n")
    desk.shared.chmod(0o500)
    try:
        assert list(await desk.refused()) == ["a"]
    finally:
        desk.shared.chmod(0o700)
