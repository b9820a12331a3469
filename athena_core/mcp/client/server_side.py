"""The methods that a server may call, and the calls that they concern."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Raw

from athena_core.mcp.client.messages import ProgressParams, read
from athena_core.mcp.client.wire import ELICIT, PING, PROGRESS, TOOLS_CHANGED, Receiver
from athena_core.rpc.peer import METHOD_NOT_FOUND, PARSE_ERRORS, Later, RequestFailed
from athena_core.text import preview

GIVEN_UP_SECONDS = 10.0
"""Time in which a server may still ask for a call that was cancelled."""


class ServerSide:
    """The answers to a server. Models and directories are not offered."""

    def __init__(self, changed: Callable[[], None], receivers: Sequence[Receiver] = ()) -> None:
        """``changed`` notes that the tools of the server changed."""
        self.receivers = list(receivers)
        self._changed = changed
        self._clear_at = 0.0

    def give_up(self) -> None:
        """Note that a call was cancelled."""
        self._clear_at = asyncio.get_running_loop().time() + GIVEN_UP_SECONDS

    async def request(self, method: str, params: Raw) -> Later:
        """Accept a request of the server."""
        if method == PING:
            return _empty
        if method != ELICIT:
            raise RequestFailed(METHOD_NOT_FOUND, f"Method not found: {preview(method, 100)}")
        asking = [receiver for receiver in self.receivers if receiver.asks]
        if len(asking) != 1 or asyncio.get_running_loop().time() < self._clear_at:  # nothing says which call asks
            return _declined
        return partial(asking[0].asked, params)

    async def notification(self, method: str, params: Raw) -> None:
        """Handle a notification of the server."""
        if method == TOOLS_CHANGED:
            self._changed()
        elif method == PROGRESS:
            with suppress(*PARSE_ERRORS):
                token = read(params, ProgressParams).progress_token
                for receiver in self.receivers:
                    if receiver.token is not None and receiver.token == token:
                        receiver.progressed(params)


async def _empty() -> object:
    return {}


async def _declined() -> object:
    return {"action": "decline"}
