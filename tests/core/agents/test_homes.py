"""Tests of the homes of outside agents on a machine, and of the files that Athena writes into them."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from athena_core.agents.homes import DELETED, AgentHomes
from athena_core.agents.known import AgentLaunch


@pytest.fixture
def homes(tmp_path: Path) -> AgentHomes:
    return AgentHomes(tmp_path, lambda path: shutil.rmtree(path, ignore_errors=True))


def test_a_session_has_one_private_home(homes: AgentHomes, tmp_path: Path) -> None:
    home = homes.make("one", 7)
    (home / "kept").touch()
    assert homes.make("one", 9) == home == homes.at("one")
    assert (home / "kept").exists()
    assert homes.make("../two", 8) != home
    for path in (home, home.parent, tmp_path / "agents"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert path.is_relative_to(tmp_path)
    found = {entry.session_id: entry.position for entry in homes.entries()}
    assert found == {"one": 7, "../two": 8}


def test_a_home_knows_its_last_use(homes: AgentHomes) -> None:
    owner = homes.make("one", 7).parent / "owner.json"
    os.utime(owner, (5, 5))
    assert [entry.used_at for entry in homes.entries()] == [5_000]
    homes.make("one", 8)
    assert [entry.used_at > 5_000 for entry in homes.entries()] == [True]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"{" * 5_000])
def test_a_directory_without_an_owner_is_not_taken_for_a_home(homes: AgentHomes, content: bytes) -> None:
    owner = homes.make("one", 7).parent / "owner.json"
    owner.write_bytes(content)
    assert list(homes.entries()) == []
    owner.unlink()
    owner.symlink_to("/etc/passwd")
    assert list(homes.entries()) == []


def test_a_home_vanishes_at_once_and_interrupted_removals_are_finished(tmp_path: Path) -> None:
    left: list[Path] = []
    slow = AgentHomes(tmp_path, left.append)
    home = slow.make("one", 7)
    slow.remove("one")
    assert not home.exists()
    assert list(slow.entries()) == []
    (begun,) = (path for path in (tmp_path / "agents").iterdir())
    assert begun.name.startswith(DELETED)
    quick = AgentHomes(tmp_path, shutil.rmtree)
    quick.remove_rests()
    assert list((tmp_path / "agents").iterdir()) == []
    AgentHomes(tmp_path / "absent", shutil.rmtree).remove_rests()


def test_no_link_that_an_agent_left_in_its_home_is_followed(homes: AgentHomes, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config").write_text("mine")
    home = homes.make("one", 7)
    launch = AgentLaunch(("a",), {}, home, {".a/b/config": "theirs", "config": "theirs", "new": "theirs"})
    (home / ".a").symlink_to(outside)
    (home / "config").symlink_to(outside / "config")
    (home / "new").touch(0o644)
    (home / ".athena-new").symlink_to(outside / "config")
    launch.write_files()
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"config": "mine"}
    for name in launch.files:
        assert (home / name).read_text() == "theirs"
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert not (home / ".a").is_symlink()
    (home / "config").unlink()
    (home / "config").mkdir()
    with pytest.raises(OSError, match="directory"):
        launch.write_files()


def test_a_home_in_use_is_left_to_its_process(homes: AgentHomes) -> None:
    first = homes.take("one", 7)
    second, third = homes.take("one", 7), homes.take("one", 7)
    assert first.path == homes.at("one")
    assert len({first.path, second.path, third.path}) == 3
    for use in (first, second, third):
        assert stat.S_IMODE(use.path.stat().st_mode) == 0o700
    second.leave()
    assert (first.path.exists(), second.path.exists(), third.path.exists()) == (True, False, True)
    first.leave()
    again = homes.take("one", 7)
    assert again.path == first.path
    homes.remove("one")
    assert not third.path.exists()
    for use in (again, third):
        use.leave()
