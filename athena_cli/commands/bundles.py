"""The command that exports a bundle: a slice of the log that can be verified without the log."""

from itertools import chain
from pathlib import Path
from typing import Annotated

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value


def export(
    *,
    run: str | None = None,
    session: str | None = None,
    since: str | None = None,
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
        to: Extend the slice to this position or event, or to `head`, so that it reaches an anchor kept elsewhere.
        redact: Leave out the text of people, models and tools. The bundle still verifies, and is marked as redacted.
        out: The file to write; standard output if absent.
        options: The output format of the summary.
    """
    if (run is not None) + (session is not None) + (since is not None) != 1:
        raise Misused("export requires exactly one of --run, --session and --since")

    import msgspec

    from athena_cli.offline_log import open_offline_log, position_of
    from athena_core.log.chain import ChainBroken
    from athena_core.services.proof.bundle import BundleHead, BundleScope
    from athena_core.services.proof.bundle import export as lines_of
    from athena_core.system import private_file

    reader = open_offline_log(settings_of()).reader()
    try:
        after = None if since is None else position_of(since, reader)
        end = None if to is None else reader.head() if to == "head" else position_of(to, reader)
        lines = lines_of(reader, BundleScope(run_id=run, session_id=session, after=after), redact=redact, to=end)
        head = next(lines)
        if not msgspec.json.decode(head, type=BundleHead).head:
            render.note("Warning: no event of the log matches; the bundle is empty")
        lines = chain((head,), lines)
        if out is None:
            render.write_lines(lines)
            return
        draft = out.with_name(out.name + ".part")
        with open(draft, "wb", opener=private_file.opener) as file:  # noqa: PTH123 - Path.open takes none
            file.writelines(lines)
        draft.replace(out)
    except ChainBroken as broken:
        raise Failed(f"cannot export: {broken}. Run 'athena verify' to find the damage.") from broken
    except OSError as error:
        if out is None:  # main() reports errors of standard output
            raise
        raise Failed(f"cannot write {out}: {error.strerror}") from error
    finally:
        reader.close()
    show_value({"status": "written", "path": str(out), "bytes": out.stat().st_size}, options)
