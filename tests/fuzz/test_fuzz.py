"""Any bytes: code fails only with its declared errors, on the stored inputs and on new ones by coverage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.corpus import kept
from tests.fuzz.targets import TARGETS
from tests.reliability.seed import fresh_seed
from tests.scale import SCALE, sized
from tests.support.programs import lack_of

ROOT = Path(__file__).resolve().parents[2]
INPUTS_MIN = 20


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_once_stays_mended(name: str, tmp_path: Path) -> None:
    inputs = kept(name)
    assert len(inputs) >= INPUTS_MIN
    with TARGETS[name].ready(tmp_path) as attempt:
        for data in inputs:
            attempt(data)


@pytest.mark.heavy
@pytest.mark.explores
@pytest.mark.timeout(sized(300, 300, 1_800))
@pytest.mark.parametrize("names", sized([[*TARGETS]], [[*TARGETS]], [[name] for name in TARGETS]), ids=" ".join)
def test_new_inputs_break_nothing(names: list[str], tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason=lack_of("atheris"))
    command = [sys.executable, "-m", "tests.fuzz", *names, "--finds", str(tmp_path)]
    command += ["--seconds", str(sized(1, 1, 600)), "--seed", str(fresh_seed(f"fuzz-{names[0]}"))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    finds = [f"{path.name}: {path.read_bytes()!r}" for path in tmp_path.iterdir()]
    assert done.returncode == 0, f"{finds}\n{told[-8_000:]}"
    counted = [line for line in told.splitlines() if line.startswith(("stat::number_of_executed_units", "DONE"))]
    print(f"{', '.join(names)} ({SCALE}): {'; '.join(counted)}")
    assert len(counted) >= len(names), told[-2_000:]
