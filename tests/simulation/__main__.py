"""The simulator's command line: ``python -m tests.simulation SEED [--world NAME] [--seconds N]``."""

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.simulation.histories import Failure, Played, World, play_apart, play_batch, play_here, shrink
from tests.simulation.kept import Kept, kept_histories
from tests.simulation.planted import plant

WORLDS = ("plane", "mcp", "agents", "gateway", "asks", "tokens")
ALL = "all"


def world_of(name: str) -> World:
    return importlib.import_module(f"tests.simulation.{name}")


def plant_bug(world: str, name: str) -> None:
    """Plant a bug of the list of a world before the world is loaded."""
    found = importlib.import_module(f"tests.simulation.planted_{world}").BUGS
    (bug,) = (one for one in found if one.name == name)
    plant(bug.changes)


class Search:
    """Plays one history after another, until one fails, or time or their number is up."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.marks: Counter[str] = Counter()
        self.histories = self.steps = 0
        self.cpu = 0.0
        self.failed: list[tuple[str, Played]] = []

    def run(self, seed: str, seconds: float | None, count: int | None, first: int = 0) -> None:
        until = time.monotonic() + (seconds or 1e9)
        batch: int = getattr(self.world, "BATCH", 1)
        number, end = first, first + (count or 10**9)
        while number < end and time.monotonic() < until and not self.failed:
            seeds = [f"{seed}.{one}" for one in range(number, min(number + batch, end))]
            number += self.play(seeds)

    def play(self, seeds: Sequence[str]) -> int:
        """Play histories in one process. Return how many were played."""
        found = play_batch(self.world, seeds)
        for seed, played in zip(seeds, found, strict=False):
            self.histories += 1
            self.steps += played.steps
            self.cpu += played.cpu
            self.marks.update(played.marks)
            if played.failures:
                self.failed.append((seed, played))
        return len(found)

    def report(self, *, coverage: bool) -> None:
        rate = self.histories / self.cpu if self.cpu else 0.0
        print(f"{self.name}: {self.histories} histories, {self.steps} steps, {rate:.2f} histories a CPU second.")
        if coverage:
            for mark, times in sorted(self.marks.items()):
                print(f"  {mark}\t{times}")
            table = importlib.import_module("tests.simulation.coverage")  # late: bugs are planted in what it loads
            for line in table.surprises(self.name, WORLDS, getattr(self.world, "MOVES", ()), self.marks):
                print(f"  {line}")


def show(found: Sequence[Failure]) -> None:
    for one in found[:5]:
        print(f"  {one.kind} at {one.at:.3f} s: {one.what}")


def report_failed(world: World, name: str, seed: str, played: Played, *, shrinks: bool, planted: str | None) -> None:
    """Print a failing history and the command that repeats it; if wanted, leave out steps first."""
    bug = "" if planted is None else f' --planted "{planted}"'
    print(f"seed {seed}:")
    show(played.failures)
    kept = Kept(name, seed, None, "")
    if shrinks:
        began = time.monotonic()
        kept, tries = shrunk(world, kept, played)
        print(f"  {len(kept.keep or ())} steps after {tries} tries in {time.monotonic() - began:.0f} s")
    print(f"  Repeat it: {kept.command()}{bug}")
    if shrinks:
        one = played.failures[0]
        why = planted or f"{one.kind}: {one.what.splitlines()[0][:80]}"
        print(f"  For seeds.txt: {kept._replace(why=why).line()}")


def shrunk(world: World, kept: Kept, played: Played) -> tuple[Kept, int]:
    """Leave out steps of a failing history. Return the rest and the number of tries."""
    kinds = {one.kind for one in played.failures}

    def fails(keep: Sequence[int]) -> bool:
        return bool(kinds & {one.kind for one in play_apart(world, kept.seed, keep).failures})

    keep, tries = shrink(fails, [step.number for step in world.plan(kept.seed)])
    return kept._replace(keep=tuple(keep)), tries


def play_kept(world: World, name: str) -> int:
    """Play the lines of ``seeds.txt`` about a world. Return 1 if one of them fails."""
    found = [(one, play_apart(world, one.seed, one.keep)) for one in kept_histories() if one.world == name]
    failed = [(one, played.failures) for one, played in found if played.failures]
    for one, failures in failed:
        print(f"{one.why}\n  Repeat it: {one.command()}")
        show(failures)
    print(f"{name}: {len(found)} kept histories, {len(failed)} failed.")
    return 1 if failed else 0


def play_all(arguments: Sequence[str], seconds: float | None) -> int:
    """Run the command for each world in a process of its own, one for each processor at a time."""
    places = os.cpu_count() or 1
    share = () if seconds is None else ("--seconds", f"{seconds * places / len(WORLDS):.0f}")

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.simulation", *arguments, "--world", name, *share]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)

    with ThreadPoolExecutor(places) as pool:
        found = list(pool.map(run, WORLDS))
    for done in found:
        print(done.stdout, end="")
    return max(abs(done.returncode) for done in found)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", default="1")
    parser.add_argument("--world", choices=(*WORLDS, ALL), default="plane")
    parser.add_argument("--seconds", type=float, help="play histories for this time, of all worlds together")
    parser.add_argument("--count", type=int, help="play this number of histories")
    parser.add_argument("--keep", help="play only these steps: numbers with commas")
    parser.add_argument("--kept", action="store_true", help="play the histories of seeds.txt")
    parser.add_argument("--planted", help="plant a bug of the world's list first")
    parser.add_argument("--trace", action="store_true", help="print each step")
    parser.add_argument("--shrink", action="store_true", help="leave out steps of what fails")
    parser.add_argument("--digest", action="store_true", help="print the digest of a history")
    parser.add_argument("--coverage", action="store_true", help="print what was reached, and how often")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    if given.world == ALL:
        return play_all(sys.argv[1:], given.seconds)  # the last one of an option counts
    if given.planted:
        plant_bug(given.world, given.planted)
    world = world_of(given.world)
    if given.kept:
        return play_kept(world, given.world)
    if given.seconds or given.count:
        search = Search(world, given.world)
        search.run(given.seed, given.seconds, given.count)
        search.report(coverage=given.coverage)
        for seed, played in search.failed:
            report_failed(world, given.world, seed, played, shrinks=given.shrink, planted=given.planted)
        return 1 if search.failed else 0
    keep = None if given.keep is None else [int(one) for one in given.keep.split(",") if one]
    played = play_here(world, given.seed, keep, print if given.trace else None)
    if given.digest:
        print(played.digest)
    if given.coverage:
        print(dict(played.marks))
    if played.failures and given.shrink:
        report_failed(world, given.world, given.seed, played, shrinks=True, planted=given.planted)
    else:
        show(played.failures)
    return 1 if played.failures else 0


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)  # nothing that a crashed process left half done is cleaned up
