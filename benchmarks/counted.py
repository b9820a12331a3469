"""The Athena command line in a process that counts its objects: ``SIGUSR1`` writes the count to ``objects``."""

import gc
import signal
import sys
from pathlib import Path

from athena_cli.app import main

NAME = "objects"


def count(number: int, frame: object) -> None:
    """Run the garbage collector, and write the number of remaining objects."""
    gc.collect()
    draft = Path(NAME + ".new")
    draft.write_text(str(len(gc.get_objects())), "ascii")
    draft.replace(NAME)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, count)
    sys.exit(main())
