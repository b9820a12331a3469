"""The command that erases the text of an event, a run or a session."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH, TEXT
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_core.settings import Settings

REASON_CHARS_MAX = 1_000
WAIT_SECONDS, WAIT_SECONDS_MAX = 90.0, 3_600


def redact(
    *,
    position: int | None = None,
    run: str | None = None,
    session: str | None = None,
    reason: Annotated[str | None, TEXT] = None,
    wait: float = WAIT_SECONDS,
    audit: Annotated[bool, SWITCH] = False,
    options: OutputOptions | None = None,
) -> None:
    """Permanently erase text written by people, models and tools. The events remain, and the log still verifies.

    Works on the state directory, even while a server runs. Exit code 0 means that no file in the state directory holds
    the text. Otherwise the exit code is 1, and `left` lists each place that may hold it, with a remedy; it is safe to
    repeat the command. `left` also lists other events that repeat 12 or more characters of the text. `--audit` erases
    nothing: it counts text that older releases recorded in public payloads.

    With a run or a session, the workspace that it worked in is deleted too, and a line on standard error names it
    before. While a run is open in that workspace, nothing is erased.

    Args:
        position: Erase the text of the event at this position.
        run: Erase all text of this run, including its input.
        session: Erase all text of this session and its runs.
        reason: Reason, for the audit trail.
        wait: Seconds to wait for other processes that are reading the text.
        audit: Erase nothing; count text that cannot be erased, by event type and field.
        options: The output format.
    """
    if audit:
        _count_public_words(options)
        return
    if [position, run, session].count(None) != 2:
        raise Misused("redact requires exactly one of --position, --run and --session")
    if reason is None or not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise Misused(f"--reason: expected 1 to {REASON_CHARS_MAX} characters")
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        raise Misused(f"--wait: expected 0 to {WAIT_SECONDS_MAX} seconds")

    from athena_cli.output.shapes import remains

    settings = settings_of()
    done = _erase(settings, position=position, run=run, session=session, reason=reason.strip(), wait=wait)
    show_value(done, options)
    if settings.database_url is not None:
        render.note(
            "PostgreSQL may still hold the text in free space of pages, in write-ahead logs and their archive, on"
            " standbys and in backups; see docs/reference/postgresql.md"
        )
    if (wrong := remains(done["left"])) is not None:
        raise Failed(wrong, printed=True)


def _erase(
    settings: "Settings", *, position: int | None, run: str | None, session: str | None, reason: str, wait: float
) -> dict[str, Any]:
    """Erase the text of an event, a run or a session. Return the result to print."""
    import asyncio

    import msgspec

    from athena_cli.in_process import in_process
    from athena_cli.offline_log import open_offline_log
    from athena_core.event import Meta
    from athena_core.services.erasure import redaction

    open_offline_log(settings)

    async def work() -> dict[str, Any]:
        async with in_process(settings) as inside:
            plane = inside.plane
            with closing(plane.log.reader()) as reader:
                meta = Meta(actor=settings.cli_identity or "local", correlation=plane.ids.trace())
                if run is not None:
                    text = redaction.text_of_run(reader, plane.log.codec, run)
                elif session is not None:
                    text = redaction.text_of_session(reader, plane.log.codec, session)
                else:
                    text = redaction.text_of_event(reader, plane.log.codec, position or 0)
                if position is None:
                    for workspace_id in text.workspaces:
                        render.note(f"The workspace {workspace_id} is deleted with the text")
                    for session_id in text.agent_sessions:
                        render.note(f"The home of the agents of session {session_id} is deleted with the text")
                    beside = await plane.workspace_cleaner.erase(text.workspaces, meta, text.agent_sessions)
                else:
                    beside = redaction.workspaces_left(text)
                done, copies = await redaction.redact(plane.log, reader, text, reason, meta)
                left = (*await plane.scrub(done, wait), *copies, *text.public, *beside)
                return {"redacted": len(text.rows), "position": done, "left": msgspec.to_builtins(left)}

    return asyncio.run(work())


def _count_public_words(options: OutputOptions | None) -> None:
    from athena_cli.offline_log import open_offline_log
    from athena_core.services.erasure import redaction

    reader = open_offline_log(settings_of()).reader()
    try:
        counts = redaction.count_public_words(reader)
    finally:
        reader.close()
    show_value({"words": sum(counts.values()), "fields": counts}, options)
