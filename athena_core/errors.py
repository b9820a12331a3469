"""Errors by family: a stable code, a message for people, details for programs, but no HTTP status."""

from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

from athena_core.event import Value


class Fault(Value):
    """A wrong field: its path, the problem and the remedy."""

    field: str
    reason: str
    remedy: str | None = None


RetryWith: TypeAlias = Literal["same-key", "new-key"]
"""The idempotency key of a retry: the same one if nothing was decided, a new one if the key is bound to a failure."""


class AthenaError(Exception):
    """An error with a stable code that clients may rely on."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    retryable: bool = False
    """True if its cause may pass, so that a retry may succeed. ``retry_with`` says how."""
    key_bound: bool = False
    """True if the idempotency key is bound to the failed run or drain, so that it will always get this error."""
    retry_after: ClassVar[int | None] = None
    """Seconds that a client should wait before it retries, if known."""
    recorded: bool | None = None
    """True if the refusal was recorded as an event, False if it was only counted, None if this kind never is."""

    def __init__(self, message: str, details: object = None) -> None:
        """Take a message and JSON-able details; a validation error has a list of faults."""
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def retry_with(self) -> RetryWith | None:
        """The idempotency key to retry with; None if a retry cannot succeed."""
        return retry_with(retryable=self.retryable, key_bound=self.key_bound)


def retry_with(*, retryable: bool, key_bound: bool = True) -> RetryWith | None:
    """Return the idempotency key to retry with: by default of a failed run, to which the key is bound."""
    if not retryable:
        return None
    return "new-key" if key_bound else "same-key"


class Invalid(AthenaError):
    """The request is invalid; repeating it unchanged cannot help."""


class Unauthenticated(AthenaError):
    """The caller is not identified."""


class Forbidden(AthenaError):
    """The caller is not allowed to do this."""


class Missing(AthenaError):
    """The requested thing does not exist."""


class Conflict(AthenaError):
    """The request conflicts with the current state."""


class Outdated(AthenaError):
    """The request refers to an older version of the record that it changes."""


class Gone(AthenaError):
    """The requested thing existed but is not stored any more."""


class TooLarge(AthenaError):
    """The request is larger than a limit."""


class UriTooLarge(AthenaError):
    """The path and query are larger than a limit."""


class HeadTooLarge(AthenaError):
    """The header fields are larger than a limit."""


class Misdirected(AthenaError):
    """The request was addressed to another server."""


class Unprocessable(AthenaError):
    """The request contradicts an earlier one."""


class Throttled(AthenaError):
    """A limit is reached. Retry later."""


class TimedOut(AthenaError):
    """The operation took too long."""


class Upstream(AthenaError):
    """A model provider failed."""


class Unavailable(AthenaError):
    """The server cannot handle the request now."""


class Full(AthenaError):
    """The disk is full. The request was not executed."""


class ConfigError(Invalid):
    """A field or setting is invalid, or refers to something unknown."""

    code = "CONFIG_ERROR"

    def __init__(self, message: str, *faults: Fault) -> None:
        """Take the faults as details."""
        super().__init__(message, list(faults) or None)

    @classmethod
    def of(cls, field: str, reason: str, remedy: str | None = None) -> "ConfigError":
        """Return the error of one wrong field."""
        return cls(f"{field}: {reason}", Fault(field=field, reason=reason, remedy=remedy))


class CursorInvalid(Invalid):
    """The cursor is malformed or was not issued by Athena."""

    code = "CURSOR_INVALID"


class CursorForeign(Conflict):
    """The cursor belongs to another log, or to another history of this log."""

    code = "CURSOR_FOREIGN"


class CursorAhead(Conflict):
    """The cursor or `minPosition` is beyond the head of this log."""

    code = "CURSOR_AHEAD"


class TokenMissing(Unauthenticated):
    """The caller sent no token, and its address may not set an identity."""

    code = "AUTH_TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is unknown, malformed or revoked."""

    code = "AUTH_TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token has expired."""

    code = "AUTH_TOKEN_EXPIRED"


class IdentityMissing(Unauthenticated):
    """The identity header is missing."""

    code = "AUTH_IDENTITY_MISSING"


class IdentityAmbiguous(Invalid):
    """An identity or scope header is repeated, or two headers contradict each other."""

    code = "AUTH_IDENTITY_AMBIGUOUS"


class IdentityInvalid(Invalid):
    """The identity header does not hold a valid identity."""

    code = "AUTH_IDENTITY_INVALID"


class ProxyUntrusted(Unauthenticated):
    """The peer is not a trusted proxy, or it did not send the proxy secret."""

    code = "AUTH_PROXY_UNTRUSTED"


class HostForbidden(Misdirected):
    """The `Host` header is not a name of this server."""

    code = "HOST_FORBIDDEN"


