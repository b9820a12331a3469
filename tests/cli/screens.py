"""Screens: commands run in this process on a pseudo-terminal, with ids, times and measurements masked before printing.

They are masked in the answers of the server, so that columns have the same widths each time.
"""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from athena_cli import app, transport
from athena_cli.output import values
from athena_core.clock import iso

SCREENS = Path(__file__).with_name("screens")
WIDTHS = (80, 120)
LINES = 60
URL = "http://127.0.0.1:8787"

NOW = datetime(2026, 1, 1, 13, tzinfo=UTC)
THEN = NOW - timedelta(hours=3)
TIMES: Mapping[str, datetime] = {
    "now": NOW,
    "heartbeat": NOW - timedelta(seconds=2),
    "finishedAt": THEN + timedelta(seconds=1.2),
    "nextRunAt": NOW + timedelta(hours=5),
    "runAt": NOW + timedelta(days=30),
    "windowEnd": NOW,
}
"""Times by the member that has them; all others are three hours ago."""

NUMBERS: Mapping[str, str] = {"pid": "4711", "head": "320", "host": '"host"'}
MEASURED = "durationMs|p50Ms|p95Ms|loopBlockMs|waitedMs|estimatedRemainingMs|clockAheadMs|percentOfDisk"

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
TIME = re.compile(r'"(?!utc")(?P<member>\w+)":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"')
NUMBER = re.compile(rf'"(?P<member>{"|".join(NUMBERS)})":("[^"]*"|\d+)')
MEASUREMENT = re.compile(rf'"(?P<member>{MEASURED})":[\d.]+')
ID = re.compile(r"\b(?P<kind>[a-z]+)(?P<joint>[_-])[0-9A-HJKMNP-TV-Z]{26}\b")
HASH = re.compile(r"(?<![\w-])[0-9a-f]{16,64}\b")
SHADOW = re.compile(r"\bshadow-harness-[0-9a-f]{12}\b")
PROCESS = re.compile(r"\(process \d+\)")
CURSOR = re.compile(r"--cursor \S+")
TRACE = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


class Mask:
    """Replaces what differs from one world to another; ids become numbers in the order of their appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, data: bytes) -> bytes:
        text = ID.sub(self._id, data.decode())
        text = TIME.sub(lambda match: f'"{match["member"]}":"{_time(match["member"])}"', text)
        text = NUMBER.sub(lambda match: f'"{match["member"]}":{NUMBERS[match["member"]]}', text)
        text = MEASUREMENT.sub(lambda match: f'"{match["member"]}":1234', text)
        text = SHADOW.sub("shadow-harness-0123456789ab", PROCESS.sub("(process 4711)", text))
        return HASH.sub(lambda match: ("0123456789abcdef" * 4)[: len(match[0])], text).encode()

    def _id(self, match: re.Match[str]) -> str:
        number = self._numbers.setdefault(match[0], len(self._numbers) + 1)
        return f"{match['kind']}{match['joint']}01{number:024d}"


def _time(member: str) -> str:
    return iso(int(TIMES.get(member, THEN).timestamp() * 1_000))


class Screen:
    """A terminal of one width in front of a server."""

    def __init__(self, url: str, width: int, *, masked: bool = True) -> None:
        self._url = url
        self._width = width
        self._masked = masked

    def show(self, arguments: list[str]) -> str:
        """Run a command. Return its lines on the terminal, and its exit code."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, self._width, 0, 0))
        shown: list[bytes] = []
        reader = threading.Thread(target=_read, args=(ours, shown))
        reader.start()
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("ATHENA_")]:
                patch.delenv(name)
            usual = {"ATHENA_API_BASE_URL": self._url, "COLUMNS": str(self._width), "TERM": "xterm", "NO_COLOR": "1"}
            for name, value in usual.items():
                patch.setenv(name, value)
            patch.setattr(values, "now", lambda: NOW)
            patch.setattr(values, "ZONE", UTC)
            if self._masked:
                patch.setattr(transport.Transport, "request", _masked(Mask()))
            with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
                patch.setattr(sys, "stdout", terminal)
                patch.setattr(sys, "stderr", terminal)
                try:
                    code: object = app.main(arguments)
                except SystemExit as ended:  # by Ctrl-C
                    code = ended.code
        reader.join()
        os.close(ours)
        text = ESCAPES.sub("", b"".join(shown).decode()).replace("\r\n", "\n").replace(self._url, URL)
        lines = [line.rstrip() for line in TRACE.sub("TRACE", CURSOR.sub("--cursor CURSOR", text)).splitlines()]
        return "\n".join([*lines, f"[exit {code}]", ""])


def _masked(mask: Mask) -> Any:
    asked = transport.Transport.request

    async def request(self: transport.Transport, operation_id: str, **parts: Any) -> bytes:
        return mask(await asked(self, operation_id, **parts))

    return request


def _read(ours: int, shown: list[bytes]) -> None:
    with suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65_536):
            shown.append(part)
