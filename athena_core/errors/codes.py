"""The errors by their codes."""

from athena_core.errors.families import (
    AthenaError,
    Conflict,
    Forbidden,
    Full,
    HeadTooLarge,
    Invalid,
    Misdirected,
    Missing,
    OtherVersion,
    Outdated,
    Throttled,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unprocessable,
    Upstream,
    UriTooLarge,
)


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


class AmbiguousName(Conflict):
    """A name stands where an id is expected, and several records have it."""

    code = "AMBIGUOUS_NAME"


class UnknownRoute(Missing):
    """No operation has this method and path."""

    code = "UNKNOWN_ERROR"


class ProviderNotFound(Missing):
    """No provider has this name."""

    code = "PROVIDER_NOT_FOUND"


class PayloadTooLarge(TooLarge):
    """The request body is larger than the limit."""

    code = "PAYLOAD_TOO_LARGE"


class PastTooLarge(TooLarge):
    """The events that a read of the past has to apply are larger than the limit."""

    code = "PAST_TOO_LARGE"


class DiffTooLarge(TooLarge):
    """There are more events between two moments than a diff reads."""

    code = "DIFF_TOO_LARGE"


class UriTooLong(UriTooLarge):
    """The path and query are larger than the limit."""

    code = "URI_TOO_LONG"


class HttpVersionUnknown(OtherVersion):
    """The request is not in HTTP/1.1 or HTTP/1.0."""

    code = "HTTP_VERSION_UNKNOWN"


class TransferCodingUnknown(Unimplemented):
    """The body has another transfer coding than `chunked`."""

    code = "TRANSFER_CODING_UNKNOWN"


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


class SubjectChanged(Conflict):
    """The subject hash is not the one of what would be done: something else was shown."""

    code = "SUBJECT_CHANGED"


class ExactNotOpened(Conflict):
    """The shown text hides a part of the subject, and the caller has not opened the exact text."""

    code = "EXACT_NOT_OPENED"


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


class ShareLimit(Throttled):
    """Too much work of this identity, or of all, waits for a thread. The request was not executed."""

    code = "SHARE_LIMIT"
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
    """A page of the log's database is damaged. A write that met it was not stored."""

    code = "STORE_DAMAGED"
    RESTORE = "Restore a backup with 'athena restore'."
    REMEDY = (
        "A page of the log's database is damaged. Run 'athena doctor --repair', which rebuilds damaged indexes, and"
        " names what only a backup can restore."
    )


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


class WalFull(StoreFull):
    """The WAL of the log is full, because a process keeps a read of `log.db` open. The request was not executed."""

    code = "WAL_FULL"
    REASON = "the WAL of the log is full, because a process keeps a read of log.db open; nothing was written"


class InternalError(AthenaError):
    """A bug in Athena."""

    code = "INTERNAL_ERROR"
