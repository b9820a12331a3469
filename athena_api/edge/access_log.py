"""Access log: one JSON line per request, safe to print whatever the client sent."""

import asyncio
import functools
import logging
import os
import select
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from athena_core.clock import Clock, iso
from athena_core.mask import Mask
from athena_core.text import escape_json

PATH_CHARS_MAX = 500
AGENT_CHARS_MAX = 200
AGENTS_REMEMBERED_MAX = NAMES_REMEMBERED_MAX = 500
REMEMBERED_BYTES_MAX = 500
"""Longest user agent whose shown form is remembered: clients without an identity choose it."""
FLUSH_SECONDS = 0.02
"""Time that a line may wait. A process that is killed loses the lines of this time."""
STDERR = 2

encode = msgspec.json.Encoder().encode


def _line(record: object) -> bytes:
    """Encode a record without a line feed, and without characters that a terminal interprets."""
    return escape_json(encode(record))


def _text_line(at: int, level: str, **texts: str) -> bytes:
    """Return a line of texts. A character that UTF-8 does not have becomes a question mark."""
    fields = {"time": iso(at), "level": level, **texts}
    return _line({name: text.encode("utf-8", "replace").decode() for name, text in fields.items()})


SHAPE_MASK = Mask()


class JsonLines(logging.Formatter):
    """Formatter that writes log records of libraries as masked JSON lines."""

    def __init__(self, mask: Mask = SHAPE_MASK) -> None:
        """Use the mask of the server, which needs its settings."""
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        texts = {"logger": record.name, "message": self._mask.hide(record.getMessage())}
        if record.exc_info is not None and record.exc_info[1] is not None:
            texts["traceback"] = self._mask.hide("".join(traceback.format_exception(record.exc_info[1])))
        return _text_line(int(record.created * 1000), record.levelname.lower(), **texts).decode()


def log_lines(mask: Mask = SHAPE_MASK, formatter: type[logging.Formatter] = JsonLines) -> dict[str, Any]:
    """Return the configuration of Python's logging for a server or worker. ``formatter`` takes the mask."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": formatter, "mask": mask}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }


class AccessRecord(msgspec.Struct, frozen=True, gc=False):
    """The fields of a line. ``at`` is in milliseconds since 1970 UTC; ``ms`` is the duration.

    ``client`` is the address of the client, None on a Unix socket. ``agent`` is the field ``User-Agent`` as it was
    sent. ``run_id`` is the run that the request started or named.
    """

    at: int
    trace_id: str
    method: str
    path: str
    status: int
    ms: float
    identity: str | None
    size: int
    client: str | None = None
    agent: bytes | None = None
    run_id: str | None = None


def line(request: AccessRecord, mask: Mask = SHAPE_MASK) -> bytes:
    """Return the request as a JSON line."""
    run = "" if request.run_id is None else f',"runId":{_json(request.run_id)}'
    return (
        f'{{"time":"{iso(request.at)}","level":"{"error" if request.status >= 500 else "info"}",'
        f'"traceId":"{request.trace_id}","method":{_name(request.method)},'
        f'"path":{_json(_shown(mask.hide(request.path)[:PATH_CHARS_MAX]))},"status":{request.status},'
        f'"ms":{round(request.ms, 3)},"identity":{_name(request.identity)},"bytes":{request.size},'
        f'"client":{_name(request.client)},"userAgent":{_shown_agent(request.agent, mask)}{run}}}\n'
    ).encode()


def _json(text: str | None) -> str:
    """Return a text as JSON. Most texts need no escapes."""
    if text is not None and text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return _line(text).decode()


_name = functools.lru_cache(maxsize=NAMES_REMEMBERED_MAX)(_json)
"""A short text that many requests have."""


def _shown(text: str) -> str:
    """Return the text with its unprintable characters escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _shown_agent(sent: bytes | None, mask: Mask) -> str:
    """Return a user agent as JSON: masked, cut and printable. Few clients send many requests, so it is remembered."""
    if sent is None:
        return "null"
    return _agent(sent, mask) if len(sent) <= REMEMBERED_BYTES_MAX else _agent.__wrapped__(sent, mask)


@functools.lru_cache(maxsize=AGENTS_REMEMBERED_MAX)
def _agent(sent: bytes, mask: Mask) -> str:
    return _json(_shown(mask.hide(sent.decode("utf-8", "replace"))[:AGENT_CHARS_MAX]))


def to_stderr(text: bytes) -> None:
    """Write a line. If the pipe is closed or full, the line is lost and the request continues."""
    with suppress(OSError):
        os.write(STDERR, text)


class AccessLog:
    """Writer of the access log. Lines of 20 ms are written together, if they fit in a pipe."""

    def __init__(self, clock: Clock, sink: Callable[[bytes], None] = to_stderr, mask: Mask = SHAPE_MASK) -> None:
        """Write to ``sink``, with paths and texts masked."""
        self._clock = clock
        self.mask = mask
        self._sink = sink
        self._lines = bytearray()
        self._due = False
        """True while a timer will write the lines."""

    def request(self, request: AccessRecord) -> None:
        text = line(request, self.mask)
        if len(self._lines) + len(text) > select.PIPE_BUF:
            self.flush()
        self._lines += text
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._due = False
        self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        lines, self._lines = self._lines, bytearray()
        if lines:
            self._sink(bytes(lines))

    def warning(self, message: str) -> None:
        """Log a message for the operator."""
        self._write("warning", message=self.mask.hide(message))

    def exception(self, trace_id: str, error: Exception) -> None:
        """Log a bug with its traceback."""
        text = "".join(traceback.format_exception(error)).encode("utf-8", "replace").decode()
        self._write("error", traceId=trace_id, error=type(error).__name__, traceback=self.mask.hide(text))

    def _write(self, level: str, **texts: str) -> None:
        self.flush()
        self._sink(_text_line(self._clock.now(), level, **texts) + b"\n")
