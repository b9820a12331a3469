"""Threads for work that takes more than a millisecond of CPU time, shared fairly among identities."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, TypeVar

import anyio
from anyio import to_thread

from athena_core.errors import ShareLimit

T = TypeVar("T")

EACH_MAX: Final = 1
"""Threads that one identity uses at a time, so that the next identity finds one free or waits for one work at most."""
WAITING_SECONDS_MAX: Final = 10.0
"""The most CPU time, by the prices, of the work of one identity that waits for a thread."""
WAITING_MAX: Final = 256
"""The most work of all identities that waits for a thread."""
PRICE_SECONDS_MIN: Final = 0.001
RETRY_SECONDS_MAX: Final = 60
PRICE_WEIGHT: Final = 0.25
"""Weight of a measured cost in the price of an operation."""
IDENTITIES_MAX: Final = 1_000
"""The most identities without work whose CPU time is remembered."""


class Payer(NamedTuple):
    """The identity that pays for work, and the operation with its declared price in milliseconds of CPU time."""

    subject: str
    operation: str
    price_ms: int = 0
    writes: bool = False
    """True for a command that has begun: its work never waits for a read, and is not refused."""


SERVER: Final = Payer("", "")
"""The payer of work that no caller asked for, or that callers share."""
PAYER: Final[ContextVar[Payer]] = ContextVar("payer", default=SERVER)
"""The payer of the work of this task."""


class Account:
    """The work of one identity. ``used`` is its CPU time in seconds, on the scale that all identities share."""

    __slots__ = ("owed", "running", "used", "waiting")

    def __init__(self) -> None:
        self.used = 0.0
        self.owed = 0.0
        """The prices of the waiting work."""
        self.running = 0
        self.waiting: deque[ThreadTurn] = deque()


class ThreadTurn:
    """A piece of work that waits for a thread or has one."""

    __slots__ = ("account", "cost", "granted", "kept", "price", "wake")

    def __init__(self, account: Account, price: float, *, kept: bool) -> None:
        """Take the price in seconds. Work that is ``kept`` is not refused while it waits."""
        self.kept = kept
        self.account = account
        self.price = self.cost = price
        self.granted = False
        self.wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class FairThreads:
    """Threads that the identities share by start-time fair queueing.

    The next thread goes to the identity that has used the least CPU time. The price of a work is charged when it
    begins, and corrected by the measured CPU time when it ends. An identity that returns after a pause begins level
    with the others, so no identity saves up time. Belongs to the event loop.
    """

    def __init__(self, limit: str, threads: int) -> None:
        """Take the name of the limit in errors."""
        self._limit = limit
        self._threads = threads
        self._limiter = anyio.CapacityLimiter(threads)
        self._accounts: dict[str, Account] = {}
        self._prices: dict[str, float] = {}
        """The mean CPU time of each operation, in seconds."""
        self._level = 0.0
        """The CPU time of the identity that was served last, when its work began."""
        self.running = 0
        self.waiting = 0

    async def run(self, payer: Payer, work: Callable[[], T]) -> T:
        """Return the result of a function, called in a thread. Raise ShareLimit."""
        turn = self._enter(payer)
        try:
            await turn.wake
        except BaseException:
            if turn.granted:
                turn.cost = 0.0
                self._leave(turn)
            elif turn in turn.account.waiting:
                self._withdraw(turn)
            self._forget(payer.subject)
            raise

        def measured() -> T:
            begun = time.thread_time()
            try:
                return work()
            finally:
                turn.cost = time.thread_time() - begun

        try:
            return await to_thread.run_sync(measured, limiter=self._limiter)
        finally:
            price = self._prices.get(payer.operation, turn.price)
            self._prices[payer.operation] = price + (turn.cost - price) * PRICE_WEIGHT
            self._leave(turn)
            self._forget(payer.subject)

    def _enter(self, payer: Payer) -> ThreadTurn:
        """Put work in the line of its identity. Raise ShareLimit."""
        account = self._accounts.get(payer.subject) or Account()
        price = max(self._prices.get(payer.operation, payer.price_ms / 1_000), PRICE_SECONDS_MIN)
        if not payer.writes:
            if account.waiting and account.owed + price > WAITING_SECONDS_MAX:
                raise self._refusal(account)
            if self.waiting >= WAITING_MAX:
                self._make_room(account)
        if not account.waiting and not account.running:
            account.used = max(account.used, self._level)
        self._accounts[payer.subject] = account
        turn = ThreadTurn(account, price, kept=payer.writes)
        account.waiting.append(turn)
        account.owed += price
        self.waiting += 1
        self._serve()
        return turn

    def _make_room(self, account: Account) -> None:
        """Refuse the newest work of the longest line. Raise ShareLimit if no line is longer than this one."""
        longest = max(self._accounts.values(), key=lambda one: len(one.waiting))
        turn = longest.waiting[-1]
        if len(longest.waiting) <= len(account.waiting) + 1 or turn.kept:
            raise self._refusal(account)
        self._withdraw(turn)
        if not turn.wake.done():
            turn.wake.set_exception(self._refusal(longest))

    def _serve(self) -> None:
        """Give free threads to the identities that have used the least CPU time."""
        while self.running < self._threads and self.waiting:
            ready = [one for one in self._accounts.values() if one.waiting and one.running < EACH_MAX]
            if not ready:
                return
            account = min(ready, key=lambda one: one.used)
            turn = account.waiting[0]
            self._withdraw(turn)
            self._level = max(self._level, account.used)
            account.used += turn.price
            account.running += 1
            self.running += 1
            turn.granted = True
            if not turn.wake.done():  # else it was cancelled, and leaves
                turn.wake.set_result(None)

    def _withdraw(self, turn: ThreadTurn) -> None:
        account = turn.account
        account.waiting.remove(turn)
        account.owed = account.owed - turn.price if account.waiting else 0.0
        self.waiting -= 1

    def _leave(self, turn: ThreadTurn) -> None:
        """Free the thread of a work, and settle its price."""
        turn.account.used += turn.cost - turn.price
        turn.account.running -= 1
        self.running -= 1
        self._serve()

    def _forget(self, subject: str) -> None:
        """Drop an identity without work that has used no more than the others, or all of them once nothing runs."""
        if not self.running and not self.waiting:
            self._accounts.clear()
            self._level = 0.0
            return
        account = self._accounts.get(subject)
        if account is None or account.running or account.waiting:
            return
        if account.used <= self._level or len(self._accounts) > IDENTITIES_MAX:
            del self._accounts[subject]

    def _refusal(self, account: Account) -> ShareLimit:
        details: dict[str, Any] = {"limit": self._limit, "waiting": len(account.waiting)}
        if account.owed > WAITING_SECONDS_MAX / 2:
            details |= {"max": WAITING_SECONDS_MAX, "unit": "seconds of CPU time"}
            reason = f"Your {self._limit} that wait for a thread would take {account.owed:.1f} s of CPU time."
        else:
            details |= {"max": WAITING_MAX, "unit": "requests of all identities"}
            reason = (
                f"{self.waiting} {self._limit} of all identities wait for a thread, and no line is longer than yours."
            )
        error = ShareLimit(f"{reason} The request was not executed. Retry later, with fewer at a time.", details)
        error.retry_after = min(max(math.ceil(account.owed), 1), RETRY_SECONDS_MAX)
        return error
