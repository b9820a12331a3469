"""The asks of a run that is followed: a dialog where a person can type, else a line with the command that answers."""

import asyncio
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from athena_cli import render
from athena_cli.commands.ask_dialog import Decision
from athena_cli.commands.asks import decide_by_dialog, read_ask, request_body
from athena_cli.exit_codes import Exit
from athena_cli.output.event_text import what_of
from athena_cli.output.timeline import cut

if TYPE_CHECKING:
    from athena_cli.transport import Transport

T = TypeVar("T")


class FollowedAsks:
    """The asks of a run. ``terminal`` is held while a person decides: nothing else may be printed."""

    def __init__(self, transport: "Transport", before: Callable[[], None], *, talks: bool) -> None:
        """``before`` ends the line that is printed. With ``talks``, a person at the terminal answers."""
        self._transport = transport
        self._before = before
        self._talks = talks and sys.stdin.isatty() and render.on_terminal()
        self._decided: dict[str, asyncio.Future[bool]] = {}
        self.terminal = asyncio.Lock()

    async def follow(self, run_id: str, after: str | None) -> None:
        """Handle each ask of the run once it is open, until cancelled."""
        import msgspec

        query = {"runId": run_id, "types": "run.asked"}
        items = self._transport.follow("streamEvents", query=query, cursor=after, lost=lambda reason: None)
        async with aclosing(items):
            async for item in items:
                if item.record is None:
                    continue
                ask_id = msgspec.json.decode(item.record)["payload"]["askId"]
                ask = msgspec.json.decode(await self._transport.request("getAsk", path={"askId": ask_id}))
                if ask["status"] == "open":
                    await self._handle(ask)

    async def answered(self, asks: Collection[str], following: "asyncio.Task[None]") -> bool:
        """Wait until one of the asks of a parked run is answered here. Return False if it will not be."""
        if not self._talks or not asks:
            return False
        waits = [self._future(ask) for ask in asks]
        while not any(wait.done() and wait.result() for wait in waits):
            left = [wait for wait in waits if not wait.done()]
            if not left or following.done():
                return False
            waited: list[asyncio.Future[Any]] = [*left, following]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        return True

    def _future(self, ask_id: str) -> asyncio.Future[bool]:
        return self._decided.setdefault(ask_id, asyncio.get_running_loop().create_future())

    async def _handle(self, ask: dict[str, Any]) -> None:
        """Print an open ask, or let the person decide about it."""
        async with self.terminal:
            self._before()
            if not self._talks:
                render.note(f"Waiting for an answer: {cut(what_of(ask))}\n  athena answer {ask['id']}")
                return
            done = self._future(ask["id"])
            try:
                loop = asyncio.get_running_loop()

                def exact() -> dict[str, Any]:
                    reading = read_ask(self._transport, ask["id"], exact=True)
                    return asyncio.run_coroutine_threadsafe(reading, loop).result()

                decision = await in_thread(lambda: decide_by_dialog(ask, Decision(""), exact))
                if decision is None:
                    render.note(f"Nothing was decided. Answer it later with: athena answer {ask['id']}")
                else:
                    body = request_body(decision, ask["subjectHash"])
                    await self._transport.request("answerAsk", path={"askId": ask["id"]}, body=body)
                answered = decision is not None
            except Exit as refused:  # it was answered elsewhere, expired, or needs another role
                render.note(f"error: {refused.sentence}")
                answered = False
            if not done.done():
                done.set_result(answered)


async def in_thread(work: Callable[[], T]) -> T:
    """Run a dialog in a thread, and return its result. If it is cancelled, the thread stays in its last question.

    The loop goes on meanwhile. A daemon thread does not hold up the end of the process, whose terminal is put in order.
    """
    import termios

    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    terminal = termios.tcgetattr(sys.stdin)

    def settle(setter: Callable[[], None]) -> None:
        if not done.done():
            setter()

    def run() -> None:
        try:
            setter = partial(done.set_result, work())
        except BaseException as raised:  # noqa: BLE001 - it is raised where it is awaited
            setter = partial(done.set_exception, raised)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, setter)

    threading.Thread(target=run, daemon=True).start()
    try:
        return await done
    except asyncio.CancelledError:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, terminal)
        raise
