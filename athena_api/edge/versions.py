"""Minimum versions of libraries, below which a server does not start because of known vulnerabilities."""

import re
from collections.abc import Callable, Mapping
from importlib import metadata

from athena_core.errors import ConfigError

FLOORS: Mapping[str, tuple[int, ...]] = {
    "starlette": (1, 3, 1),  # CVE-2025-62727, CVE-2026-48710, CVE-2026-54282, CVE-2026-54283
}
"""The minimum version of SQLite is in the store, which knows the library that it was built with."""


def check(version: Callable[[str], str] = metadata.version) -> None:
    """Raise ConfigError for a library older than its minimum version."""
    for name, floor in FLOORS.items():
        installed = version(name)
        if tuple(int(part) for part in re.findall(r"\d+", installed)[:3]) < floor:
            wanted = ".".join(map(str, floor))
            raise ConfigError(f"{name} {installed} has known vulnerabilities. Install {wanted} or newer.")
