"""The runs of generated mutants: each in a copy of the code, under the tests that run its lines, the quickest first.

``python -m tests.reliability.mutant_runs`` measures which test runs which line, judges the sample and prints the table.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.proof import commit
from tests.reliability.generated_mutants import (
    Mutation,
    Place,
    equivalent,
    modules,
    mutated,
    mutations,
    sampled,
)
from tests.reliability.mutants import COPIED, ROOT, copied
from tests.support import postgres
from tests.support.lines_run import Lines, settings

SAMPLED, SEED = 300, 21
PACKAGES = tuple(name for name in COPIED if name != "tests" and "." not in name)
TESTS = ("tests/core", "tests/projections", "tests/between", "tests/api", "tests/cli", "tests/reliability")
LEFT_OUT = ("*/test_schemathesis.py", "*/test_mutants.py", "*/test_generated_mutants.py")
PLUGINS = ("-p", "no:cacheprovider", "-p", "no:schemathesis")
PRELOADED = (
    "anyio",
    "apscheduler.schedulers.asyncio",
    "apsw",
    "asyncio",
    "cyclopts",
    "eventsourcing.persistence",
    "httpx2",
    "hypothesis",
    "jsonschema_rs",
    "msgspec",
    "psycopg",
    "rich.console",
    "starlette.applications",
    "uvicorn",
)
"""Modules imported once, before the forks. Mutated modules and tests are imported after the fork."""

PRELOADED_OPTIONS = ("-W", "ignore::pytest.PytestAssertRewriteWarning")

BATCHES_SECONDS = (5.0, 15.0, 40.0)
"""A mutant's tests run in three batches of about these lengths: most mutants are caught by the first."""

ALIKE_MAX = (2, 3, 4)
"""Cases of one parametrised test in a batch."""

FILES_MAX = (3, 8, 16)
"""Test files in a batch: pytest collects each of them whole."""

BROKEN = 70
TEST_SECONDS_MAX = 40
FILE_BYTES_MAX = 1 << 30
MEMORY_BYTES_MAX = 6 << 30
OWN_TEST = 0.1
"""The weight of tests that are named like the module."""


@dataclass
class Verdict:
    """The result of one mutant: the test that caught it, or an empty text."""

    place: Place
    change: str
    caught: str
    tests: int
    seconds: float

    def __str__(self) -> str:
        module, function, operator, *_ = self.place
        return f"{self.seconds:6.1f} s  {self.caught or 'SURVIVED'}  {module} {function} {operator}: {self.change}"


