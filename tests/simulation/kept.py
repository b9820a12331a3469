"""Kept histories: the lines of ``seeds.txt``, each of which once failed or found a planted bug."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("seeds.txt")
ALL = "*"


class Kept(NamedTuple):
    """A history of a world: its seed, the numbers of its steps (None: all of them), and why it is kept."""

    world: str
    seed: str
    keep: tuple[int, ...] | None
    why: str

    def line(self) -> str:
        steps = ALL if self.keep is None else ",".join(map(str, self.keep))
        return f"{self.world} {self.seed} {steps} {self.why}"

    def command(self) -> str:
        steps = "" if self.keep is None else f" --keep {','.join(map(str, self.keep))}"
        return f"python -m tests.simulation {self.seed} --world {self.world}{steps} --trace"


def kept_histories(lines: Sequence[str] | None = None) -> list[Kept]:
    """Read the kept histories."""
    found = []
    for line in FILE.read_text().splitlines() if lines is None else lines:
        if line and not line.startswith("#"):
            world, seed, steps, why = line.split(maxsplit=3)
            found.append(Kept(world, seed, None if steps == ALL else tuple(map(int, steps.split(","))), why))
    return found
