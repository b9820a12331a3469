"""Tests of the tool files: its actions in the workspace, and paths that lead out of it."""

import base64
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.definitions.profile import FilesPolicy
from athena_core.tools.files import FILE_BYTES, LIST_ENTRIES_MAX
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.workspace import PATH_CHARS_MAX, PATH_PARTS_MAX
from tests.core.tools.bench import CANARY, Workbench, snapshot
from tests.scale import sized

WRITING = FilesPolicy(write=True)
ACTIONS: tuple[dict[str, Any], ...] = (
    {"action": "list"},
    {"action": "list", "recursive": True},
    {"action": "read"},
    {"action": "read", "encoding": "base64"},
    {"action": "write", "content": "new"},
    {"action": "replace", "old": CANARY, "new": "x"},
    {"action": "delete"},
)


async def test_a_file_is_written_read_changed_listed_and_deleted(workbench: Workbench) -> None:
    bench = workbench.bench(files=WRITING)
    wrote = await workbench.call(bench, "files", action="write", path="a/b/c.txt", content="zwölf\nBoxkämpfer\n")
    assert (wrote.content, wrote.changed) == ("Wrote 19 bytes to a/b/c.txt.", True)
    assert (workbench.workspace / "a/b/c.txt").read_text("utf-8") == "zwölf\nBoxkämpfer\n"
    read = await workbench.call(bench, "files", action="read", path="./a//b/c.txt")
    assert (read.content, read.changed, read.is_error) == ("zwölf\nBoxkämpfer\n", False, False)
    await workbench.call(bench, "files", action="replace", path="a/b/c.txt", old="zwölf", new="elf")
    assert (workbench.workspace / "a/b/c.txt").read_text("utf-8") == "elf\nBoxkämpfer\n"
    assert (await workbench.call(bench, "files", action="list", path="a")).content == "b/"
    assert "a/b/c.txt (16 bytes)" in (await workbench.call(bench, "files", action="list", recursive=True)).content
    assert (await workbench.call(bench, "files", action="delete", path="a/b/c.txt")).changed
    assert (await workbench.call(bench, "files", action="list", path="a/b")).content == "[empty]"
    await workbench.call(bench, "files", action="delete", path="a/b")
    assert not (workbench.workspace / "a/b").exists()


@pytest.mark.parametrize(
    ("from_line", "lines", "text"),
    [
        (1, 1, "one"),
        (2, None, "two\r\n\u2028three\nfour"),
        (3, 2, "\u2028three\nfour"),
        (4, 99, "four"),
        (5, 1, ""),
        (10**9, 10**9, ""),
        (2.0, 1.0, "two\r"),
    ],
)
async def test_lines_are_those_that_an_editor_counts(
    workbench: Workbench, from_line: float, lines: float | None, text: str
) -> None:
    (workbench.workspace / "a").write_bytes("one\ntwo\r\n\u2028three\nfour".encode())
    some = {} if lines is None else {"lines": lines}
    result = await workbench.call(workbench.bench(), "files", action="read", path="a", from_line=from_line, **some)
    assert result.content == text


async def test_bytes_that_are_no_text_go_both_ways_in_base64(workbench: Workbench) -> None:
    bench, data = workbench.bench(files=WRITING), bytes(range(256))
    await workbench.call(
        bench, "files", action="write", path="a", encoding="base64", content=base64.b64encode(data).decode()
    )
    assert (workbench.workspace / "a").read_bytes() == data
    assert "encoding base64" in await workbench.refusal(bench, "files", action="read", path="a")
    read = await workbench.call(bench, "files", action="read", path="a", encoding="base64", evidence="bytes")
    assert base64.b64decode(read.content) == data
    assert read.shown is not None
    assert (read.shown.type, read.shown.content) == ("binary", read.content)
    assert "not base64" in await workbench.refusal(
        bench, "files", action="write", path="a", encoding="base64", content="no!"
    )


