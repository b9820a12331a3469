"""The anchor: the head that a log once had, in a file beside it, so that a cut or replaced log is noticed."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.errors import ConfigError
from athena_core.event import Position, Value
from athena_core.log.port import FORMAT, LogHead, Store
from athena_core.system import private_file
from athena_core.values import ChainValue, LogId

BYTES_MAX = 4_096
"""The largest anchor file that is read."""

LINE_BYTES_MAX = 1_024
"""The longest line with an anchor that is kept elsewhere, its end included."""

AnchorPosition: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A position that a log once reached."""

ACCEPT = "If this is meant, start once with ATHENA_ACCEPT_FORK=true to go on from here."


FIRST_ANCHOR = "%s: this log had no anchor here. It has one now, at position %d."

_log = logging.getLogger(__name__)


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


class AnchorFile:
    """The anchor of a log that is open: compared with it at the start, and moved on behind its head."""

    def __init__(self, store: Store, head: Callable[[], LogHead]) -> None:
        """Take the log's database, which knows where its anchor is; ``head`` returns the head of the log."""
        self.path = store.anchor
        self._store = store
        self._head = head

    def at_head(self) -> Anchor:
        """Return the anchor of the last row that this process knows to be committed."""
        head = self._head()
        return Anchor(log_id=self._store.log_id, position=head.position, chain=head.chain.hex())

    def check(self) -> None:
        """Raise ConfigError if the log is not what its anchor vouches for. Record the anchor where there is none yet.

        It is recorded before the first row, so a log of this release with rows always has one.
        """
        mismatch = self.mismatch()
        if mismatch is not None:
            raise ConfigError(f"ATHENA_STATE_DIR: {mismatch.reason}")
        if read_anchor(self.path) is None:
            self.accept_fork()
            if self._head().position:
                _log.warning(FIRST_ANCHOR, self.path, self._head().position)

    def mismatch(self) -> AnchorMismatch | None:
        """Compare the log with its anchor.

        A log of an older release may have none, because it was written half a second after the first row. A database
        has one on each machine, which its first start there records.
        """
        head = self._head().position
        try:
            anchor = read_anchor(self.path)
        except ConfigError as error:
            return AnchorMismatch(head, f"{error.message}. {ACCEPT}", "unreadable")
        if anchor is None:
            if head == 0 or self._store.remote or self._store.format < FORMAT:
                return None
            lost = f"{self.path} is missing, so nothing shows whether the log is whole"
            return AnchorMismatch(head, f"{lost} (it ends at position {head}). {ACCEPT}", "missing")
        if anchor.log_id != self._store.log_id:
            other = f"{self.path} is the anchor of another log, {anchor.log_id}; this one is {self._store.log_id}"
            return AnchorMismatch(head, f"{other}. {ACCEPT}", "foreign")
        rows = self._store.rows(anchor.position - 1, 1) if anchor.position else []
        if not anchor.position or (rows and rows[0].chain.hex() == anchor.chain):
            return None
        different = f"holds another event at {anchor.position} than it once did"
        lost = f"once reached {anchor.position}" if head < anchor.position else different
        reason = (
            f"the log ends at position {head} but {lost} (a restored backup, a failover to a standby that was behind,"
            " or a cut tail); start once with ATHENA_ACCEPT_FORK=true to go on from here"
        )
        return AnchorMismatch(anchor.position, reason)

    def accept_fork(self) -> None:
        """Replace the anchor, whatever it vouches for, so that the log may go on from where it ends. Raise ConfigError.

        The caller records ``log.forked``.
        """
        try:
            write_anchor(self.path, self.at_head())
        except OSError as error:
            raise ConfigError(f"ATHENA_STATE_DIR: {self.path} cannot be written: {error.strerror}") from error

    def advance(self) -> bool:
        """Vouch for the head, unless the anchor already vouches for it or for more. Return whether it was written.

        Raise OSError.
        """
        anchor = self.at_head()
        try:
            known = read_anchor(self.path)
        except ConfigError:
            known = None  # it is replaced
        if known is None or known.log_id != self._store.log_id or known.position < anchor.position:
            write_anchor(self.path, anchor)
            return True
        return False
