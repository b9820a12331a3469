"""Commands that look after a state directory: copies of the log, slices of it, and what is wrong with a set-up."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from athena_cli.commands import SWITCH, TEXT, Form, settings_of, show
from athena_cli.exit_codes import Failed, Misused

if TYPE_CHECKING:
    from athena_cli.checks import Finding
    from athena_core.log.anchor import Anchor
    from athena_core.log.port import StoreReader
    from athena_core.log.tools.move import MoveTarget
    from athena_core.services.proof.ranges import HelperProcesses
    from athena_core.services.proof.verify import VerifyReport

REASON_CHARS_MAX = 1_000
WAIT_SECONDS, WAIT_SECONDS_MAX = 90.0, 3_600


def backup(target: Path, /, *, form: Form | None = None) -> None:
    """Copy the log into one file while others write to it, and verify the copy.

    Everything that was acknowledged before the command began is in it, with idempotency keys; views are not, they are
    rebuilt. Restore it with `athena restore`.

    Args:
        target: The file to write; it must not exist.
        form: How to show it.
    """
    from athena_cli import render
    from athena_cli.offline_log import kept
    from athena_core.log.tools.backup import copy_log

    settings = settings_of(None)
    if settings.database_url is not None:
        raise Misused("a database is backed up with its own tools, for example pg_dump")
    source = kept(settings).directory / "log.db"
    try:
        render.last(copy_log(source, target), "backup")
    except OSError as error:
        raise Failed(f"cannot write {target}: {error.strerror}") from error
    report = _verified(target)
    done = {
        "status": "written",
        "path": str(target),
        "bytes": target.stat().st_size,
        "logId": report.log_id,
        "position": report.head,
        "chain": report.chain,
    }
    show(done, form)


def anchor(*, to: Annotated[list[str] | None, SWITCH] = None, form: Form | None = None) -> None:
    """Write an anchor (position and chain value of the log's head) where its owner cannot rewrite it.

    It is appended there, beside earlier ones. `athena verify --against PLACE` compares the log with all of them. Exit
    code 1 if a place did not take it.

    Args:
        to: A file, `https://…`, `git:PATH` or `athena:URL`; may be given several times. ATHENA_ANCHOR_TO if absent.
        form: How to show it.
    """
    import asyncio

    from athena_cli.offline_log import kept
    from athena_core.clock import SystemClock
    from athena_core.errors import AnchorNotSent
    from athena_core.services.proof.anchors import Sender, anchor_at_head, check_outside, destinations_of

    settings = settings_of(None)
    field = "--to" if to else "ATHENA_ANCHOR_TO"
    places = destinations_of(to or settings.anchor_to, field)
    check_outside(places, settings.state_dir, field)
    if not places:
        raise Misused("anchor needs --to: a file, https://…, git:PATH or athena:URL")
    reader = kept(settings).reader()
    try:
        line = anchor_at_head(reader, SystemClock())
    finally:
        reader.close()
    if line is None:
        raise Failed("the log is empty; there is nothing to anchor")
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
    show(
        {"logId": line.log_id, "position": line.position, "chain": line.chain, "at": line.at, "written": written}, form
    )
    if failures:
        raise Failed("; ".join(failures))


def restore(source: Path, /, *, form: Form | None = None) -> None:
    """Verify a backup and put it in the place of the log; no process may be at work there.

    A log that was there is kept under another name. If it had gone further than the backup, the next start refuses
    until ATHENA_ACCEPT_FORK=true says that this is meant; cursors up to the backup's end stay valid.

    Args:
        source: The file that `athena backup` wrote.
        form: How to show it.
    """
    from athena_core.log.tools.backup import restore_log

    settings = settings_of(None)
    if settings.database_url is not None:
        raise Misused("a database is restored with its own tools, for example pg_restore")
    report = _verified(source)
    try:
        done = restore_log(source, settings.state_dir)
    except OSError as error:
        raise Failed(f"cannot restore {source}: {error.strerror}") from error
    answer = {"status": "restored", "logId": done.log_id, "position": done.position, "chain": report.chain}
    if done.kept is not None:
        answer["kept"] = done.kept
    if done.forks:
        answer["next"] = "start once with ATHENA_ACCEPT_FORK=true"
    show(answer, form)


def move(*, to: Annotated[str, TEXT], form: Form | None = None) -> None:
    """Move the log from files to PostgreSQL, or back, with all that belongs to it; no process may be at work on either.

    Rows, idempotency keys, guards and checkpoints arrive as they were, under the same log id, so every cursor stays
    valid; the chain is verified and the views are rebuilt there. Until all of it has arrived the target is empty: a
    move that was interrupted is begun again by the same command. What was moved stays where it was, and cannot be
    started any more.

    Args:
        to: The URL of an empty database, or, from a database, a directory without a log.
        form: How to show it.
    """
    from contextlib import closing

    from athena_cli import render
    from athena_core.log.anchor import Anchor, read_anchor, write_anchor
    from athena_core.log.engine import is_url, open_move
    from athena_core.log.port import MOVED_TO
    from athena_core.log.tools import move as moving

    settings = settings_of(None)
    if "://" in to and not is_url(to):
        raise Misused("--to: expected postgresql://… or a directory")
    origin, target = open_move(settings.state_dir, settings.database_url, to)
    with closing(origin), closing(target):
        _movable(origin.meta.get(MOVED_TO), target)
        try:
            if not target.occupied:
                target.begin({name: value for name, value in origin.meta.items() if name != MOVED_TO})
                render.last(moving.copy(origin, target), "copy")
            left, arrived = moving.digests(origin), moving.digests(target)
            if left != arrived:
                raise Misused(f"--to: {target.place} holds another log, or this one as it was at another time")
            report = _proved(target.reader(), target.meta, read_anchor(origin.anchor), target.place)
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
        "views": _rebuilt(settings.state_dir if is_url(to) else Path(to), to if is_url(to) else None),
        "next": "set ATHENA_DATABASE_URL to it"
        if is_url(to)
        else "unset ATHENA_DATABASE_URL, and set ATHENA_STATE_DIR to it",
    }
    show(done, form)


def _movable(moved: str | None, target: "MoveTarget") -> None:
    """Raise Misused where a log was moved elsewhere before."""
    from athena_core.log.port import MOVED_TO

    if moved is not None and (moved != target.place or not target.occupied):
        raise Misused(f"the log was moved to {moved} before; what is left here is older")
    if MOVED_TO in target.meta:
        raise Misused(f"--to: the log of {target.place} was moved to {target.meta[MOVED_TO]}; name an empty place")


def _rebuilt(directory: Path, url: str | None) -> dict[str, str]:
    """Build the views of a log that has arrived; their digests."""
    from athena_cli import render
    from athena_cli.commands import digests_of
    from athena_cli.offline_log import Kept
    from athena_core.log.engine import open_archive
    from projections.engine.replay import rebuild

    state = Kept(directory, url, open_archive(directory, url))
    views = state.views()
    render.last(rebuild(views), "views")
    return digests_of(views)


def _verified(path: Path) -> "VerifyReport":
    """The report on a copy of a log. Raises Failed if it does not verify."""
    from athena_core.log.tools.backup import open_log_file
    from athena_core.services.proof.ranges import HelperProcesses

    reader, meta = open_log_file(path)
    return _proved(reader, meta, None, str(path), HelperProcesses(path))


def _proved(
    reader: "StoreReader",
    meta: Mapping[str, str],
    anchor: "Anchor | None",
    place: str,
    helpers: "HelperProcesses | None" = None,
) -> "VerifyReport":
    """The report on a log. Raises Failed if it does not verify."""
    from athena_cli import render
    from athena_core.clock import SystemClock
    from athena_core.domain import EVENTS
    from athena_core.log.codec import Codec
    from athena_core.services.proof import verify as verifying

    try:
        steps = verifying.verify(
            reader, Codec(EVENTS), SystemClock(), meta=meta, anchor=anchor, keys=reader.keys(), helpers=helpers
        )
        report = render.last(steps, "verify").report
    finally:
        reader.close()
    assert report is not None
    if not report.ok:
        raise Failed(f"{place} does not verify: {report.violations[0]}")
    return report


def export(
    *,
    run: str | None = None,
    session: str | None = None,
    since: str | None = None,
    to: str | None = None,
    redact: Annotated[bool, SWITCH] = False,
    out: Path | None = None,
    form: Form | None = None,
) -> None:
    """Write a slice of the log that proves itself elsewhere: `athena verify --bundle FILE`.

    Args:
        run: The events of this run.
        session: The events of this session.
        since: Everything after an event (its id, or a position), or since a time (ISO-8601).
        to: Extend the slice to this position or event, or to `head`, so that a kept anchor vouches for it.
        redact: Without what people, models and tools wrote; the bundle says so, and still proves itself.
        out: The file to write; standard output if absent.
        form: How to show what was written.
    """
    if (run is not None) + (session is not None) + (since is not None) != 1:
        raise Misused("export needs one of --run, --session and --since")

    import msgspec

    from athena_cli import render
    from athena_cli.offline_log import kept, place_of
    from athena_core.log.chain import ChainBroken
    from athena_core.services.proof.bundle import BundleHead, BundleScope
    from athena_core.services.proof.bundle import export as lines_of
    from athena_core.system import private_file

    reader = kept(settings_of(None)).reader()
    try:
        after = None if since is None else place_of(since, reader)
        end = None if to is None else reader.head() if to == "head" else place_of(to, reader)
        lines = lines_of(reader, BundleScope(run_id=run, session_id=session, after=after), redact=redact, to=end)
        head = next(lines)
        if not msgspec.json.decode(head, type=BundleHead).head:
            render.note("Warning: the log holds nothing of that; the bundle is empty")
        lines = chain((head,), lines)
        if out is None:
            render.write_lines(lines)
            return
        draft = out.with_name(out.name + ".part")
        with open(draft, "wb", opener=private_file.opener) as file:  # noqa: PTH123 - Path.open takes none
            file.writelines(lines)
        draft.replace(out)
    except ChainBroken as broken:
        raise Failed(f"cannot export: {broken}; athena verify names what is wrong with the log") from broken
    except OSError as error:
        if out is None:  # who leads all commands tells of the standard output
            raise
        raise Failed(f"cannot write {out}: {error.strerror}") from error
    finally:
        reader.close()
    show({"status": "written", "path": str(out), "bytes": out.stat().st_size}, form)


def doctor(*, form: Form | None = None) -> None:
    """Look at versions, settings, disk, clock, port and log: what is wrong, and what mends it.

    Exit code 1 if something keeps Athena from working as promised.

    Args:
        form: How to show what was found.
    """
    from athena_cli.checks import examine
    from athena_cli.render import on_terminal

    findings = examine()
    output = form.output if form else None
    if output == "table" or (output is None and on_terminal()):
        _list(findings)
    else:
        show({"ok": all(found.status != "wrong" for found in findings), "findings": findings}, form)
    wrong = [found for found in findings if found.status == "wrong"]
    if wrong:
        raise Failed(f"{wrong[0].check}: {wrong[0].says}")


def _list(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.text import Text

    from athena_core.text import printable

    colours = {"ok": "green", "notice": "yellow", "wrong": "red"}
    console = Console()
    for found in findings:
        line = Text(f"{found.status:>6}  ", style=colours[found.status])
        line.append(f"{found.check}: {printable(found.says)}", style="default")
        console.print(line)
        if found.remedy:
            console.print(Text(f"        {printable(found.remedy)}", style="dim"))


def redact(
    *,
    position: int | None = None,
    run: str | None = None,
    session: str | None = None,
    reason: Annotated[str | None, TEXT] = None,
    wait: float = WAIT_SECONDS,
    audit: Annotated[bool, SWITCH] = False,
    form: Form | None = None,
) -> None:
    """Erase what people, models and tools wrote, permanently; the facts stay and the log still verifies.

    Works on the state directory, also beside a server. Exit code 0 means that no file of the state directory holds the
    text. Otherwise the exit code is 1, and `left` names each place and what removes the text there; the same command
    can be run again. Other events that repeat an erased text of 12 characters or more are such places, too. With
    `--audit` it erases nothing and counts the words that older releases recorded in public payloads.

    Args:
        position: Erase the text of the event at this position.
        run: Erase all text of this run, its input included.
        session: Erase all text of this session and its runs.
        reason: Why, for the audit trail.
        wait: How many seconds to wait for other processes that are reading the text.
        audit: Count what cannot be erased in the whole log, by event and field.
        form: How to show it.
    """
    if audit:
        _count_public_words(form)
        return
    if [position, run, session].count(None) != 2:
        raise Misused("redact needs one of --position, --run and --session")
    if reason is None or not reason.strip() or len(reason) > REASON_CHARS_MAX:
        raise Misused(f"--reason: expected 1 to {REASON_CHARS_MAX} characters")
    if not 0 <= wait <= WAIT_SECONDS_MAX:
        raise Misused(f"--wait: expected 0 to {WAIT_SECONDS_MAX} seconds")

    import asyncio

    import msgspec

    from athena_cli import render
    from athena_cli.in_process import in_process
    from athena_cli.offline_log import kept
    from athena_cli.output_shapes import remains
    from athena_core.event import Meta
    from athena_core.services.erasure import redaction

    settings = settings_of(None)
    kept(settings)

    async def work() -> dict[str, Any]:
        async with in_process(settings) as inside:
            plane = inside.plane
            meta = Meta(actor=settings.cli_identity or "local", correlation=plane.ids.trace())
            if run is not None:
                found = redaction.text_of_run(plane.reader, plane.log.codec, run)
            elif session is not None:
                found = redaction.text_of_session(plane.reader, plane.log.codec, session)
            else:
                found = redaction.text_of_event(plane.reader, position or 0)
            done, copies = await redaction.redact(plane.log, plane.reader, found, reason.strip(), meta)
            left = (*await plane.scrub(done, wait), *copies, *found.public)
            return {"redacted": len(found.rows), "position": done, "left": msgspec.to_builtins(left)}

    done = asyncio.run(work())
    show(done, form)
    if settings.database_url is not None:
        render.note(
            "PostgreSQL may still hold it in free space of pages, in write-ahead logs and their archive, on standbys"
            " and in backups; see docs/postgresql.md"
        )
    if (wrong := remains(done["left"])) is not None:
        raise Failed(wrong)


def _count_public_words(form: Form | None) -> None:
    from athena_cli.offline_log import kept
    from athena_core.services.erasure import redaction

    reader = kept(settings_of(None)).reader()
    try:
        counts = redaction.count_public_words(reader)
    finally:
        reader.close()
    show({"words": sum(counts.values()), "fields": counts}, form)
