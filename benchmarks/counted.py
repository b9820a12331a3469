"""The command line of Athena in a process that counts its objects: ``SIGUSR1`` has it write how many to ``objects``."""

import gc
import signal
import sys
from pathlib import Path

from athena_cli.app import main

NAME = "objects"


def count(number: int, frame: object) -> None:
    """Collect what nobody needs, and write how much is left."""
    gc.collect()
    draft = Path(NAME + ".new")
    draft.write_text(str(len(gc.get_objects())), "ascii")
    draft.replace(NAME)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, count)
    sys.exit(main())
