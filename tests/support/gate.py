"""The gate: a model that answers only when a test lets it, so that no test depends on timing."""

import os
import select
from pathlib import Path

from tests.support.api import PATIENCE_SECONDS

SCRIPT = """#!/bin/sh
# A model for tests. Its last line of input says what to do.
dir=${0%/*}
while IFS= read -r line || [ -n "$line" ]; do last=$line; done
set -- ${last#user: }
case $1 in
hold)
    echo $$ >"$dir/$2.arrivals"
    read -r _ <"$dir/$2.releases"
    printf 'released by %s' "$2"
    ;;
tell)
    gate=$2
    shift 2
    for word; do
        printf '%s ' "$word"
        read -r _ <"$dir/$gate.releases"
    done
    ;;
fail)
    echo 'told to fail' >&2
    exit 3
    ;;
*) printf 'said: %s' "$*" ;;
esac
"""


class Gates:
    """A model for provider ``local-exec``, and gates at which it stops on the input ``hold <name>``.

    On ``tell <name> <words>`` it prints one word after another and stops after each.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._script = directory / "model.sh"
        self._script.write_text(SCRIPT)
        self._gates: dict[str, Gate] = {}

    @property
    def settings(self) -> dict[str, str]:
        return {
            "default_provider": "local-exec",
            "default_model": "script",
            "local_provider_cmd": "/bin/sh",
            "local_provider_args": str(self._script),
        }

    def __getitem__(self, name: str) -> "Gate":
        """Return the gate of a name. It must exist before a run is sent there."""
        if name not in self._gates:
            self._gates[name] = Gate(self._directory, name)
        return self._gates[name]

    def close(self) -> None:
        for gate in self._gates.values():
            gate.close()


class Gate:
    """Two pipes: runs report their arrival through one, and wait for a line from the other."""

    def __init__(self, directory: Path, name: str) -> None:
        self.order = f"hold {name}"
        self.command = f"echo $$ >'{directory}/{name}.arrivals'; read -r _ <'{directory}/{name}.releases'"
        self._ends: list[int] = []
        for part in ("arrivals", "releases"):
            path = directory / f"{name}.{part}"
            os.mkfifo(path)
            self._ends.append(os.open(path, os.O_RDWR))  # both ends, so that opening never blocks
        self._buffer = b""

    def arrival(self) -> int:
        """Wait until one more run is at the gate. Return its process."""
        while b"\n" not in self._buffer:
            ready, _, _ = select.select(self._ends[:1], [], [], PATIENCE_SECONDS)
            assert ready, f"nobody came to {self.order!r}"
            self._buffer += os.read(self._ends[0], 4096)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return int(line)

    def release(self, count: int = 1) -> None:
        """Let runs continue, now or when they arrive."""
        os.write(self._ends[1], b"\n" * count)

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False
