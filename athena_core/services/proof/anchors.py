"""Anchors elsewhere: this log's anchors are sent where its owner cannot rewrite them, and other logs' are kept here."""

import asyncio
import errno
import fcntl
import io
import logging
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, NamedTuple, NoReturn, TypeAlias
from urllib.parse import urlencode, urlsplit

import anyio
import httpx2
import msgspec
from anyio import to_thread

from athena_core import __version__
from athena_core.clock import Clock, iso
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, facts_of
from athena_core.domain import anchor
from athena_core.domain.anchor import AnchorBody, AnchorKept
from athena_core.errors import AnchorConflict, AnchorLimit, AnchorNotSent, AthenaError, ConfigError
from athena_core.event import Fact, Meta, Position, Value, says
from athena_core.log.anchor import LINE_BYTES_MAX, Anchor
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.protocols import LogReader
from athena_core.proxies import LOOPBACK_NAMES
from athena_core.settings import Settings
from athena_core.system.git import Repository
from athena_core.system.private_file import open_regular, sync
from athena_core.system.timer import Timer
from athena_core.values import Identity, Instant

SEND_SECONDS_MAX = 30.0
"""Limit for one destination."""

STOP_SECONDS_MAX = 5.0
"""Limit for all destinations while the server stops."""

FETCH_SECONDS_MAX = 120.0
"""Limit for reading one place with kept anchors, in all."""

FETCH_BYTES_MAX = 64 << 20
"""The most bytes read from one place with kept anchors."""

BEGINNING = b'{"logId":"'
"""The beginning of each line that this module writes."""

QUIET_EVENTS_MAX = 100
"""How many of the newest events are searched for one that is more than an anchor of another log."""

LOOP = "anchors.send"
ANCHORS_PATH = "/api/v1/anchors"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
JSON = {"content-type": "application/json", "user-agent": f"athena/{__version__}"}

_log = logging.getLogger(__name__)


# Destinations


DestinationKind: TypeAlias = Literal["file", "http", "git", "athena"]


class Destination(NamedTuple):
    """A destination of anchors: a file, an HTTP receiver, a git repository, or another Athena."""

    kind: DestinationKind
    place: str

    @property
    def shown(self) -> str:
        """The destination without possible secrets: user, password and query of a URL."""
        prefix = "" if self.kind in {"file", "http"} else f"{self.kind}:"
        if self.kind in {"file", "git"}:
            return prefix + self.place
        parts = urlsplit(self.place)
        return f"{prefix}{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def destination_of(text: str) -> Destination:
    """Parse a destination: a path, ``https://…``, ``git:PATH`` or ``athena:URL``. Raise ConfigError."""
    if text.startswith("git:"):
        return Destination("git", _path(text.removeprefix("git:")))
    if text.startswith("athena:"):
        return Destination("athena", _url(text.removeprefix("athena:")).rstrip("/"))
    if SCHEME.match(text):
        return Destination("http", _url(text))
    return Destination("file", _path(text))


def check_outside(places: Iterable[Destination], state_dir: Path, field: str = "ATHENA_ANCHOR_TO") -> None:
    """Raise ConfigError for a destination in the state directory: who rewrites the log could rewrite it too."""
    home = os.path.normpath(state_dir.absolute())  # touches no file system: one that hangs must not delay the start
    for place in places:
        if place.kind in {"file", "git"} and Path(os.path.normpath(place.place)).is_relative_to(home):
            raise ConfigError(f"{field}: {place.place} is in the state directory; choose a place outside it")


def destinations_of(texts: Iterable[str], field: str = "ATHENA_ANCHOR_TO") -> tuple[Destination, ...]:
    """Parse several destinations. Raise ConfigError naming the field or setting."""
    try:
        return tuple(destination_of(text) for text in texts)
    except ConfigError as error:
        raise ConfigError(f"{field}: {error.message}") from error


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ConfigError("expected a path, https://…, git:PATH or athena:URL as the destination of anchors")
    return str(Path(text).expanduser().absolute())


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ConfigError("expected a URL that begins with https:// as the destination of anchors")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        raise ConfigError(
            f"anchors are sent to {parts.hostname} only over https://; http:// is allowed only for this machine"
        )
    return text


# Sending


