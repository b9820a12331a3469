"""Keys of providers: canaries that servers echo back in every way, and that are then found nowhere."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from athena_api.operations import OPERATIONS
from tests.conftest import Serve
from tests.support.api import Refused
from tests.support.server import Server
from tests.support.stub import (
    DIALECTS,
    Asked,
    Behaviour,
    Dialect,
    Stub,
    dialect_of,
    refuses,
    says,
    settings_of,
    standing,
)

KEYS = {
    "openai": "sk-canary-one-0123456789",
    "anthropic": "sk-canary-two-0123456789",
    "http_provider": "sk-canary-three-0123456789",
}
BEGINNINGS = [key[:12].encode() for key in KEYS.values()]
PIECE_CHARS = 7


class Echo(NamedTuple):
    """A way to send back a request with its headers."""

    ends_well: bool
    behave: Callable[[Dialect, str], Behaviour]


def pieces(text: str) -> list[str]:
    """Cut a text into pieces that are shorter than any key."""
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


def with_request_id(dialect: Dialect, text: str) -> Behaviour:
    """Use the key as the request id."""
    key = next(key for key in KEYS.values() if key in text)
    whole = dialect.whole.replace(b"req_1", key.encode())
    assert whole != dialect.whole
    return says(whole)


ECHOES = {
    "error": Echo(False, lambda it, text: refuses(401, json.dumps({"error": {"message": text}}).encode())),
    "error-cut-in-a-key": Echo(False, lambda it, text: refuses(401, json.dumps({"error": "x" * 170 + text}).encode())),
    "plain-error": Echo(False, lambda it, text: refuses(400, json.dumps({"error": text}).encode())),
    "error-page": Echo(False, lambda it, text: refuses(500, text.encode())),
    "error-in-stream": Echo(False, lambda it, text: says(it.head, it.start, it.error(text))),
    "no-chunk": Echo(False, lambda it, text: says(it.head, b"data: " + json.dumps(text).encode() + b"\n\n")),
    "redirect": Echo(False, lambda it, text: refuses(302, b"", "location: /?" + text.replace("\r\n", "&"))),
    "text": Echo(True, lambda it, text: says(it.head, it.start, it.text(text), it.end(1, 1))),
    "text-in-pieces": Echo(True, lambda it, text: says(it.head, it.start, *map(it.text, pieces(text)), it.end(1, 1))),
    "tool-call": Echo(
        True, lambda it, text: says(it.head, it.start, it.call(text, text, json.dumps(text)), it.end(1, 1))
    ),
    "request-id": Echo(True, with_request_id),
}


def echoing(asked: Asked) -> Behaviour:
    """Behave as the model's name selects; end with a plain answer once a tool's result was sent."""
    dialect = dialect_of(asked)
    if any(word in asked.raw for word in ('"role":"tool"', "(Called ")):
        return says(dialect.whole)
    lines = sorted(asked.head.splitlines(), key=lambda line: not any(key in line for key in KEYS.values()))
    return ECHOES[str(asked.body["model"])].behave(dialect, "\r\n".join(lines) + asked.raw)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    """The servers of all providers."""
    with standing(echoing) as stub:
        yield stub


def scan(directory: Path) -> list[str]:
    """Return the places of keys in the files below a directory."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    assert {"log.db", "server.log"} <= {path.name for path in paths}
    return [f"{path.name}: {key!r}" for path in paths for key in BEGINNINGS if key in path.read_bytes()]


@pytest.mark.heavy
@pytest.mark.sqlite  # it reads the file of the log
def test_keys_that_servers_echo_are_found_nowhere(serve: Serve, stub: Stub, tmp_path: Path) -> None:
    file = tmp_path / "keys" / "anthropic"
    file.parent.mkdir()
    file.write_text(KEYS["anthropic"] + "\n")
    server = serve(
        tmp_path / "server",
        openai_api_key=KEYS["openai"],
        anthropic_api_key_file=str(file),
        http_provider_api_key=KEYS["http_provider"],
        local_provider_cmd="/usr/bin/env",
        **settings_of(stub),
    )
    answers: list[bytes] = []

    def keep(response: httpx2.Response) -> None:
        answers.append(response.read() + repr(response.headers.raw).encode())

    server.api.http.event_hooks["response"] = [keep]
    ask_everything(server)
    read_everything(server)
    server.stop()

    sent = "".join(asked.head for asked in stub.asked)
    assert all(key in sent for key in KEYS.values()), "each key was used"
    written = (server.state_dir / "log.db").read_bytes()
    assert written.count(b"***") >= len(DIALECTS) * 4, "they were echoed"
    assert [answer for answer in answers if any(key in answer for key in BEGINNINGS)] == []
    assert scan(server.directory) == []


def ask_everything(server: Server) -> None:
    """Use each echo of each provider, and a command that prints its environment."""
    for provider in DIALECTS:
        for how, echo in ECHOES.items():
            try:
                server.api.run(f"{how} of {provider}", provider=provider, model=how, sessionId=provider)
            except Refused as refused:
                assert not echo.ends_well, (provider, how, refused)
                assert refused.code == "PROVIDER_ERROR"
            else:
                assert echo.ends_well, (provider, how)
    output = server.api.run("tell", provider="local-exec")["output"]
    names = {line.partition("=")[0] for line in output.splitlines()}
    assert {name for name in names if not name.startswith("GIT_")} == {"PATH", "HOME", "LANG"}


REQUIRED = {"searchMemory": {"query": "sesame"}, "getDiff": {"from": "0"}}
"""The query parameters that an operation cannot do without."""


def read_everything(server: Server) -> None:
    """Read every list, and the records of runs and sessions."""
    for operation in OPERATIONS:
        if operation.method == "GET" and ":" not in operation.path and not operation.path.endswith("stream"):
            server.api.get(operation.path, **REQUIRED.get(operation.id, {}))
    server.api.events()
    for run in server.api.items("/runs"):
        server.api.get(f"/runs/{run['runId']}")
        server.api.items(f"/runs/{run['runId']}/evidence")
    for session in server.api.items("/sessions"):
        server.api.items(f"/sessions/{session['id']}/transcript")
    for path in ("/openapi.json", "/docs", "/readyz"):
        server.api.http.get(server.url + path)