async def test_characters_that_cannot_be_stored_are_replaced_in_the_output_not_in_the_file(
    workbench: Workbench,
) -> None:
    bench = workbench.bench(files=WRITING)
    await workbench.call(bench, "files", action="write", path="a", content="a\0b")
    assert (workbench.workspace / "a").read_bytes() == b"a\0b"
    read = await workbench.call(bench, "files", action="read", path="a", evidence="label\0")
    assert read.content == "a\ufffdb"
    assert read.shown is not None
    assert (read.shown.label, read.shown.content) == ("label\ufffd", "a\ufffdb")


@pytest.mark.parametrize("action", ACTIONS)
async def test_each_result_is_evidence_of_the_workspace_if_a_label_is_given(
    workbench: Workbench, action: dict[str, Any]
) -> None:
    (workbench.workspace / "a").write_text(CANARY)
    path = "" if action["action"] == "list" else "a"
    result = await workbench.call(workbench.bench(files=WRITING), "files", **action, path=path, evidence="it")
    assert result.shown is not None
    assert (result.shown.label, result.shown.workspace, bool(result.shown.content)) == ("it", True, True)


@pytest.mark.parametrize("action", [action for action in ACTIONS if action["action"] not in ("list", "read")])
async def test_without_write_in_the_profile_nothing_is_changed(workbench: Workbench, action: dict[str, Any]) -> None:
    (workbench.workspace / "a").write_text(CANARY)
    before = snapshot(workbench.workspace)
    for bench in (workbench.bench(), workbench.bench(files=FilesPolicy())):
        told = await workbench.refusal(bench, "files", **action, path="a")
        assert "toolPolicies.files.write" in told
    assert snapshot(workbench.workspace) == before


@pytest.mark.parametrize("action", ["read", "write", "replace", "delete"])
async def test_the_missing_argument_of_an_action_is_named(workbench: Workbench, action: str) -> None:
    assert "needs path" in await workbench.refusal(workbench.bench(files=WRITING), "files", action=action)


async def test_an_old_text_must_be_there_exactly_once(workbench: Workbench) -> None:
    bench = workbench.bench(files=WRITING)
    (workbench.workspace / "a").write_text("twice twice")
    for old, times in (("twice", 2), ("never", 0)):
        told = await workbench.refusal(bench, "files", action="replace", path="a", old=old, new="x")
        assert f"occurs {times} times" in told
    assert (workbench.workspace / "a").read_text() == "twice twice"


async def test_a_refusal_of_the_system_is_an_error_that_names_the_path(workbench: Workbench) -> None:
    bench = workbench.bench(files=WRITING)
    (workbench.workspace / "full").mkdir()
    (workbench.workspace / "full/file").touch()
    for told, arguments in (
        ("nothing: No such file or directory", {"action": "read", "path": "nothing"}),
        ("nothing: No such file or directory", {"action": "list", "path": "nothing"}),
        ("nothing: No such file or directory", {"action": "delete", "path": "nothing"}),
        ("full: Is a directory", {"action": "read", "path": "full"}),
        ("full: Is a directory", {"action": "write", "path": "full", "content": ""}),
        ("full: Directory not empty", {"action": "delete", "path": "full"}),
        ("full/file/x: Not a directory", {"action": "write", "path": "full/file/x", "content": ""}),
        ("name too long", {"action": "write", "path": "x" * 300, "content": ""}),
    ):
        result = await workbench.call(bench, "files", **arguments)
        assert result.is_error
        assert told in result.content


