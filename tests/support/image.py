"""The image without Docker: the instructions of the Dockerfile, run one by one on a machine of their own.

Differences to a build: the base is this machine without the packages that the Dockerfile installs, and an environment
of Python without packages. There are no layers, and a container has no limits.
"""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from tests.support import tree
from tests.support.booted import OUT, PATH, Booted

FOLDER = tree.ROOT / "examples" / "deployment"
BASE = Path("/usr/local/base")
"""The environment that stands for the Python of the base image."""
BUILD_SECONDS = 600


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with its whole argument."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in whole.splitlines() if line)]


def context() -> Iterator[str]:
    """Yield the files that a build gets: the last pattern that matches a file or a directory above it counts."""
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    for name in tree.files():
        left_out = False
        for line in lines:
            pattern = line.removeprefix("!").removeprefix("**/")
            path = Path(name)
            matched = (
                any(fnmatchcase(part, pattern) for part in path.parts)
                if "**/" in line or pattern == "*"
                else path.is_relative_to(pattern)
            )
            left_out = not line.startswith("!") if matched else left_out
        if not left_out:
            yield name


class Image:
    """An image that was built on a machine, and the containers of it."""

    def __init__(self, machine: Booted) -> None:
        self._machine = machine
        self._user, self._directory = "root", "/"
        self._environment = {"PATH": f"{BASE}/bin:{PATH}"}
        self.words: dict[str, list[str]] = {}
        """The words of ENTRYPOINT, CMD and HEALTHCHECK."""
        self.volumes: list[str] = []

    def build(self) -> None:
        """Run the instructions."""
        for word, rest in instructions():
            match word:
                case "FROM":
                    self._base()
                case "RUN":
                    self.run(rest, seconds=BUILD_SECONDS)
                case "WORKDIR":
                    self._directory = rest
                    self._machine.run(f"mkdir -p {rest}")
                case "COPY":
                    self._copy(rest)
                case "USER":
                    self._user = rest
                case "ENV":
                    self._environment |= dict(part.split("=", 1) for part in shlex.split(rest))
                case "VOLUME":
                    self.volumes = json.loads(rest)
                case "HEALTHCHECK":
                    self.words[word] = json.loads(rest[rest.index("CMD") + 3 :])
                case "ENTRYPOINT" | "CMD":
                    self.words[word] = json.loads(rest)
                case "EXPOSE":
                    continue
                case _:
                    raise ValueError(f"{word}: teach tests/support/image.py to run it")

    def _base(self) -> None:
        packages = re.findall(r"apt-get install((?: [a-z-]+)+)", " ".join(rest for _, rest in instructions()))
        names = [name for found in packages for name in found.split() if not name.startswith("-")]
        self._machine.run(f"apt-get remove --yes {' '.join(names)}", seconds=BUILD_SECONDS)
        self._machine.run(f"{self._machine.python} -m venv {BASE}")

    def _copy(self, rest: str) -> None:
        assert rest == ". ."
        place = self._machine.out / "context"
        for name in context():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree.ROOT / name, place / name)
        self._machine.run(f"cp -r {OUT}/context/. {self._directory}")

    def command(self, *words: str, **variables: str) -> str:
        """Return a line for a shell of root there: a container that executes words as its user in its directory."""
        settings = (f"{name}={text}" for name, text in (self._environment | variables).items())
        user = ("setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--init-groups")
        return shlex.join(("env", f"--chdir={self._directory}", *settings, *user, *words))

    def run(self, script: str, code: int | None = 0, seconds: float = 60, **variables: str) -> str:
        """Run a script in a container. Return its output."""
        return self._machine.run(self.command("sh", "-euc", script, **variables), code, seconds, Path("/"))
