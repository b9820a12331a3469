"""The log of a server or worker on a terminal: lines for people, with writes and problems only."""

import logging
import time
import traceback
from collections.abc import Callable

from athena_api.edge.access_log import PATH_CHARS_MAX, SHAPE_MASK, AccessLog, AccessRecord, to_stderr
from athena_core.clock import Clock
from athena_core.mask import Mask
from athena_core.text import one_line, printable
from athena_core.values import LOCAL

READS = frozenset({"GET", "HEAD", "OPTIONS"})


class TextLines(logging.Formatter):
    """Formatter that writes log records as masked text: the message, and the last line of a traceback."""

    def __init__(self, mask: Mask = SHAPE_MASK) -> None:
        """Use the mask of the server, which needs its settings."""
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text += f" ({''.join(traceback.format_exception_only(record.exc_info[1])).strip()})"
        return _line(int(record.created * 1000), f"{record.levelname.capitalize()}: {self._mask.hide(text)}")


class TerminalLog(AccessLog):
    """An access log for people. Successful reads are not shown, because consoles and probes send many."""

    def __init__(self, clock: Clock, sink: Callable[[bytes], None] = to_stderr, mask: Mask = SHAPE_MASK) -> None:
        """Write to ``sink``, with paths and texts masked."""
        super().__init__(clock, sink, mask)
        self._now = clock.now

    def request(self, request: AccessRecord) -> None:
        """Show a write or a failed request."""
        if request.method in READS and request.status < 400:
            return
        who = None if request.identity == LOCAL.subject else request.identity
        path = self.mask.hide(request.path)[:PATH_CHARS_MAX]
        parts = [f"{request.status} {request.method} {path}", f"{request.ms:.0f} ms", who, request.run_id]
        self._show(_line(request.at, "  ".join(filter(None, parts))))

    def warning(self, message: str) -> None:
        """Show a message for the operator."""
        self._show(_line(self._now(), f"Warning: {self.mask.hide(message)}"))

    def exception(self, trace_id: str, error: Exception) -> None:
        """Show a bug with its traceback."""
        self._show(_line(self._now(), f"Error: {type(error).__name__} (trace id {trace_id})"))
        self._show(printable(self.mask.hide("".join(traceback.format_exception(error)))).rstrip("\n"))

    def _show(self, text: str) -> None:
        self._sink(text.encode("utf-8", "replace") + b"\n")


def _line(at: int, text: str) -> str:
    """Return a line with the local time of ``at`` (milliseconds since 1970 UTC)."""
    return f"{time.strftime('%H:%M:%S', time.localtime(at / 1000))}  {one_line(text)}"
