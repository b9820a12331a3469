"""Exit codes (contract D26), and the exceptions that lead to them."""

from typing import ClassVar

OK = 0
FAILED = 1
MISUSED = 2
UNREACHABLE = 3
INTERRUPTED = 130


class Exit(Exception):
    """The command cannot do what was asked; its text is what is printed after ``Error:``."""

    code: ClassVar[int] = FAILED


class Failed(Exit):
    """The operation was refused or went wrong."""


class Misused(Exit):
    """The arguments do not fit together, or the configuration is wrong."""

    code = MISUSED


class Unreachable(Exit):
    """No server answered."""

    code = UNREACHABLE


def advice_of(message: str, details: object) -> list[str]:
    """Return the remedies among the details of an error as one part of a line, without those in ``message``."""
    faults = details if isinstance(details, list) else []
    remedies = dict.fromkeys(fault["remedy"] for fault in faults if isinstance(fault, dict) and fault.get("remedy"))
    news = [str(remedy) for remedy in remedies if str(remedy) not in message]
    return [f"remedy: {'; '.join(news)}"] if news else []
