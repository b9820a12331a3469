"""Errors by family: a stable code, a message for people, details for machines; no status numbers."""

from collections.abc import Iterator
from typing import ClassVar

from athena_core.event import Value


class Fault(Value):
    """One wrong field: its path, what is wrong, how to mend it."""

    field: str
    reason: str
    remedy: str | None = None


class AthenaError(Exception):
    """An error with a code that clients may rely on (contract 1.1 and D24)."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    retryable: bool = False
    retry_after: ClassVar[int | None] = None
    """Seconds that a client should wait, where that is known."""
    recorded: bool | None = None
    """Whether the refusal was recorded by itself; None for an error that is never recorded."""

    def __init__(self, message: str, details: object = None) -> None:
        """Carry a message and, where there is more to say, details (JSON-able; for validation a list of faults)."""
        super().__init__(message)
        self.message = message
        self.details = details


class Invalid(AthenaError):
    """The request is wrong and stays wrong."""


class Unauthenticated(AthenaError):
    """Nobody vouches for who is asking."""


class Forbidden(AthenaError):
    """Who is asking may not do this."""


class Missing(AthenaError):
    """The thing that was named does not exist."""


class Conflict(AthenaError):
    """The request is right but contradicts the present state."""


class Outdated(AthenaError):
    """The request was made for an earlier state of what it changes."""


class Gone(AthenaError):
    """The thing existed and is no longer kept."""


class TooLarge(AthenaError):
    """The request is over a size limit."""


class UriTooLarge(AthenaError):
    """The path and query are over a size limit."""


class HeadTooLarge(AthenaError):
    """The header fields are over a size limit."""


class Misdirected(AthenaError):
    """The request was meant for another server."""


class Unprocessable(AthenaError):
    """The request contradicts an earlier one."""


class Throttled(AthenaError):
    """A limit is reached; later it may work."""


class TimedOut(AthenaError):
    """The work took too long."""


class Upstream(AthenaError):
    """A model provider failed."""


class Unavailable(AthenaError):
    """The server cannot do this now."""


class Full(AthenaError):
    """The disk is full; surely not done."""


class ConfigError(Invalid):
    """A wrong field, a reference to something unknown, or a wrong setting."""

    code = "CONFIG_ERROR"

    def __init__(self, message: str, *faults: Fault) -> None:
        """Carry the faults as details."""
        super().__init__(message, list(faults) or None)

    @classmethod
    def of(cls, field: str, reason: str, remedy: str | None = None) -> "ConfigError":
        """One wrong field."""
        return cls(f"{field}: {reason}", Fault(field=field, reason=reason, remedy=remedy))


class CursorInvalid(Invalid):
    """The cursor is not one of ours."""

    code = "CURSOR_INVALID"


class CursorForeign(Conflict):
    """The cursor belongs to another log, or to another history of this one."""

    code = "CURSOR_FOREIGN"


class CursorAhead(Conflict):
    """The cursor is beyond the head of this log."""

    code = "CURSOR_AHEAD"


class IdentityMissing(Unauthenticated):
    """The identity header is absent."""

    code = "AUTH_IDENTITY_MISSING"


class IdentityAmbiguous(Invalid):
    """More than one identity header was sent."""

    code = "AUTH_IDENTITY_AMBIGUOUS"


class IdentityInvalid(Invalid):
    """The identity header holds something that is no identity."""

    code = "AUTH_IDENTITY_INVALID"


class ProxyUntrusted(Unauthenticated):
    """The other end of the connection is no trusted proxy, or does not know the proxies' secret."""

    code = "AUTH_PROXY_UNTRUSTED"


class HostForbidden(Misdirected):
    """The `Host` is none of the names that this server answers to."""

    code = "HOST_FORBIDDEN"


class OriginForbidden(Forbidden):
    """A page of another site asked, and that site is not allowed."""

    code = "ORIGIN_FORBIDDEN"


class AuthzDeniedError(Forbidden):
    """The role does not allow the operation."""

    code = "AUTHZ_DENIED"


class NotFound(Missing):
    """No record has this id."""

    code = "NOT_FOUND"


class UnknownRoute(Missing):
    """No operation has this method and path."""

    code = "UNKNOWN_ERROR"


class ProviderNotFound(Missing):
    """No provider of this name is registered."""

    code = "PROVIDER_NOT_FOUND"


class PayloadTooLarge(TooLarge):
    """The request body is over its limit."""

    code = "PAYLOAD_TOO_LARGE"


class UriTooLong(UriTooLarge):
    """The path and query are over their limit."""

    code = "URI_TOO_LONG"


class HeadersTooLarge(HeadTooLarge):
    """The header fields are over their limit, in bytes or in number."""

    code = "HEADERS_TOO_LARGE"


class RequestTimeout(TimedOut):
    """The rest of the request did not come in time; nothing was done."""

    code = "REQUEST_TIMEOUT"
    retryable = True


class ContextOverflow(TooLarge):
    """The compiled context is over its limit."""

    code = "CONTEXT_OVERFLOW"


class RunTimeout(TimedOut):
    """The run took longer than its timeout."""

    code = "RUN_TIMEOUT"


