"""Exit codes, and the exceptions that produce them."""

from typing import ClassVar

OK = 0
FAILED = 1
MISUSED = 2
UNREACHABLE = 3
INTERRUPTED = 130


class Exit(Exception):
    """A command failed. The message is printed after ``Error:``."""

    code: ClassVar[int] = FAILED


class Failed(Exit):
    """The operation was rejected or failed."""


class Misused(Exit):
    """Invalid arguments or configuration."""

    code = MISUSED


class Unreachable(Exit):
    """No server answered."""

    code = UNREACHABLE


def advice_of(message: str, details: object) -> list[str]:
    """Return the remedies in the details of an error that ``message`` does not already contain, joined as one entry."""
    faults = details if isinstance(details, list) else []
    remedies = dict.fromkeys(fault["remedy"] for fault in faults if isinstance(fault, dict) and fault.get("remedy"))
    news = [str(remedy) for remedy in remedies if str(remedy) not in message]
    return [f"remedy: {'; '.join(news)}"] if news else []
