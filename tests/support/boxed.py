"""Programs of other users, and pipes that show which of their processes are left."""

import os
import pwd
import subprocess
import sys
import time
from pathlib import Path


def python_of(user: str | None, imports: str) -> tuple[str, ...]:
    """Return the words that start a Python, as a user, which can import modules. Raise LookupError if there is none."""
    words: tuple[str, ...] = ()
    if user is not None:
        entry = pwd.getpwnam(user)
        words = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        again = (*words, "sh", "-c", f"exec {python} -c 'import {imports}'")
        if subprocess.run(again, stderr=subprocess.DEVNULL, env=paths(), check=False).returncode == 0:
            return (*words, python)
    raise LookupError(f"{user} may execute no Python that imports {imports}; install python3 below /usr")


def paths() -> dict[str, str]:
    """Return the environment of a program that imports Athena and the packages of this process."""
    root = Path(__file__).parents[2]
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{root}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}


class SharedPipe:
    """A named pipe for processes of any user, which ends with the last process that holds it."""

    def __init__(self, path: Path) -> None:
        """Create it."""
        self.path = path
        os.mkfifo(path)
        path.chmod(0o666)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def bytes_until(self, count: int | None, seconds: float) -> int:
        """Read that many bytes, None: to the end. Return how many there were; -1 if it is still open."""
        found, until = 0, time.monotonic() + seconds
        while count is None or found < count:
            try:
                piece = os.read(self._reader, 100)
                if not piece and count is None:
                    return found
                found += len(piece)
            except BlockingIOError:
                if time.monotonic() > until:
                    return -1
            time.sleep(0.001)
        return found

    def close(self) -> None:
        """Close and delete it."""
        os.close(self._reader)
        self.path.unlink()
