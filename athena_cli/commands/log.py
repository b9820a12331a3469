"""Commands on the whole log: verify it, or move it to another store."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH, TEXT
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_core.log.anchor import Anchor
    from athena_core.log.port import StoreReader
    from athena_core.log.tools.move import MoveTarget
    from athena_core.services.proof.ranges import HelperProcesses
    from athena_core.services.proof.verify import VerifyReport
    from athena_core.services.proof.witnesses import ForkName, Witness, Witnesses
    from projections.engine.ids import IdComparison


def verify(
    *,
    bundle: Annotated[Path | None, TEXT] = None,
    against: Annotated[list[str] | None, SWITCH] = None,
    forked: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None,
    ids: Annotated[Path | None, TEXT] = None,
    json: Annotated[bool, SWITCH] = False,
    options: OutputOptions | None = None,
) -> None:
    """Verify the log: its hash chain, and the invariants of every kind of event.

    The report lists the compared anchors and the parts that were not checked. Only an anchor kept elsewhere reveals a
    history that was rewritten as a whole. Verification cannot detect a forged event that was appended with a valid
    chain value, or an event that was never written.

    Args:
        bundle: Verify a bundle from `athena export` instead of the log; `-` reads standard input.
        against: Compare with the anchors in a file, at `https://…`, `git:PATH` or `athena:URL`; may be repeated.
        forked: Id of a `log.forked` event that you accepted. Anchors of discarded events are counted, not compared.
        ids: Check event ids that a consumer stored: one per line, or events as JSON lines; `-` reads standard input.
        json: Same as `-o json`.
        options: The output format.
    """
    options = OutputOptions("json") if json else options
    if bundle is not None:
        if ids is not None or forked:
            raise Misused("--ids and --forked cannot be combined with --bundle")
        _prove_bundle(bundle, options, against or ())
        return
    if forked and not against:
        raise Misused("--forked requires --against")
    _prove_log(against, forked or (), ids, options)


def _prove_log(
    against: Sequence[str] | None, forked: Sequence[str], ids: Path | None, options: OutputOptions | None
) -> None:
    """Verify the log that the settings name, and print the report. Raise Failed if it does not verify."""
    from msgspec import to_builtins

    from athena_cli.offline_log import open_offline_log
    from athena_core.clock import SystemClock
    from athena_core.domain import EVENTS
    from athena_core.log.codec import Codec
    from athena_core.services.proof import verify as verifying
    from athena_core.services.proof.ranges import HelperProcesses
    from athena_core.system import gc_tuning

    gc_tuning.tune_gc()
    log = open_offline_log(settings_of(), any_schema=True)
    reader = log.reader()
    steps = verifying.verify(
        reader,
        Codec(EVENTS),
        SystemClock(),
        meta=log.archive.meta,
        anchor=log.anchor,
        against=read_witnesses(against, reader.log_id, _parse_forks(forked, reader.log_id)) if against else None,
        keys=reader.keys(),
        helpers=HelperProcesses(log.directory / "log.db", log.url),
    )
    report = render.last_step(steps, "verify").report
    assert report is not None
    comparison = _compare_ids(ids, reader) if ids is not None else None
    reader.close()
    show_value(report if comparison is None else {**to_builtins(report), "ids": to_builtins(comparison)}, options)
    if not report.ok:
        more = "" if report.violation_count == 1 else f" (and {report.violation_count - 1} more)"
        raise Failed(f"the log does not verify: {report.violations[0]}{more}", printed=True)
    if comparison is not None:
        _check_comparison(comparison, str(ids))


def _check_comparison(comparison: "IdComparison", ids: str) -> None:
    """Raise Failed if the file holds no event id, or one that is not in the log."""
    if not comparison.checked:
        raise Failed(f"{ids} contains no event id", printed=True)
    if comparison.unknown:
        first, others = comparison.unknown[0], comparison.unknown_count - 1
        more = f" (and {others} more)" if others else ""
        raise Failed(f"{ids}, line {first.line}: {first.id}: {first.reason}{more}", printed=True)


def _parse_forks(ids: Sequence[str], log_id: str) -> "list[ForkName]":
    """Parse the ids of accepted forks. Raise Misused for anything but an event id of this log."""
    from athena_core.errors import CursorInvalid
    from projections.engine.cursor import parse_cursor

    forks = []
    for text in ids:
        try:
            cursor = parse_cursor(text)
        except CursorInvalid as error:
            raise Misused("--forked: expected the id of a log.forked event") from error
        if cursor.mark is None or cursor.log_id != log_id:
            raise Misused("--forked: expected the id of a log.forked event of this log")
        forks.append((cursor.position, cursor.mark))
    return forks


def read_witnesses(places: Sequence[str], log_id: str, forks: "Sequence[ForkName]" = ()) -> "Witnesses":
    """Read the anchors at the given places. Raise ConfigError."""
    import asyncio

    from athena_core.services.proof.anchors import Sender, destinations_of, fetch_anchors
    from athena_core.services.proof.witnesses import Witnesses, read_anchors

    sender = Sender.of(settings_of())
    destinations = destinations_of(places, "--against")

    def lines() -> "Iterator[Witness]":
        for place in destinations:
            with asyncio.run(fetch_anchors(place, log_id, sender)) as file:
                yield from read_anchors(place.shown, file)

    return Witnesses(lines(), [place.shown for place in destinations], forks)


def _compare_ids(path: Path, reader: "StoreReader") -> "IdComparison":
    """Compare the event ids in a file with the log. Raise Misused if the file cannot be read."""
    from projections.engine.ids import compare_ids

    if str(path) == "-":
        return compare_ids(sys.stdin.buffer, reader)
    try:
        with path.open("rb") as file:
            return compare_ids(file, reader)
    except OSError as error:
        raise Misused(f"--ids: cannot read {path}: {error.strerror}") from error


def _prove_bundle(path: Path, options: OutputOptions | None, against: Sequence[str]) -> None:
    """Verify a bundle. Raise Failed if it differs from the export."""
    from functools import partial

    from athena_core.domain import EVENTS
    from athena_core.log.chain import ChainBroken
    from athena_core.log.codec import Codec
    from athena_core.services.proof import bundle as bundles
    from athena_core.services.proof.incident import EventNames, prove_incident
    from projections.engine.cursor import event_id, parse_cursor

    def names(log_id: str) -> EventNames:
        return EventNames(partial(event_id, log_id), lambda text: parse_cursor(text).position)

    def prove_lines(file: "BinaryIO") -> Any:
        lines = bundles.read_lines(file)
        first = next(lines, b"")
        head = bundles.head_of(first)
        anchors = read_witnesses(against, head.log_id).anchors() if against else ()
        if against and not anchors:
            raise Failed(f"{', '.join(against)}: found no anchor")
        if head.scope.to is None:
            return bundles.prove(chain((first,), lines), anchors=anchors)
        return prove_incident(chain((first,), lines), names, Codec(EVENTS).decode, anchors)

    try:
        if str(path) == "-":
            proof = prove_lines(sys.stdin.buffer)
        else:
            with path.open("rb") as file:
                proof = prove_lines(file)
    except OSError as error:
        raise Misused(f"--bundle: cannot read {path}: {error.strerror}") from error
    except ChainBroken as broken:
        raise Failed(f"the bundle does not verify: {broken}") from broken
    show_value(proof, options)


def move(*, to: Annotated[str, TEXT], options: OutputOptions | None = None) -> None:
    """Move the log from files to PostgreSQL, or back. Stop all servers and workers first.

    Rows, idempotency keys, guards and checkpoints are copied unchanged under the same log id, so all cursors stay
    valid. The copy is verified and its views are rebuilt. The target stays empty until the copy is complete; repeat
    the command after an interruption. The source is kept, but no server can start on it any more.

    Args:
        to: URL of an empty database or, to move out of a database, a directory without a log.
        options: The output format.
    """
    from contextlib import closing

    from athena_core.log.anchor import Anchor, read_anchor, write_anchor
    from athena_core.log.engine import is_url
    from athena_core.log.port import MOVED_TO
    from athena_core.log.tools import move as moving
    from athena_core.log.tools.move_ends import open_move

    settings = settings_of()
    if "://" in to and not is_url(to):
        raise Misused("--to: expected postgresql://… or a directory")
    origin, target = open_move(settings.state_dir, settings.database_url, to)
    with closing(origin), closing(target):
        _check_movable(origin.meta.get(MOVED_TO), target)
        try:
            if not target.occupied:
                target.begin({name: value for name, value in origin.meta.items() if name != MOVED_TO})
                render.last_step(moving.copy(origin, target), "copy")
            left, arrived = moving.digests(origin), moving.digests(target)
            if left != arrived:
                raise Misused(f"--to: {target.place} holds another log, or another state of this log")
            report = prove(target.reader(), target.meta, read_anchor(origin.anchor), target.place)
            origin.check()
            target.commit()
            write_anchor(target.anchor, Anchor(log_id=report.log_id, position=report.head, chain=report.chain))
            origin.retire(target.place)
        except OSError as error:
            raise Failed(f"cannot move to {target.place}: {error}") from error
    done = {
        "status": "moved",
        "logId": report.log_id,
        "position": report.head,
        "chain": report.chain,
        "from": {"place": origin.place, "digests": left},
        "to": {"place": target.place, "digests": arrived},
        "views": _rebuild_views(settings.state_dir if is_url(to) else Path(to), to if is_url(to) else None),
        "next": "set ATHENA_DATABASE_URL to it"
        if is_url(to)
        else "unset ATHENA_DATABASE_URL, and set ATHENA_STATE_DIR to it",
    }
    show_value(done, options)


def _check_movable(moved: str | None, target: "MoveTarget") -> None:
    """Raise Misused if the log was already moved somewhere else."""
    from athena_core.log.port import MOVED_TO

    if moved is not None and (moved != target.place or not target.occupied):
        raise Misused(f"the log was already moved to {moved}; the copy here is older")
    if MOVED_TO in target.meta:
        raise Misused(f"--to: the log of {target.place} was moved to {target.meta[MOVED_TO]}; choose an empty target")


def _rebuild_views(directory: Path, url: str | None) -> dict[str, str]:
    """Build the views of the moved log and return their digests."""
    from athena_cli.commands.views import digests_of
    from athena_cli.offline_log import OfflineLog
    from athena_core.log.engine import open_archive
    from projections.engine.replay import rebuild

    log = OfflineLog(directory, url, open_archive(directory, url))
    views = log.views()
    render.last_step(rebuild(views), "views")
    return digests_of(views)


def prove(
    reader: "StoreReader",
    meta: Mapping[str, str],
    anchor: "Anchor | None",
    place: str,
    helpers: "HelperProcesses | None" = None,
) -> "VerifyReport":
    """Verify a log and return the report. Raise Failed if it does not verify."""
    from athena_core.clock import SystemClock
    from athena_core.domain import EVENTS
    from athena_core.log.codec import Codec
    from athena_core.services.proof import verify as verifying

    try:
        steps = verifying.verify(
            reader, Codec(EVENTS), SystemClock(), meta=meta, anchor=anchor, keys=reader.keys(), helpers=helpers
        )
        report = render.last_step(steps, "verify").report
    finally:
        reader.close()
    assert report is not None
    if not report.ok:
        raise Failed(f"{place} does not verify: {report.violations[0]}")
    return report
