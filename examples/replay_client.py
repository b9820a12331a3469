"""A client that copies every event to a local file exactly once, even if client or server are killed.

    python examples/replay_client.py events.jsonl                # all events so far, then new ones
    python examples/replay_client.py events.jsonl --once         # all events so far
    python examples/replay_client.py --types run.completed,run.failed    # print only, store nothing

It uses the Python client (docs/reference/from-python.md), which reconnects and resumes. It never loses or repeats
an event:

- The id of an event *is* the cursor that continues after it, permanently and with any filter.
- The cursor is stored together with the result of handling the event. Here each line of the file is an event, so the
  last complete line holds the cursor. An incomplete last line is removed first. If you store events in a database,
  write the id of the last one in the same transaction.
"""

import argparse
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from athena_client import Athena, AthenaError

PAGE_EVENTS = 500
SYNC_SECONDS = 1.0
BEGINNING = b'{"id":"'  # of each line
EXPLANATIONS = {
    "CURSOR_INVALID": "the last line of the file contains no event id; was it written by another program?",
    "CURSOR_FOREIGN": "these events are from another log, or from a history that this server no longer has"
    " (a restored backup); start a new file",
    "CURSOR_AHEAD": "the server's log ends before the last event of this file (a restored backup, or a cut disk);"
    " ask its operator before you start a new file",
    "CURSOR_EXPIRED": "the server no longer keeps the events after this cursor; start a new file",
}


class Handler(Protocol):
    """Handles events. ``cursor`` is the id of the last handled event, ``0`` before the first."""

    cursor: str

    def handle(self, event: dict[str, Any]) -> None:
        """Handle one event, and store its id with the result."""


class Printer:
    """Prints one line per event. Stores nothing."""

    def __init__(self, cursor: str) -> None:
        """Start after a cursor."""
        self.cursor = cursor

    def handle(self, event: dict[str, Any]) -> None:
        """Print the event."""
        print(event["createdAt"], event["type"], event.get("runId", "-"), json.dumps(event["payload"]), flush=True)
        self.cursor = event["id"]


class Copy:
    """A file of JSON lines, one per event. The last complete line holds the cursor."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, lock it, and remove an incomplete last line."""
        self._file = path.open("ab+", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{path} is being written by another process")
        line, end = self._last_line()
        try:
            self.cursor = str(json.loads(line)["id"]) if line else "0"
        except (ValueError, KeyError, TypeError):
            sys.exit(f"{path} does not end with an event; is it the right file?")
        self._file.seek(end)
        rest = self._file.read(len(BEGINNING))
        if not BEGINNING.startswith(rest):
            sys.exit(f"{path} contains no events; is it the right file?")
        self._file.truncate(end)
        self._synced_at = time.monotonic()

    def _last_line(self) -> tuple[bytes, int]:
        """Return the last complete line, empty if there is none, and the offset after it."""
        size = self._file.seek(0, os.SEEK_END)
        window = 1 << 16
        while True:
            start = max(size - window, 0)
            self._file.seek(start)
            text = self._file.read()
            end = text.rfind(b"\n") + 1
            begin = text.rfind(b"\n", 0, max(end - 1, 0)) + 1
            if begin or not start:
                return text[begin:end], start + end
            window *= 2

    def handle(self, event: dict[str, Any]) -> None:
        """Append the event. A power cut may lose the lines of the last second; they are fetched again."""
        self._file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self.cursor = event["id"]
        if time.monotonic() - self._synced_at > SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()


def events(client: Athena, after: str, types: str | None, *, once: bool) -> Iterator[dict[str, Any]]:
    """Yield the events after a cursor as the server wrote them, up to the head or without an end. Raise AthenaError.

    ``client.list_events`` and ``client.events`` yield the same events as typed values.
    """
    if once:
        query = {"cursor": after, "types": types, "limit": PAGE_EVENTS}
        return iter(client.pages("/events", json.loads, query=query))
    return iter(client.stream("/events/stream", json.loads, query={"after": after, "types": types}))


def main() -> int:
    """Parse the command line, and copy or print. Return 0 at the end of --once, 1 if the server rejects the request."""
    parser = argparse.ArgumentParser(description="Copy every event of an Athena server, exactly once.")
    parser.add_argument("file", nargs="?", type=Path, help="a file for JSON lines; without it, events are printed")
    parser.add_argument("--url", default="http://127.0.0.1:8787")
    parser.add_argument("--identity", help="sent as x-athena-identity")
    parser.add_argument("--types", help="only these event types, separated by commas")
    parser.add_argument("--after", default="0", help="start printing after this event id or position (default 0)")
    parser.add_argument("--once", action="store_true", help="stop at the head")
    options = parser.parse_args()
    handler: Handler = Copy(options.file) if options.file else Printer(options.after)
    try:
        with Athena(options.url, identity=options.identity) as client:
            for event in events(client, handler.cursor, options.types, once=options.once):
                handler.handle(event)
    except AthenaError as error:
        print(f"{error}\n{EXPLANATIONS.get(error.code, 'the server rejected the request')}", file=sys.stderr)
        return 1
    except OSError as error:  # the disk is full, or the output is closed
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
