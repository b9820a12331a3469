"""Tests of the comparison of mounts: a box whose workspace changed while it was built does not start its command."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from athena_core.system.box.mounts import in_place, matches
from athena_core.system.process import CannotStart, Child, environment
from athena_core.system.sandbox import Sandbox, probe
from tests.support.api import PATIENCE_SECONDS

ROOT = b"27 1 254:0 / / rw - ext4 /dev/vda rw\n28 27 0:5 / /dev rw - devtmpfs devtmpfs rw\n"
NESTED = ROOT + b"29 27 254:1 / /w/data rw - ext4 /dev/vdb rw\n30 27 254:0 /srv/x /w/bound rw - ext4 /dev/vda rw\n"
WORKSPACE = b"78 64 254:0 /w /w rw - ext4 /dev/vda rw\n"
SWAPS = 40
SWAP = """
import ctypes, os, sys
os.makedirs("a/.git")
os.symlink(sys.argv[1], "b")
print("ready", flush=True)
while True:
    ctypes.CDLL(None).renameat2(-100, b"a", -100, b"b", 2)
"""
"""Swaps a directory and a link again and again."""


@pytest.mark.parametrize(
    ("machine", "line", "expected"),
    [
        (ROOT, b"", True),
        (ROOT, b"79 78 254:0 /w/a /w/a rw - ext4 /dev/vda rw\n", True),
        (ROOT, b"79 78 254:0 /etc /w/a rw - ext4 /dev/vda rw\n", False),
        (ROOT, b"79 78 254:0 /w/closed /w/a rw - ext4 /dev/vda rw\n", False),
        (ROOT, b"79 78 254:0 /w/a /w rw - ext4 /dev/vda rw\n", False),
        (ROOT, b"79 78 254:1 /w/a /w/a rw - ext4 /dev/vdb rw\n", False),
        (ROOT, b"79 78 0:40 / /w/.env rw - tmpfs tmpfs rw\n", False),
        (ROOT + b"31 27 0:40 / /run rw - tmpfs tmpfs rw\n", b"79 78 0:40 / /w/a rw - tmpfs tmpfs rw\n", False),
        (ROOT, b"79 78 0:41 /other /w/.env rw - tmpfs tmpfs rw\n", False),
        (ROOT, b"79 78 0:5 /vda /w/.env rw - devtmpfs devtmpfs rw\n", False),
        (ROOT, b"79 64 254:0 /usr /usr ro - ext4 /dev/vda rw\n", True),
        (ROOT, b"79 64 254:0 /etc /ww rw - ext4 /dev/vda rw\n", True),
        (NESTED, b"79 78 254:1 / /w/data rw - ext4 /dev/vdb rw\n", True),
        (NESTED, b"79 78 254:1 /a /w/data/a rw - ext4 /dev/vdb rw\n", True),
        (NESTED, b"79 78 254:1 /b /w/data/a rw - ext4 /dev/vdb rw\n", False),
        (NESTED, b"79 78 254:0 /srv/x /w/bound rw - ext4 /dev/vda rw\n", True),
        (NESTED, b"79 78 254:0 /srv /w/bound rw - ext4 /dev/vda rw\n", False),
        (ROOT, b"79 78 254:0 /w/a\\040b /w/a\\040b rw - ext4 /dev/vda rw\n", True),
        (ROOT, b"79 78 254:0 /w/a//deleted /w/a rw - ext4 /dev/vda rw\n", False),
    ],
)
def test_each_mount_shows_the_path_that_it_lies_on(machine: bytes, line: bytes, expected: bool) -> None:
    assert matches(WORKSPACE + line, machine, [(b"/w", b"/w", b"", (b"254:0", b"/w"))]) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"79 78 254:0 /srv/.git /w/.git ro - ext4 /dev/vda rw\n", True),
        (b"79 78 254:0 /etc /w/.git ro - ext4 /dev/vda rw\n", False),
        (b"79 78 254:0 /srv/.git /w/other ro - ext4 /dev/vda rw\n", False),
        (b"", False),
    ],
)
def test_a_wanted_mount_is_where_it_belongs(line: bytes, expected: bool) -> None:
    wanted = [(b"/w", b"/m", b"", (b"254:0", b"/m")), (b"/w/.git", b"/srv", b"/.git", (b"254:0", b"/srv"))]
    assert matches(b"78 64 254:0 /m /w rw - ext4 /dev/vda rw\n" + line, ROOT, wanted) is expected


def test_a_workspace_is_expected_where_its_real_path_lies() -> None:
    box = b"78 64 254:0 /srv/work\\040a /link rw - ext4 /dev/vda rw\n"
    wanted = [(b"/link", b"/srv/work a", b"", (b"254:0", b"/srv/work\\040a"))]
    assert matches(box, ROOT, wanted)
    assert not matches(b"", ROOT, wanted)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mountinfo")
def test_a_process_that_is_gone_shows_nothing(tmp_path: Path) -> None:
    words = [str(tmp_path), str(tmp_path), ""]
    assert not in_place(0, words)
    assert not in_place(os.getpid(), words)  # not a mount


@pytest.mark.heavy
async def test_links_that_appear_while_a_box_is_built_are_not_followed(tmp_path: Path) -> None:
    if not (found := probe()).available:
        pytest.skip(f"no sandbox: {found.reason}")
    workspace, other = tmp_path / "workspace", tmp_path / "other"
    workspace.mkdir()
    (other / ".git").mkdir(parents=True)
    (other / "secret").write_text("canary")
    swapping = await Child.start(
        (sys.executable, "-c", SWAP, str(other)), environment(), directory=workspace, merged=True
    )
    endings: list[str] = []
    try:
        assert await swapping.output.readline() == b"ready\n"
        script = "cat a/secret b/secret; touch a/new b/new; true"
        for _ in range(SWAPS):
            box = Sandbox(workspace, fixed=((workspace, "a/.git"),))
            argv = ("/bin/sh", "-c", script)
            try:
                child = await Child.start(argv, environment(), directory=workspace, fed=False, merged=True, sandbox=box)
            except CannotStart as error:
                endings.append(str(error))
                continue
            output = await child.output.read()
            await asyncio.wait_for(child.exited.wait(), PATIENCE_SECONDS)
            await child.end()
            assert b"canary" not in output
            endings.append(child.ending())
    finally:
        await swapping.end()
    assert not (other / "new").exists()
    print(f"{sum('workspace changed' in ending for ending in endings)} of {SWAPS} boxes were refused in time")
