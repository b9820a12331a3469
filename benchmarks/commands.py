"""The scenario of the command line: the CPU time of commands that ask a server, beside one that asks nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed
from benchmarks.server import ROOT

NOTHING = "--version"
ASKING = ("ps", "runs list", "logs")
ASKING_COST = 2.0
"""CPU time of a command that asks a server, divided by the time of one that asks nothing; 5 if it loads a server."""


def commands(bench: Bench) -> list[Section]:
    """Measure whole processes, in turn."""
    server = bench.server("athena")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    environment = kept | {"ATHENA_API_BASE_URL": f"http://127.0.0.1:{server.port}", "PYTHONPATH": str(ROOT)}
    _cpu_us(environment, "run --input hello")  # logs needs a run
    section = Section("commands", "Commands of the command line, one after another", "commands/s")
    names = (NOTHING, f"{NOTHING}, twin", *ASKING)
    section.measure(bench.rounds, {name: partial(_measure, environment, name.partition(",")[0]) for name in names})
    for name in ASKING:
        label = f"CPU time each: athena {name} / {NOTHING}"
        section.ratio(name, NOTHING, figure="cpu_us", label=label, at_most=ASKING_COST)
    section.ratio(NOTHING, names[1], figure="cpu_us", label="A/A, CPU time each: --version / its twin")
    bench.stop()
    return [section]


def _measure(environment: Mapping[str, str], words: str) -> dict[str, float]:
    return {"cpu_us": _cpu_us(environment, words)}


def _cpu_us(environment: Mapping[str, str], words: str) -> float:
    """Return the CPU time of a command in microseconds. Raise Failed if it fails."""
    command = [sys.executable, "-m", "athena_cli", *words.split()]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"athena {words} exited with {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1e6


COMMANDS: dict[str, Callable[[Bench], list[Section]]] = {"commands": commands}
