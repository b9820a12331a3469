"""Attacks on closed files of a shared workspace: the machine replaces them while a box runs there."""

import os
import signal
import subprocess
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

from athena_core.tools.workspace import MIRRORS
from tests.support.api import soon

SECRET = "canary-of-the-closed-file"
ROLE = "ATHENA_AUTH_IDENTITY_ROLE_MAP=eve:Admin"
PATTERNS = "secret.pem"
"""The value of ``ATHENA_WORKSPACE_CLOSED``."""

ATTACKS = {
    "rename": f"echo NEW={SECRET} > new && mv new .env",
    "sed -i": "sed -i s/OLD=/NEW=/ .env",
    "rotation": f"mv conf/secret.pem conf/.ssh/old && echo {SECRET} > conf/secret.pem",
    "hard link": "ln .env linked; ln conf/.ssh/id conf/linked",
    "swap of a parent directory": f"mv conf moved && mkdir conf && echo {SECRET} > conf/secret.pem",
    "new closed file": f"mkdir -p open/deep && echo {SECRET} | tee open/.env > open/deep/secret.pem",
}
"""What a person or a program of the machine does."""

PLACES = ".env conf/secret.pem moved/secret.pem linked conf/linked open/.env open/deep/secret.pem"
SCRIPT = f"""
sleep {{seconds}}
cat {PLACES}; grep -rs canary-of-the .
for place in {PLACES}; do echo {ROLE} >> $place; done; mkdir personas; echo done > made; exit 0
"""
"""Sleeps until the attack has ended it, looks for the secret under every name, and writes to each closed one."""

_sleeps = count(1_000_000)


def lay_out(work: Path) -> None:
    """Make the files of a workspace."""
    for place in (work / "conf/.ssh", work / "open"):
        place.mkdir(parents=True)
    (work / "open/file").write_text("shown")
    (work / ".env").write_text(f"OLD={SECRET}\n")
    for name in ("conf/secret.pem", "conf/.ssh/id"):
        (work / name).write_text(SECRET)


class Attack:
    """An attack on a workspace while ``script`` runs in a box. Enter it before the script is started."""

    def __init__(self, work: Path, how: str) -> None:
        self._work = work
        self._how = how
        self._word = f"{os.getpid()}{next(_sleeps)}"
        self.script = SCRIPT.format(seconds=self._word)
        self._thread = threading.Thread(target=self._attack, daemon=True)
        self._made = False

    def _attack(self) -> None:
        for _ in soon():
            if found := _sleeper(self._word):
                subprocess.run(("sh", "-c", ATTACKS[self._how]), cwd=self._work, check=True)
                os.kill(found, signal.SIGKILL)
                self._made = True
                return

    def __enter__(self) -> "Attack":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        assert self._made, "the script did not run"


def _sleeper(word: str) -> int:
    """Return the pid of the process that sleeps for some seconds, 0 if there is none."""
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with suppress(OSError):
                if (place / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", word.encode()]:
                    return int(place.name)
    return 0


def check(work: Path, said: str) -> None:
    """Check what a command that ran ``SCRIPT`` said and left: it made its file, and nothing closed was shown."""
    assert SECRET not in said, said
    names = (path.relative_to(work) for path in work.rglob("*") if path.is_file())
    found = {str(name): (work / name).read_text(errors="replace") for name in names if MIRRORS not in name.parts}
    closed = {name: text for name, text in found.items() if name.split("/")[-1] in {".env", "secret.pem", "id"}}
    assert SECRET in str(closed) and ROLE not in str(closed), closed
    assert found["made"] == "done\n" and found["open/file"] == "shown"
    assert not (work / "personas").exists()