async def test_files_over_the_limit_are_neither_read_nor_written(workbench: Workbench) -> None:
    (workbench.workspace / "large").write_bytes(b"x" * (FILE_BYTES + 1))
    (workbench.workspace / "small").write_bytes(b"x" * FILE_BYTES)
    usual, tiny = workbench.bench(files=WRITING), workbench.bench(files=FilesPolicy(write=True, file_bytes_max=3))
    assert len((await workbench.call(usual, "files", action="read", path="small")).content) == FILE_BYTES
    for told in (
        await workbench.refusal(usual, "files", action="read", path="large"),
        await workbench.refusal(usual, "files", action="write", path="a", content="x" * (FILE_BYTES + 1)),
        await workbench.refusal(tiny, "files", action="write", path="a", content="ää"),
        await workbench.refusal(tiny, "files", action="read", path="small"),
    ):
        assert "fileBytesMax" in told
    await workbench.call(tiny, "files", action="write", path="a", content="abc")
    assert "limit is 3" in await workbench.refusal(tiny, "files", action="replace", path="a", old="b", new="bb")


async def test_a_listing_ends_at_its_limit(workbench: Workbench) -> None:
    (workbench.workspace / "many").mkdir()
    for number in range(LIST_ENTRIES_MAX + 5):
        (workbench.workspace / f"many/{number:05}").touch()
    result = await workbench.call(workbench.bench(), "files", action="list", path="many", evidence="all")
    assert result.truncated
    assert len(result.content.splitlines()) == LIST_ENTRIES_MAX + 1
    assert result.content.splitlines()[:2] == ["00000 (0 bytes)", "00001 (0 bytes)"]
    small = workbench.bench(files=FilesPolicy(file_bytes_max=40))
    result = await workbench.call(small, "files", action="list", path="many")
    assert result.truncated
    assert result.content.splitlines()[2:] == ["[only the first 2 entries are shown; list a subdirectory]"]


async def test_a_file_keeps_its_mode_and_a_new_one_is_readable(workbench: Workbench) -> None:
    script = workbench.workspace / "run.sh"
    script.touch()
    script.chmod(0o750)
    bench = workbench.bench(files=WRITING)
    await workbench.call(bench, "files", action="write", path="run.sh", content="#!/bin/sh\n")
    assert script.stat().st_mode & 0o777 == 0o750
    await workbench.call(bench, "files", action="write", path="new", content="")
    umask = os.umask(0)
    os.umask(umask)
    assert (workbench.workspace / "new").stat().st_mode & 0o777 == 0o666 & ~umask


async def test_a_reader_of_a_file_that_is_written_sees_the_old_or_the_new_one(workbench: Workbench) -> None:
    file = workbench.workspace / "a"
    file.write_text("old")
    with file.open() as reader:
        await workbench.call(workbench.bench(files=WRITING), "files", action="write", path="a", content="new")
        assert reader.read() == "old"
    assert file.read_text() == "new"
    assert sorted(path.name for path in workbench.workspace.iterdir()) == [".athena", "a", "state"]


async def test_a_write_that_fails_leaves_nothing_behind(workbench: Workbench) -> None:
    (workbench.workspace / "fifo").mkdir()
    await workbench.call(workbench.bench(files=WRITING), "files", action="write", path="fifo", content="x")
    assert sorted(path.name for path in workbench.workspace.iterdir()) == [".athena", "fifo", "state"]


# Paths that lead out


def planted(workbench: Workbench) -> Workbench:
    """Plant links of every kind that lead out, a pipe, a socket, and a sub-directory with misleading names."""
    inside, outside = workbench.workspace, workbench.outside
    (inside / "dir").symlink_to(outside)
    (inside / "file").symlink_to(outside / "secret.md")
    (inside / "up").symlink_to("..")
    (inside / "relative").symlink_to("../outside/secret.md")
    (inside / "dangling").symlink_to(outside / "fresh")
    (inside / "loop").symlink_to("loop")
    (inside / "proc").symlink_to("/proc/self/root")
    (inside / "sub").mkdir()
    (inside / "sub/link").symlink_to(outside)
    (inside / "..\\outside").mkdir()
    os.mkfifo(inside / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(inside / "sub/socket")) if len(str(inside)) < 80 else None
    listener.close()
    return workbench


