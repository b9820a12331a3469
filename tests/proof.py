"""The proof: every heavy test at full size, each in a process of its own, its output kept below ``.proof/<commit>``.

``python -m tests.proof`` takes hours; with files or folders it proves those. Started again for the same commit it goes
on where it was ended: a test that has passed is not run again. At the end it prints what each of them counted.
"""

import os
import re
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AT_ONCE = 2
SECONDS_MAX = 7_200  # of one test
PYTEST = (sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider")
ENDS = {0: "passed", 2: "cut off"}  # pytest's exit codes
FULL = os.environ | {"ATHENA_TEST_SCALE": "full"}


def commit() -> str:
    """Return the commit, marked if the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def tests(places: list[str]) -> list[str]:
    """Return all heavy tests of some files or folders, as pytest names them."""
    command = [*PYTEST, "--collect-only", "-m", "heavy", *places]
    found = subprocess.run(command, cwd=ROOT, env=FULL, capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "::" in line]


def kept_at(folder: Path, test: str) -> Path:
    """Return the place of the output of a passed test."""
    words = re.sub(r"[^\w.-]+", "_", test.removeprefix("tests/"))
    return folder / f"{words[:200]}-{zlib.crc32(test.encode()):08x}.txt"  # names may differ only by punctuation


def proved(folder: Path, test: str) -> bool:
    """Run one test unless it has passed before. Return True if it passes."""
    kept, unfinished = kept_at(folder, test), kept_at(folder, test).with_suffix(".unfinished")
    if kept.exists():
        return True
    began = time.monotonic()
    with unfinished.open("w") as output:
        command = [*PYTEST, f"--timeout={SECONDS_MAX}", "-rP", test]
        done = subprocess.run(command, cwd=ROOT, env=FULL, stdout=output, stderr=subprocess.STDOUT, check=False)
    print(f"{time.monotonic() - began:7.0f} s  {ENDS.get(done.returncode, 'failed')}  {test}", flush=True)
    if done.returncode == 0:
        unfinished.rename(kept)
    return done.returncode == 0


def main(places: list[str]) -> int:
    """Run the remaining tests."""
    folder = ROOT / ".proof" / commit()
    folder.mkdir(parents=True, exist_ok=True)
    names = tests(places)
    left = [name for name in names if not kept_at(folder, name).exists()]
    print(f"{len(left)} of {len(names)} tests are left to run; their output: {folder.relative_to(ROOT)}", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            passed = list(pool.map(lambda name: proved(folder, name), names))
        except KeyboardInterrupt:  # the running tests got the signal too
            pool.shutdown(cancel_futures=True)
            print("Ended by hand. The same command goes on from here.", file=sys.stderr)
            return 130
    for name, good in zip(names, passed, strict=True):
        print(f"\n{name}\n{kept_at(folder, name).with_suffix('.txt' if good else '.unfinished').read_text()}")
    print(f"{sum(passed)} of {len(names)} tests passed.")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["tests"]))
