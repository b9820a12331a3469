"""The command line of the simulator in tests: each world has a test file of its own, so that processes share them."""

import re
import subprocess
import sys

from tests.scale import sized
from tests.simulation.kept import kept_histories
from tests.support.tree import ROOT

SECONDS_MAX = sized(600, 600, 14_400)
"""The real time of a command, which computes for some seconds: a machine may be busy."""


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the simulator."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


def check_histories(world: str, count: int) -> None:
    """Play histories of a fixed seed, and fail if one of them fails."""
    played = simulate("fixed", "--world", world, "--count", str(count))
    assert played.returncode == 0, played.stdout + played.stderr
    assert f"{world}: {count} histories" in played.stdout


def check_kept_histories(world: str) -> None:
    """Play the lines of ``seeds.txt`` about a world."""
    played = simulate("--kept", "--world", world)
    assert played.returncode == 0, played.stdout + played.stderr
    assert f"{world}: {sum(one.world == world for one in kept_histories())} kept" in played.stdout


def check_planted_bug(world: str, bug: str) -> None:
    """Plant a bug. Fail unless a history finds it and is shrunk to a line of ``seeds.txt``."""
    played = simulate("fixed", "--world", world, "--count", "60", "--planted", bug, "--shrink")
    assert played.returncode == 1, played.stdout + played.stderr
    assert re.search(r"\d+ steps after \d+ tries", played.stdout), played.stdout
    (line, *_) = re.findall(r"For seeds.txt: (.+)", played.stdout)
    (kept,) = kept_histories([line])
    assert (kept.world, kept.why) == (world, bug)
    assert f"Repeat it: {kept.command()}" in played.stdout
