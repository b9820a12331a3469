"""The plane itself: events that belong to no other subject, and the violations that an auditor asks for."""

from typing import ClassVar, Literal

from athena_core.decider import Decider
from athena_core.event import Event, Position, Shows, Text, Value

STREAM = "plane"

OF_THE_SERVER = "a fact about the server, which no other event depends on"
DERIVED = "it is derived from a denial or a refusal, which is handled"

# Stored events. Their TYPE is storage: never rename one.


class AuthzModeActive(Event):
    """A server started, with this authorization mode."""

    TYPE: ClassVar[str] = "AUTHZ_MODE_ACTIVE"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    mode: str


class RolesLoaded(Event):
    """Who has which role was read: when a server started, or anew; numbers of identities, and a hash of the whole.

    ``locked_out`` counts those with the role None, where there are any.
    """

    TYPE: ClassVar[str] = "rbac.roles.loaded"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    source: Literal["settings", "file"]
    viewers: int
    operators: int
    admins: int
    everybody_else: str
    sha256: str
    locked_out: int | None = None


class AuthzDenied(Event):
    """An identity was refused an operation."""

    TYPE: ClassVar[str] = "authz.denied"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True, console=True)
    subject: str
    role: str
    operation: str
    required_roles: tuple[str, ...]
    deny_reason: Literal["ROLE_MISSING", "SCOPED_ACCESS_VIOLATION"]


class RequestsSuppressed(Event):
    """Requests of an identity for an operation were stopped unread, or refused without a record of each.

    There were too many before them. ``*`` stands for several identities or operations. ``since`` is when the first of
    them came.
    """

    TYPE: ClassVar[str] = "requests.suppressed"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True, console=True)
    count: int
    subject: str
    operation: str
    since: str | None = None


class ViolationSource(Value):
    """The event that a violation was derived from; the feed adds its id."""

    position: Position
    trace_id: str
    type: str
    created_at: str


class ViolationActor(Value):
    """Who caused a violation."""

    subject: str
    role: str


class SafetyViolation(Event):
    """An audit record derived from a denial or a rejection (contract 6)."""

    TYPE: ClassVar[str] = "safety.violation"
    SHOWS: ClassVar[Shows] = Shows(views=DERIVED, audit=DERIVED, explain=DERIVED, simulate=DERIVED)
    schema_version: int
    source: ViolationSource
    category: Literal["authorization", "policy", "sandbox"]
    severity: Literal["high", "critical"]
    outcome: Literal["denied", "blocked", "failed", "violated"]
    violation_code: str
    actor: ViolationActor


class LogForked(Event):
    """An operator accepted that events which were once acknowledged are lost (a restored backup, a failover, a cut).

    ``anchor`` is there where nothing shows whether events were lost: the anchor was missing, unreadable, or one of
    another log. Then ``expected`` is the head.
    """

    TYPE: ClassVar[str] = "log.forked"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    head: Position
    expected: Position
    anchor: Literal["missing", "unreadable", "foreign"] | None = None


class PayloadRedacted(Event):
    """The text of one event was erased; the chain still verifies. ``note`` is why.

    ``copies`` are the positions of other events whose text repeated what the same command erased, and ``public`` those
    of events with it in the public payload. With ``more`` there may be others, because not all were looked for or
    named. The first event of a command has them, and keeps them when its own ``note`` is erased.
    """

    TYPE: ClassVar[str] = "payload.redacted"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    target: Position
    note: Text = None
    copies: tuple[Position, ...] | None = None
    public: tuple[Position, ...] | None = None
    more: bool | None = None


class ClockAccepted(Event):
    """An Admin accepted the machine's clock: what it said, and how far it was ahead of the server's time, in ms."""

    TYPE: ClassVar[str] = "clock.accepted"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    clock_ms: int
    ahead_ms: int


# State: none; the stream is only ever appended to.


class PlaneState(Value):
    """Nothing."""


def evolve(state: PlaneState, event: Event) -> PlaneState:
    """Follow one event."""
    return state


DECIDER: Decider[PlaneState] = Decider(
    category="plane",
    events=(
        AuthzModeActive,
        RolesLoaded,
        AuthzDenied,
        RequestsSuppressed,
        SafetyViolation,
        LogForked,
        PayloadRedacted,
        ClockAccepted,
    ),
    initial=PlaneState(),
    evolve=evolve,
)
