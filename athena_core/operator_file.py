"""The files that an operator writes beside the settings: how they are opened, and how their mistakes are reported."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from athena_core.errors import ConfigError
from athena_core.system.dotenv import check_writers
from athena_core.system.private_file import OTHERS, open_regular
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
