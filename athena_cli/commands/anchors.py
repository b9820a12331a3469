"""The command that writes an anchor of the log to other places."""

from typing import Annotated

from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value


def anchor(*, to: Annotated[list[str] | None, SWITCH] = None, options: OutputOptions | None = None) -> None:
    """Write an anchor (position and chain value of the log's head) to a place that the log's owner cannot rewrite.

    Earlier anchors are kept there. `athena verify --against PLACE` compares the log with all of them. The exit code is
    1 if any place did not accept the anchor.

    Args:
        to: A file, `https://…`, `git:PATH` or `athena:URL`; may be repeated. Default: ATHENA_ANCHOR_TO.
        options: The output format.
    """
    import asyncio

    from athena_cli.offline_log import open_offline_log
    from athena_core.clock import SystemClock
    from athena_core.errors import AnchorNotSent
    from athena_core.services.proof.anchors import Sender, anchor_at_head, check_outside, destinations_of

    settings = settings_of()
    field = "--to" if to else "ATHENA_ANCHOR_TO"
    places = destinations_of(to or settings.anchor_to, field)
    check_outside(places, settings.state_dir, field)
    if not places:
        raise Misused("anchor requires --to: a file, https://…, git:PATH or athena:URL")
    reader = open_offline_log(settings).reader()
    try:
        line = anchor_at_head(reader, SystemClock())
    finally:
        reader.close()
    if line is None:
        raise Failed("the log is empty, so there is nothing to anchor")
    failures: list[str] = []

    async def send() -> list[str]:
        sender, written = Sender.of(settings), []
        for place in places:
            try:
                await sender.send(line, place)
                written.append(place.shown)
            except AnchorNotSent as error:
                failures.append(error.message)
        return written

    written = asyncio.run(send())
    show_value(
        {"logId": line.log_id, "position": line.position, "chain": line.chain, "at": line.at, "written": written},
        options,
    )
    if failures:
        raise Failed("; ".join(failures), printed=True)
