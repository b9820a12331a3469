"""Versions: a library with a known hole stops the start."""

import importlib.metadata

import pytest

from athena_api.edge import versions
from athena_core.errors import ConfigError


def test_installed_versions_reach_their_floors() -> None:
    versions.check()


@pytest.mark.parametrize("name", versions.FLOORS)
def test_an_older_one_is_refused_by_name(name: str) -> None:
    def old(asked: str) -> str:
        return "0.0.9rc1" if asked == name else importlib.metadata.version(asked)

    with pytest.raises(ConfigError, match=f"{name} 0.0.9rc1 has known vulnerabilities"):
        versions.check(old)
