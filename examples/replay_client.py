"""A client that copies every event to a local file exactly once, even if client or server are killed.

    python examples/replay_client.py events.jsonl                # all events so far, then new ones
    python examples/replay_client.py events.jsonl --once         # all events so far
    python examples/replay_client.py --types run.completed,run.failed    # print only, store nothing

It needs only the standard library. It never loses or repeats an event:

- The id of an event *is* the cursor that continues after it, permanently and with any filter.
- The cursor is stored together with the result of handling the event. Here each line of the file is an event, so the
  last complete line holds the cursor. An incomplete last line is removed first. If you store events in a database,
  write the id of the last one in the same transaction.
- The client reads pages up to the head, then follows the stream. When the stream breaks, it starts again with a page,
  whose response also reports an invalid cursor.
"""

import argparse
import fcntl
import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

PAGE_EVENTS = 500
SILENCE_SECONDS = 40  # the server sends a heartbeat every 15 s without events
RETRY_SECONDS_MAX = 5.0
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

    def settle(self) -> None:
        """Flush: no event is pending."""


class Printer:
    """Prints one line per event. Stores nothing."""

    def __init__(self, cursor: str) -> None:
        """Start after a cursor."""
        self.cursor = cursor

    def handle(self, event: dict[str, Any]) -> None:
        """Print the event."""
        print(event["createdAt"], event["type"], event.get("runId", "-"), json.dumps(event["payload"]))
        self.cursor = event["id"]

    def settle(self) -> None:
        """Flush the output."""
        sys.stdout.flush()


class Copy:
    """A file of JSON lines, one per event. The last complete line holds the cursor."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, lock it, and remove an incomplete last line."""
        self._file = path.open("ab+")
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
        """Append the event. A power cut may lose lines at the end; they are fetched again."""
        self._file.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self.cursor = event["id"]

    def settle(self) -> None:
        """Flush to the system at once, and to the disk once a second."""
        self._file.flush()
        if time.monotonic() - self._synced_at > SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced_at = time.monotonic()


class Refused(Exception):
    """The server returned an error; ``again`` is True if a retry may help, after ``wait`` seconds."""

    def __init__(self, code: str, message: str, *, again: bool, wait: float | None = None) -> None:
        """Store the error of the envelope."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.again = again
        self.wait = wait


class Lost(Exception):
    """The server did not respond, or the connection broke."""


BROKEN = (OSError, http.client.HTTPException, ValueError)  # ValueError: not JSON, for example an error page of a proxy


class Server:
    """The feed of an Athena server: pages and a stream."""

    def __init__(self, url: str, identity: str | None, types: str | None) -> None:
        """Use a base URL, an identity, and a filter (``run.completed,run.failed``)."""
        self._url = url.rstrip("/") + "/api/v1/events"
        self._headers = {"x-athena-identity": identity} if identity else {}
        self._filter = {"types": types} if types else {}

    def _open(self, path: str, query: dict[str, str | int], headers: dict[str, str]) -> http.client.HTTPResponse:
        request = urllib.request.Request(
            f"{self._url}{path}?{urlencode(query | self._filter)}", headers=self._headers | headers
        )
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=SILENCE_SECONDS)
        except urllib.error.HTTPError as error:
            raise refused(error) from None
        except BROKEN as error:
            raise Lost(f"{type(error).__name__}: {error}") from None
        return answer

    def page(self, cursor: str) -> dict[str, Any]:
        """Return ``{events, cursor, head, nextCursor?}`` after a cursor."""
        with self._open("", {"cursor": cursor, "limit": PAGE_EVENTS}, {}) as answer:
            try:
                data: dict[str, Any] = json.load(answer)["data"]
            except BROKEN as error:
                raise Lost(f"{type(error).__name__}: {error}") from None
        return data

    def stream(self, cursor: str) -> Iterator[dict[str, Any] | None]:
        """Yield events after a cursor as they are recorded, and None between them.

        Ends when the server stops or the connection breaks. Events with incomplete frames are not yielded.
        """
        name, data = "", ""
        with self._open("/stream", {}, {"Last-Event-ID": cursor, "Accept": "text/event-stream"}) as answer:
            for line in lines(answer):
                field, _, value = line.partition(": ")
                match field:
                    case "event":
                        name = value
                    case "data":
                        data = value
                    case "" if not line:  # end of a frame
                        if data and name not in {"caught-up", "bookmark"}:
                            yield json.loads(data)["data"]
                        name, data = "", ""
                        yield None
                    case _:
                        pass  # a heartbeat or the id, which the event also contains


def lines(answer: http.client.HTTPResponse) -> Iterator[str]:
    """Yield the complete lines of a stream until it ends or breaks."""
    while True:
        try:
            line = answer.readline()
        except BROKEN as error:
            raise Lost(f"{type(error).__name__}: {error}") from None
        if not line.endswith(b"\n"):
            return
        yield line.decode().rstrip("\n")


def refused(error: urllib.error.HTTPError) -> Refused:
    """Return the error of a failed response."""
    wait = error.headers.get("retry-after", "")
    try:
        told = json.load(error)["error"]
        code, message, again = str(told["code"]), str(told["message"]), bool(told["retryable"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):  # not an Athena envelope
        code, message, again = f"HTTP {error.code}", str(error.reason), error.code >= 500
    return Refused(code, message, again=again, wait=float(wait) if wait.isdigit() else None)


def follow(server: Server, handler: Handler, *, once: bool) -> None:
    """Handle every event after the handler's cursor, up to the head and then live. Raise Refused."""
    cursor = handler.cursor
    while True:
        page = server.page(cursor)
        for event in page["events"]:
            handler.handle(event)
        handler.settle()
        cursor = page["cursor"]  # with a filter, the cursor may be beyond the last matching event
        if "nextCursor" not in page:
            break
    if once:
        return
    for streamed in server.stream(cursor):
        if streamed is not None:
            handler.handle(streamed)
        else:
            handler.settle()


def run(server: Server, handler: Handler, *, once: bool) -> None:
    """Follow forever, or once, with retries while the server is away. Raise Refused if a retry cannot help."""
    failures = 0
    while True:
        before, wait = handler.cursor, None
        try:
            follow(server, handler, once=once)
            if once:
                return
            reason = "the stream ended"
        except Refused as error:
            if not error.again:
                raise
            reason, wait = str(error), error.wait
        except Lost as error:
            reason = str(error)
        handler.settle()
        failures = 0 if handler.cursor != before else failures + 1
        if wait is None:
            wait = random.uniform(0.5, 1) * min(0.1 * 2**failures, RETRY_SECONDS_MAX)
        print(f"{reason}; retrying in {wait:.1f} s", file=sys.stderr, flush=True)
        time.sleep(wait)


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
        run(Server(options.url, options.identity, options.types), handler, once=options.once)
    except Refused as error:
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