class Runs:
    """A copy of the code in which one mutant after another is tested."""

    def __init__(self, directory: Path, original: Path, lines: Lines) -> None:
        self.root = shutil.copytree(original, directory / "copy")
        self._directory = directory
        self._lines = lines

    def judged(self, mutation: Mutation) -> Verdict:
        """Mutate the copy, test it and mend it."""
        began, text = time.monotonic(), mutated(mutation, self.root)
        change = _change((self.root / mutation.place.module).read_text("utf-8"), text)
        tried, caught = 0, ""
        for batch in self.batches(mutation):
            tried += len(batch)
            caught = self._caught(batch, mutation.place.module, text)
            if caught:
                break
        return Verdict(mutation.place, change, caught, tried, round(time.monotonic() - began, 1))

    def _caught(self, tests: Sequence[str], module: str, text: str) -> str:
        """Return the first test that fails twice, so that a test that fails by chance catches nothing."""
        while tests:
            failed = self._failed(tests, module, text)
            if failed not in tests or self._failed([failed], module, text):
                return failed
            tests = [test for test in tests if test != failed]
        return ""

    def _failed(self, tests: Sequence[str], module: str, text: str) -> str:
        """Return the first test that fails, or an empty text, while a module has another text."""
        path = self.root / module
        original, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        path.write_text(text, "utf-8")
        os.utime(path, (1, 1))  # no compiled file is taken for it
        try:
            return self._failure(tests)
        finally:
            path.write_bytes(original)
            os.utime(path, ns=times)

    def batches(self, mutation: Mutation) -> Iterator[list[str]]:
        """Yield the tests that run the mutated lines, the quickest and most special first, then those named like it."""
        words = {word.rstrip("s") for word in Path(mutation.place.module).with_suffix("").parts[-2:]}

        def is_near(test: str) -> bool:
            return any(word in test.partition("::")[0] for word in words)

        def weight(test: str) -> float:
            near = is_near(test)
            return (
                (self._lines.seconds[test] + 0.02) * (1 + self._lines.breadth[test] / 2_000) * (OWN_TEST if near else 1)
            )

        found = self._lines.tests_of(mutation.place.module, *mutation.lines)
        unmeasured = set(filter(is_near, self._lines.seconds)) - found  # of servers that were killed, for example
        left = [*sorted(found, key=weight), *sorted(unmeasured, key=weight)]
        for seconds_max, alike_max, files_max in zip(BATCHES_SECONDS, ALIKE_MAX, FILES_MAX, strict=True):
            batch, files, seconds, alike = list[str](), set[str](), 0.0, Counter[str]()
            for test in left:
                file, name = test.partition("::")[0], test.partition("[")[0]
                roomy = file in files or len(files) < files_max
                if (
                    roomy
                    and alike[name] < alike_max
                    and seconds + self._lines.seconds[test] <= seconds_max
                    or not batch
                ):
                    batch.append(test)
                    files.add(file)
                    seconds += self._lines.seconds[test]
                    alike[name] += 1
            if batch:
                yield batch
            left = [test for test in left if test not in set(batch)]

    def _failure(self, tests: Sequence[str]) -> str:
        """Return the first test that fails, or an empty text."""
        output = self._directory / "output.txt"
        limit = 120 + 8 * sum(self._lines.seconds[test] for test in tests)
        child = os.fork()
        if not child:
            self._test(output, tests)
        until = time.monotonic() + limit
        while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until:
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if not ended[0]:
            os.waitpid(child, 0)
            return "(it hung)"
        code = os.waitstatus_to_exitcode(ended[1])
        text = output.read_text("utf-8", "replace")
        assert code != BROKEN, text
        missing = {
            line.partition("not found: ")[2].rpartition(f"{self.root}/")[2]
            for line in text.splitlines()
            if "not found: " in line
        }
        if missing:
            kept = [test for test in tests if test not in missing]
            assert len(kept) < len(tests), text
            return self._failure(kept) if kept else ""
        if code == 0:
            return ""
        return next(iter(_failures(text)), f"(exit code {code})")

    def _test(self, output: Path, tests: Sequence[str]) -> None:
        """Be a pytest of the copy. Never return."""
        os.setsid()
        code = BROKEN
        try:
            os.chdir(self.root)
            sys.stdout = sys.stderr = output.open("w", encoding="utf-8")
            for descriptor in (1, 2):
                os.dup2(sys.stdout.fileno(), descriptor)
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
            for name in [name for name in sys.modules if name.partition(".")[0] in {"tests", *PACKAGES}]:
                del sys.modules[name]
            sys.path[:0] = [str(self.root)]
            sys.dont_write_bytecode = True
            base = self._directory / "base"
            options = [
                *PRELOADED_OPTIONS,
                "-q",
                "-x",
                "-rfE",
                "--tb=no",
                *PLUGINS,
                f"--timeout={TEST_SECONDS_MAX}",
                f"--basetemp={base}",
            ]
            import pytest  # noqa: PLC0415 - each mutant has a pytest of its own

            code = int(pytest.main([*options, *tests]))
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            os._exit(code)


