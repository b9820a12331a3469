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
