"""A mutant: a promise of the code that is broken on purpose, and the test that has to notice."""

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


def of(name: str, test: str, *changes: tuple[str, str, str]) -> Mutant:
    return Mutant(name, tuple(Change(*change) for change in changes), test)
