"""Histories: plans of steps with their own chances, their results, and processes that play them."""

import gc
import hashlib
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

CPU_SECONDS_MAX = 60
"""A history that computes longer is a failure of its own kind."""


class Step(NamedTuple):
    """A move of a history: its number in the plan, the second at which it is due, its name and its own seed.

    A step draws from its own seed only, so leaving out another step changes none of its draws.
    """

    number: int
    at: float
    name: str
    seed: str

    @property
    def chance(self) -> random.Random:
        return random.Random(self.seed)


class Failure(NamedTuple):
    """A broken promise: its kind, what was seen, and the virtual second."""

    kind: str
    what: str
    at: float = 0.0


class Played(NamedTuple):
    """The result of a history: failures, a digest of all that was recorded, steps, and marks of what was reached."""

    failures: list[Failure]
    digest: str = ""
    steps: int = 0
    marks: Mapping[str, int] = {}
    cpu: float = 0.0


class World(Protocol):
    """A kind of simulated world. The plane and each corner is a module with these two functions.

    A module whose histories do not affect each other has ``BATCH``, too: as many are played in one forked process.
    """

    def plan(self, seed: str) -> list[Step]:
        """Draw the steps of a history."""

    def play(self, seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
        """Play steps and judge them. ``trace`` receives lines of what happens."""


def swarm(seed: str, moves: Mapping[str, float], size: int, dense: Sequence[float] = (0.3, 1, 1, 3)) -> list[Step]:
    """Draw ``size`` steps among weighted moves. Each history has weights and a density of its own."""
    chance, at, found = random.Random(f"{seed}:plan"), 0.0, []
    weights = [weight * chance.choice((0, 0.3, 1, 1, 4)) for weight in moves.values()]
    if not any(weights):
        weights = list(moves.values())
    density = chance.choice(dense)
    for number in range(size):
        gaps = (0.0, 0.0, chance.expovariate(2), chance.expovariate(1 / 3), chance.expovariate(1 / 25))
        at += density * chance.choice(gaps) if chance.random() > 0.02 else 400.0
        (name,) = chance.choices(list(moves), weights)
        found.append(Step(number, round(at, 3), name, f"{seed}:{number}"))
    return found


def play_here(
    world: World, seed: str, keep: Sequence[int] | None = None, trace: Callable[[str], None] | None = None
) -> Played:
    """Play a history, or only the steps whose numbers are in ``keep``, in this process."""
    steps = world.plan(seed)
    if keep is not None:
        kept = set(keep)
        steps = [step for step in steps if step.number in kept]
    began = time.process_time()
    try:
        played = world.play(seed, steps, trace)
    except Exception as error:
        where = traceback.format_exc(limit=-6)
        played = Played([Failure("simulator", f"{type(error).__name__}: {error}\n{where}")], steps=len(steps))
    made = Counter(f"move {step.name}" for step in steps)
    return played._replace(cpu=time.process_time() - began, marks={**played.marks, **made})


def play_apart(world: World, seed: str, keep: Sequence[int] | None = None) -> Played:
    """Play a history in a forked process, so that nothing of it stays."""
    (played,) = play_batch(world, (seed,), keep)
    return played


def play_batch(world: World, seeds: Sequence[str], keep: Sequence[int] | None = None) -> list[Played]:
    """Play histories one after another in one forked process. Those after one that ends the process are not played."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        gc.freeze()  # the loaded modules are not garbage
        with os.fdopen(writes, "w") as out:
            for seed in seeds:
                signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS_MAX)
                print(json.dumps(play_here(world, seed, keep)), file=out, flush=True)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as answer:
        lines = [json.loads(line) for line in answer]
    _, status = os.waitpid(child, 0)
    found = [Played([Failure(*one) for one in failures], *rest) for failures, *rest in lines]
    if status or not found:
        found.append(Played([Failure("died", f"the process of the history ended with {status}")]))
    return found


def shrink(
    failing: Callable[[Sequence[int]], bool], numbers: Sequence[int], seconds: float = 120.0
) -> tuple[list[int], int]:
    """Leave out steps while the failure stays, until no single one can be left out. Return the rest and the tries."""
    keep, tries, until = list(numbers), 0, time.monotonic() + seconds
    chunk = max(len(keep) // 2, 1)
    while time.monotonic() < until:
        start, moved = 0, False
        while start < len(keep) and time.monotonic() < until:
            tried = keep[:start] + keep[start + chunk :]
            tries += 1
            if failing(tried):
                keep, moved = tried, True
            else:
                start += chunk
        if chunk > 1:
            chunk //= 2
        elif not moved:
            break
    return keep, tries


def digest_of(parts: Sequence[Any]) -> str:
    """Return a digest of values, the same in each process and release of Python."""
    found = hashlib.sha256()
    for part in parts:
        found.update(repr(part).encode())
    return found.hexdigest()[:16]
