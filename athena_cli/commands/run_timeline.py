"""The printer of a run's timeline, while the run is in progress or afterwards."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from athena_cli import render
from athena_cli.commands.agent_activity import ActivityPrinter
from athena_cli.exit_codes import Exit, Failed
from athena_cli.output.shapes import run_problem, waiting_note

if TYPE_CHECKING:
    import asyncio

    from athena_cli.transport import Transport

Record = dict[str, Any]

WAIT_SECONDS = 30
PAGE_ENTRIES = 500
OPEN = frozenset({"queued", "running"})


def check_ended(record: Record) -> None:
    """Raise Failed if a run has ended otherwise than completed. Print how a paused one continues."""
    if (waits := waiting_note(record)) is not None:
        render.note(waits)
    elif record["status"] == "paused":
        render.note(f"The run is paused. Resume it with: athena resume {record['runId']} --budget-usd USD")
    elif (wrong := run_problem(record)) is not None:
        raise Failed(wrong, printed=True)


def _open_asks(record: Record) -> list[str]:
    return list((record.get("waiting") or {}).get("asks") or ())


class RunFollower:
    """Prints a run while it is written, and remembers what it has printed.

    The model's text goes to standard output. All other lines go to standard error, or to standard output as well if
    ``whole``. With the output ``jsonl``, each entry is a line of JSON; with ``json``, the run's record follows the end.
    """

    def __init__(self, transport: "Transport", run_id: str, output: str | None, *, whole: bool = False) -> None:
        self._transport = transport
        self._run_id = run_id
        self._output = output
        self._whole = whole
        self._note: Callable[[str], None] = render.say if whole else render.note
        self._seen: set[str] = set()
        self._written = 0
        self._unrecorded = ""
        """Text that was printed while it was written, since the last recorded message."""
        self._activity = ActivityPrinter(self._note)
        from athena_cli.commands.run_asks import FollowedAsks  # it needs asyncio, which help does not

        self._asks = FollowedAsks(transport, self._end_turn, talks=output is None)

    async def follow(self) -> Record:
        """Print until the run has ended or is paused. Return its record."""
        import asyncio
        from contextlib import aclosing

        record = await self._read_record()
        session, start = {"sessionId": record["sessionId"]}, await self._start()
        asking = asyncio.create_task(self._asks.follow(self._run_id, start))
        ended = asyncio.create_task(self._wait_for_end(record, asking))

        async def stream() -> None:
            items = self._transport.follow(
                "streamSessionTranscript", path=session, query={}, cursor=start, lost=lambda reason: None
            )
            async with aclosing(items):
                async for item in items:
                    if item.record is not None:
                        async with self._asks.terminal:
                            self._print_item(item.record, passing=item.cursor is None)

        following = asyncio.create_task(stream())
        try:
            await asyncio.wait((ended, following), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # Ctrl-C
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
            raise
        finally:
            following.cancel()
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await asyncio.gather(asking, return_exceptions=True)  # an older server, or a caller who may not read asks
        record = await ended
        await self._print_recorded(record, start)
        self._print_end(record)
        await self._print_changes(record)
        return record

    async def tell(self) -> Record:
        """Print the entries recorded by now. Return the run's record."""
        record = await self._read_record()
        await self._print_recorded(record, await self._start())
        self._print_end(record)
        return record

    async def _read_record(self, **query: str | None) -> Record:
        import msgspec

        data = await self._transport.request("getRun", path={"runId": self._run_id}, query=query)
        record: Record = msgspec.json.decode(data)
        self._run_id = record["runId"]
        return record

    async def _wait_for_end(self, record: Record, asking: "asyncio.Task[None]") -> Record:
        while True:
            if record["status"] in OPEN:
                record = await self._read_record(wait=str(WAIT_SECONDS))
            elif record["status"] == "paused" and await self._asks.answered(_open_asks(record), asking):
                record = await self._read_record()
            else:
                return record

    async def _start(self) -> str | None:
        """Return the cursor of the run's first event, after which its entries are."""
        import msgspec

        data = await self._transport.request("listEvents", query={"runId": self._run_id, "limit": "1"})
        events = msgspec.json.decode(data)["events"]
        return events[0]["id"] if events else None

    async def _print_recorded(self, record: Record, after: str | None) -> None:
        """Print the recorded entries that were not printed yet."""
        import msgspec

        session, ended = {"sessionId": record["sessionId"]}, record.get("finishedAt")
        while True:
            query = {"limit": str(PAGE_ENTRIES), "after": after}
            data = await self._transport.request("getSessionTranscript", path=session, query=query)
            entries = msgspec.json.decode(data)["items"]
            for entry in entries:
                self._print_entry(entry)
            if len(entries) < PAGE_ENTRIES or (ended is not None and entries[-1]["createdAt"] > ended):
                return
            after = entries[-1]["id"]

    def _print_item(self, data: bytes, *, passing: bool) -> None:
        import msgspec

        shown = msgspec.json.decode(data)
        if not passing:
            self._print_entry(shown)
        elif shown["runId"] == self._run_id and self._output != "jsonl":
            if (activity := shown.get("activity")) is not None:
                self._activity.show(activity, in_text=self._written > 0)
            elif shown.get("reset"):
                self._end_turn()
                self._unrecorded = ""
            elif shown.get("text") and shown["offset"] + len(shown["text"]) > self._written:
                text = shown["text"][max(self._written - shown["offset"], 0) :]
                self._unrecorded += text
                self._print_text(text)

    def _print_entry(self, entry: Mapping[str, Any]) -> None:
        """Print a recorded entry, without the text that was printed while it was written."""
        if entry.get("runId") != self._run_id or entry["id"] in self._seen:
            return
        self._seen.add(entry["id"])
        self._activity.clear()
        if self._output == "jsonl":
            import msgspec

            render.write(msgspec.json.encode(entry))
        elif entry["role"] == "assistant" and entry.get("kind", "message") == "message":
            content, printed = entry.get("content") or "", self._unrecorded
            self._print_text(content[len(printed) if content.startswith(printed) else self._written :])
            self._end_turn()
            self._unrecorded = ""
            if entry.get("partial"):
                self._note("  (partial: the run ended here)")
        elif self._whole or entry.get("kind") != "ask":  # an open one is printed with the command that answers it
            from athena_cli.output.timeline import entry_lines

            self._end_turn()
            for text in entry_lines(entry):
                self._note(text)

    def _print_text(self, text: str) -> None:
        self._activity.clear()
        render.say(text, end="")
        self._written += len(text)

    def _end_turn(self) -> None:
        """End the line of the model's text, if there is any."""
        self._activity.clear()
        if self._written:
            render.say("")
        self._written = 0

    async def _print_changes(self, record: Record) -> None:
        """Print how to take over what an outside agent changed in its own workspace."""
        if record.get("agent") is None or not record.get("evidenceCount") or self._output is not None:
            return
        import msgspec

        from athena_core.domain.workspace import DIFF_LABEL

        with suppress(Exit):
            data = await self._transport.request("listRunEvidence", path={"runId": self._run_id})
            if any(one.get("label") == DIFF_LABEL for one in msgspec.json.decode(data)["items"]):
                render.note(f"Look at its changes: athena runs diff {self._run_id}")
                render.note(f"Take them over:      athena runs apply {self._run_id}")

    def _print_end(self, record: Record) -> None:
        self._end_turn()
        if self._output == "json":
            import msgspec

            render.write(msgspec.json.encode(record))
        if self._output != "jsonl":
            from athena_cli.output.timeline import end_line

            self._note(end_line(record))
            if record["status"] == "running" and (waits := waiting_note(record)) is not None:
                self._note(waits)
