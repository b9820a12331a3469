"""The memory of a tree of processes."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from athena_core.agents.memory import tree_bytes

MIB = 1 << 20
HOLD = "import sys; held = b'x' * ({} << 20); print(flush=True); sys.stdin.read()"
TREE = "import subprocess, sys; subprocess.Popen([sys.executable, '-ISc', sys.argv[1]], start_new_session=True).wait()"


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[bytes]]:
    """A process whose child holds 40 MiB in a session of its own."""
    argv = [sys.executable, "-ISc", TREE, HOLD.format(40)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_what_a_process_started_counts_and_nothing_else_does(tree: subprocess.Popen[bytes]) -> None:
    sizes = tree_bytes((tree.pid, os.getpid(), 2**22 + 1))
    assert 40 * MIB < sizes[tree.pid] < 120 * MIB
    assert sizes[os.getpid()] > 0
    assert sizes[2**22 + 1] == 0, "no such process"
    assert tree_bytes((os.getpid(),))[os.getpid()] > sizes[os.getpid()], "without a root below it, the tree is ours"
