"""Exit codes, and the exceptions that produce them."""

from collections.abc import Mapping
from typing import ClassVar

OK = 0
FAILED = 1
MISUSED = 2
UNREACHABLE = 3
REFUSED = 4
NOT_FOUND = 5
INTERRUPTED = 130

MEANINGS: Mapping[int, str] = {
    OK: "Done. Also a run that paused, and one that waits for an answer: neither has failed.",
    FAILED: "The run, workflow or check failed.",
    MISUSED: "Wrong usage or configuration.",
    UNREACHABLE: "No server answered.",
    REFUSED: "Refused: by authentication, a role, the policy, a rate limit or a halt.",
    NOT_FOUND: "The object does not exist.",
    INTERRUPTED: "Ctrl-C.",
}
"""What each exit code means."""


class Exit(Exception):
    """A command failed. Standard error gets ``error:`` and ``sentence``, then ``note`` on a line of its own.

    Attributes:
        remedy: What to do, in a few words; empty if the message says it.
        note: Where to look further: error code, request and trace id.
        error: The error as an object, printed with an explicit ``-o json`` or ``-o jsonl``.
        printed: True if standard output already holds the result of the command.
    """

    code: ClassVar[int] = FAILED
    name: ClassVar[str] = "FAILED"

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        note: str = "",
        error: Mapping[str, object] | None = None,
        printed: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.note = note
        self.error: Mapping[str, object] = error or {"code": self.name, "message": self.sentence}
        self.printed = printed

    @property
    def sentence(self) -> str:
        """The message with its remedy."""
        return joined(self.message, self.remedy)


class Failed(Exit):
    """The run, workflow or check failed, or the server could not do what was asked."""


class Misused(Exit):
    """Invalid arguments or configuration."""

    code = MISUSED
    name = "USAGE"


class Unreachable(Exit):
    """No server answered."""

    code = UNREACHABLE
    name = "UNREACHABLE"


class NotAllowed(Exit):
    """Authentication, a role, the policy, a rate limit or a halt does not allow it."""

    code = REFUSED
    name = "REFUSED"


class Absent(Exit):
    """The object of a command does not exist."""

    code = NOT_FOUND
    name = "NOT_FOUND"


def joined(message: str, remedy: str) -> str:
    """Return a message and its remedy as one sentence, unless the message contains the remedy."""
    if not remedy or remedy in message:
        return message
    return f"{message.rstrip('.')}{';' if ': ' in message else ':'} {remedy}"
