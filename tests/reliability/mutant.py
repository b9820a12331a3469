"""A mutant: a promise of the code that is broken on purpose, and the test that has to notice."""

from collections.abc import Callable
from typing import NamedTuple


class Change(NamedTuple):
    """A text that stands once in a file, and its replacement."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A breakage and the test that must find it."""

    name: str
    changes: tuple[Change, ...]
    test: str


def of(name: str, test: str) -> Callable[..., Mutant]:
    """Return a function of the changes: for each a file, the old text and the new one."""
    return lambda *texts: Mutant(name, tuple(Change(*texts[at : at + 3]) for at in range(0, len(texts), 3)), test)
