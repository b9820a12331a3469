"""The operation: a row of the table, for one method and path; imports no framework."""

import re
from collections.abc import Awaitable, Callable, Set
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args

import msgspec

from athena_api.edge.asgi import Receive
from athena_core.decider import Key
from athena_core.errors import AthenaError, NotFound
from athena_core.event import Meta, Position, Value
from athena_core.values import Identity, Role, Scope

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from projections.names import NameRow

B = TypeVar("B")
Q = TypeVar("Q")
T = TypeVar("T")

PREFIX = "/api/v1"
EVERYBODY = frozenset(Role) - {Role.NONE}
WRITERS = frozenset({Role.OPERATOR, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})


class NoBody(Value):
    """Type of the body of an operation without one. A body that is sent is not decoded."""


class NoQuery(Value):
    """Type of the query of an operation without query parameters."""


class ApiCall(msgspec.Struct, Generic[B, Q], kw_only=True):
    """A decoded request: its caller, path parameters, query, body and preferences.

    ``key`` is the idempotency key, if one was sent. ``position`` is the log position that the answer must reflect.
    ``wait`` is False with ``Prefer: respond-async``. ``cursor`` and ``limit`` select the page, and ``limited`` is True
    if the request has a limit. ``if_match`` is the header of that name, and ``origin`` names the page that sent a
    command. ``receive`` reports the disconnect of the client. ``stale`` allows an answer from views that lag. ``lines``
    asks for lines instead of a page. A read is about the position ``as_of`` in the past. ``resolved`` lists the fields
    whose names were replaced by ids. ``unknown`` has the nearest names of fields with a name that no record has.

    A handler that reads ``who`` or ``meta`` makes its answer ``personal``, so that it is never cached. ``scope`` is
    part of the cache's key.
    """

    _who: Identity
    _meta: Meta
    path: dict[str, str]
    query: Q
    body: B
    receive: Receive
    key: Key | None = None
    position: Position = 0
    last_event_id: str | None = None
    wait: bool = True
    cursor: str | None = None
    limit: int = 0
    limited: bool = False
    if_match: str | None = None
    origin: str | None = None
    stale: bool = False
    lines: bool = False
    as_of: Position | None = None
    resolved: list[str] = []
    unknown: "dict[str, list[NameRow]]" = {}
    personal: bool = False

    @property
    def who(self) -> Identity:
        """The caller. The answer then depends on it."""
        self.personal = True
        return self._who

    @property
    def meta(self) -> Meta:
        """The envelope of events, which names the caller. The answer then depends on it."""
        self.personal = True
        return self._meta

    @property
    def scope(self) -> Scope | None:
        """The scope of the caller."""
        return self._who.scope


class Reply(msgspec.Struct, kw_only=True):
    """An answer: the data of the envelope (a value, or JSON bytes), the status, extra headers.

    With a ``content_type`` of its own, ``data`` is the body, without an envelope. ``position`` is the log position that
    the answer reflects. ``location`` is a path below ``/api/v1``: of the record in a 202 answer, or of what replaces a
    deprecated path. ``replayed`` marks the first answer of a repeated key. A ``steady`` answer depends only on the
    request, the caller's scope and that position, so it can be cached unless its call is ``personal``.
    """

    data: Any
    position: Position
    status: int = 200
    location: str | None = None
    replayed: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    steady: bool = False


class Replayed(Exception):
    """An error that answers a repeated idempotency key, as it answered the first request."""

    def __init__(self, error: AthenaError) -> None:
        super().__init__(error.message)
        self.error = error


def existing(record: T | None, kind: str, record_id: str) -> T:
    """Return the record. Raise NotFound if it is None."""
    if record is None:
        raise NotFound(f"no {kind} {record_id!r} exists")
    return record


Handler = Callable[["ControlPlane", ApiCall[B, Q]], Awaitable[Reply]]
Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]
ScopeKind: TypeAlias = Literal["sessions", "runs", "personas"]
"""A kind of names that a scope can list."""


