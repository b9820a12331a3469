"""LLMock, a third party's model server that breaks down on demand and grades its client, in a process of its own."""

import subprocess
import sys
from typing import Any

import httpx2
from llmock.testing import BASE_PATHS, LLMockServer

from tests.support.api import PATIENCE_SECONDS


class Breakable:
    """The server, told over HTTP how to behave; it leaves when its standard input is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.breakable"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self._admin = httpx2.Client(base_url=self.url + "/_llmock", timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """Ask it to leave."""
        self._admin.close()
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def base_url(self, provider: str) -> str:
        """Where a provider's client finds it."""
        return self.url + BASE_PATHS[provider]

    def reset(self) -> None:
        """Forget what was asked, and how to behave."""
        self._admin.post("/reset").raise_for_status()

    def behave(self, *behaviors: dict[str, Any]) -> None:
        """What to do with the next requests, in LLMock's words; ``times`` None is for ever."""
        self._admin.post("/scenario", json={"behaviors": behaviors}).raise_for_status()

    def asked(self) -> int:
        """How often it was asked."""
        return int(self._admin.get("/requests").json()["count"])

    def grade(self, *, strict: bool = True) -> None:
        """Fail if the client misbehaved; with ``strict`` also on warnings."""
        verdict = self._admin.get("/verdict").json()
        text = self._admin.get("/verdict", params={"format": "text"}).text
        assert not verdict["errors"], text
        assert not strict or not verdict["warnings"], text


def main() -> None:
    """Serve until standard input ends."""
    with LLMockServer() as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
