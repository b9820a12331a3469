"""Runs ``athena agents check`` for the real agents and writes the table of what they did: ``make agents``."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from athena_cli.agent_check import interview_rows, run_rows, tool_rows  # noqa: F401 - their rows
from athena_cli.agent_check.rows import ROWS
from athena_core.agents.known import templates
from tests.support.process import ROOT
from tests.support.real_agents import REAL_AGENTS, real_agents_file

PAGE = ROOT / "docs" / "reference" / "agents-tested.md"
TITLES = {"codex": "Codex", "opencode": "OpenCode", "claude": "Claude Code", "gemini": "Gemini CLI"}
MEBIBYTE = 1_048_576
SECONDS_MAX = 1_800
HEAD = """# Agents that were tested

`make agents` installs these versions from npm (about 1.3 GB), lets a scripted model drive each of them by
`athena agents check`, and writes this page. No key is needed, and no model is paid. [agents.md](agents.md) describes
how Athena runs agents. The how-to pages describe each of them: [Codex](../how-to/agent-codex.md),
[OpenCode](../how-to/agent-opencode.md), [Claude Code](../how-to/agent-claude.md) and
[Gemini CLI](../how-to/agent-gemini.md).

## Versions
"""
RESULTS = """
## Results

*ok*: it does what the row says. *differs*: it does something else, which the last section describes. A dash: it was
not tried, because the row makes no sense there. Two words are the results without and with a sandbox. Rows in bold are
required: Athena should run no agent for which one of them is not ok.
"""

Found: TypeAlias = Mapping[str, Any]


def check(name: str, *more: str) -> Found:
    """Return the report of ``athena agents check`` for a real agent."""
    with tempfile.TemporaryDirectory(prefix="athena-agents-") as directory:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ATHENA_")}
        environment["ATHENA_AGENTS"] = str(real_agents_file(Path(directory), [name]))
        argv = (sys.executable, "-m", "athena_cli", "agents", "check", name, "--output", "json", *more)
        done = subprocess.run(argv, env=environment, cwd=ROOT, stdout=subprocess.PIPE, timeout=SECONDS_MAX, check=False)
    found: Found = json.loads(done.stdout)
    return found


def red(found: Found, *, required: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the rows that are not ok."""
    for row in found["rows"]:
        if row["required"] == required and row["result"] in {"differs", "failed"}:
            yield row


def page(all_found: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    yield from _table(("", *(TITLES[found["agent"]["registered"]] for found in all_found)), _facts(all_found))
    yield RESULTS
    names = [TITLES[found["agent"]["registered"]] for found in all_found]
    yield from _table(("", *names), _results(all_found))
    yield "\n## Differences"
    for found in all_found:
        yield f"\n**{TITLES[found['agent']['registered']]}**\n"
        for title, details in _differences(found).items():
            yield f"- {title}: {' '.join(details)}"


def _facts(all_found: Sequence[Found]) -> Iterator[Sequence[str]]:
    def each(row: str, text: Any) -> Sequence[str]:
        return (row, *(str(text(found)) for found in all_found))

    def places(text: Any) -> Any:
        return lambda found: _pair([text(place) for place in found["places"]])

    yield each("program", lambda found: f"`{found['agent']['name'].removeprefix('@agentclientprotocol/')}`")
    yield each("version", lambda found: found["agent"]["version"])
    yield each("protocol version", lambda found: found["agent"]["protocolVersion"])
    yield each("wire", lambda found: f"`{_wire(found)}`")
    yield each("mode", places(lambda place: f"`{place['mode']}`"))
    yield each("first session after", places(lambda place: f"{place['startSeconds']:.1f} s"))
    yield each("memory of its processes", places(lambda place: f"{place['memoryBytes'] / MEBIBYTE:.0f} MiB"))


def _wire(found: Found) -> str:
    return str(templates()[found["agent"]["registered"]]["wire"])


def _results(all_found: Sequence[Found]) -> Iterator[Sequence[str]]:
    for row in ROWS.values():
        title = f"**{row.title}**" if row.demand == "required" else row.title
        cells = []
        for found in all_found:
            words = [one["result"] for one in found["rows"] if one["key"] == row.key]
            cells.append(_pair(["–" if word == "not tried" else word for word in words]))
        yield (title, *cells)


def _pair(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else ", ".join(words)


def _differences(found: Found) -> Mapping[str, list[str]]:
    details: dict[str, list[str]] = {}
    for row in found["rows"]:
        if row["result"] in {"differs", "failed"}:
            seen = f"{row['detail'].rstrip('.')}{' (in a sandbox)' if row['boxed'] else ''}."
            same = details.setdefault(row["title"], [])
            if seen.replace(" (in a sandbox)", "") not in same:
                same.append(seen)
    return details


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    cells = list(head)
    yield f"| {' | '.join(cells)} |".replace("|  |", "| |")
    yield f"| {' | '.join('---' for _ in cells)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def main() -> int:
    """Check the agents and write the page. With names: check only these, and write nothing."""
    names = sys.argv[1:]
    all_found = []
    bad = 0
    for name in names or REAL_AGENTS:
        print(f"{TITLES[name]} ...", flush=True)
        found = check(name)
        all_found.append(found)
        for row in red(found, required=True):
            bad += 1
            where = "in a sandbox" if row["boxed"] else "without a sandbox"
            print(f"  {row['key']}, {where}: {row['result']}: {row['detail']}", flush=True)
    if not names:
        PAGE.write_text("\n".join(page(all_found)) + "\n", "utf-8")
        print(f"Wrote {PAGE.relative_to(ROOT)}.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
