"""The scenario of the sandbox: the cost of a command in a box, beside the same command without one."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import uvloop

from athena_core.system.process import Child, environment
from athena_core.system.sandbox import Sandbox, probe
from athena_core.tools.tool import CommandBox
from athena_core.tools.workspace import Workspace
from benchmarks.report import Ratio, Section
from benchmarks.scenarios import Bench, Failed

COMMAND = ("true",)
COMMANDS = 10
"""The number of commands of a variant and round."""

MORE_MS = 10.0
TOLERANCE = 10.0
"""Only a multiple of the goal fails, because the machine may be busy."""


def sandbox(bench: Bench) -> list[Section]:
    """Measure a command with and without a box, in turn."""
    section = Section("sandbox", f"`{COMMAND[0]}` as a command of a tool, {COMMANDS} one after another", "commands/s")
    if not (tried := probe()).available:
        section.notes.append(f"Not measured: {tried.reason}.")
        return [section]
    workspace = bench.place("sandbox")
    workspace.mkdir(parents=True, exist_ok=True)
    box = CommandBox().around(Workspace(workspace))
    boxed, plain, twin = "in a sandbox", "without", "without, twin"
    section.measure(
        bench.rounds, {boxed: partial(_measure, box), plain: partial(_measure, None), twin: partial(_measure, None)}
    )
    ours, theirs = (section.samples[name]["p50_ms"] for name in (boxed, plain))
    more = [one - other for one, other in zip(ours, theirs, strict=True)]
    section.ratios.append(
        Ratio("ms more in a sandbox, p50", more, MORE_MS, at_most=True, ours=median(ours), theirs=median(theirs))
    )
    section.ratio(plain, twin, figure="p50_ms", label="A/A, p50: without / its twin")
    if section.ratios[0].median > MORE_MS * TOLERANCE:
        raise Failed(f"a command in a sandbox takes {section.ratios[0].median:.0f} ms more")
    return [section]


def _measure(box: Sandbox | None) -> dict[str, float]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_commands(box))
    return {"rate": COMMANDS * 1_000 / sum(found), "p50_ms": median(found)}


async def _commands(box: Sandbox | None) -> list[float]:
    """Run commands one after another. Return their times in milliseconds."""
    found = []
    for _ in range(COMMANDS):
        began = time.perf_counter()
        child = await Child.start(COMMAND, environment(), fed=False, merged=True, sandbox=box)
        await child.exited.wait()
        await child.end()
        found.append((time.perf_counter() - began) * 1_000)
        if child.status != 0 or child.problem:
            raise Failed(f"{COMMAND[0]}: {child.ending()}")
    return found


BOXES: dict[str, Callable[[Bench], list[Section]]] = {"sandbox": sandbox}
