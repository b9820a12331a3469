"""The anchor: a file beside the log that records its head, so that a truncated or replaced log is noticed."""

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
"""The maximum length of an anchor line kept elsewhere, including its line feed."""

AnchorPosition: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A position that a log once reached."""

ACCEPT = "If this is intended, start once with ATHENA_ACCEPT_FORK=true to continue from here."


FIRST_ANCHOR = "%s: the log had no anchor here; created one at position %d."

_log = logging.getLogger(__name__)


class Anchor(Value):
    """The recorded head of a log: its chain value at a position that it once reached."""

    log_id: LogId
    position: AnchorPosition
    chain: ChainValue


AnchorDefect: TypeAlias = Literal["missing", "unreadable", "foreign"]
"""The defect of an anchor: the file is missing, is not an anchor, or belongs to another log."""


class AnchorMismatch(NamedTuple):
    """A mismatch between a log and its anchor. ``expected`` is the position that the log should hold.

    With a defective anchor, ``trouble`` is the defect and ``expected`` is the head.
    """

    expected: Position
    reason: str
    trouble: AnchorDefect | None = None


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Replace the anchor atomically: a power cut leaves the old one or the new one. Raise OSError.

    The first anchor is durable on return, including its directory entry, so later rows always have an anchor.
    """
    first = not path.exists()
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_native_id()}")
    private_file.write(draft, msgspec.json.encode(anchor), sync=True)
    draft.replace(path)
    if first:
        private_file.sync(path.parent)


def read_anchor(path: Path) -> Anchor | None:
    """Return the anchor, or None if the file is missing. Raise ConfigError if it is unreadable."""
    try:
        return msgspec.json.decode(private_file.read(path, BYTES_MAX), type=Anchor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the anchor: {error.strerror}") from error
    except (msgspec.MsgspecError, RecursionError):
        raise ConfigError(f"{path}: the anchor is truncated or damaged") from None


class AnchorFile:
    """The anchor of an open log: compared at the start, then advanced with the head."""

    def __init__(self, store: Store, head: Callable[[], LogHead]) -> None:
        """Use the anchor file of ``store``; ``head`` returns the head of the log."""
        self.path = store.anchor
        self._store = store
        self._head = head

    def at_head(self) -> Anchor:
        """Return the anchor of the last row known to be committed."""
        head = self._head()
        return Anchor(log_id=self._store.log_id, position=head.position, chain=head.chain.hex())

    def check(self) -> None:
        """Raise ConfigError if the log does not match its anchor. Create the anchor if there is none yet.

        The anchor is created before the first row, so a log of this release with rows always has one.
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

        A log of an older release may have no anchor, because it was written half a second after the first row. A
        database has one anchor per machine, created by the first start there.
        """
        head = self._head().position
        try:
            anchor = read_anchor(self.path)
        except ConfigError as error:
            return AnchorMismatch(head, f"{error.message}. {ACCEPT}", "unreadable")
        if anchor is None:
            if head == 0 or self._store.remote or self._store.format < FORMAT:
                return None
            lost = f"{self.path} is missing, so a truncated log would go unnoticed"
            return AnchorMismatch(head, f"{lost} (it ends at position {head}). {ACCEPT}", "missing")
        if anchor.log_id != self._store.log_id:
            other = f"{self.path} is the anchor of another log, {anchor.log_id}; this one is {self._store.log_id}"
            return AnchorMismatch(head, f"{other}. {ACCEPT}", "foreign")
        rows = self._store.rows(anchor.position - 1, 1) if anchor.position else []
        if not anchor.position or (rows and rows[0].chain.hex() == anchor.chain):
            return None
        different = f"has a different event at {anchor.position} now"
        lost = f"once reached {anchor.position}" if head < anchor.position else different
        reason = (
            f"the log ends at position {head} but {lost}. Possible causes: a restored backup, a failover to a standby"
            f" that was behind, or a truncated log. {ACCEPT}"
        )
        return AnchorMismatch(anchor.position, reason)

    def accept_fork(self) -> None:
        """Replace the anchor with the current head, accepting a mismatch. Raise ConfigError.

        The caller records ``log.forked``.
        """
        try:
            write_anchor(self.path, self.at_head())
        except OSError as error:
            raise ConfigError(f"ATHENA_STATE_DIR: cannot write {self.path}: {error.strerror}") from error

    def advance(self) -> bool:
        """Advance the anchor to the head, if it is behind. Return True if it was written. Raise OSError."""
        anchor = self.at_head()
        try:
            known = read_anchor(self.path)
        except ConfigError:
            known = None  # replace an unreadable anchor
        if known is None or known.log_id != self._store.log_id or known.position < anchor.position:
            write_anchor(self.path, anchor)
            return True
        return False
