"""Tests of the environment of a process: others cannot read it, and its own code keeps what it needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process")
SECRET = "canary-of-the-environment-1"

HIDES = """
import ctypes, os, sys
from athena_core.system import own_environment
had = dict(os.environ)
print("started", flush=True)
sys.stdin.readline()
own_environment.hide()
libc = ctypes.CDLL(None)
libc.getenv.restype = ctypes.c_char_p
assert dict(os.environ) == had
assert all(os.fsdecode(libc.getenv(os.fsencode(name))) == value for name, value in had.items())
print("hidden", flush=True)
sys.stdin.readline()
own_environment.remove(["ATHENA_OPENAI_API_KEY", "NOT_THERE"])
os.execv("/usr/bin/env", ["env"])
"""

FORGETS = """
import os, posix
from athena_core.settings import forget, load
assert load().openai_api_key == os.environ["ATHENA_OPENAI_API_KEY"]
forget()
left = (*os.environ, *map(os.fsdecode, posix.environ))
print([name for name in left if name.startswith(("ATHENA", "OPENAI"))], flush=True)
os.execv("/usr/bin/env", ["env"])
"""


def variables() -> dict[bytes, bytes]:
    return {
        b"PATH": os.fsencode(os.environ["PATH"]),
        b"PYTHONPATH": bytes(ROOT),
        b"ATHENA_OPENAI_API_KEY": SECRET.encode(),
        b"OPENAI_API_KEY": SECRET.encode(),
        b"OF_ANOTHER_PROGRAM": b"stays",
        b"NO_UTF_8": b"\xff\xfe",
        b"EMPTY": b"",
    }


def program(text: str) -> subprocess.Popen[bytes]:
    command = (sys.executable, "-c", text)
    return subprocess.Popen(command, env=variables(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@LINUX
def test_no_process_reads_a_hidden_environment_and_its_own_code_reads_all_of_it() -> None:
    with program(HIDES) as running:
        assert running.stdout
        assert running.stdin
        assert running.stdout.readline() == b"started\n"
        before = Path(f"/proc/{running.pid}/environ").read_bytes()
        running.stdin.write(b"\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"hidden\n"
        shown = Path(f"/proc/{running.pid}/environ").read_bytes()
        kept = running.communicate(b"\n")[0]
    assert SECRET.encode() in before
    assert not shown.strip(b"\0")
    lines = kept.splitlines()
    assert {b"NO_UTF_8=\xff\xfe", b"EMPTY=", b"OF_ANOTHER_PROGRAM=stays"} <= set(lines)
    assert b"ATHENA_OPENAI_API_KEY" not in kept


def test_a_server_forgets_its_settings_and_the_keys_of_other_tools() -> None:
    with program(FORGETS) as running:
        printed = running.communicate()[0]
    assert running.returncode == 0
    assert printed.splitlines()[0] == b"[]"
    assert SECRET.encode() not in printed
    assert b"OF_ANOTHER_PROGRAM=stays" in printed
