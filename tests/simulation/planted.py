"""Planted bugs: texts that replace others in modules of the product before these are loaded."""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from tests.reliability.mutant import Change, Mutant

ROOT = Path(__file__).resolve().parents[2]


class _Loader(SourceFileLoader):
    """Compiles a module with replaced texts, past the cache of compiled files."""

    changes: Sequence[Change] = ()

    def get_code(self, fullname: str) -> CodeType | None:
        source = self.get_data(self.path).decode()
        for change in self.changes:
            assert source.count(change.old) == 1, (
                f"{change.file}: {change.old!r} stands {source.count(change.old)} times"
            )
            source = source.replace(change.old, change.new)
        return compile(source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Finds the modules that have changes, before every other finder does."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = {change.file: [one for one in changes if one.file == change.file] for change in changes}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = name.replace(".", "/") + ".py"
        if file not in self._changes:
            return None
        found = PathFinder.find_spec(name, path, target)
        assert found is not None and found.origin is not None
        loader = _Loader(name, found.origin)
        loader.changes = self._changes[file]
        return importlib.util.spec_from_file_location(name, found.origin, loader=loader)


def bug(name: str, *changes: tuple[str, str, str]) -> Mutant:
    """Return a bug of these changes: for each a file, the old text and the new one."""
    return Mutant(name, tuple(Change(*change) for change in changes), "")


def plant(changes: Sequence[Change]) -> None:
    """Replace texts in modules that are loaded from now on."""
    for change in changes:
        name = change.file.removesuffix(".py").replace("/", ".")
        assert name not in sys.modules, f"{name} is loaded already"
        assert (ROOT / change.file).is_file(), change.file
    sys.meta_path.insert(0, _Finder(changes))
