"""The views: rebuild them, compare them with a replay."""

from typing import Annotated, Any

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value


def replay(
    *,
    verify: Annotated[bool, SWITCH] = False,
    dry_run: Annotated[bool, SWITCH] = False,
    to: str | None = None,
    projection: Annotated[list[str] | None, SWITCH] = None,
    options: OutputOptions | None = None,
) -> None:
    """Rebuild all read models from the log; the server goes on answering meanwhile.

    Args:
        verify: Change nothing; compare what is served with a replay to the same position.
        dry_run: Replay without letting the result serve.
        to: Replay to this position, to this event (its id), or to what was recorded before this time (ISO-8601); the
            result never serves.
        projection: With --verify or --dry-run, only this projection; may be given several times.
        options: How to show it.
    """
    if verify and (dry_run or to is not None):
        raise Misused("--verify goes with neither --dry-run nor --to")
    if projection and not (verify or dry_run):
        raise Misused("--projection goes with --verify or --dry-run: what serves is rebuilt as a whole")

    from msgspec.structs import replace

    from athena_cli.offline_log import open_offline_log, position_of
    from athena_core.system import gc_tuning
    from projections import ALL
    from projections.engine import replay as replaying

    unknown = set(projection or ()) - {projection.name for projection in ALL}
    if unknown:
        known = ", ".join(projection.name for projection in ALL)
        raise Misused(f"--projection: there is no {', '.join(sorted(unknown))}; known: {known}")
    log = open_offline_log(settings_of())
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
    """Show whether the views are what a replay gives. Raises Failed if not."""
    from time import perf_counter

    from projections.engine import replay as replaying

    began = perf_counter()
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
        those = ", ".join(f"{verdict.projection} at position {verdict.position}" for verdict in different)
        raise Failed(f"the views differ from a replay: {those}")


def digests_of(views: Any) -> dict[str, str]:
    """The digests of the generation that was just built."""
    from projections.engine.replay import digest

    connection = views.generations.read(views.generations.candidate() or views.generations.current())
    try:
        with connection.snapshot():
            return {projection.name: digest(connection, projection).sha256 for projection in views.projections}
    finally:
        connection.close()
