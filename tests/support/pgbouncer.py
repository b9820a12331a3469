"""A real pgbouncer in front of a PostgreSQL under test."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from psycopg.conninfo import conninfo_to_dict

from tests.support.nginx import free_port, listening
from tests.support.postgres import as_somebody
from tests.support.programs import lack

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
MISSING = lack("pgbouncer")
CONFIGURATION = """
[databases]
{database} = {there}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
{more}
"""


@contextmanager
def pgbouncer(directory: Path, url: str, mode: Literal["session", "transaction"], more: str = "") -> Iterator[str]:
    """Run a pooler in front of the database of a URL, with lines of its configuration. Yield the URL through it."""
    assert PGBOUNCER is not None
    found = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    database, user = found["dbname"], found["user"]
    there = " ".join(f"{name}={value}" for name, value in found.items() if name in ("host", "port", "user", "password"))
    port = free_port()
    file, log = directory / f"{mode}.ini", directory / f"{mode}.log"
    file.write_text(CONFIGURATION.format(database=database, there=there, port=port, mode=mode, more=more))
    with file.open("rb") as settings, log.open("wb") as out:  # so that any user may read it
        process = subprocess.Popen(
            [PGBOUNCER, f"/proc/self/fd/{settings.fileno()}"],
            pass_fds=(settings.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            **as_somebody(),
        )
    with listening(process, port, log):
        try:
            yield f"postgresql://{user}@127.0.0.1:{port}/{database}"
        finally:
            process.send_signal(signal.SIGQUIT)  # SIGTERM would wait for its clients
