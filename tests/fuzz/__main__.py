"""The fuzzer: ``python -m tests.fuzz TARGET --seconds 60`` tries new inputs, by the lines of Athena that they reach.

Needs atheris (``pip install atheris``). An input that fails is written to ``--finds``; with ``--keep`` what reached
something new becomes part of the corpus, the short inputs first.
"""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.corpus import keep, kept, path_of

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
    """Fuzz one target. Return 0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--finds", type=Path, default=Path.cwd(), help="where an input that fails is written")
    parser.add_argument("--keep", action="store_true", help="keep what reached something new")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments, _ = parser.parse_known_args()
    if arguments.worker is not None:
        work(arguments.target, arguments.worker, arguments)
    with TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place)
        known, found = folder / "known", folder / "found"
        for directory in (known, found):
            directory.mkdir()
        inputs = kept(arguments.target) if path_of(arguments.target).exists() else [b""]
        for number, data in enumerate(inputs):
            (known / f"{number:04}").write_bytes(data)
        status = again(folder)
        if status == 0 and arguments.keep:
            new = sorted((path.read_bytes() for path in found.iterdir()), key=len)
            fit = [data for data in new if len(data) <= KEPT_BYTES_MAX]
            keep(arguments.target, [*inputs, *fit[: max(KEPT_MAX - len(inputs), 0)]])
        return status


def again(folder: Path) -> int:
    """Run this command in a child process: the fuzzing library ends its process."""
    command = [sys.executable, "-m", "tests.fuzz", *sys.argv[1:], "--worker", str(folder)]
    return subprocess.run(command, check=False).returncode


def work(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    atheris = importlib.import_module("atheris")  # it has no types, and is installed only for fuzzing
    with atheris.instrument_imports(include=INSTRUMENTED, exclude=SILENT):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - not before it is instrumented

    target = TARGETS[name]
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-max_len={target.bytes_max}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-rss_limit_mb={MEMORY_MIB_MAX}",
        f"-seed={arguments.seed % 2**32}",
        f"-artifact_prefix={arguments.finds.resolve()}/{name}-",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    state = folder / "state"
    state.mkdir(exist_ok=True)
    with target.ready(state) as attempt:
        atheris.Setup([sys.argv[0], *(str(folder / place) for place in ("found", "known")), *options], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
