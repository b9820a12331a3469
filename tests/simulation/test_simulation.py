"""Histories of each simulated world with fixed seeds, and planted bugs that they must find."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.scale import sized
from tests.simulation.__main__ import WORLDS
from tests.simulation.coverage import NAMES, declared
from tests.simulation.kept import kept_histories
from tests.support.tree import ROOT


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the simulator."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.parametrize(
    ("world", "count"),
    [
        ("plane", 6),
        ("gateway", 200),
        ("asks", 200),
        ("tokens", 200),
        pytest.param("plane", sized(6, 12, 4_000), marks=pytest.mark.heavy),
        pytest.param("gateway", sized(200, 600, 40_000), marks=pytest.mark.heavy),
        pytest.param("agents", sized(200, 600, 40_000), marks=pytest.mark.heavy),
        pytest.param("asks", sized(200, 600, 100_000), marks=pytest.mark.heavy),
        pytest.param("tokens", sized(200, 600, 200_000), marks=pytest.mark.heavy),
        pytest.param("mcp", sized(200, 600, 100_000), marks=pytest.mark.heavy),
    ],
)
def test_histories_keep_the_promises(world: str, count: int) -> None:
    played = simulate("fixed", "--world", world, "--count", str(count))
    assert played.returncode == 0, played.stdout + played.stderr
    assert f"{world}: {count} histories" in played.stdout


def test_the_table_of_coverage_is_complete() -> None:
    table = declared()
    names = Counter(name for found in table.values() for name in found)
    assert set(names) == NAMES, f"declare where these are reached, or why not: {set(names) ^ NAMES}"
    assert not [name for name, times in names.items() if times > 1]
    reasons = [heading for heading in table if heading not in WORLDS]
    assert all(list(ROOT.glob(path)) for heading in reasons for path in re.findall(r"tests/[\w/.]+", heading))


def test_kept_histories_keep_the_promises() -> None:
    played = simulate("--kept", "--world", "all")
    assert played.returncode == 0, played.stdout + played.stderr
    kept = {one.world for one in kept_histories()}
    assert {world for world in kept if f"{world}: 0 kept" not in played.stdout} == kept


def test_a_seed_gives_the_same_log_in_another_process() -> None:
    first, second = (simulate("same.1", "--digest").stdout for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{16}\n", first)
    assert first == second


@pytest.mark.parametrize(
    ("world", "bug"),
    [
        ("gateway", "a silent vendor is waited for"),
        ("agents", "a run is parked while its agent still works"),
        ("asks", "a rule lives too long"),
        ("tokens", "a scope is lost"),
        ("mcp", "no-deadline"),
    ],
)
def test_a_planted_bug_is_found_and_shrunk(world: str, bug: str) -> None:
    played = simulate("fixed", "--world", world, "--count", "60", "--planted", bug, "--shrink")
    assert played.returncode == 1, played.stdout + played.stderr
    assert re.search(r"\d+ steps after \d+ tries", played.stdout), played.stdout
    (line, *_) = re.findall(r"For seeds.txt: (.+)", played.stdout)
    (kept,) = kept_histories([line])
    assert (kept.world, kept.why) == (world, bug)
    assert f"Repeat it: {kept.command()}" in played.stdout


def test_a_planted_bug_of_the_plane_is_found() -> None:
    played = simulate("fixed", "--count", "12", "--planted", "a question of anybody")
    assert played.returncode == 1, played.stdout + played.stderr
    assert "who answers" in played.stdout
