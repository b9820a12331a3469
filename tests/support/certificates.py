"""Certificates of servers under test, made with openssl."""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.programs import lack

OPENSSL = shutil.which("openssl")
MISSING = lack("openssl")
EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


class Pair(NamedTuple):
    """A self-signed certificate with its key."""

    cert: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a server that uses it."""
        return {"tls_cert_file": str(self.cert), "tls_key_file": str(self.key)}

    def replace(self, other: "Pair") -> None:
        """Put another pair into these files, as a renewal does."""
        for mine, theirs in zip(self, other, strict=True):
            shutil.copy2(theirs, mine.with_suffix(".new"))
            mine.with_suffix(".new").replace(mine)


def make_pair(directory: Path, *options: str, days: int = 30, key: tuple[str, ...] = EC_KEY) -> Pair:
    """Make a certificate for 127.0.0.1 and localhost. ``options`` are further ones of ``openssl req``."""
    assert OPENSSL is not None
    directory.mkdir(parents=True, exist_ok=True)
    pair = Pair(directory / "cert.pem", directory / "key.pem")
    names = ("-subj", f"/CN={directory.name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-keyout", str(pair.key), "-out", str(pair.cert), "-days", str(days))
    plain = () if "-passout" in options else ("-noenc",)
    command = (OPENSSL, "req", "-x509", *key, *plain, *names, *files, *options)
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    pair.key.chmod(0o600)
    return pair
