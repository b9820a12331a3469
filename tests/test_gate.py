"""The gate: planted failures refuse a change or are printed, a bare machine hides programs, and steps are resumed."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import gate
from tests.gate import FLAKY_MAX, Gate, Refused, Step
from tests.scale import touched
from tests.support.programs import summary
from tests.support.repository import commit, make
from tests.support.tree import ROOT

ALWAYS = "import pytest\n@pytest.mark.heavy\ndef test_always(): assert False\n"
AT_FIRST = """
import pathlib, pytest
@pytest.mark.heavy
@pytest.mark.parametrize("number", range({count}))
def test_at_first(number):
    seen = pathlib.Path(f"seen-{{number}}")
    first = not seen.exists()
    seen.touch()
    assert not first
"""
WELL = "import pytest\n@pytest.mark.heavy\ndef test_well(): pass\n"
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin,pytest_timeout"}
MARKS = "[tool.pytest.ini_options]\nmarkers = ['heavy', 'explores']\n"


@pytest.fixture
def planted(tmp_path: Path) -> Gate:
    """A gate over a repository without tests."""
    root = make(tmp_path / "tree")
    commit(root, "Begin", pyproject_toml=MARKS, _gitignore=".gate/\n")
    return Gate(root, sys.executable)


def retried(planted: Gate, *tests: str) -> str:
    for number, text in enumerate(tests):
        (planted.root / f"test_planted_{number}.py").write_text(text)
    return gate.retried(planted, PLUGINS, ".")


def test_a_heavy_test_that_always_fails_refuses(planted: Gate) -> None:
    with pytest.raises(Refused, match="failed twice"):
        retried(planted, WELL, ALWAYS)


def test_a_heavy_test_that_fails_at_first_is_flaky(planted: Gate) -> None:
    said = retried(planted, WELL, AT_FIRST.format(count=FLAKY_MAX))
    assert f"{FLAKY_MAX} failed, 1 passed" in said
    assert [line for line in said.splitlines() if line.startswith("FLAKY")] == [
        f"FLAKY test_planted_1.py::test_at_first[{number}]" for number in range(FLAKY_MAX)
    ]


def test_more_flaky_tests_refuse(planted: Gate) -> None:
    with pytest.raises(Refused, match=f"{FLAKY_MAX + 1} heavy tests failed"):
        retried(planted, AT_FIRST.format(count=FLAKY_MAX + 1))


def test_green_heavy_tests_are_green(planted: Gate) -> None:
    assert "1 passed" in retried(planted, WELL)


def test_new_failures_are_printed_and_refuse_nothing(planted: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    (planted.root / "Makefile").write_text('simulate:\n\t@echo "Repeat it: $(WORLD) $(SEED)"; test $(WORLD) != asks\n')
    commit(planted.root, "Simulate")
    assert planted.play([Step("exploration", gate.explore)])
    said, seed = capsys.readouterr().out, planted.git("rev-parse", "--short=12", "HEAD")
    assert f"FOUND by new histories of asks (this refuses nothing):\nRepeat it: asks {seed}" in said
    assert f"\nRepeat it: mcp {seed}" in said
    assert "FOUND by new histories of mcp" not in said


def test_a_step_that_must_be_green_refuses(planted: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    def failing(one: Gate) -> str:
        return one.must("kept seeds", [sys.executable, "-c", "print('seed 7'); raise SystemExit(1)"])

    assert not planted.play([Step("first", failing), Step("second", failing)])
    said = capsys.readouterr().out
    assert "seed 7\nkept seeds failed with exit code 1\nREFUSED  0:0" in said
    assert "second" not in said


def test_a_green_step_is_played_again_only_for_another_tree(planted: Gate) -> None:
    played: list[str] = []

    def step(name: str, *, is_kept: bool) -> Step:
        def run(_: Gate) -> str:
            played.append(name)
            return ""

        return Step(name, run, is_kept)

    steps = [step("one", is_kept=True), step("two", is_kept=False)]
    kept = Gate(planted.root, sys.executable, planted.root / ".gate" / "green.json")
    assert kept.play(steps)
    assert kept.play(steps)
    assert played == ["one", "two", "two"]
    commit(planted.root, "Go on", more_txt="more")
    assert kept.play(steps)
    assert played[3:] == ["one", "two"]


@pytest.mark.parametrize(
    ("test", "file", "expected"),
    [
        ("tests/test_gate.py", "tests/test_gate.py", True),
        ("tests/test_gate.py", "tests/gate.py", True),
        ("tests/test_gate.py", "tests/support/server.py", False),
        ("tests/console/test_runs.py", "athena_api/dashboard/src/main.tsx", True),
        ("tests/core/log/test_log.py", "athena_core/log/writer.py", True),
        ("tests/core/log/test_log.py", "athena_api/dashboard/src/main.tsx", False),
    ],
)
def test_heavy_tests_belong_to_a_change(test: str, file: str, expected: bool) -> None:
    assert touched(test, [file]) is expected


def bare(directory: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command: Sequence[str | Path] = [ROOT / ".ci" / "bare", *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


PLANTED = """
import shutil, subprocess
import pytest
from tests.support.programs import needs
{mark}
def test_of_a_program():
    subprocess.run([shutil.which("strace") or "strace", "--version"], check=True)
"""


@pytest.mark.parametrize(("mark", "result"), [("@needs('strace')", "1 skipped"), ("", "1 failed")])
def test_a_test_without_its_mark_is_red_on_a_bare_machine(tmp_path: Path, mark: str, result: str) -> None:
    (tmp_path / "test_planted.py").write_text(PLANTED.format(mark=mark))
    done = bare(ROOT, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path / "test_planted.py")
    assert result in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root hides a program in a fixed place")
def test_a_bare_machine_has_no_program_and_no_network(tmp_path: Path) -> None:
    asks = "import shutil, tests.support.debian as d; print([n for n in d.PACKAGES if shutil.which(n)])"
    assert bare(ROOT, sys.executable, "-c", asks).stdout == "[]\n"
    asks = "import socket; print(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('192.0.2.1', 9)) != 0)"
    done = subprocess.run(
        [ROOT / ".ci" / "bare", sys.executable, "-c", asks],
        env={**os.environ, "OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


def test_skipped_tests_are_counted_by_program() -> None:
    reasons = ["Skipped: needs bwrap: apt-get install bubblewrap"] * 2 + ["Skipped: only Linux has /proc"]
    reasons += ["Skipped: needs npm: apt-get install npm"]
    assert list(summary(reasons)) == [
        "2 tests need bwrap: apt-get install bubblewrap",
        "1 test needs npm: apt-get install npm",
        "1 test skipped: only Linux has /proc",
    ]