HOSTILE = (
    "/etc/passwd", "//etc/passwd", "../outside/secret.md", "..", "sub/../../outside/secret.md", "sub/..", "a/../b",
    "dir", "dir/secret.md", "dir/fresh", "file", "relative", "dangling", "loop", "loop/x", "up/outside/secret.md",
    "proc/etc/passwd", "sub/link/secret.md", "pipe", "pipe/x",
    ".athena", ".athena/secret.md", ".ATHENA/secret.md", "./.athena/new", "state", "state/secret.md", "state/new",
    "nul\0byte", "x" * (PATH_CHARS_MAX + 1), "a/" * (PATH_PARTS_MAX + 1),
)  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
async def test_a_path_that_leads_out_or_to_no_file_is_refused_by_every_action(workbench: Workbench, path: str) -> None:
    planted(workbench)
    bench = workbench.bench(files=WRITING)
    before = snapshot(workbench.workspace.parent)
    for action in ACTIONS:
        try:
            result = await workbench.call(bench, "files", **action, path=path)
        except ToolRefused as refused:
            assert ". " in str(refused)  # the rule, and what to do
        else:
            assert result.is_error
            assert CANARY not in result.content
    assert snapshot(workbench.workspace.parent) == before


async def test_links_and_pipes_are_named_as_what_they_are(workbench: Workbench) -> None:
    bench = planted(workbench).bench(files=WRITING)
    listing = (await workbench.call(bench, "files", action="list", recursive=True)).content.splitlines()
    assert "dir (a link, not followed)" in listing
    assert "sub/link (a link, not followed)" in listing
    assert "pipe (not a regular file)" in listing
    assert not [line for line in listing if "athena" in line or "state" in line or "secret" in line]
    assert "symbolic link" in await workbench.refusal(bench, "files", action="read", path="file")
    assert "symbolic link" in await workbench.refusal(bench, "files", action="list", path="dir")
    assert "a pipe" in await workbench.refusal(bench, "files", action="read", path="pipe")


async def test_the_directory_of_git_is_neither_read_nor_written(workbench: Workbench) -> None:
    (workbench.workspace / ".git/hooks").mkdir(parents=True)
    (workbench.workspace / ".git/config").write_text("[core]\n")
    bench = workbench.bench(files=WRITING)
    assert "'.git'" in await workbench.refusal(bench, "files", action="read", path=".git/config")
    for path in (".git/hooks/pre-commit", ".GIT/config", "sub/.git/config"):
        told = await workbench.refusal(bench, "files", action="write", path=path, content="x")
        assert ".git' may hold credentials" in told.lower()
    assert "'.git'" in await workbench.refusal(bench, "files", action="delete", path=".git/config")


@pytest.mark.parametrize("directory", ["..", "/", "dir", "up", "file", ".athena", "state", "sub/link"])
async def test_a_directory_of_the_profile_that_leads_out_opens_nothing(workbench: Workbench, directory: str) -> None:
    bench = planted(workbench).bench(files=FilesPolicy(directory=directory, write=True))
    before = snapshot(workbench.workspace.parent)
    for action in ACTIONS:
        path = "" if action["action"] == "list" else "secret.md"
        assert await workbench.refusal(bench, "files", **action, path=path)
    assert snapshot(workbench.workspace.parent) == before


async def test_the_directory_of_the_profile_is_the_ground_that_is_not_left(workbench: Workbench) -> None:
    bench = workbench.bench(files=FilesPolicy(directory="sub/deep", write=True))
    (workbench.workspace / "beside").write_text("x")
    await workbench.call(bench, "files", action="write", path="a", content="x")
    assert (workbench.workspace / "sub/deep/a").is_file()
    assert (await workbench.call(bench, "files", action="list")).content == "a (1 bytes)"
    await workbench.call(bench, "files", action="delete", path="a")
    for path in ("", ".", "./"):
        for action in ACTIONS[2:]:
            assert "Give the path of a file in it" in await workbench.refusal(bench, "files", **action, path=path)
    assert (workbench.workspace / "sub/deep").is_dir()


