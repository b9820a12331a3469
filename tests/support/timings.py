"""The times of a run of tests: its slowest files, and the long tests that say no reason."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import pytest

FILES, LONG_SECONDS = 10, 20.0
RUN_SECONDS_MIN = 60.0
"""Shorter runs print no times."""


def timings(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield the lines about times: seconds of processes, set-up and teardown included."""
    files, tests, explained = defaultdict[str, float](float), defaultdict[str, float](float), set[str]()
    for report in reports:
        files[report.nodeid.partition("::")[0]] += report.duration
        tests[report.nodeid] += report.duration
        if "long" in report.keywords:
            explained.add(report.nodeid)
    if sum(files.values()) < RUN_SECONDS_MIN:
        return
    yield f"The {FILES} slowest files:"
    for name, seconds in longest(files)[:FILES]:
        yield f"  {seconds:6.1f} s  {name}"
    for name, seconds in longest(tests):
        if seconds < LONG_SECONDS:
            return
        if name not in explained:
            yield f'{name} took {seconds:.0f} s: say why (@pytest.mark.long("..."))'


def longest(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Sort names by their seconds, the longest first."""
    return sorted(seconds.items(), key=lambda one: -one[1])
