"""Commands that back up and restore the log."""

from pathlib import Path
from typing import TYPE_CHECKING

from athena_cli import render
from athena_cli.client import settings_of
from athena_cli.exit_codes import Failed, Misused
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_core.services.proof.verify import VerifyReport


def backup(target: Path, /, *, options: OutputOptions | None = None) -> None:
    """Copy the log to one file, even while a server writes to it, and verify the copy.

    The copy holds everything that was acknowledged before the command started, including idempotency keys. Views are
    not copied; they are rebuilt from the log. Restore the copy with `athena restore`.

    Args:
        target: The file to write. It must not exist.
        options: The output format.
    """
    from athena_cli.offline_log import open_offline_log
    from athena_core.log.tools.backup import copy_log

    settings = settings_of()
    if settings.database_url is not None:
        raise Misused("back up a database with its own tools, for example pg_dump")
    source = open_offline_log(settings).directory / "log.db"
    try:
        render.last_step(copy_log(source, target), "backup")
    except OSError as error:
        raise Failed(f"cannot write {target}: {error.strerror}") from error
    report = _verify_copy(target)
    done = {
        "status": "written",
        "path": str(target),
        "bytes": target.stat().st_size,
        "logId": report.log_id,
        "position": report.head,
        "chain": report.chain,
    }
    show_value(done, options)


def restore(source: Path, /, *, options: OutputOptions | None = None) -> None:
    """Verify a backup and replace the log with it. Stop all servers and workers first.

    The replaced log is kept under another name. If it holds events that the backup lacks, the next start fails until
    ATHENA_ACCEPT_FORK=true confirms their loss. Cursors up to the end of the backup stay valid.

    Args:
        source: A file written by `athena backup`.
        options: The output format.
    """
    from athena_core.log.tools.backup import restore_log

    settings = settings_of()
    if settings.database_url is not None:
        raise Misused("restore a database with its own tools, for example pg_restore")
    report = _verify_copy(source)
    try:
        done = restore_log(source, settings.state_dir)
    except OSError as error:
        raise Failed(f"cannot restore {source}: {error.strerror}") from error
    answer = {"status": "restored", "logId": done.log_id, "position": done.position, "chain": report.chain}
    if done.kept is not None:
        answer["kept"] = done.kept
    if done.forks:
        answer["next"] = "start once with ATHENA_ACCEPT_FORK=true"
    show_value(answer, options)


def _verify_copy(path: Path) -> "VerifyReport":
    """Return the report on a copy of a log. Raise Failed if it does not verify."""
    from athena_cli.commands.log import prove
    from athena_core.log.tools.backup import open_log_file
    from athena_core.services.proof.ranges import HelperProcesses

    reader, meta = open_log_file(path)
    return prove(reader, meta, None, str(path), HelperProcesses(path))