class OriginForbidden(Forbidden):
    """The `Origin` of the request is not allowed."""

    code = "ORIGIN_FORBIDDEN"


class AuthzDeniedError(Forbidden):
    """The caller's role or scope does not allow the operation."""

    code = "AUTHZ_DENIED"


class NotFound(Missing):
    """No record has this id."""

    code = "NOT_FOUND"


class UnknownRoute(Missing):
    """No operation has this method and path."""

    code = "UNKNOWN_ERROR"


class ProviderNotFound(Missing):
    """No provider has this name."""

    code = "PROVIDER_NOT_FOUND"


class PayloadTooLarge(TooLarge):
    """The request body is larger than the limit."""

    code = "PAYLOAD_TOO_LARGE"


class UriTooLong(UriTooLarge):
    """The path and query are larger than the limit."""

    code = "URI_TOO_LONG"


class HeadersTooLarge(HeadTooLarge):
    """The header fields exceed the limit, in bytes or in number."""

    code = "HEADERS_TOO_LARGE"


class RequestTimeout(TimedOut):
    """The rest of the request did not arrive in time. The request was not executed."""

    code = "REQUEST_TIMEOUT"
    retryable = True


class ContextOverflow(TooLarge):
    """The compiled context is larger than its limit."""

    code = "CONTEXT_OVERFLOW"


class RunTimeout(TimedOut):
    """The run took longer than its timeout."""

    code = "RUN_TIMEOUT"


class RunCancelledError(Conflict):
    """The run was cancelled."""

    code = "RUN_CANCELLED"


class RunCrashedError(Upstream):
    """The run's executor stopped unexpectedly."""

    code = "RUN_CRASHED"
    retryable = True
    key_bound = True


class SessionLockTimeout(Conflict):
    """Another run holds the session."""

    code = "SESSION_LOCK_TIMEOUT"


class PreconditionFailed(Outdated):
    """The record was changed: `If-Match` names another version. Read it again."""

    code = "PRECONDITION_FAILED"


class RunNotPaused(Conflict):
    """Only a paused run can be resumed."""

    code = "RUN_NOT_PAUSED"


class RunNotEnded(Conflict):
    """Only a run that has ended can be retried."""

    code = "RUN_NOT_ENDED"


class AskDecided(Conflict):
    """The ask was answered before. The message says by whom, and with which option."""

    code = "ASK_DECIDED"


class AskExpired(Conflict):
    """The ask was not answered in time."""

    code = "ASK_EXPIRED"


class AskEnded(Conflict):
    """The ask is over because its run ended or is being cancelled."""

    code = "ASK_ENDED"


class AskChanged(Conflict):
    """The subject hash is not the one of the ask: something else was shown."""

    code = "ASK_CHANGED"


class AskNotEditable(Invalid):
    """The arguments of this ask cannot be edited."""

    code = "ASK_NOT_EDITABLE"


class AskLimit(Throttled):
    """Too many asks are open."""

    code = "ASK_LIMIT"


class PermissionRuleLimit(Throttled):
    """Too many permission rules are in force."""

    code = "PERMISSION_RULE_LIMIT"


class TokenLimit(Throttled):
    """Too many tokens are in force."""

    code = "TOKEN_LIMIT"


class WorkspaceLimit(Throttled):
    """Too many workspaces of sessions and workflow runs exist."""

    code = "WORKSPACE_LIMIT"


class WorkspaceDiskFull(Throttled):
    """The workspaces of sessions and workflow runs together reached ``ATHENA_WORKSPACES_BYTES_MAX``."""

    code = "WORKSPACE_DISK_FULL"


class WorkspaceMissing(Conflict):
    """The directory of a workspace was deleted, or is not on this machine."""

    code = "WORKSPACE_MISSING"


class WorkspaceBusy(Conflict):
    """A run uses the workspace."""

    code = "WORKSPACE_BUSY"
    retryable = True


class WorkspaceConflict(Conflict):
    """The changes of a run do not fit the shared workspace any more. Nothing was written; ``details`` has the paths."""

    code = "WORKSPACE_CONFLICT"


class TurnLimit(Upstream):
    """The model gave no answer within the number of calls that the profile allows."""

    code = "TURN_LIMIT"


class Stuck(Upstream):
    """The model repeated the same tool call too often."""

    code = "STUCK"


class Contradicted(Conflict):
    """Another decision was already made about the record, or the record is being processed."""

    code = "CONFLICT"


class AnchorConflict(Conflict):
    """Another chain value is stored for this position, so a log was rewritten; or the anchor is from this log."""

    code = "ANCHOR_CONFLICT"


class WorkQueueFull(Conflict):
    """The queue is full. The request was not executed."""

    code = "WORK_QUEUE_FULL"
    retryable = True
    retry_after = 1


