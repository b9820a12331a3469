"""The command that exports a bundle: a slice of the log that can be verified without the log."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_core.log.port import StoreReader


def export(
    *,
    run: str | None = None,
    session: str | None = None,
    since: str | None = None,
    incident: str | None = None,
    to: str | None = None,
    redact: Annotated[bool, SWITCH] = False,
    out: Path | None = None,
    options: OutputOptions | None = None,
) -> None:
    """Export a slice of the log (a bundle) that can be verified on another machine: `athena verify --bundle FILE`.

    Args:
        run: Export the events of this run.
        session: Export the events of this session.
        since: Export everything after an event (its id or position), or since a time (ISO-8601).
        incident: Export everything between two moments, as `FROM..TO`, with what changed between them, what was open
            and which policy was in force at both, and why runs failed. A moment is as for `--as-of`; without `TO` it is
            now.
        to: Extend the slice to this position or event, or to `head`, so that it reaches an anchor kept elsewhere. An
            incident is extended to the next anchor in a place of `ATHENA_ANCHOR_TO`.
        redact: Leave out the text of people, models and tools. The bundle still verifies, and is marked as redacted.
        out: The file to write; standard output if absent.
        options: The output format of the summary.
    """
    if sum(one is not None for one in (run, session, since, incident)) != 1:
        raise Misused("export requires exactly one of --run, --session, --since and --incident")

    from athena_cli.offline_log import open_offline_log, position_of
    from athena_core.log.chain import ChainBroken
    from athena_core.services.proof.bundle import BundleScope
    from athena_core.services.proof.bundle import export as lines_of

    reader = open_offline_log(settings_of()).reader()
    try:
        end = None if to is None else reader.head() if to == "head" else position_of(to, reader)
        if incident is not None:
            _write(_incident(incident, reader, end, redact=redact), out)
        else:
            after = None if since is None else position_of(since, reader)
            scope = BundleScope(run_id=run, session_id=session, after=after)
            _write(_with_warning(lines_of(reader, scope, redact=redact, to=end)), out)
    except ChainBroken as broken:
        raise Failed(f"cannot export: {broken}. Run 'athena verify' to find the damage.") from broken
    except OSError as error:
        if out is None:  # main() reports errors of standard output
            raise
        raise Failed(f"cannot write {out}: {error.strerror}") from error
    finally:
        reader.close()
    if out is not None:
        show_value({"status": "written", "path": str(out), "bytes": out.stat().st_size}, options)


def _incident(interval: str, reader: "StoreReader", end: int | None, *, redact: bool) -> Iterable[bytes]:
    """Return the lines of an incident. Raise Misused, NotAllowed or AthenaError."""
    from athena_cli.commands.incidents import ends_of, next_anchor, read_parts
    from athena_core.services.proof.bundle import export as lines_of
    from athena_core.services.proof.incident import incident_lines

    settings = settings_of()
    after, to = ends_of(interval, reader)
    scope, parts = read_parts(settings, reader, after, to, redact=redact)
    end = next_anchor(settings, reader, to) if end is None else end
    return incident_lines(lines_of(reader, scope, redact=redact, to=end), parts)


def _with_warning(lines: Iterable[bytes]) -> Iterable[bytes]:
    """Return the lines of a bundle. Print a warning if it is empty."""
    from athena_core.services.proof.bundle import head_of

    lines = iter(lines)
    head = next(lines)
    if not head_of(head).head:
        render.note("Warning: no event of the log matches; the bundle is empty")
    return chain((head,), lines)


def _write(lines: Iterable[bytes], out: Path | None) -> None:
    """Write the lines of a bundle to a file that only its owner can read, or to standard output. Raise OSError."""
    from athena_core.system import private_file

    if out is None:
        render.write_lines(lines)
        return
    draft = out.with_name(out.name + ".part")
    with open(draft, "wb", opener=private_file.opener) as file:  # noqa: PTH123 - Path.open takes none
        file.writelines(lines)
    draft.replace(out)
