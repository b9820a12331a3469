"""A listening Unix socket at a short random path that only this user reaches, and that a box can bind."""

import os
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

SHORT_PLACE, PREFIX = "/tmp", "athena-"  # noqa: S108 - a private directory is made there
PATH_BYTES_MAX = 107
"""Maximum size of the path of a socket."""
SOCKET_MODE = 0o600
UNLISTED_MODE = 0o100
"""Mode of the directory: a box that shows it read-only cannot find the sockets of other runs."""
OWNED_MODE = 0o700
BACKLOG = 128


class PrivateSocket:
    """A listening socket. ``path`` is its path."""

    def __init__(self, name: str) -> None:
        """Listen on a socket whose file has a name. Raise OSError."""
        self._directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_place(name)))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.path = Path(tempfile.mkdtemp(prefix="", dir=self._directory)) / name
            self.listener.bind(str(self.path))
            self.path.chmod(SOCKET_MODE)
            self._directory.chmod(UNLISTED_MODE)
            self.listener.listen(BACKLOG)
            self.listener.setblocking(False)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Close the socket, and remove it with its directory."""
        self.listener.close()
        with suppress(OSError):
            self._directory.chmod(OWNED_MODE)
        shutil.rmtree(self._directory, ignore_errors=True)


def _place(name: str) -> str:
    """Return the temporary directory, or a shorter one if the path of the socket there would be too long."""
    place = tempfile.gettempdir()
    longest = os.fsencode(f"{place}/{PREFIX}12345678/12345678/{name}")
    return place if len(longest) <= PATH_BYTES_MAX else SHORT_PLACE