def environment() -> dict[str, str]:
    """The environment of the tests of a copy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATHENA_", "PYTEST_", "PYTHON"))}
    return kept | {"ATHENA_TEST_SCALE": "quick", "ATHENA_TEST_SEED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def measure(folder: Path, workers: int, tests: Sequence[str] = TESTS) -> None:
    """Run tests that are not heavy, and leave in ``folder`` which lines each of them ran."""
    with tempfile.TemporaryDirectory(prefix="measured-") as name:
        root = copied(Path(name))
        command = [sys.executable, "-m", "pytest", "-q", *PLUGINS, "-p", "tests.support.lines_run", "-m", "not heavy"]
        command += [
            f"--numprocesses={workers}",
            "--dist=loadfile",
            *(f"--ignore-glob={path}" for path in LEFT_OUT),
            *tests,
        ]
        done = subprocess.run(
            command,
            cwd=root,
            env=environment() | settings(folder, [root / package for package in PACKAGES]),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{done.stdout[-5_000:]}\nThe tests do not pass without a mutant.")


def broken(tests: Iterable[str]) -> set[str]:
    """Return the tests that fail in a copy without a mutant: they catch nothing."""
    with tempfile.TemporaryDirectory(prefix="unbroken-") as name:
        command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", *PLUGINS, *sorted(tests)]
        root = copied(Path(name))
        done = subprocess.run(command, cwd=root, env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    return _failures(done.stdout)


def _failures(output: str) -> set[str]:
    return set(re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", output, re.MULTILINE))


def _change(before: str, after: str) -> str:
    lines = zip(before.splitlines(), after.splitlines(), strict=False)
    old, new = next((old.strip(), new.strip()) for old, new in lines if old != new)
    return f"{old} → {new}"


_runs: list[Runs] = []
"""The one of this process."""


def _begin(directory: str, original: Path, url: str, lines: Lines) -> None:
    wanted = environment() | {postgres.VARIABLE: url}
    for variable in os.environ.keys() - wanted.keys():
        del os.environ[variable]
    os.environ.update(wanted)
    place = Path(directory, f"worker-{os.getpid()}")
    place.mkdir()
    _runs.append(Runs(place, original, lines))


def _judged(mutation: Mutation) -> Verdict:
    return _runs[0].judged(mutation)


def judge(chosen: Iterable[Mutation], lines: Lines, workers: int, tests: Sequence[str] = TESTS) -> Iterator[Verdict]:
    """Yield the verdicts of these tests as they come."""
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, postgres.cluster() as cluster:
        original = copied(Path(name, "original"))
        collect = [sys.executable, "-m", "pytest", "-q", *PLUGINS, "--collect-only", *tests]  # leaves compiled tests
        compiling = environment() | {"PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run(collect, cwd=original, env=compiling, stdout=subprocess.DEVNULL, check=False)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, context, _begin, (name, original, cluster.url, lines)) as pool:
            for done in as_completed([pool.submit(_judged, mutation) for mutation in chosen]):
                yield done.result()


def known(path: Path) -> dict[Place, Verdict]:
    """Return the verdicts that an earlier run wrote down."""
    found = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        entry = json.loads(line)
        place = Place(*entry.pop("place"))
        found[place] = Verdict(place, **entry)
    return found


def table(made: Mapping[str, Sequence[Mutation]], chosen: Sequence[Mutation], caught: Set[Place]) -> Iterator[str]:
    """Yield the table, in Markdown, with a row for each folder."""
    reasons = equivalent()
    yield "| modules in | mutants | sampled | caught | equivalent | survived |"
    yield "| --- | --- | --- | --- | --- | --- |"
    rows: dict[str, Counter[str]] = {}
    for module, of_module in made.items():
        places = {mutation.place for mutation in chosen if mutation.place.module == module}
        counts = Counter(
            made=len(of_module),
            sampled=len(places),
            caught=len(places & caught - reasons.keys()),
            equivalent=len(places & reasons.keys()),
        )
        counts["survived"] = counts["sampled"] - counts["caught"] - counts["equivalent"]
        rows.setdefault(f"`{module.rpartition('/')[0]}`", Counter()).update(counts)
    totals = sum(rows.values(), Counter[str]())
    yield from (_row(name, counts) for name, counts in rows.items())
    yield _row("all", totals)
    judged = totals["sampled"] - totals["equivalent"]
    yield f"\n{totals['caught']} of {judged} mutants that are not equivalent were caught."


def _row(name: str, counts: Mapping[str, int]) -> str:
    cells = (str(counts[key]) for key in ("made", "sampled", "caught", "equivalent", "survived"))
    return f"| {name} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a sample and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutant_runs", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=SAMPLED)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="measurement and verdicts (default: .mutants/<commit>)")
    options = parser.parse_args(arguments)
    made = {module: list(mutations(module)) for module in modules()}
    chosen = sampled(made, options.count, options.seed)
    folder = options.folder or ROOT / ".mutants" / commit()
    lines, path = folder / "lines", folder / "verdicts.jsonl"
    if not lines.exists():
        lines.mkdir(parents=True)
        measure(lines, options.workers)
    verdicts, reasons = known(path), equivalent()
    todo = [mutation for mutation in chosen if mutation.place not in verdicts and mutation.place not in reasons]
    random.Random(options.seed).shuffle(todo)  # a run that is cut short has judged a sample
    with path.open("a", encoding="utf-8") as out:
        for verdict in judge(todo, Lines(lines, PACKAGES), options.workers):
            verdicts[verdict.place] = verdict
            print(json.dumps(asdict(verdict), ensure_ascii=False), file=out, flush=True)
            print(verdict, flush=True)
    found = [verdicts[mutation.place] for mutation in chosen if mutation.place in verdicts]
    wrong = broken({verdict.caught for verdict in found if "::" in verdict.caught})
    for verdict in found:
        if verdict.caught in wrong:
            print(f"{verdict.caught} fails without a mutant, too: {verdict}")
            verdict.caught = ""
    print("", *table(made, chosen, {verdict.place for verdict in found if verdict.caught}), sep="\n")
    return 0 if all(verdict.caught for verdict in found) else 1


if __name__ == "__main__":
    sys.exit(main())