class Sender(NamedTuple):
    """The needs of sending: a private directory for git, and the headers of requests to another Athena."""

    scratch: Path
    headers: httpx2.Headers = httpx2.Headers(JSON)  # its repr hides a token

    @classmethod
    def of(cls, settings: Settings) -> "Sender":
        """Return the sender of a state directory; it uses ATHENA_ANCHOR_TOKEN, or the identity of the command line."""
        headers = httpx2.Headers(JSON)
        if settings.anchor_token:
            headers["authorization"] = f"Bearer {settings.anchor_token}"
        elif settings.cli_identity:
            headers[settings.auth_identity_header] = settings.cli_identity
        return cls(settings.state_dir, headers)

    async def send(self, line: AnchorBody, to: Destination) -> None:
        """Append an anchor to a destination. Raise AnchorNotSent."""
        try:
            with anyio.fail_after(SEND_SECONDS_MAX):
                match to.kind:
                    case "file":
                        await _append_aside(Path(to.place), line)
                    case "git":
                        await self._commit(Path(to.place), line)
                    case "http" if to.place.endswith("/"):
                        name = f"{line.log_id}/{line.position:020d}-{line.chain[:16]}.json"
                        await self._put(to.place + name, line)
                    case "http":
                        await self._post(to.place, line, JSON)
                    case _:
                        await self._post(to.place + ANCHORS_PATH, line, self.headers)
        except TimeoutError:
            raise AnchorNotSent(f"{to.shown}: no answer within {SEND_SECONDS_MAX:.0f} s") from None
        except OSError as error:
            raise AnchorNotSent(f"{to.shown}: {error.strerror or type(error).__name__}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise AnchorNotSent(f"{to.shown}: {type(error).__name__}") from error
        except AthenaError as error:
            raise AnchorNotSent(f"{to.shown}: {error.message}") from error

    async def _put(self, url: str, line: AnchorBody) -> None:
        """Create an object unless it exists."""
        status = await _asked("PUT", url, line, {**JSON, "if-none-match": "*"})
        if status != 412:
            _check(status)

    async def _post(self, url: str, line: AnchorBody, headers: Mapping[str, str]) -> None:
        status = await _asked("POST", url, line, headers)
        if status == 409:
            reason = "it keeps another chain value for this position, so one of the two histories was rewritten"
            raise AnchorConflict(f"{reason}; or it serves this log itself")
        _check(status)

    async def _commit(self, directory: Path, line: AnchorBody) -> None:
        async with Repository.open(directory, Path("/"), "git", self.scratch) as repository:
            name = f"{line.log_id}.anchors"
            await _append_aside(directory / name, line)
            await repository.record(name, f"Anchor of {line.log_id} at {line.position}")
            await repository.push()


async def _client() -> httpx2.AsyncClient:
    """Make a client in a thread, because reading the certificates takes long."""
    return await to_thread.run_sync(partial(httpx2.AsyncClient, timeout=SEND_SECONDS_MAX, trust_env=False))


async def _asked(method: str, url: str, line: AnchorBody, headers: Mapping[str, str]) -> int:
    """Send an anchor and return the response's status; the body is not read."""
    client = await _client()
    async with client, client.stream(method, url, content=anchor_line(line), headers=headers) as response:
        return int(response.status_code)


def _check(status: int) -> None:
    if not 200 <= status < 300:
        raise AnchorNotSent(f"the response was {status}")


# Reading what was kept


class KeptPage(msgspec.Struct):
    """A page of kept anchors, as another Athena returns it."""

    items: list[msgspec.Raw]
    next_cursor: str | None = msgspec.field(name="nextCursor", default=None)


class KeptAnswer(msgspec.Struct):
    """The envelope of a page."""

    data: KeptPage


async def fetch_anchors(place: Destination, log_id: str, sender: Sender) -> BinaryIO:
    """Open the anchors of a log that a place keeps, one a line. Raise ConfigError if they cannot be read in time."""
    try:
        with anyio.fail_after(FETCH_SECONDS_MAX):
            match place.kind:
                case "file":
                    return _opened(Path(place.place))
                case "git":
                    return _opened(Path(place.place) / f"{log_id}.anchors")
                case "http":
                    return io.BytesIO(await _got(place.place, JSON))
                case _:
                    return io.BytesIO(await _pages(place.place + ANCHORS_PATH, log_id, sender.headers))
    except TimeoutError:
        raise ConfigError(f"{place.shown}: not read within {FETCH_SECONDS_MAX:.0f} s") from None
    except OSError as error:
        raise ConfigError(f"{place.shown}: {error.strerror or type(error).__name__}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, AnchorNotSent, msgspec.MsgspecError) as error:
        reason = error.message if isinstance(error, AnchorNotSent) else type(error).__name__
        raise ConfigError(f"{place.shown}: {reason}") from error


def _opened(path: Path) -> BinaryIO:
    """Open a regular file, following links. Raise OSError."""
    return os.fdopen(open_regular(path, os.O_RDONLY), "rb")


async def _pages(url: str, log_id: str, headers: Mapping[str, str]) -> bytes:
    """Read all kept anchors of a log from another Athena."""
    lines = bytearray()
    query = {"logId": log_id, "limit": "500"}
    while True:
        page = msgspec.json.decode(await _got(f"{url}?{urlencode(query)}", headers), type=KeptAnswer).data
        for item in page.items:
            lines += bytes(item) + b"\n"
        if len(lines) > FETCH_BYTES_MAX:
            raise AnchorNotSent(f"more than {FETCH_BYTES_MAX} bytes")
        if not page.next_cursor or not page.items:
            return bytes(lines)
        query["cursor"] = page.next_cursor


async def _got(url: str, headers: Mapping[str, str]) -> bytes:
    """Read a response of bounded size."""
    client = await _client()
    content = bytearray()
    async with client, client.stream("GET", url, headers=headers) as response:
        _check(response.status_code)
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > FETCH_BYTES_MAX:
                raise AnchorNotSent(f"more than {FETCH_BYTES_MAX} bytes")
    return bytes(content)


# Files


def anchor_line(line: AnchorBody) -> bytes:
    """Return an anchor as a line of JSON."""
    return msgspec.json.encode(line) + b"\n"


_busy: set[Path] = set()
"""Files that a thread is writing to. A write that hangs keeps its file here."""


async def _append_aside(path: Path, line: AnchorBody) -> None:
    """Append in a daemon thread of its own, because a file system may hang. Raise OSError.

    Each file has at most one thread, so threads do not accumulate, and the thread pool of requests is not used.
    """
    if path in _busy:
        raise OSError(errno.EBUSY, "an earlier write still hangs")
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    failed: list[Exception] = []

    def work() -> None:
        try:
            append_anchor(path, line)
        except Exception as error:
            failed.append(error)
        finally:
            _busy.discard(path)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(done.set)

    _busy.add(path)
    threading.Thread(target=work, name="athena-anchor", daemon=True).start()
    await done.wait()
    if failed:
        raise failed[0]


def append_anchor(path: Path, line: AnchorBody) -> None:
    """Append an anchor to a private regular file, durably. Raise OSError.

    A torn anchor that a crash left is removed first; one that only lacks its line end gets it. Whole lines never
    change. A file that ends in anything else is refused.
    """
    descriptor = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size, end = _whole(descriptor)
        content = end + anchor_line(line)
        try:
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
    if not size:
        sync(path.parent)


def _whole(descriptor: int) -> tuple[int, bytes]:
    """Remove a torn anchor at the end. Return the size of the rest, and the line end that its last line lacks.

    Raise OSError if the last line is not the beginning of an anchor.
    """
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, LINE_BYTES_MAX, max(size - LINE_BYTES_MAX, 0))
    *_, before, torn = (b"\n" + tail).rsplit(b"\n", 2) if b"\n" in tail else (b"", tail)
    if torn:
        if _is_anchor(torn):
            return size, b"\n"
        if len(torn) == LINE_BYTES_MAX or not torn.startswith(BEGINNING[: len(torn)]):
            raise OSError(errno.EINVAL, "the last line is not an anchor")
    elif before and not _is_anchor(before):
        raise OSError(errno.EINVAL, "the last line is not an anchor")
    if torn:
        os.ftruncate(descriptor, size - len(torn))
    return size - len(torn), b""


def _is_anchor(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=Anchor)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def anchor_at_head(reader: LogReader, clock: Clock) -> AnchorBody | None:
    """Return the anchor of the last committed row; None for an empty log."""
    head = reader.head()
    row = reader.row(head) if head else None
    if row is None:
        return None
    return AnchorBody(log_id=reader.log_id, position=head, chain=row.chain.hex(), at=iso(clock.now()))


class AnchorReceipt(Value):
    """An anchor of another log that is kept here. ``from`` is the identity that first sent it."""

    log_id: str
    position: Position
    chain: str
    at: Annotated[Instant, says("When the anchor was taken.")]
    sender: Annotated[str, says("Identity that sent it first.")] = msgspec.field(name="from")


class Anchors:
    """Sends the anchors of this log to destinations, and keeps anchors of other logs."""

    def __init__(self, log: Log, clock: Clock, sender: Sender, to: Sequence[Destination], seconds: float) -> None:
        """Send to these destinations every ``seconds``."""
        self._log = log
        self._clock = clock
        self._sender = sender
        self._to = to
        self.timer = Timer(LOOP, seconds, self.send, log.problems)
        self.sent: dict[Destination, Position] = {}
        """The last anchor that each destination has received from this process."""

    async def stop(self) -> None:
        """Send a last time, within a few seconds."""
        with anyio.move_on_after(STOP_SECONDS_MAX):
            await self.send()

    async def send(self) -> bool:
        """Send the anchor of the head to each destination that lacks it. Report failures; return False for our own."""
        if not self._to:
            return True
        try:
            line, since = await to_thread.run_sync(self._moved)
        except Exception as error:
            self._log.problems.report(LOOP, error)
            return False
        async with anyio.create_task_group() as tasks:
            for to in self._to:
                if line is not None and self.sent.get(to, 0) < since:
                    tasks.start_soon(self._send, line, to)
        return True

    async def _send(self, line: AnchorBody, to: Destination) -> None:
        try:
            await self._sender.send(line, to)
        except Exception as error:
            self._log.problems.report(LOOP, error, to.shown)
        else:
            self.sent[to] = line.position
            self._log.problems.recovered(LOOP, to.shown)

    def _moved(self) -> tuple[AnchorBody | None, Position]:
        """Return the anchor of the head, and the last position that is worth an anchor.

        Anchors of other logs are not: otherwise two Athenas that keep each other's anchors would never stop sending.
        """
        reader = self._log.reader()
        try:
            line = anchor_at_head(reader, self._clock)
            if line is None:
                return None, 0
            rows = reader.rows(max(line.position - QUIET_EVENTS_MAX, 0), QUIET_EVENTS_MAX, line.position)
            worth = [row.position for row in rows if row.type != AnchorKept.TYPE]
            return line, worth[-1] if worth else line.position
        finally:
            reader.close()

    # Keeping

    async def keep(self, body: AnchorBody, who: Identity, meta: Meta, key: Key | None) -> Committed[AnchorReceipt]:
        """Record an anchor of another log once, and return an ``AnchorReceipt``.

        Raise AnchorConflict for another chain value of the position or an anchor of this log itself. Raise AnchorLimit
        at a limit.
        """
        if body.log_id == self._log.log_id:
            reason = "the anchor belongs to this log itself and would prove nothing here: send it to another Athena"
            raise AnchorConflict(reason, {"logId": body.log_id})
        stream = anchor.stream_of(body.log_id, body.position)

        def keep(reader: Reader, context: Context) -> Outcome[AnchorReceipt]:
            state = reader.state(anchor.DECIDER, stream)
            command = anchor.KeepAnchor(anchor=body, sender=who.subject)
            events = anchor.decide(command, state, context)
            facts = facts_of(stream, events)
            kept = state.kept
            if kept is not None and kept.chain != body.chain:
                _refuse(body, kept, facts, reader, context)
            for event in events:
                if isinstance(event, AnchorKept):
                    _check_limits(body.log_id, reader, context)
                    kept = event
            assert kept is not None
            return Outcome(facts=facts, answer=_receipt(kept))

        return await self._log.submit(keep, meta, key, answers=AnchorReceipt)


def _receipt(kept: AnchorKept) -> AnchorReceipt:
    return AnchorReceipt(log_id=kept.log_id, position=kept.position, chain=kept.chain, at=kept.at, sender=kept.sender)


def _refuse(body: AnchorBody, kept: AnchorKept, facts: tuple[Fact, ...], reader: Reader, context: Context) -> NoReturn:
    """Refuse another chain value for a position, and record the conflict if it is new and within the limits."""
    message = f"another chain value is kept for position {body.position} of log {body.log_id}"
    error = AnchorConflict(
        f"{message}: one of the two histories was rewritten",
        {"logId": body.log_id, "position": body.position, "chain": body.chain, "kept": kept.chain},
    )
    with suppress(AnchorLimit):
        _check_limits(body.log_id, reader, context)
        if facts:
            _log.warning("%s: one of the two histories was rewritten", message)
            raise Rejected(error, facts)
    raise error


def _check_limits(log_id: str, reader: Reader, context: Context) -> None:
    """Raise AnchorLimit if this log, or all logs together, may not add an anchor."""
    counted = reader.guards(anchor.ANCHORS_GUARD)
    today = context.now // anchor.DAY_MS
    if log_id not in counted and len(counted) >= anchor.LOGS_MAX:
        raise AnchorLimit(f"anchors of {anchor.LOGS_MAX} logs are kept here already; no other log is accepted")
    counts = {log: int(count) for log, (day, count) in counted.items() if day == today}
    if counts.get(log_id, 0) >= anchor.ANCHORS_A_DAY_MAX:
        raise AnchorLimit(
            f"{anchor.ANCHORS_A_DAY_MAX} anchors of log {log_id} were already kept today; send them less often"
        )
    if sum(counts.values()) >= anchor.ANCHORS_A_DAY_IN_ALL_MAX:
        raise AnchorLimit(f"{anchor.ANCHORS_A_DAY_IN_ALL_MAX} anchors were already kept today; send them less often")
