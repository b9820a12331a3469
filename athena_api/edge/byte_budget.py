"""Budgets of bytes: how much memory all connections together may hold for one purpose."""

from athena_core.errors import Overloaded


class ByteBudget:
    """Bytes that all connections together may hold for one purpose.

    A single holder always fits, so a budget below the size of one request refuses none.
    """

    __slots__ = ("bytes_max", "used")

    def __init__(self, bytes_max: int) -> None:
        """Start with nothing taken."""
        self.bytes_max = bytes_max
        self.used = 0

    def take(self, size: int, own: int = 0) -> bool:
        """Take bytes for a holder that has ``own`` of them already. Return False if they do not fit."""
        if self.used + size > self.bytes_max and self.used > own:
            return False
        self.used += size
        return True

    def hold(self, size: int) -> int:
        """Take bytes for an answer. Raises Overloaded if they do not fit."""
        if not self.take(size):
            raise Overloaded(
                f"Answers that clients have not taken hold {self.used} of {self.bytes_max} bytes. Retry later."
            )
        return size

    def release(self, size: int) -> None:
        """Give bytes back."""
        self.used -= size