NAMES = st.sampled_from(
    [
        "..",
        ".",
        "",
        "~",
        "a",
        "dir",
        "sub",
        "link",
        "pipe",
        "secret.md",
        "state",
        ".athena",
        ".git",
        "%2e%2e",
        "...",
        "\\",
    ]
)
PATHS = st.lists(st.sampled_from(HOSTILE) | NAMES | st.text(max_size=3), max_size=4).map("/".join)


@pytest.mark.heavy
@settings(max_examples=sized(60, 300, 5_000), deadline=None)
@given(calls=st.lists(st.tuples(st.sampled_from(ACTIONS), PATHS), min_size=1, max_size=12), ground=PATHS)
def test_no_path_whatever_touches_or_shows_anything_outside(
    calls: list[tuple[dict[str, Any], str]], ground: str
) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        workbench = planted(Workbench(root))
        outside = snapshot(workbench.outside)
        kept = snapshot(workbench.state) | snapshot(workbench.workspace / ".athena")
        beside = sorted(path.name for path in root.iterdir())

        async def make() -> None:
            files, _ = workbench.tools.read("files", '{"action": "list"}', ("files",))
            for directory in (ground or None, None):
                bench = workbench.bench(files=FilesPolicy(directory=directory, write=True))
                for action, path in calls:
                    with suppress(ToolRefused):
                        result = await files.call({**action, "path": path}, bench)
                        assert CANARY not in result.content
                        assert base64.b64encode(CANARY.encode()).decode() not in result.content

        anyio.run(make)
        assert snapshot(workbench.outside) == outside
        assert snapshot(workbench.state) | snapshot(workbench.workspace / ".athena") == kept
        assert sorted(path.name for path in root.iterdir()) == beside
    finally:
        shutil.rmtree(root)


class Swap:
    """A hook that exchanges a name just before it is opened, after all checks."""

    def __init__(self) -> None:
        self._name = ""
        self._exchange: Callable[[], object] = str
        sys.addaudithook(self._opening)  # a hook cannot be removed; it does nothing while it is not armed

    def at(self, name: str, exchange: Callable[[], object]) -> None:
        self._name, self._exchange = name, exchange

    def _opening(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self._name and arguments[0] == self._name:
            self._name = ""
            self._exchange()

    @property
    def happened(self) -> bool:
        """Return True if the name was exchanged."""
        return not self._name


@pytest.fixture(scope="module")
def swap() -> Swap:
    return Swap()


@pytest.mark.parametrize("action", [action for action in ACTIONS if action["action"] != "list"])
@pytest.mark.parametrize("path", ["it/secret.md", "it"])
async def test_a_name_that_is_exchanged_for_a_link_between_look_and_use_leads_nowhere(
    workbench: Workbench, swap: Swap, path: str, action: dict[str, Any]
) -> None:
    place = workbench.workspace / "it"
    if path == "it":
        place.write_text("harmless")
    else:
        place.mkdir()
        (place / "secret.md").write_text("harmless")
    before = snapshot(workbench.outside)

    def exchange() -> None:
        place.rename(workbench.workspace / "aside")
        place.symlink_to(workbench.outside / ("secret.md" if path == "it" else ""))

    swap.at("it", exchange)
    with suppress(ToolRefused):
        result = await workbench.call(workbench.bench(files=WRITING), "files", **action, path=path)
        assert CANARY not in result.content
    assert snapshot(workbench.outside) == before
    opens = path != "it" or action["action"] in ("read", "replace")  # a write and a deletion open only its directories
    assert swap.happened is opens
    swap.at("", exchange)


@pytest.mark.parametrize(
    ("action", "again"), [("list", True), ("read", True), ("write", True), ("replace", False), ("delete", False)]
)
def test_idempotent_actions_may_be_repeated(workbench: Workbench, action: str, again: bool) -> None:
    tool, _ = workbench.tools.read("files", '{"action": "list"}', ("files",))
    assert tool.repeatable({"action": action}) is again
