"""The operation: what a row of the table says about one method and path; imports no framework."""

from collections.abc import Awaitable, Callable, Set
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args

import msgspec

from athena_api.edge.asgi import Receive
from athena_core.decider import Key
from athena_core.errors import AthenaError, NotFound
from athena_core.event import Meta, Position, Value
from athena_core.values import Identity, Role

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane

B = TypeVar("B")
Q = TypeVar("Q")
T = TypeVar("T")

PREFIX = "/api/v1"
EVERYBODY = frozenset(Role) - {Role.NONE}
WRITERS = frozenset({Role.OPERATOR, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})


class NoBody(Value):
    """The operation takes no body; whatever is sent is not read as one."""


class NoQuery(Value):
    """The operation takes no query parameters."""


class ApiCall(msgspec.Struct, Generic[B, Q], kw_only=True):
    """One request, decoded: who, path parameters, query, body, and how the caller wants to be answered.

    ``key`` is there when an idempotency key was sent; ``position`` is the log position the answer must reflect;
    ``wait`` is false when the caller sent ``Prefer: respond-async``; ``cursor`` and ``limit`` are the page that was
    asked for; ``if_match`` is that header of a command, if it was sent; ``receive`` tells when the caller has gone;
    ``stale`` allows an answer from views that are behind.
    """

    who: Identity
    meta: Meta
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
    if_match: str | None = None
    stale: bool = False


class Reply(msgspec.Struct, kw_only=True):
    """An answer: the data of the envelope (a value, or JSON bytes), the status, extra headers.

    With a ``content_type`` of its own, ``data`` is the body as it is, without an envelope. ``position`` is the log
    position that the answer reflects; ``replayed`` marks the first answer of a repeated key. A ``steady`` answer
    follows from the question, the scope of the caller and that position alone: not from the time, nor from who asks.
    """

    data: Any
    position: Position
    status: int = 200
    replayed: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    steady: bool = False


class Replayed(Exception):
    """An error that was answered before, to the first request with the same idempotency key."""

    def __init__(self, error: AthenaError) -> None:
        """Carry the error."""
        super().__init__(error.message)
        self.error = error


def existing(record: T | None, kind: str, record_id: str) -> T:
    """Return the record. Raise NotFound if there is none."""
    if record is None:
        raise NotFound(f"no {kind} {record_id!r} exists")
    return record


Handler = Callable[["ControlPlane", ApiCall[B, Q]], Awaitable[Reply]]
Method: TypeAlias = Literal["GET", "POST", "PUT", "DELETE"]
ScopeKind: TypeAlias = Literal["sessions", "runs", "personas"]
"""A kind of scope."""


class Operation(msgspec.Struct, Generic[B, Q], frozen=True, kw_only=True):
    """A row: one method and path, who may use it, what goes in, what comes out, who handles it.

    ``path`` is below ``/api/v1`` with ``:name`` parameters. ``answer`` is the type of ``data`` for the document.
    ``paging`` names the pagination mode (contract 2); a ``full`` page has as many items as any may. ``reads`` names the
    projections that a GET is answered from. ``errors`` lists codes beyond those that every operation may answer.
    """

    id: str
    context: str
    """How messages name the input of this operation, e.g. ``runs.create``."""
    method: Method
    path: str
    tag: str
    summary: str
    roles: frozenset[Role]
    answer: Any
    handle: Handler[B, Q]
    body: type[B] = NoBody  # type: ignore[assignment]
    query: type[Q] = NoQuery  # type: ignore[assignment]
    paging: Literal["cursor", "full", "tail"] | None = None
    reads: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    accepted: Any = None
    """The type of ``data`` of an answer 202; None where nobody may ask for one."""
    command: str | None = None
    """The words of its command, where they do not follow from its path and method."""
    successor: str | None = None
    """The path that replaces this one, where it is deprecated."""
    shared: bool = False
    """It shows nothing of anybody: an identity that is narrowed to some sessions, runs or personas may use it."""
    narrows: frozenset[ScopeKind] = frozenset()
    """Where the path names nothing: the kinds of scope that a read honours by itself, or a command by its body."""
    stream: bool = False
    """The answer is ``text/event-stream``."""
    csv: bool = False
    """``format=csv`` answers a page as comma-separated values, and the next cursor as a header."""
    versioned: bool = False
    """Answers carry an ``ETag``; a command honours ``If-Match``."""
    transient: Any = None
    """The type of ``data`` of what a stream shows besides and does not store: frames without an id."""


class Noun(NamedTuple):
    """The noun of a file of operations: what its rows share unless they say otherwise."""

    tag: str
    reads: tuple[str, ...] = ()
    """The projections that a GET is answered from."""
    word: str | None = None
    """The first word of its commands, the second is the last of the context; None if they follow from the path."""

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
        paging: Literal["cursor", "full", "tail"] | None = None,
        narrows: Set[ScopeKind] = frozenset(),
        command: str | None = None,
        successor: str | None = None,
        shared: bool = False,
        stream: bool = False,
        csv: bool = False,
        versioned: bool = False,
    ) -> Operation[B, Q]:
        """Return a row of the table; ``route`` is its method and path, such as ``POST /runs``.

        The handler gives the id (``createRun`` from ``create_run``), the summary (its docstring), and the types of body
        and query (those of its call). Every role may use a GET, operators and admins the other methods. A GET reads the
        projections of the noun; one whose path ends in a parameter may answer NOT_FOUND.
        """
        method, path = route.split()
        reading = method == "GET"
        body, query = get_args(handle.__annotations__["call"])
        verb, *words = handle.__name__.split("_")
        one = reading and path.rpartition("/")[2].startswith(":")
        return Operation(
            id="".join((verb, *map(str.capitalize, words))),
            context=context,
            method=cast(Method, method),
            path=path,
            tag=self.tag,
            summary=cleandoc(handle.__doc__ or ""),
            roles=roles or (EVERYBODY if reading else WRITERS),
            answer=answer,
            handle=handle,
            body=body,
            query=query,
            paging=paging,
            reads=reads or (self.reads if reading else ()),
            errors=errors or (("NOT_FOUND",) if one else ()),
            accepted=accepted,
            command=command or (self.word and f"{self.word} {context.rpartition('.')[2]}"),
            successor=successor,
            shared=shared,
            narrows=frozenset(narrows),
            stream=stream,
            csv=csv,
            versioned=versioned,
            transient=transient,
        )
