"""The families of errors: what they have in common, without HTTP statuses."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from athena_core.event import Value, says


class Fault(Value):
    """A wrong field: its path, the problem and the remedy."""

    field: Annotated[str, says("Path of the field.")]
    reason: Annotated[str, says("The fault.")]
    remedy: Annotated[str | None, says("What to do; absent if unknown.")] = None


RetryWith: TypeAlias = Literal["same-key", "new-key"]
"""The idempotency key of a retry: the same one if nothing was decided, a new one if the key is bound to a failure."""


class AthenaError(Exception):
    """An error with a stable code that clients may rely on."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    retryable: bool = False
    """True if its cause may pass, so that a retry may succeed. ``retry_with`` says how."""
    key_bound: bool = False
    """True if the idempotency key is bound to the failed run or drain, so that it will always get this error."""
    retry_after: int | None = None
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


class Unimplemented(AthenaError):
    """The request needs a part of HTTP that this server does not have."""


class OtherVersion(AthenaError):
    """The request is in a version of HTTP that this server does not speak."""


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
