"""The lines of the product that each test runs, its servers and commands included.

As a plugin of pytest (``-p tests.support.lines_run``) it names the running test to coverage.py. Subprocesses are
measured because ``COVERAGE_PROCESS_START`` is set, and read the name from ``PYTEST_CURRENT_TEST``.
"""

import json
import os
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from multiprocessing import util
from pathlib import Path

import coverage
import pytest

START, SECONDS = "COVERAGE_PROCESS_START", "seconds-*.jsonl"
SETTINGS = """\
[run]
source = {sources}
parallel = true
sigterm = true
data_file = {directory}/.coverage
context = ${{PYTEST_CURRENT_TEST-}}
"""
IMPORTED = ""
"""The context of lines that run outside of tests: imports, and fixtures of the session."""


def settings(directory: Path, sources: Sequence[Path]) -> dict[str, str]:
    """Return the environment in which tests leave in ``directory`` which lines of these folders they run."""
    path = directory / "coverage.ini"
    path.write_text(SETTINGS.format(sources=",".join(map(str, sources)), directory=directory), "utf-8")
    return {START: str(path), "COVERAGE_CORE": "ctrace"}  # sys.monitoring knows no contexts


def measure_server(environment: Mapping[str, str]) -> None:
    """Measure a forked server under the name of its own test, not of the test that started the fork server."""
    if START not in environment:
        return
    inherited = coverage.Coverage.current()
    if inherited is not None:
        inherited.stop()
    own = coverage.Coverage(
        config_file=environment[START], data_suffix=True, context=environment.get("PYTEST_CURRENT_TEST", IMPORTED)
    )

    def save() -> None:
        own.stop()
        own.save()

    own.start()
    util.Finalize(None, save, exitpriority=-1)


class Lines:
    """The result of a measurement: the tests that run each line, and the seconds of each test."""

    def __init__(self, directory: Path, packages: Sequence[str]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        for path in directory.glob(SECONDS):
            for line in path.read_text("utf-8").splitlines():
                test, seconds = json.loads(line)
                self.seconds[test] += seconds
        self.breadth: dict[str, int] = defaultdict(int)
        self._of_file: dict[str, set[str]] = defaultdict(set)
        for test in self.seconds:
            self._of_file[test.partition("::")[0]].add(test)
        self._rows: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
        for path in directory.glob(".coverage.*"):
            for name, context, bits in _rows(path):
                module = next(name[name.index(f"/{each}/") + 1 :] for each in packages if f"/{each}/" in name)
                self._rows[module].append((context, bits))
                self.breadth[context] += int.from_bytes(bits, "little").bit_count()

    def tests_of(self, module: str, first: int, last: int) -> set[str]:
        """Return the tests that run one of these lines, or any line of the module if an import runs them."""
        lines = (1 << last + 1) - (1 << first)
        found = {context for context, bits in self._rows[module] if int.from_bytes(bits, "little") & lines}
        if IMPORTED in found:
            found = {context for context, _ in self._rows[module]}
        return set[str]().union(*map(self._named, found - {IMPORTED}))

    def _named(self, context: str) -> set[str]:
        """Return the tests of a context: the whole file for a process that a fixture started, which may share it."""
        for phase in (" (setup)", " (teardown)"):
            if context.endswith(phase):
                return self._of_file[context.partition("::")[0]]
        return {context.removesuffix(" (call)")} & self.seconds.keys()


def _rows(path: Path) -> list[tuple[str, str, bytes]]:
    """Return file, context and bits of lines of one process; the test is the last part of a context."""
    if not path.stat().st_size:
        return []
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(
            "SELECT path, context, numbits FROM line_bits"
            " JOIN file ON file.id = file_id JOIN context ON context.id = context_id"
        )
        return [(name, sys.intern(context.rpartition("|")[2]), bits) for name, context, bits in found]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Name the test to coverage.py while it runs, and write down the seconds that it takes."""
    measured = coverage.Coverage.current()
    if measured is None:
        raise RuntimeError(f"{START} is not set")
    began = time.monotonic()
    measured.switch_context(item.nodeid)
    yield
    measured.switch_context(IMPORTED)
    with (Path(os.environ[START]).parent / f"seconds-{os.getpid()}.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps([item.nodeid, time.monotonic() - began]) + "\n")
