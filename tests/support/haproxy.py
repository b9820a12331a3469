"""A real HAProxy in front of servers under test."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.nginx import listening
from tests.support.programs import lack

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
MISSING = lack("haproxy")


@contextmanager
def haproxy(directory: Path, port: int, text: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run HAProxy with a configuration that listens on a port of this machine. Yield its address."""
    assert HAPROXY is not None
    file, log = directory / "haproxy.cfg", directory / "haproxy.log"
    file.write_text(text)
    with log.open("wb") as out:
        process = subprocess.Popen([HAPROXY, "-db", "-f", file], env=environment, stdout=out, stderr=out)
    with listening(process, port, log) as url:
        yield url