def took_longer(timeout: str) -> str:
    """Return the words for a run that timed out, which follow its name."""
    return f"took longer than {timeout}"


class RunCancelledError(Conflict):
    """The run was cancelled."""

    code = "RUN_CANCELLED"


class RunCrashedError(Upstream):
    """The run's executor died."""

    code = "RUN_CRASHED"
    retryable = True


class SessionLockTimeout(Conflict):
    """Another run holds the session."""

    code = "SESSION_LOCK_TIMEOUT"


class PreconditionFailed(Outdated):
    """What is to be replaced is not what `If-Match` names; read it again."""

    code = "PRECONDITION_FAILED"


class RunNotPaused(Conflict):
    """Only a paused run is resumed."""

    code = "RUN_NOT_PAUSED"


class TurnLimit(Upstream):
    """The model had not come to an answer after as many calls as the profile allows."""

    code = "TURN_LIMIT"


class Stuck(Upstream):
    """The model made the same call again and again."""

    code = "STUCK"


class Contradicted(Conflict):
    """Something else was decided about it before, or is at work on it."""

    code = "CONFLICT"


class AnchorConflict(Conflict):
    """Another chain is kept for this position (one of two histories was rewritten), or the log is this one itself."""

    code = "ANCHOR_CONFLICT"


class WorkQueueFull(Conflict):
    """The queue holds as many items as it may; surely not done."""

    code = "WORK_QUEUE_FULL"
    retryable = True
    retry_after = 1


class LeaseLost(Conflict):
    """The run belongs to another executor now."""

    code = "LEASE_LOST"


class ConcurrencyLimitExceeded(Throttled):
    """``policy.maxConcurrentRuns`` is reached."""

    code = "POLICY_CONCURRENCY_LIMIT_EXCEEDED"
    retry_after = 1


class AnchorLimit(Throttled):
    """As many anchors are kept as may be, of this log, of all logs of a day, or of different logs."""

    code = "ANCHOR_LIMIT"
    retry_after = 3_600


class DailyBudgetExceeded(Throttled):
    """``policy.costBudgetDailyUsd`` is spent for this UTC day."""

    code = "POLICY_BUDGET_EXCEEDED"
    retry_after = 60


class RateLimited(Throttled):
    """This identity asked, or was refused the same operation, too often within a second; surely not done."""

    code = "RATE_LIMITED"
    retryable = True
    retry_after = 1


class ProviderError(Upstream):
    """The provider failed."""

    code = "PROVIDER_ERROR"
    retryable = True


class IdempotencyMismatch(Unprocessable):
    """The key was used with another input."""

    code = "IDEMPOTENCY_MISMATCH"


class IdempotencyInProgress(Conflict):
    """The first request with this key is still at work."""

    code = "IDEMPOTENCY_IN_PROGRESS"


class NotCaughtUp(Unavailable):
    """The views lag behind what was acknowledged."""

    code = "NOT_CAUGHT_UP"
    retryable = True
    retry_after = 1


class Overloaded(Unavailable):
    """Too much is waiting; surely not done."""

    code = "OVERLOADED"
    retryable = True
    retry_after = 1


class OutcomeUnknown(Unavailable):
    """The write may or may not have been done; retry with the same key."""

    code = "OUTCOME_UNKNOWN"
    retryable = True


NO_CONNECTIONS = "the database gives no more connections"


class StoreUnreachable(Unavailable, OSError):
    """The database cannot be reached; what only reads may be asked again."""

    code = "STORE_UNREACHABLE"
    retryable = True
    retry_after = 1


class StreamLimit(Unavailable):
    """Too many streams are open, in all or of this identity."""

    code = "STREAM_LIMIT"
    retryable = True
    retry_after = 5


class StoreMoved(Unavailable):
    """The log was moved, replaced, or raised to the format of a newer release, while it was in use."""

    code = "STORE_MOVED"


class StoreDamaged(Unavailable):
    """A part of the log cannot be read; a write may or may not have been done."""

    code = "STORE_DAMAGED"
    REMEDY = "a part of the log cannot be read: run 'athena verify', then restore a backup"


class AnchorNotSent(Unavailable):
    """A destination did not take an anchor. No request fails for it; health shows it."""

    code = "ANCHOR_NOT_SENT"
    retryable = True


class ClockJumped(Unavailable):
    """The machine's clock is far ahead of the time that has passed. No request fails for it; health shows it."""

    code = "CLOCK_JUMPED"
    retryable = True


class StoreFull(Full):
    """No space is left for the log; surely not done."""

    code = "STORE_FULL"
    retryable = True


class InternalError(AthenaError):
    """A bug of ours."""

    code = "INTERNAL_ERROR"


def _below(kind: type[AthenaError]) -> Iterator[type[AthenaError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


_BY_CODE: dict[str, type[AthenaError]] = {kind.code: kind for kind in _below(AthenaError) if "code" in vars(kind)}


def recorded_error(code: str, message: str, details: object = None) -> AthenaError:
    """Return the error that a run, a drain or a step recorded under a code.

    An unknown code is a bug of ours, so it becomes an InternalError.
    """
    error = _BY_CODE.get(code, InternalError)(message)
    error.details = details
    return error
