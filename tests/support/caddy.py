"""A real Caddy in front of servers under test."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.nginx import listening
from tests.support.programs import lack

CADDY = shutil.which("caddy")
MISSING = lack("caddy")
AROUND = """{{
    admin off
    auto_https disable_redirects
    default_sni {name}
}}
"""


@contextmanager
def caddy(directory: Path, port: int, name: str, text: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Run Caddy with a site that has a name and listens on a port of this machine. Yield its address."""
    assert CADDY is not None
    file, log = directory / "Caddyfile", directory / "caddy.log"
    file.write_text(AROUND.format(name=name) + text)
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [CADDY, "run", "--config", file, "--adapter", "caddyfile"],
            env={**environment, **home},
            stdout=out,
            stderr=out,
        )
    with listening(process, port, log) as url:
        yield url
