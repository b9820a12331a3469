"""Commands that start, cancel and follow runs."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, output_of, request
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH, TEXT, Detach

if TYPE_CHECKING:
    from athena_cli.transport import Transport


WAIT_SECONDS = 30
ENTRIES = "500"


def run(
    *,
    session: str | None = None,
    input: Annotated[str | None, TEXT] = None,
    directive: str | None = None,
    profile: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    strategy: Literal["enqueue", "reject", "interrupt"] | None = None,
    parent: str | None = None,
    template: str | None = None,
    param: Annotated[tuple[str, ...], SWITCH] = (),
    detach: Detach = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Start a run and wait for its result.

    Args:
        session: Session of the run; a new one if absent.
        input: The prompt.
        directive: Id of a directive, instead of an input.
        profile: Id of a harness profile.
        provider: Model provider, instead of a profile.
        model: A model of that provider.
        strategy: What to do if the session is busy: wait, fail, or cancel the running one.
        parent: Parent run. Cancelling it also cancels this run.
        template: Id of a run template, instead of input and profile.
        param: A template parameter, `name=text` or `name:=JSON`; may be repeated.
        detach: Return at once; the server continues in the background.
        connection: Connection options.
    """
    body = {
        "sessionId": session,
        "input": input,
        "directiveId": directive,
        "harnessProfileId": profile,
        "provider": provider,
        "model": model,
        "sessionStrategy": strategy,
        "parentRunId": parent,
    }
    if template is None:
        if param:
            raise Misused("--param requires --template")
        request(connection, "createRun", body=body, detached=detach)
        return
    if any(value is not None for name, value in body.items() if name != "sessionId"):
        raise Misused("--template can only be combined with --param and --session; the template defines the rest")
    filled = {"sessionId": session, "params": dict(map(_parse_param, param))}
    request(connection, "runTemplate", path={"templateId": template}, body=filled, detached=detach)


def _parse_param(text: str) -> tuple[str, Any]:
    """Parse a template parameter of the command line."""
    import msgspec

    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise Misused(f"--param: {text!r} is neither name=text nor name:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misused(f"--param: {name[:-1]}: {value[:80]!r} is not JSON: {error}") from error


def cancel(
    *,
    session: str | None = None,
    run: str | None = None,
    reason: Annotated[str | None, TEXT] = None,
    connection: ConnectionOptions | None = None,
) -> None:
    """Request the cancellation of a run, by run or session id.

    Args:
        session: Cancel the active run of this session.
        run: Cancel this run.
        reason: Reason for the cancellation.
        connection: Connection options.
    """
    if (session is None) == (run is None):
        raise Misused("cancel requires either --session or --run")
    if run is not None:
        request(connection, "cancelRunByRunId", path={"runId": run}, body={"reason": reason})
    else:
        request(connection, "cancelRun", path={"sessionId": session}, body={"reason": reason})


def watch(run: str, /, *, connection: ConnectionOptions | None = None) -> None:
    """Follow a run until it ends: live model text, tool calls and verdict.

    Model text goes to standard output, everything else to standard error. `-o json` also prints the run's record at the
    end; `-o jsonl` prints each transcript entry as a JSON line. The exit code is 1 if the run does not complete.

    Args:
        run: Id of the run.
        connection: Connection options.
    """
    record = call(connection, lambda transport: RunFollower(transport, run, output_of(connection)).follow())
    if record["status"] not in {"completed", "paused"}:
        raise Failed(f"run {run} is {record['status']}")


class RunFollower:
    """Prints a run while it is written; remembers what of it was printed."""

    def __init__(self, transport: "Transport", run_id: str, output: str | None) -> None:
        """Follow ``run_id``; ``output`` is the one that was asked for."""
        self._transport = transport
        self._run_id = run_id
        self._output = output
        self._seen: set[str] = set()
        self._written = 0

    async def follow(self) -> dict[str, Any]:
        """Print until the run has ended or is paused; return its record then."""
        import asyncio
        from contextlib import aclosing, suppress

        record = await self._read_record()
        session = {"sessionId": record["sessionId"]}
        ended = asyncio.create_task(self._wait_for_end(record))

        async def stream() -> None:
            items = self._transport.follow(
                "streamSessionTranscript", path=session, query={}, cursor=None, lost=lambda reason: None
            )
            async with aclosing(items):
                async for item in items:
                    if item.record is not None:
                        self._print_item(item.record, passing=item.cursor is None)

        following = asyncio.create_task(stream())
        try:
            await asyncio.wait((ended, following), return_when=asyncio.FIRST_COMPLETED)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
        record = await ended
        await self._print_rest(session)
        self._print_end(record)
        return record

    async def _read_record(self, **query: str | None) -> dict[str, Any]:
        import msgspec

        data = await self._transport.request("getRun", path={"runId": self._run_id}, query=query)
        record: dict[str, Any] = msgspec.json.decode(data)
        return record

    async def _wait_for_end(self, record: dict[str, Any]) -> dict[str, Any]:
        while record["status"] in {"queued", "running"}:
            record = await self._read_record(wait=str(WAIT_SECONDS))
        return record

    async def _print_rest(self, session: dict[str, str]) -> None:
        """Print the entries that were recorded last, and not streamed before the end was known."""
        import msgspec

        data = await self._transport.request("getSessionTranscript", path=session, query={"limit": ENTRIES})
        for entry in msgspec.json.decode(data)["items"]:
            self._print_entry(entry)

    def _print_item(self, data: bytes, *, passing: bool) -> None:
        import msgspec

        shown = msgspec.json.decode(data)
        if not passing:
            self._print_entry(shown)
        elif shown["runId"] == self._run_id and self._output != "jsonl":
            if shown.get("reset"):
                self._line()
            elif shown.get("text") and shown["offset"] + len(shown["text"]) > self._written:
                self._print(shown["text"][max(self._written - shown["offset"], 0) :])

    def _print_entry(self, entry: dict[str, Any]) -> None:
        """Print an entry that was recorded, without the text that was printed while it was written."""
        if entry.get("runId") != self._run_id or entry["id"] in self._seen:
            return
        self._seen.add(entry["id"])
        if self._output == "jsonl":
            import msgspec

            render.write(msgspec.json.encode(entry))
        elif entry["role"] == "assistant" and entry.get("kind", "message") == "message":
            self._print((entry.get("content") or "")[self._written :])
            self._line()
        else:
            self._note_entry(entry)

    def _note_entry(self, entry: dict[str, Any]) -> None:
        self._line()
        name = entry.get("toolName")
        what = f"{entry['role']} {name}" if name else entry["role"]
        text = " ".join((entry.get("content") or "").split())
        render.note(f"[{what}] {text[:200]}")

    def _print(self, text: str) -> None:
        render.say(text, end="")
        self._written += len(text)

    def _line(self) -> None:
        """Begin a new line, and a new turn."""
        if self._written:
            render.say("")
        self._written = 0

    def _print_end(self, record: dict[str, Any]) -> None:
        self._line()
        if self._output == "json":
            import msgspec

            render.write(msgspec.json.encode(record))
        cost = record.get("costMicroUsd")
        spent = "" if cost is None else f", ${cost / 1_000_000:.6f}"
        verdict = record.get("verificationStatus")
        render.note(f"[{record['status']}]{f' {verdict}' if verdict else ''}{spent}")
