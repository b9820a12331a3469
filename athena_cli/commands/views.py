"""The command that rebuilds the views, or compares them with a replay."""

from typing import TYPE_CHECKING, Annotated, Any

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_cli.offline_log import OfflineLog


def replay(
    *,
    verify: Annotated[bool, SWITCH] = False,
    dry_run: Annotated[bool, SWITCH] = False,
    to: str | None = None,
    projection: Annotated[list[str] | None, SWITCH] = None,
    options: OutputOptions | None = None,
) -> None:
    """Rebuild all read models from the log. A running server stays available.

    Args:
        verify: Compare the current views, and their past, with a replay to the same position. Views of another log are
            first rebuilt.
        dry_run: Replay, then discard the result.
        to: Replay up to this position, event id or time (ISO-8601), then discard the result.
        projection: Replay only this projection, with --verify or --dry-run; may be repeated.
        options: The output format.
    """
    if verify and (dry_run or to is not None):
        raise Misused("--verify cannot be combined with --dry-run or --to")
    if projection and not (verify or dry_run):
        raise Misused("--projection requires --verify or --dry-run; a rebuild always covers all projections")

    from athena_cli.offline_log import open_offline_log
    from projections import ALL

    unknown = set(projection or ()) - {projection.name for projection in ALL}
    if unknown:
        known = ", ".join(projection.name for projection in ALL)
        raise Misused(f"--projection: unknown {', '.join(sorted(unknown))}; expected one of {known}")
    log = open_offline_log(settings_of())
    try:
        _replay(log, verify, dry_run, to, projection, options)
    except OSError as error:
        place = f"cannot write the views in {log.directory}: {error}"
        raise Failed(place, "a replay needs some space, and a directory that it may write") from error


def _replay(
    log: "OfflineLog",
    verify: bool,
    dry_run: bool,
    to: str | None,
    projection: list[str] | None,
    options: OutputOptions | None,
) -> None:
    """Replay, compare or rebuild. Raise OSError if the views cannot be written."""
    from msgspec.structs import replace

    from athena_cli.offline_log import position_of
    from athena_core.system import gc_tuning
    from projections.engine import replay as replaying

    views = log.views()
    gc_tuning.tune_gc()
    if verify:
        _compare(views, projection, options)
        return
    if dry_run or to is not None:
        reader = log.reader()
        until = None if to is None else position_of(to, reader)
        reader.close()
        done = render.last_step(replaying.rehearse(views, to=until, names=projection), "replay")
    else:
        done = render.last_step(replaying.rebuild(views), "replay")
        done = replace(done, digests=digests_of(views))
    show_value(done, options)


def _compare(views: Any, names: list[str] | None, options: OutputOptions | None) -> None:
    """Compare the views with a replay and print the result. Raise Failed if they differ."""
    from time import perf_counter

    from projections.engine import replay as replaying

    began = perf_counter()
    try:
        verdicts = replaying.verify(views, names)
    except replaying.NoViews:  # for example, after a restore
        render.last_step(replaying.rebuild(views), "replay")
        verdicts = replaying.verify(views, names)
    seconds = perf_counter() - began
    position = max(verdict.position for verdict in verdicts)
    different = [verdict for verdict in verdicts if not verdict.equal]
    summary = {
        "outcome": "different" if different else "equal",
        "position": position,
        "seconds": round(seconds, 3),
        "eventsPerSecond": round(position / seconds),
        "verdicts": verdicts,
    }
    show_value(summary, options)
    if different:
        those = "; ".join(
            f"{verdict.projection} at position {verdict.position}: {', '.join(map(str, verdict.differences))}"
            for verdict in different
        )
        raise Failed(f"the views differ from a replay: {those}; rebuild them with `athena replay`", printed=True)


def digests_of(views: Any) -> dict[str, str]:
    """Return the digest of each projection in the newest generation."""
    from projections.engine.replay import digest

    connection = views.generations.read(views.generations.candidate() or views.generations.current())
    try:
        with connection.snapshot():
            return {projection.name: digest(connection, projection).sha256 for projection in views.projections}
    finally:
        connection.close()
