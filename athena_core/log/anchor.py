"""The anchor: the head that a log once had, in a file beside it, so that a cut or replaced log is noticed."""

import os
import threading
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.errors import ConfigError
from athena_core.event import Position, Value
from athena_core.system import private_file
from athena_core.values import ChainValue, LogId

BYTES_MAX = 4_096
"""The largest anchor file that is read."""

LINE_BYTES_MAX = 1_024
"""The longest line with an anchor that is kept elsewhere, its end included."""

AnchorPosition: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A position that a log once reached."""

ACCEPT = "If this is meant, start once with ATHENA_ACCEPT_FORK=true to go on from here."


class Anchor(Value):
    """The head of a log, as its anchor file holds it: this log once held this chain at this position."""

    log_id: LogId
    position: AnchorPosition
    chain: ChainValue


AnchorDefect: TypeAlias = Literal["missing", "unreadable", "foreign"]
"""Why an anchor vouches for nothing: it is not there, it is no anchor, or it is one of another log."""


class AnchorMismatch(NamedTuple):
    """A log that is not what its anchor vouches for. ``expected`` is the position that it should hold.

    Where the anchor vouches for nothing, ``trouble`` is why, and ``expected`` is the head.
    """

    expected: Position
    reason: str
    trouble: AnchorDefect | None = None


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Replace the anchor as a whole, synced first: a power cut leaves the old one or the new one. Raise OSError.

    The name of the first one is durable at the return: rows that follow are never without an anchor.
    """
    first = not path.exists()
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_native_id()}")
    private_file.write(draft, msgspec.json.encode(anchor), sync=True)
    draft.replace(path)
    if first:
        private_file.sync(path.parent)


def read_anchor(path: Path) -> Anchor | None:
    """Return the anchor, or None if there is none. Raise ConfigError for anything else that is there."""
    try:
        return msgspec.json.decode(private_file.read(path, BYTES_MAX), type=Anchor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read as an anchor: {error.strerror}") from error
    except (msgspec.MsgspecError, RecursionError):
        raise ConfigError(f"{path}: is no anchor: it is torn or damaged") from None
