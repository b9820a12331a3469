"""Both halves of the client behind one interface, so that one test covers both."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from athena_client import AsyncAthena, Athena

HALVES = ("sync", "async")


class Blocking:
    """An asynchronous client whose calls block, and whose iterators are read to the end or to a limit."""

    def __init__(self, client: AsyncAthena, portal: BlockingPortal) -> None:
        self._client = client
        self._portal = portal

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            return self._portal.call(self._called, name, arguments, named)

        return call

    async def _called(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        found = getattr(self._client, name)(*arguments, **named)
        if inspect.isawaitable(found):
            return await found
        return Items(found, self._portal)


class Items:
    """An asynchronous iterable, read from outside."""

    def __init__(self, items: Any, portal: BlockingPortal) -> None:
        self._items = items
        self._portal = portal

    def __iter__(self) -> Iterator[Any]:
        iterator = self._portal.call(self._started)
        try:
            while True:
                try:
                    yield self._portal.call(iterator.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(iterator.aclose)

    async def _started(self) -> Any:
        return aiter(self._items)


@contextmanager
def client_of(half: str, url: str, **options: Any) -> Iterator[Athena]:
    """Yield one half of the client, as if it were the blocking one."""
    if half == "sync":
        with Athena(url, **options) as client:
            yield client
        return
    with start_blocking_portal() as portal:
        inner = portal.call(lambda: AsyncAthena(url, **options))
        try:
            yield cast(Athena, Blocking(inner, portal))
        finally:
            portal.call(inner.aclose)
