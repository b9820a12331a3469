"""LLMock, a third party's model server that breaks down on demand and grades its client, in a process of its own."""

import subprocess
import sys
from typing import Any

import httpx2
from llmock.testing import BASE_PATHS, LLMockServer

from tests.support.api import PATIENCE_SECONDS


class Breakable:
    """The server, with its behaviour set over HTTP. It ends when its standard input is closed."""

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
        self._admin.close()
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def base_url(self, provider: str) -> str:
        return self.url + BASE_PATHS[provider]

    def reset(self) -> None:
        self._admin.post("/reset").raise_for_status()

    def behave(self, *behaviors: dict[str, Any]) -> None:
        """Set the behaviour for the next requests, in LLMock's terms; ``times`` None means always."""
        self._admin.post("/scenario", json={"behaviors": behaviors}).raise_for_status()

    def asked(self) -> int:
        return int(self._admin.get("/requests").json()["count"])

    def grade(self, *, strict: bool = True) -> None:
        """Fail if the client misbehaved; with ``strict`` also on warnings."""
        verdict = self._admin.get("/verdict").json()
        text = self._admin.get("/verdict", params={"format": "text"}).text
        assert not verdict["errors"], text
        assert not strict or not verdict["warnings"], text


def main() -> None:
    with LLMockServer() as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
