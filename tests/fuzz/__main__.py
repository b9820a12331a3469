"""The fuzzer: ``python -m tests.fuzz TARGET... --seconds 60`` tries new inputs, by the lines of Athena that they reach.

Needs atheris (``pip install atheris``). An input that fails is written to ``--finds``; with ``--keep`` what reached
something new becomes part of the corpus, the short inputs first.
"""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.fuzz.corpus import keep, kept, path_of

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

INPUT_SECONDS_MAX = 60  # a busy machine is not a finding, an endless loop is
MEMORY_MIB_MAX = 2_048
KEPT_BYTES_MAX = 2_048
KEPT_MAX = 150

INSTRUMENTED = ["athena_api", "athena_core", "projections"]
# Background threads would make every input look new.
SILENT = ["athena_core.log.writer", "athena_core.log.sqlite.store", "athena_core.log.tail", "athena_core.system.signal"]
SILENT += [
    "projections.engine.updater",
    "projections.engine.projector",
    "projections.engine.views",
    "projections.engine.generation",
]


def main() -> int:
    """Fuzz the targets, one after the other. Return 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--seconds", type=int, default=60, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finds", type=Path, default=Path.cwd(), help="where an input that fails is written")
    parser.add_argument("--keep", action="store_true", help="keep what reached something new")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments, _ = parser.parse_known_args()
    if arguments.worker is not None:
        return work(arguments.targets, arguments.worker, arguments)
    with TemporaryDirectory(prefix="fuzz-") as place:
        known = {name: kept(name) if path_of(name).exists() else [b""] for name in arguments.targets}
        for name, inputs in known.items():
            for part in ("known", "found", "state"):
                (Path(place) / name / part).mkdir(parents=True)
            for number, data in enumerate(inputs):
                (Path(place) / name / "known" / f"{number:04}").write_bytes(data)
        status = again(Path(place))
        if status == 0 and arguments.keep:
            for name, inputs in known.items():
                found = (Path(place) / name / "found").iterdir()
                new = sorted((path.read_bytes() for path in found), key=len)
                fit = [data for data in new if len(data) <= KEPT_BYTES_MAX]
                keep(name, [*inputs, *fit[: max(KEPT_MAX - len(inputs), 0)]])
        return status


def again(folder: Path) -> int:
    """Run this command in a child process, whose modules are instrumented."""
    command = [sys.executable, "-m", "tests.fuzz", *sys.argv[1:], "--worker", str(folder)]
    return subprocess.run(command, check=False).returncode


def work(names: list[str], folder: Path, arguments: argparse.Namespace) -> int:
    """Fuzz each target in a child process: the fuzzing library ends its process. Return the first exit code but 0."""
    atheris = importlib.import_module("atheris")  # it has no types, and is installed only for fuzzing
    with atheris.instrument_imports(include=INSTRUMENTED, exclude=SILENT):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - not before it is instrumented

    for name in names:
        print(f"target::{name}", flush=True)
        child = os.fork()
        if child == 0:
            fuzz(atheris, TARGETS[name], folder / name, f"{arguments.finds.resolve()}/{name}-", arguments)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            return abs(code)
    return 0


def fuzz(atheris: Any, target: "Target", folder: Path, finds: str, arguments: argparse.Namespace) -> None:
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={target.bytes_max}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MIB_MAX}",
        f"-seed={arguments.seed % 2**32}",
        f"-artifact_prefix={finds}",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    with target.ready(folder / "state") as attempt:
        atheris.Setup([sys.argv[0], *(str(folder / place) for place in ("found", "known")), *options], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
