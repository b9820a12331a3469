"""Byte budgets: limits on the memory that all connections together hold for one purpose."""

from athena_core.errors import Overloaded


class ByteBudget:
    """Bytes that all connections together may hold for one purpose.

    A single holder always fits, even if one request is larger than the budget.
    """

    __slots__ = ("bytes_max", "used")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.used = 0

    def take(self, size: int, own: int = 0) -> bool:
        """Take bytes for a holder that has already taken ``own``. Return False if they do not fit."""
        if self.used + size > self.bytes_max and self.used > own:
            return False
        self.used += size
        return True

    def hold(self, size: int) -> int:
        """Take bytes for an answer. Raise Overloaded if they do not fit."""
        if not self.take(size):
            raise Overloaded(
                f"Responses that clients have not read yet fill {self.used} of {self.bytes_max} bytes. Retry later."
            )
        return size

    def release(self, size: int) -> None:
        """Return bytes to the budget."""
        self.used -= size
