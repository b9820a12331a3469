"""The two ends of a move: files and a database, or a database and files."""

from pathlib import Path

from athena_core.errors import ConfigError
from athena_core.log.engine import is_url, needs_driver
from athena_core.log.tools.move import MoveSource, MoveTarget
from athena_core.log.tools.move_files import FileMoveSource, FileMoveTarget


def open_move(directory: Path, url: str | None, to: str) -> tuple[MoveSource, MoveTarget]:
    """Open source and target of a move: from files to a database, or back. Raise ConfigError."""
    if is_url(to) == (url is not None):
        how = "pg_dump and pg_restore" if url is not None else "athena backup and restore"
        raise ConfigError(f"--to: move is only for files to a database or back; otherwise use {how}")
    if url is None:
        origin: MoveSource = FileMoveSource(directory)
    else:
        origin = needs_driver("tools.move_database").DatabaseMoveSource(url, directory)
    try:
        target: MoveTarget = (
            FileMoveTarget(Path(to))
            if url is not None
            else needs_driver("tools.move_database").DatabaseMoveTarget(to, directory)
        )
    except BaseException:
        origin.close()
        raise
    return origin, target
