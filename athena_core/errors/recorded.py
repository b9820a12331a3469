"""Errors that were recorded, by their codes."""

from collections.abc import Iterator

from athena_core.errors.codes import InternalError
from athena_core.errors.families import AthenaError


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