class LeaseLost(Conflict):
    """The run was taken over by another executor."""

    code = "LEASE_LOST"


class ConcurrencyLimitExceeded(Throttled):
    """``policy.maxConcurrentRuns`` is reached."""

    code = "POLICY_CONCURRENCY_LIMIT_EXCEEDED"
    retry_after = 1


class AnchorLimit(Throttled):
    """A limit is reached: anchors of this log, anchors per day, or number of logs."""

    code = "ANCHOR_LIMIT"
    retry_after = 3_600


class DailyBudgetExceeded(Throttled):
    """The rest of ``policy.costBudgetDailyUsd`` for this UTC day cannot pay for another model call."""

    code = "POLICY_BUDGET_EXCEEDED"
    retry_after = 60


class RateLimited(Throttled):
    """Too many requests, or refusals of one operation, of this identity in a second. The request was not executed."""

    code = "RATE_LIMITED"
    retryable = True
    retry_after = 1


class ProviderError(Upstream):
    """The model provider failed."""

    code = "PROVIDER_ERROR"
    retryable = True
    key_bound = True


class IdempotencyMismatch(Unprocessable):
    """The `Idempotency-Key` was already used with a different request."""

    code = "IDEMPOTENCY_MISMATCH"


class IdempotencyInProgress(Conflict):
    """The first request with this `Idempotency-Key` is still in progress. The same request waits for it again."""

    code = "IDEMPOTENCY_IN_PROGRESS"
    retryable = True
    retry_after = 1


class NotCaughtUp(Unavailable):
    """The views lag behind the log."""

    code = "NOT_CAUGHT_UP"
    retryable = True
    retry_after = 1


class Overloaded(Unavailable):
    """Too many requests are waiting. The request was not executed."""

    code = "OVERLOADED"
    retryable = True
    retry_after = 1


class OutcomeUnknown(Unavailable):
    """The write may or may not have been stored. Retry with the same `Idempotency-Key`."""

    code = "OUTCOME_UNKNOWN"
    retryable = True


NO_CONNECTIONS = "the database accepts no more connections"


class StoreUnreachable(Unavailable, OSError):
    """The database cannot be reached. A request that only reads may be repeated."""

    code = "STORE_UNREACHABLE"
    retryable = True
    retry_after = 1


class StreamLimit(Unavailable):
    """Too many streams are open, for this identity or in total."""

    code = "STREAM_LIMIT"
    retryable = True
    retry_after = 5


class StoreMoved(Unavailable):
    """The log was moved, replaced or upgraded to a newer format while the server used it."""

    code = "STORE_MOVED"


class StoreDamaged(Unavailable):
    """A part of the log cannot be read. A write may or may not have been stored."""

    code = "STORE_DAMAGED"
    REMEDY = "A part of the log cannot be read. Run 'athena verify', then restore a backup."


class AnchorNotSent(Unavailable):
    """A destination did not accept an anchor. Only health reports this; no request fails."""

    code = "ANCHOR_NOT_SENT"
    retryable = True


class ClockJumped(Unavailable):
    """The machine's clock jumped ahead. Only health reports this; no request fails."""

    code = "CLOCK_JUMPED"
    retryable = True


class SandboxUnavailable(Unavailable):
    """The run needs a sandbox, and none works on the executor. The message has the reason and the remedy."""

    code = "SANDBOX_UNAVAILABLE"


class Halted(Unavailable):
    """All work is halted. Nothing was decided; the `Idempotency-Key` is still free. An Admin lifts the halt."""

    code = "HALTED"
    retryable = True
    retry_after = 60
    recorded = False

    def __init__(self, message: str, details: object = None, *, position: int = 0) -> None:
        """Take the position of the event that started the halt: its text is the reason."""
        super().__init__(message, details)
        self.position = position


class StoreFull(Full):
    """The disk is full. The request was not executed."""

    code = "STORE_FULL"
    retryable = True


class InternalError(AthenaError):
    """A bug in Athena."""

    code = "INTERNAL_ERROR"


def _below(kind: type[AthenaError]) -> Iterator[type[AthenaError]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


_BY_CODE: dict[str, type[AthenaError]] = {kind.code: kind for kind in _below(AthenaError) if "code" in vars(kind)}


def recorded_error(code: str, message: str, details: object = None, *, retryable: bool | None = None) -> AthenaError:
    """Return the error that a run or drain recorded under a code; an InternalError for an unknown code.

    ``retryable`` is the recorded flag. If it is None, the code decides.
    """
    error = _BY_CODE.get(code, InternalError)(message)
    error.details = details
    error.key_bound = True
    if retryable is not None:
        error.retryable = retryable
    return error
