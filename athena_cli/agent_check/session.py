"""The check of one agent of the operator: with and without a sandbox, in a temporary directory."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, Literal

from athena_cli.agent_check import report
from athena_cli.agent_check.check import check_subjects
from athena_cli.agent_check.checked_agent import Pace
from athena_cli.agent_check.private_plane import PrivatePlane
from athena_cli.agent_check.rows import ROWS
from athena_cli.agent_check.subject import Subject
from athena_cli.exit_codes import Absent, Misused
from athena_core.agents.known import KnownAgent, read_agents, templates
from athena_core.settings import load
from athena_core.system import private_file
from athena_core.system.sandbox import probe

AGENTS_FILE = "agents.toml"


async def check(
    name: str,
    only: Collection[str],
    sandbox: Literal["required", "off"] | None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Check an agent and return the report. ``tell`` gets a line when a part begins. Raise Misused, Absent."""
    for key in only:
        if key not in ROWS:
            raise Misused(f"--only: no row {key!r}; there are {', '.join(ROWS)}")
    directory = Path(tempfile.mkdtemp(prefix="athena-check-"))
    try:
        agents_file, known = await asyncio.to_thread(_find, name, directory)
        found = await asyncio.to_thread(probe)
        lacks = None if found.available or sandbox == "off" else f"{found.reason}. {found.remedy}"
        if sandbox == "required" and lacks:
            raise Misused(f"--sandbox: {lacks}")
        boxes = [boxed for boxed in (False, True) if sandbox != ("required", "off")[boxed] and not (boxed and lacks)]
        subjects = []
        async with PrivatePlane(directory / "plane", agents_file).running() as plane:
            for boxed in boxes:
                place = directory / ("boxed" if boxed else "unboxed")
                place.mkdir()
                subjects.append(Subject(known, plane, place, Pace(), boxed=boxed))
            reports = []
            for subject in subjects:  # one after another: agents are large
                words = f"{name} {'in' if subject.boxed else 'without'} a sandbox"
                reports += await check_subjects([subject], only, tell=tell and partial(_tell, tell, words))
        return report.document(name, reports, lacks)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, True)


STAGE_WORDS = {
    "interview": "a conversation",
    "first": "a run",
    "runs": "more runs",
    "kill": "runs whose server is killed",
    "last": "the rest",
}


def _tell(tell: Callable[[str], None], words: str, stage: str) -> None:
    tell(f"{words}: {STAGE_WORDS[stage]} ...")


def _find(name: str, directory: Path) -> tuple[Path, KnownAgent]:
    """Return the operator's file and the agent. Without a file, make one from a template. Blocks."""
    path = load().agents
    if path is None:
        if name not in templates():
            raise Absent(
                f"no template {name!r}: ATHENA_AGENTS is not set, and the templates are {', '.join(templates())}"
            )
        path = directory / AGENTS_FILE
        private_file.write(path, f'[agents.{name}]\ntemplate = "{name}"\n'.encode())
    agents = read_agents(path)
    if name not in agents:
        raise Absent(f"no agent {name!r} in {path}: it has {', '.join(agents) or 'none'}")
    missing = agents[name].missing()
    if missing:
        raise Misused(f"agent {name!r}: {'; '.join(missing)}")
    return path.absolute(), agents[name]
