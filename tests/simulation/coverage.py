"""Table of all operations, event types and error codes: the world that reaches each, or the reason why none does."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from athena_api.document.responses import CODES
from athena_api.operations import OPERATIONS
from athena_core.domain import EVENTS

FILE = Path(__file__).with_name("coverage.txt")
NAMES = frozenset({*(one.id for one in OPERATIONS), *(one.TYPE for one in EVENTS), *CODES})


def declared() -> dict[str, list[str]]:
    """Return the names of each heading of the table: of a world, or of a reason."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in FILE.read_text().splitlines():
        if line.startswith(" "):
            found[heading] += line.split()
        elif not line.startswith("#"):
            heading = line.removesuffix(":")
            found[heading] = []
    return found


def reached(marks: Collection[str]) -> set[str]:
    """Return the names in the marks of histories. A mark is words, of which one may be a name."""
    return {word for mark in marks for word in mark.replace(":", " ").split()} & NAMES


def surprises(world: str, worlds: Collection[str], moves: Collection[str], marks: Mapping[str, int]) -> Iterator[str]:
    """Compare the marks of a search with the table: yield lines of what it lacks, and of what the table lacks."""
    table, found = declared(), reached(marks)
    lacking = {*table.get(world, ())} - found
    lacking |= {f"move {name}" for name in moves} - set(marks)
    if lacking:
        yield f"declared, but not reached: {', '.join(sorted(lacking))}"
    unknown = found & {name for heading, names in table.items() if heading not in worlds for name in names}
    if unknown:
        yield f"reached, but declared as reached by no world: {', '.join(sorted(unknown))}"
