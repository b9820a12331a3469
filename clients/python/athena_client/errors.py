"""Errors that the client raises."""

from collections.abc import Mapping


class AthenaError(Exception):
    """An error that the server returned, or a request without a valid answer.

    Attributes:
        code: Stable code, such as ``NOT_FOUND``. Programs may compare it.
        message: What failed and what to do, for people.
        retryable: True if the same request may succeed later.
        retry_with: ``same-key`` if nothing was decided: the client has repeated the request until its deadline.
            ``new-key`` if the run of this key failed: only a new call can succeed. None if a retry cannot help.
        trace_id: Id of the request in the server's log; empty if no server answered.
        run_id: The run that the error is about, or None.
        status: HTTP status, or None if no server answered.
        details: More about the error as JSON: a list of faults, or an object.
        request: Method and path, such as ``POST /api/v1/runs``.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_with: str | None = None,
        trace_id: str = "",
        status: int | None = None,
        details: object = None,
        request: str = "",
    ) -> None:
        notes = [*_remedies(message, details), *([f"trace id {trace_id}"] if trace_id else [])]
        more = f" ({'; '.join(notes)})" if notes else ""
        super().__init__(f"{request}: {code}: {message}{more}".removeprefix(": "))
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_with = retry_with
        self.trace_id = trace_id
        self.status = status
        self.details = details
        self.request = request

    def __reduce__(self) -> tuple[object, ...]:
        """Let other processes receive the error whole."""
        return _restored, (type(self), self.args, self.__dict__)

    @property
    def run_id(self) -> str | None:
        """The run that the error is about, or None."""
        run_id = self.details.get("runId") if isinstance(self.details, Mapping) else None
        return run_id if isinstance(run_id, str) else None


def _remedies(message: str, details: object) -> list[str]:
    """Return what to do about each fault, unless the message already says it."""
    faults = [fault for fault in details if isinstance(fault, Mapping)] if isinstance(details, list) else []
    return [
        f"{fault.get('field')}: {fault['remedy']}"
        for fault in faults
        if fault.get("remedy") and str(fault["remedy"]) not in message
    ]


def _restored(kind: type[AthenaError], args: tuple[object, ...], state: dict[str, object]) -> AthenaError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class Unreachable(AthenaError):
    """No server answered until the deadline: nothing listens, the connection was lost, or a proxy answered.

    ``code`` is ``UNREACHABLE``. A command may have been executed. Repeat it with the same ``key`` to find out.
    """

    def __init__(self, message: str, *, request: str = "", status: int | None = None) -> None:
        super().__init__("UNREACHABLE", message, retryable=True, retry_with="same-key", request=request, status=status)


class InvalidAnswer(AthenaError):
    """The answer is not from an Athena server, or larger than a limit. ``code`` is ``INVALID_ANSWER``."""

    def __init__(self, message: str, *, request: str = "", status: int | None = None) -> None:
        super().__init__("INVALID_ANSWER", message, request=request, status=status)
