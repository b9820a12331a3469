"""The plane: events about the server itself, and audit records of violations."""

from typing import Annotated, ClassVar, Literal

from athena_core.decider import Decider
from athena_core.event import Event, Guard, Position, Recorded, Shows, Text, Value, says

STREAM = "plane"

GROUPS_GUARD = "groups"
"""The guard kind of the groups of an identity as a proxy named them last, by identity."""

OF_THE_SERVER = "it is a fact about the server; no other event depends on it"
DERIVED = "it is derived from a denial or refusal, which is handled"

# Stored events. Their TYPE is storage: never rename one.


class AuthzModeActive(Event):
    """A server started with this authorization mode."""

    TYPE: ClassVar[str] = "AUTHZ_MODE_ACTIVE"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    mode: Annotated[str, says("Mode of the setting `ATHENA_AUTHZ_MODE`.")]


class RolesLoaded(Event):
    """A server loaded the role map, at its start or again: the number of identities of each role, and a hash.

    ``locked_out`` is the number of identities with the role None, and ``groups`` of groups with a role, if there are
    any.
    """

    TYPE: ClassVar[str] = "rbac.roles.loaded"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    source: Annotated[Literal["settings", "file"], says("Whether the map is from the settings or from a file.")]
    viewers: int
    operators: int
    admins: int
    everybody_else: str
    sha256: str
    locked_out: int | None = None
    groups: int | None = None


class GroupsChanged(Event):
    """A proxy named other groups of an identity than before. Only those with a role are listed, highest role first.

    Work that goes on later in the name of the identity has the role of these groups.
    """

    TYPE: ClassVar[str] = "rbac.groups.changed"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    identity: Annotated[str, says("Identity whose groups changed.")]
    groups: tuple[str, ...]


class AuthzDenied(Event):
    """An identity was denied an operation."""

    TYPE: ClassVar[str] = "authz.denied"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    subject: str
    role: Annotated[str, says("Role of the identity.")]
    operation: str
    required_roles: tuple[str, ...]
    deny_reason: Literal["ROLE_MISSING", "SCOPED_ACCESS_VIOLATION"]


class AuthnFailed(Event):
    """Requests with a token were refused: their number since ``since``, and the code of the last one.

    ``token_id`` is set if all of them named a token that exists. ``peer`` is their address. Without it, they are the
    rest: from several addresses.
    """

    TYPE: ClassVar[str] = "authn.failed"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    count: Annotated[int, says("Refused requests since then.")]
    code: Literal["AUTH_TOKEN_INVALID", "AUTH_TOKEN_EXPIRED", "RATE_LIMITED"]
    since: Annotated[str, says("When the count began.")]
    token_id: str | None = None
    peer: Text = None


class RequestsSuppressed(Event):
    """Requests of an identity for an operation were stopped or refused without an event for each one.

    A limit of recorded refusals was exceeded. ``*`` means several identities or operations. ``since`` is the time of
    the first of these requests.
    """

    TYPE: ClassVar[str] = "requests.suppressed"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    count: Annotated[int, says("Requests without an event of their own.")]
    subject: str
    operation: str
    since: Annotated[str | None, says("When the count began.")] = None


class ViolationSource(Value):
    """The event from which a violation is derived. The feed adds its id."""

    position: Position
    trace_id: str
    type: Annotated[str, says("Type of the event.")]
    created_at: str


class ViolationActor(Value):
    """The identity that caused a violation."""

    subject: str
    role: Annotated[str, says("Role of the identity.")]


class SafetyViolation(Event):
    """An audit record, derived from a denial or a rejection."""

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
    """An operator accepted that acknowledged events are lost, by a restored backup, a failover or a truncation.

    ``anchor`` is set if a loss is only possible, because the anchor was missing, unreadable, or of another log. Then
    ``expected`` is the head.
    """

    TYPE: ClassVar[str] = "log.forked"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    head: Position
    expected: Position
    anchor: Literal["missing", "unreadable", "foreign"] | None = None


class PayloadRedacted(Event):
    """The text of one event was erased; the chain still verifies. ``note`` is the reason.

    ``copies`` are the positions of other events whose text repeats the erased text; ``public`` are the positions of
    events that have it in their public payload. With ``more`` there may be others: not all were searched or listed. The
    first event of a command has these lists, and keeps them when its own ``note`` is erased.
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
    """An Admin accepted the machine's clock, which was ``ahead_ms`` ahead of the server's time."""

    TYPE: ClassVar[str] = "clock.accepted"
    SHOWS: ClassVar[Shows] = Shows(verify=OF_THE_SERVER, audit=True)
    clock_ms: int
    ahead_ms: int


# State: none; the stream is append-only.


class PlaneState(Value):
    """The state of the plane stream, which has none."""


def evolve(state: PlaneState, event: Event) -> PlaneState:
    return state


def _groups(recorded: Recorded[GroupsChanged]) -> tuple[Guard, ...]:
    return (Guard(kind=GROUPS_GUARD, key=recorded.event.identity, value=recorded.event.groups or None),)


DECIDER: Decider[PlaneState] = Decider(
    category="plane",
    events=(
        AuthzModeActive,
        RolesLoaded,
        GroupsChanged,
        AuthzDenied,
        AuthnFailed,
        RequestsSuppressed,
        SafetyViolation,
        LogForked,
        PayloadRedacted,
        ClockAccepted,
    ),
    initial=PlaneState(),
    evolve=evolve,
    occupies={GroupsChanged: _groups},
)
