"""The files that an operator writes beside the settings: how they are opened, and how their mistakes are reported."""

import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import anyio

from athena_core.errors import AthenaError, ConfigError
from athena_core.system.dotenv import check_writers
from athena_core.system.private_file import OTHERS, open_regular
from athena_core.system.problems import Problems
from athena_core.text import one_line

T = TypeVar("T")


class FileFault(Exception):
    """A mistake in the file: the path of the member and a sentence."""

    def __init__(self, place: str, sentence: str) -> None:
        super().__init__(f"{place}: {sentence}" if place else sentence)


def read_operator_file(
    setting: str, path: Path, bytes_max: int, parse: Callable[[bytes], T], *, private: bool = False
) -> T:
    """Return what ``parse`` makes of a file that only its owner may write, and with ``private`` only he may read.

    Raise ConfigError with one line that names the setting. Blocks.
    """
    shown = one_line(str(path))
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            status = os.fstat(file.fileno())
            check_writers(path, status, os.geteuid())
            if private and stat.S_IMODE(status.st_mode) & OTHERS:
                remedy = f"Run 'chmod 600 {shown}'."
                mode = f"{stat.S_IMODE(status.st_mode):04o}"
                raise FileFault("", f"other users may read the file (mode {mode}). {remedy}")
            data = file.read(bytes_max + 1)
        return parse(data)
    except OSError as error:
        raise ConfigError(f"{setting}: {shown} cannot be read: {error.strerror}") from None
    except FileFault as fault:
        raise ConfigError(f"{setting}: {shown}: {fault}") from None
    except ConfigError as error:
        raise ConfigError(f"{setting}: {one_line(error.message)}") from None


def check_size(data: bytes, bytes_max: int) -> None:
    """Raise FileFault for a file that is too large."""
    if len(data) > bytes_max:
        raise FileFault("", f"the file is larger than {bytes_max} bytes. Remove some entries.")


def table_of(value: Any, place: str, remedy: str = "") -> dict[str, Any]:
    """Return a table. Raise FileFault for any other value."""
    if not isinstance(value, dict):
        raise FileFault(place, f"expected a table. {remedy}".strip())
    return value


class OperatorEntries(Generic[T]):
    """The entries of an operator's file by name, read again without a restart.

    ``LOOP`` names the problem of a file that cannot be read again, and ``FAILURE`` is its error.
    """

    LOOP: ClassVar[str]
    FAILURE: ClassVar[type[AthenaError]]

    def __init__(self, path: Path | None, read: Callable[[Path | None], Mapping[str, T]]) -> None:
        """Read the file. Without a path it has none. Raise ConfigError. Blocks."""
        self._path = path
        self._read = read
        self._entries = read(path)
        self._reloading = anyio.Lock()

    @property
    def configured(self) -> bool:
        """True if this process has the file."""
        return self._path is not None

    @property
    def names(self) -> frozenset[str]:
        """The names of the entries."""
        return frozenset(self._entries)

    @property
    def entries(self) -> Mapping[str, T]:
        return self._entries

    def find(self, name: str) -> T | None:
        """Return an entry, or None if the file has none of this name."""
        return self._entries.get(name)

    async def reload(self, problems: Problems) -> None:
        """Read the file again. If it is bad, the old entries stay, and the health has a problem."""
        async with self._reloading:
            try:
                self._entries = await asyncio.to_thread(self._read, self._path)
            except ConfigError as error:
                problems.report(self.LOOP, self.FAILURE(error.message))  # without its traceback
                return
            problems.recovered(self.LOOP)
