"""Tests of placeholders: a boxed command cannot make the reserved names, and nothing of them is left."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_core.system.box.placeholders import MARK_SECONDS, Placeholders, is_placeholder
from athena_core.system.process import Child, environment
from athena_core.system.sandbox import RESERVED_MAX, Sandbox, SandboxRefused, probe

PATHS = [".env", "sub/key", "personas/", "sub/.git/"]
RESERVED = tuple(PATHS)
BOXED = pytest.mark.skipif(not probe().available, reason="no sandbox works here")
MAKES = (
    *(
        "touch .env",
        "echo planted > .env",
        "ln -s other .env",
        "ln other .env",
        "mv other .env",
        "rm .env; echo x > .env",
    ),
    *("mkdir -p sub/.git/hooks", "rmdir sub/.git; mkdir sub/.git", "mv other-dir sub/.git", "ln -s . personas"),
    *("touch personas/a", "mv sub gone; mkdir -p sub/.git/hooks", "rm -rf sub; mkdir sub; touch sub/key"),
    *("chmod 777 personas .env", "mkfifo .env", "git init .; git init sub"),
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "other-dir").mkdir()
    (tmp_path / "other").write_text("planted")
    return tmp_path


def made(work: Path) -> list[str]:
    return [path for path in PATHS if os.path.lexists(work / path)]


def test_placeholders_are_made_and_removed(work: Path) -> None:
    box = Placeholders(str(work), PATHS)
    box.place()
    assert made(work) == PATHS
    assert all(is_placeholder((work / path).lstat()) for path in PATHS)
    box.remove()
    box.remove()
    assert made(work) == []


def test_the_last_of_several_boxes_removes_them(work: Path) -> None:
    boxes = [Placeholders(str(work), PATHS) for _ in range(3)]
    for box in boxes:
        box.place()
    for box in boxes:
        assert made(work) == PATHS
        box.remove()
    assert made(work) == []


def test_what_a_killed_supervisor_left_is_removed_by_the_next(work: Path) -> None:
    Placeholders(str(work), PATHS).place()
    box = Placeholders(str(work), PATHS)
    box.place()
    box.remove()
    assert made(work) == PATHS, "the lock of the first one is still held"
    left = [number for number in Path("/proc/self/fd").iterdir() if number.is_dir() and number.samefile(work)]
    os.close(int(left[0].name))
    box.place()
    box.remove()
    assert made(work) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda work: (work / ".env").write_text("KEY=1"),
        lambda work: (work / "personas" / "critic.json").write_text("{}"),
        lambda work: (work / "sub/key").unlink() or (work / "sub/key").symlink_to("/etc/passwd"),
        lambda work: (work / ".env").touch(),
    ],
)
def test_what_an_operator_makes_meanwhile_is_kept(work: Path, change: Callable[[Path], object]) -> None:
    box = Placeholders(str(work), PATHS)
    box.place()
    change(work)
    box.remove()
    assert len(made(work)) == 1


@pytest.mark.parametrize("path", ["sub/key", "personas/"])
def test_something_else_in_its_place_is_an_error(work: Path, path: str) -> None:
    (work / path.rstrip("/")).symlink_to(work / "other-dir")
    box = Placeholders(str(work), PATHS)
    with pytest.raises(FileExistsError):
        box.place()
    box.remove()
    assert made(work) == [path]


def test_links_above_a_placeholder_are_not_followed(work: Path) -> None:
    (work / "sub").rmdir()
    (work / "sub").symlink_to("other-dir")
    box = Placeholders(str(work), PATHS)
    with pytest.raises(OSError, match="sub"):
        box.place()
    box.remove()
    assert list((work / "other-dir").iterdir()) == []


def test_only_empty_files_with_the_mark_are_placeholders(work: Path) -> None:
    file = work / "file"
    file.touch()
    assert not is_placeholder(file.lstat())
    os.utime(file, (MARK_SECONDS, MARK_SECONDS))
    assert is_placeholder(file.lstat())
    file.write_text("x")
    os.utime(file, (MARK_SECONDS, MARK_SECONDS))
    assert not is_placeholder(file.lstat())


def test_too_many_or_odd_names_are_refused(work: Path) -> None:
    for names in (tuple(f"n{number}" for number in range(RESERVED_MAX + 1)), ("a\x1fb",)):
        with pytest.raises(SandboxRefused, match="reserved"):
            Sandbox(work, reserved=names).argv(("true",))


async def run(work: Path, script: str) -> tuple[str, Child]:
    box = Sandbox(work, reserved=RESERVED)
    child = await Child.start(("sh", "-c", script), environment(), fed=False, merged=True, sandbox=box)
    output = (await child.output.read()).decode()
    await child.exited.wait()
    await child.end()
    return output, child


@BOXED
async def test_each_of_many_reserved_files_is_empty(work: Path) -> None:
    names = tuple(f"n{number}" for number in range(RESERVED_MAX))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(200)]  # the report of the supervisor gets a high number
    try:
        box = Sandbox(work, reserved=names)
        script = "cat n*; touch n*; ls n* | wc -l; cat /etc/hostname /etc/passwd /etc/ld.so.cache | head -c 200"
        child = await Child.start(("sh", "-c", script), environment(), fed=False, merged=True, sandbox=box)
        output = await child.output.read()
        await child.exited.wait()
        await child.end()
    finally:
        for number in held:
            os.close(number)
    assert child.problem is None, output
    assert output.count(b"cannot touch") == RESERVED_MAX and b"\n64\n" in output and b"athena:x:" in output


@BOXED
async def test_a_boxed_command_cannot_make_a_reserved_name(work: Path) -> None:
    output, child = await run(work, "; ".join(f"( {script} )" for script in MAKES))
    assert child.problem is None, output
    assert made(work) == [], output
    assert (work / "sub").is_dir()
    output, _ = await run(work, "cat .env sub/key; ls -A personas sub/.git; stat -c %F .env personas; touch fine")
    assert output.splitlines()[-2:] == ["regular empty file", "directory"], output
    assert (work / "fine").exists()
    assert made(work) == []


@BOXED
@pytest.mark.parametrize("ends", [True, False])
async def test_placeholders_stay_until_the_last_box_has_ended(work: Path, ends: bool) -> None:
    box = Sandbox(work, reserved=RESERVED)
    script = "echo ready; read line; echo planted > .env; mkdir personas/x sub/.git/hooks; rmdir personas; true"
    waiting = await Child.start(("sh", "-c", script), environment(), merged=True, sandbox=box)
    assert await waiting.output.readline() == b"ready\n"
    await run(work, "true")
    assert made(work) == PATHS
    (work / ".env").write_text("canary")
    if ends:
        waiting.feed(b"go\n")
        assert b"canary" not in await waiting.output.read()
        await waiting.exited.wait()
    await waiting.end()
    assert made(work) == [".env"]
    assert (work / ".env").read_text() == "canary"
    assert stat.S_ISREG((work / ".env").lstat().st_mode)
