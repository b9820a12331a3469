"""Secrets that anybody gives (clients, models, tools, files) are in no byte that is written, and in no answer."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx2
import pytest

from athena_api.operations import OPERATIONS
from tests.api.examples import EXAMPLES
from tests.support.api import Api
from tests.support.canaries import SECRETS, TELLING, told
from tests.support.leaves import leaves, put
from tests.support.model import Profile, call, turn_of
from tests.support.repository import branch, make
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, refuses, standing

OWN = {
    "openai_api_key": "an-own-key-without-a-shape-canary-1",
    "anthropic_api_key": "an-own-key-without-a-shape-canary-2",
    "auth_proxy_secret": "an-own-key-without-a-shape-canary-3",
}
ALL = (*SECRETS, *OWN.values())
TEXT = "\n\n".join(f"this is one: {secret}" for secret in ALL)
SEARCHABLE = "harbour"
SCRIPT = (
    call("files", action="read", path="notes.txt", evidence="Proof"),
    call("shell", command=["/bin/cat", "notes.txt"], evidence="Shown"),
    call("memory", action="search", query=SEARCHABLE),
    call("files", action="write", path="said.txt", content=TEXT),
    call("evidence", label=SECRETS[0], content=TEXT),
    call("files", action=SECRETS[1]),
    ((SECRETS[2].replace(" ", "-"), {"a": SECRETS[3]}),),
    TEXT,
)


class Heard(NamedTuple):
    """A server that was sent secrets, and every byte of its answers."""

    server: Server
    answers: list[bytes]

    def client(self) -> Api:
        """Return a client whose answers are kept."""
        api = self.server.client()

        def keep(response: httpx2.Response) -> None:
            self.answers.append(str(response.headers).encode() + response.read())

        api.http.event_hooks = {"response": [keep]}
        return api


def model(asked: Asked) -> Behaviour:
    """Follow the script, or fail with the keys that were sent."""
    messages = asked.body["messages"]
    if "fail" in str(messages[-1]["content"]):
        return refuses(400, f'{{"error":{{"message":"bad key {TEXT!r} {asked.head}"}}}}'.encode())
    number = sum(1 for message in messages if message["role"] == "assistant" and message.get("tool_calls"))
    return turn_of(SCRIPT[min(number, len(SCRIPT) - 1)], number + 1)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    directory = tmp_path_factory.mktemp("secrets")
    workspace = directory / "workspace"
    library = make(workspace / "library")
    branch(library, "work", a_py=f"KEY = {SECRETS[0]!r}\n")
    (workspace / "personas").mkdir()
    (workspace / "personas" / "critic.json").write_text(
        f'{{"schemaVersion":1,"id":"critic","description":"knows {SECRETS[1]}","context":'
        '{"workspaceDocFiles":["notes.txt"]},"review":{"maxReferencedFiles":2}}'
    )
    (workspace / "notes.txt").write_text(TEXT)
    (workspace / "MEMORY.md").write_text(f"# {SEARCHABLE}\n\nThe {SEARCHABLE} says {TEXT}\n")
    with standing(model) as stub:
        settings = OWN | {"openai_base_url": stub.url, "anthropic_base_url": stub.url}
        with Server(directory, memory_enabled="true", memory_include_transcripts="true", **settings) as server:
            yield Heard(server, [])


def ask_everything(api: Api) -> None:
    """Call each operation with a secret in each place of its path, query and body."""
    secrets, words = cycle(ALL), cycle(("", "see "))
    for row in OPERATIONS:
        example = EXAMPLES[row.id]
        if row.stream:
            continue
        body = None if row.method == "GET" else example.body or {}
        for place in leaves(body) if body else ():
            given = f"{next(words)}{next(secrets)}"
            key = quote(next(secrets))
            api.send(example.path, put(body, place, given), key=key, respond_async=True, method=row.method)
        if body:
            api.send(example.path, body | {next(secrets): next(secrets)}, method=row.method)
        api.http.request(row.method, example.path, params={"cursor": next(secrets), "status": next(secrets)})
        for at, part in enumerate(row.path.strip("/").split("/")):
            if part.startswith(":"):
                parts = example.path.strip("/").split("/")
                parts[at] = quote(next(secrets), safe="")
                api.send("/" + "/".join(parts), body, method=row.method)


def work(api: Api) -> None:
    """Start runs whose model, tools, context and failures are full of secrets."""
    profile = api.post("/harness-profiles", Profile(commands=(("/bin/cat",),)).body)["id"]
    directive = {"input": TEXT, "contextRefs": ["file:notes.txt"], "metadata": {"note": TEXT[:900]}}
    directive_id = api.post("/directives", directive)["id"]
    body = {"directiveId": directive_id, "harnessProfileId": profile, "sessionId": "one"}
    run_id = api.post("/runs", body)["runId"]
    api.send("/runs", {"input": "fail", "sessionId": "two", "provider": "openai", "model": "gpt-4o-mini"})
    api.send("/runs", {"input": "fail", "sessionId": "three", "provider": "anthropic", "model": "claude-haiku-4-5"})
    api.send("/runs", {"input": f"again {TEXT}", "sessionId": "one"})
    review = {"name": "critic", "repoPath": "library", "headRef": "work", "baseRef": "main", "provider": "openai"}
    review["model"] = "gpt-4o-mini"
    reviewed = api.send("/personas/run", review)
    assert reviewed.status_code == 200, reviewed.text
    api.post("/memory", {"text": f"{SEARCHABLE} {TEXT}"})
    for path in (f"/runs/{run_id}", f"/runs/{run_id}/evidence", f"/runs/{run_id}/explain", "/runs"):
        api.get(path)
    for one in api.get(f"/runs/{run_id}/evidence")["items"]:
        api.get(f"/runs/{run_id}/evidence/{one['id']}")
    for path in ("/sessions/one/transcript", "/directives", "/memory", "/schedules", "/policy", "/personas/runs"):
        api.get(path)
    assert api.get("/memory/search", query=SEARCHABLE)
    api.post("/memory/get", {"path": "MEMORY.md"})
    api.get("/governance/audit-trail")
    assert "***" in str(api.get("/sessions/one/transcript"))
    api.events()


@pytest.mark.heavy
def test_no_secret_is_in_an_answer_or_in_a_file(heard: Heard) -> None:
    api = heard.client()
    ask_everything(api)
    work(api)
    api.http.get(heard.server.url + "/metrics")
    api.http.get(heard.server.url + "/" + quote(SECRETS[0]))
    assert len(heard.answers) > 300
    for answer in heard.answers:
        assert told(answer) is None
    heard.server.stop()
    sources = {heard.server.workspace / name for name in ("notes.txt", "MEMORY.md", "personas/critic.json")}
    looked: list[Path] = []
    for path in sorted(heard.server.directory.rglob("*")):
        if path.is_file() and path not in sources and "library" not in path.parts:
            looked.append(path)
            assert told(path.read_bytes()) is None, path
    names = {path.name for path in looked}
    assert {"server.log", "log.db", "said.txt", "diff.patch"} <= names, names
    assert (heard.server.workspace / "said.txt").read_text().count("***") == len(ALL)


@pytest.mark.parametrize("secret", ALL)
def test_each_of_them_would_be_found(secret: str) -> None:
    assert told(b"\0" + secret.encode() + b"\xff") is not None
    assert any(word in secret.lower() for word in TELLING)
