"""The simulator's command line: ``python -m tests.simulation SEED [--world NAME] [--seconds N]``."""

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.histories import Failure, Played, World, play_apart, play_batch, play_here, shrink
from tests.simulation.planted import plant

WORLDS = ("plane", "mcp", "agents", "gateway")


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


def show(found: Sequence[Failure]) -> None:
    for one in found[:5]:
        print(f"  {one.kind} at {one.at:.3f} s: {one.what}")


def shrunk(world: World, name: str, seed: str, played: Played) -> None:
    """Leave out steps of a failing history, and print the command that repeats the rest."""
    kinds = {one.kind for one in played.failures}

    def fails(keep: Sequence[int]) -> bool:
        return bool(kinds & {one.kind for one in play_apart(world, seed, keep).failures})

    began = time.monotonic()
    keep, tries = shrink(fails, [step.number for step in world.plan(seed)])
    print(f"  {len(keep)} steps after {tries} tries in {time.monotonic() - began:.0f} s:")
    print(f"  python -m tests.simulation {seed} --world {name} --trace --keep {','.join(map(str, keep))}")


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", default="1")
    parser.add_argument("--world", choices=WORLDS, default="plane")
    parser.add_argument("--seconds", type=float, help="play histories for so long")
    parser.add_argument("--count", type=int, help="play this number of histories")
    parser.add_argument("--keep", help="play only these steps: numbers with commas")
    parser.add_argument("--planted", help="plant a bug of the world's list first")
    parser.add_argument("--trace", action="store_true", help="print each step")
    parser.add_argument("--shrink", action="store_true", help="leave out steps of what fails")
    parser.add_argument("--digest", action="store_true", help="print the digest of a history")
    parser.add_argument("--coverage", action="store_true", help="print how often each mark was reached")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    if given.planted:
        plant_bug(given.world, given.planted)
    world = world_of(given.world)
    if given.seconds or given.count:
        search = Search(world, given.world)
        search.run(given.seed, given.seconds, given.count)
        search.report(coverage=given.coverage)
        for seed, played in search.failed[:1]:
            print(f"seed {seed}:")
            show(played.failures)
            if given.shrink:
                shrunk(world, given.world, seed, played)
        return 1 if search.failed else 0
    keep = None if given.keep is None else [int(one) for one in given.keep.split(",") if one]
    played = play_here(world, given.seed, keep, print if given.trace else None)
    if given.digest:
        print(played.digest)
    if given.coverage:
        print(dict(played.marks))
    show(played.failures)
    if played.failures and given.shrink:
        shrunk(world, given.world, given.seed, played)
    return 1 if played.failures else 0


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)  # nothing that a crashed process left half done is cleaned up
