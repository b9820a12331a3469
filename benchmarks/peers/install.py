"""The installation of each peer, once, from the public registries into its own folder."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers.program import Missing

INSTALLED = Path(__file__).resolve().parents[1] / "results" / "peers"
SECONDS_MAX = 1_200.0


def python(name: str, *requirements: str) -> Path:
    """Return the interpreter of an environment with these packages."""

    def install(place: Path) -> None:
        run(sys.executable, "-m", "venv", str(place))
        run(str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements)

    return _once(name, requirements, install) / "bin" / "python"


def node(name: str, *requirements: str) -> Path:
    """Return a folder with these packages in ``node_modules``."""

    def install(place: Path) -> None:
        place.mkdir()
        run("npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(place), *requirements)

    return _once(name, requirements, install)


def debian(name: str, package: str) -> Path:
    """Return a folder with the unpacked files of a Debian package."""

    def install(place: Path) -> None:
        place.mkdir()
        run("apt-get", "download", "--quiet", package, directory=place)
        for archive in place.glob("*.deb"):
            run("dpkg", "--extract", str(archive), str(place))

    return _once(name, (package,), install)


def _once(name: str, requirements: tuple[str, ...], install: Callable[[Path], None]) -> Path:
    place, ready = INSTALLED / name, INSTALLED / f"{name}.ready"
    wanted = "\n".join(requirements)
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        INSTALLED.mkdir(parents=True, exist_ok=True)
        run("rm", "-rf", str(place), str(ready))
        install(place)
        ready.write_text(wanted, "utf-8")
    return place


def run(*command: str, directory: Path | None = None) -> str:
    """Return the output of a command. Raise Missing with its errors."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS_MAX,
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Missing(f"{command[0]} failed: {str(said).strip()[-500:]}") from error
    return done.stdout
