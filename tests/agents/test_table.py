"""The page of the tested agents: it has every row of the check, and the versions that npm locks."""

import json
import re

import pytest

from athena_cli.agent_check.rows import ROWS
from tests.agents.table import HEAD, PAGE, RESULTS, TITLES
from tests.support.real_agents import LOCKS

REFRESH = "run 'make agents', which writes the page"


def cells() -> dict[str, list[str]]:
    """Return the cells of the page's tables by the first cell of each line."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    return {line[0].strip("*"): line[1:] for line in lines}


def test_the_page_has_every_row_of_the_check() -> None:
    text = PAGE.read_text("utf-8")
    assert text.startswith(HEAD) and RESULTS in text
    table = text.partition(RESULTS)[2].partition("\n## ")[0]
    shown = re.findall(r"^\| (?!---)([^|]+?) \|", table, re.MULTILINE)
    wanted = [f"**{row.title}**" if row.demand == "required" else row.title for row in ROWS.values()]
    assert wanted and shown == wanted, REFRESH


@pytest.mark.parametrize("name", TITLES)
def test_the_page_has_the_locked_versions(name: str) -> None:
    place = list(TITLES).index(name)
    locked = json.loads((LOCKS / name / "package.json").read_text())["dependencies"]
    assert cells()["version"][place] in locked.values(), REFRESH


def test_no_lock_names_a_registry() -> None:
    for lock in LOCKS.glob("*/package-lock.json"):
        assert '"resolved"' not in lock.read_text(), f"{lock}: npm install --omit-lockfile-registry-resolved"