class Operation(msgspec.Struct, Generic[B, Q], frozen=True, kw_only=True):
    """A row of the table: a method and path, with its roles, input, answer and handler.

    ``path`` is below ``/api/v1``, with ``:name`` parameters. ``answer`` is the type of ``data`` in the API document.
    ``paging`` is the mode of pagination: by cursor; ``full``, with as many items as a page may hold; or ``tail``, the
    newest entries. ``reads`` names the projections that a GET reads. ``errors`` lists the codes that are specific to
    this operation.
    """

    id: str
    context: str
    """Name of this operation's input in error messages, such as ``runs.create``."""
    method: Method
    path: str
    tag: str
    summary: str
    roles: frozenset[Role]
    answer: Any
    handle: Handler[B, Q]
    details: str = ""
    """What the API document says beyond the summary."""
    body: type[B] = NoBody  # type: ignore[assignment]
    forms: tuple[type, ...] = ()
    """The types of the body as the API document shows them, if it has several forms."""
    query: type[Q] = NoQuery  # type: ignore[assignment]
    paging: Literal["cursor", "full", "tail"] | None = None
    reads: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    accepted: Any = None
    """The type of ``data`` of a 202 answer; None if the operation never answers 202."""
    command: str | None = None
    """The words of its command, unless they follow from its method and path. Empty: it has none, as for a browser."""
    successor: str | None = None
    """The path that replaces this one, if it is deprecated."""
    shared: bool = False
    """True if the answer is not about any session, run or persona, so that every scoped identity may use it."""
    narrows: frozenset[ScopeKind] = frozenset()
    """Kinds of scope that a read without a name in its path applies itself, or that a command names in its body.

    A command with a ``filter`` in its body applies them to the filter.
    """
    stream: bool = False
    """True if the answer is ``text/event-stream``."""
    lines: bool = False
    """True if ``Accept: application/x-ndjson`` answers all records up to the head, one per line."""
    csv: bool = False
    """True if ``format=csv`` answers a page as comma-separated values, with the next cursor as a header."""
    versioned: bool = False
    """True if answers carry an ``ETag`` and a command honours ``If-Match``."""
    transient: Any = None
    """The type of ``data`` of frames without an id, which a stream sends and does not store."""
    past: bool = False
    """True if ``asOf`` answers as of a position in the past."""
    mcp: str | None = None
    """The name of its tool at ``/mcp``; None if it has none."""
    price_ms: int = 0
    """CPU time that its reads in threads are expected to take, in milliseconds, until it was measured.

    Zero for a GET that uses a thread only for a large page, and for a command. A POST with a price only reads.
    """


class Noun(NamedTuple):
    """Defaults for the rows of one file of operations.

    The handler gives the id (``createRun`` from ``create_run``), the summary and details (its docstring), and the types
    of body and query. By default every role may use a GET, and operators and admins the other methods. A GET reads the
    projections of the noun. If its path ends in a parameter, it may answer NOT_FOUND.
    """

    tag: str
    reads: tuple[str, ...] = ()
    """The projections that a GET reads."""
    word: str | None = None
    """First word of its commands; the second is the last part of the context. None if they follow from the path."""

    def row(
        self,
        context: str,
        route: str,
        handle: Handler[B, Q],
        *,
        answer: Any,
        accepted: Any = None,
        transient: Any = None,
        roles: frozenset[Role] | None = None,
        reads: tuple[str, ...] = (),
        errors: tuple[str, ...] = (),
        forms: tuple[type, ...] = (),
        paging: Literal["cursor", "full", "tail"] | None = None,
        narrows: Set[ScopeKind] = frozenset(),
        command: str | None = None,
        successor: str | None = None,
        shared: bool = False,
        stream: bool = False,
        lines: bool = False,
        csv: bool = False,
        versioned: bool = False,
        past: bool | None = None,
        mcp: str | None = None,
        price_ms: int = 0,
    ) -> Operation[B, Q]:
        """Return a row of the table. ``route`` is its method and path, such as ``POST /runs``."""
        (method, path), types = cast(tuple[Method, str], route.split()), get_args(handle.__annotations__["call"])
        reading, (summary, _, details) = method == "GET", cleandoc(handle.__doc__ or "").partition("\n\n")
        return Operation(
            id=re.sub("_(.)", lambda letter: letter[1].upper(), handle.__name__),
            context=context,
            method=method,
            path=path,
            tag=self.tag,
            summary=" ".join(summary.split()),
            details=details,
            roles=roles or (EVERYBODY if reading else WRITERS),
            answer=answer,
            handle=handle,
            body=types[0],
            query=types[1],
            forms=forms,
            paging=paging,
            reads=reads or (self.reads if reading else ()),
            errors=errors or (("NOT_FOUND",) if reading and ":" in path.rpartition("/")[2] else ()),
            accepted=accepted,
            command=self.word and f"{self.word} {context.rpartition('.')[2]}" if command is None else command,
            successor=successor,
            shared=shared,
            narrows=frozenset(narrows),
            stream=stream,
            lines=lines,
            csv=csv,
            versioned=versioned,
            transient=transient,
            past=bool(reading and not stream and (reads or self.reads)) if past is None else past,
            mcp=mcp,
            price_ms=price_ms,
        )
