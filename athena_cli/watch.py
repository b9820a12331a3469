"""A run as it is written: its text as its model says it, its calls, its end."""

from typing import TYPE_CHECKING, Any

from athena_cli.commands import Reach, settings_of
from athena_cli.exit_codes import Failed

if TYPE_CHECKING:
    from athena_cli.transport import Transport

WAIT_SECONDS = 30
ENTRIES = "500"


def watch(run: str, /, *, reach: Reach | None = None) -> None:
    """Follow a run to its end: its text while the model writes it, its calls of tools, its verdict.

    Text goes to standard output, all else to standard error; with `-o json` the run's record follows at the end, with
    `-o jsonl` each entry is a line of JSON. Exit code 1 if the run does not complete.

    Args:
        run: The run.
        reach: How to reach the plane.
    """
    import asyncio

    from athena_cli.transport import connect

    async def work() -> dict[str, Any]:
        async with connect(settings_of(reach)) as transport:
            return await Watching(transport, run, reach.output if reach else None).follow()

    record = asyncio.run(work())
    if record["status"] not in {"completed", "paused"}:
        raise Failed(f"run {run} is {record['status']}")


class Watching:
    """What was printed of a run so far."""

    def __init__(self, transport: "Transport", run_id: str, output: str | None) -> None:
        """Nothing was."""
        self._transport = transport
        self._run_id = run_id
        self._output = output
        self._seen: set[str] = set()
        self._written = 0

    async def follow(self) -> dict[str, Any]:
        """Print until the run has ended or is paused; return its record then."""
        import asyncio
        from contextlib import aclosing, suppress

        record = await self._record()
        session = {"sessionId": record["sessionId"]}
        ended = asyncio.create_task(self._end(record))

        async def stream() -> None:
            frames = self._transport.follow(
                "streamSessionTranscript", path=session, query={}, cursor=None, lost=lambda reason: None
            )
            async with aclosing(frames):
                async for frame in frames:
                    if frame.record is not None:
                        self._show(frame.record, passing=frame.cursor is None)

        following = asyncio.create_task(stream())
        try:
            await asyncio.wait((ended, following), return_when=asyncio.FIRST_COMPLETED)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        record = await ended
        await self._rest(session)
        self._close(record)
        return record

    async def _record(self, **query: str | None) -> dict[str, Any]:
        import msgspec

        data = await self._transport.request("getRun", path={"runId": self._run_id}, query=query)
        found: dict[str, Any] = msgspec.json.decode(data)
        return found

    async def _end(self, record: dict[str, Any]) -> dict[str, Any]:
        while record["status"] in {"queued", "running"}:
            record = await self._record(wait=str(WAIT_SECONDS))
        return record

    async def _rest(self, session: dict[str, str]) -> None:
        """What was recorded last, and not streamed before the end was seen."""
        import msgspec

        data = await self._transport.request("getSessionTranscript", path=session, query={"limit": ENTRIES})
        for entry in msgspec.json.decode(data)["items"]:
            self._entry(entry)

    def _show(self, data: bytes, *, passing: bool) -> None:
        import msgspec

        shown = msgspec.json.decode(data)
        if not passing:
            self._entry(shown)
        elif shown["runId"] == self._run_id and self._output != "jsonl":
            if shown.get("reset"):
                self._line()
            elif shown.get("text") and shown["offset"] + len(shown["text"]) > self._written:
                self._print(shown["text"][max(self._written - shown["offset"], 0) :])

    def _entry(self, entry: dict[str, Any]) -> None:
        """An entry that was recorded; of what was printed while it was written only the rest."""
        if entry.get("runId") != self._run_id or entry["id"] in self._seen:
            return
        self._seen.add(entry["id"])
        if self._output == "jsonl":
            import msgspec

            from athena_cli.render import write

            write(msgspec.json.encode(entry))
        elif entry["role"] == "assistant" and entry.get("kind", "message") == "message":
            self._print((entry.get("content") or "")[self._written :])
            self._line()
        else:
            self._note(entry)

    def _note(self, entry: dict[str, Any]) -> None:
        from athena_cli.render import note

        self._line()
        name = entry.get("toolName")
        what = f"{entry['role']} {name}" if name else entry["role"]
        text = " ".join((entry.get("content") or "").split())
        note(f"[{what}] {text[:200]}")

    def _print(self, text: str) -> None:
        from athena_cli.render import say

        say(text, end="")
        self._written += len(text)

    def _line(self) -> None:
        """Begin a new line, and a new turn."""
        if self._written:
            from athena_cli.render import say

            say("")
        self._written = 0

    def _close(self, record: dict[str, Any]) -> None:
        from athena_cli.render import note, write

        self._line()
        if self._output == "json":
            import msgspec

            write(msgspec.json.encode(record))
        cost = record.get("costMicroUsd")
        spent = "" if cost is None else f", ${cost / 1_000_000:.6f}"
        verdict = record.get("verificationStatus")
        note(f"[{record['status']}]{f' {verdict}' if verdict else ''}{spent}")
