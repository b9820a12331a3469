"""Programs of others that some tests need: how a test without one is skipped, and what installs the program.

The last lines of a run count the skipped tests by program, so each reason has one form: ``needs NAME: REMEDY``.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from athena_core.system.sandbox import probe
from tests.support import debian

SEARCHED = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
REASON = re.compile(r"needs ([^:]+): (.+)", re.DOTALL)


def found(program: str) -> str | None:
    """Return the path of a program, also of one that only root has in its PATH."""
    return shutil.which(program) or shutil.which(program, path=SEARCHED)


def lack(*programs: str, remedy: str = "") -> str:
    """Return the reason to skip a test. Without a remedy, the packages are Debian's."""
    packages = "" if remedy else " ".join(debian.PACKAGES[name] for name in programs)
    return f"needs {', '.join(programs)}: {remedy or f'apt-get install {packages}'}"


def lack_of(*packages: str, options: str = "") -> str:
    """Return the reason to skip a test that needs Python packages."""
    return lack(*packages, remedy=f".venv/bin/pip install {options}{' '.join(packages)}")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test on a machine that lacks one of the programs."""
    missing = [name for name in programs if found(name) is None]
    return pytest.mark.skipif(bool(missing), reason=lack(*missing) if missing else "")


def made(place: Path, name: str, target: str) -> pytest.MarkDecorator:
    """Skip a test if what a target of the Makefile installs is missing."""
    return pytest.mark.skipif(not place.exists(), reason=lack(name, remedy=f"make {target}"))


def lack_of_a_box() -> str:
    """Return the reason to skip a test that needs a sandbox; empty where one works."""
    tried = probe()
    if tried.available:
        return ""
    return lack("bwrap", remedy="" if tried.lack == "not-installed" else f"{tried.reason}. {tried.remedy}")


BOXED = pytest.mark.skipif(not probe().available, reason=lack_of_a_box())
"""Skip a test on a machine where no sandbox works."""


def summary(reasons: Iterable[str]) -> Iterator[str]:
    """Count skipped tests: a line for each missing program with its remedy, then one for each other reason."""
    counted = Counter(reason.removeprefix("Skipped: ") for reason in reasons)
    for reason, count in sorted(counted.items(), key=lambda one: (not REASON.fullmatch(one[0]), -one[1], one[0])):
        tests = "1 test" if count == 1 else f"{count} tests"
        if (match := REASON.fullmatch(reason)) is not None:
            yield f"{tests} {'needs' if count == 1 else 'need'} {match[1]}: {match[2]}"
        else:
            yield f"{tests} skipped: {reason}"
