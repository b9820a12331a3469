"""Secrets that tools read leave in no encoding that Athena makes: not whole, not in part, not in base64."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from athena_core.log.engine import open_archive
from athena_core.services.proof.bundle import BundleScope, export
from tests.support.api import Api
from tests.support.canaries import SECRETS
from tests.support.model import Profile, Step, call, turn_of
from tests.support.repository import branch, make
from tests.support.server import Server
from tests.support.stub import Asked, Behaviour, standing

SETTINGS = {
    "anthropic_api_key": "the-key-of-anthropic-Fq3",
    "http_provider_api_key": "the-key-of-http-Zt8",
    "http_provider_url": "http://lena:the-word-of-lena-Xr5@127.0.0.1:9/",
    "auth_proxy_secret": "the-first-of-the-proxies-Mv2,the-second-of-the-proxies-Kd6",
}
SHAPES = ("sk-canary", "ghp_", "AKIA", "Bearer", "eyJ", "-----BEGIN RSA", "-----BEGIN OPENSSH")
USER_INFO = "https://mira:the-word-of-mira-Pw4@git.example.org/x.git"
CANARIES: dict[str, str] = {
    **{name: value for name, value in SETTINGS.items() if "," not in value and "url" not in name},
    "lena": "the-word-of-lena-Xr5",
    "mira": "the-word-of-mira-Pw4",
    **{f"proxy {word}": word for word in SETTINGS["auth_proxy_secret"].split(",")},
    **{f"shape {number}": one for number, one in enumerate(SECRETS) if one.startswith(SHAPES)},
}
TEXTS = {name: USER_INFO if name == "mira" else secret for name, secret in CANARIES.items()}
LONG = max(SECRETS, key=len)
PART = 12
"""A part of a secret that is as long must not be seen."""
MARKERS = re.compile("-----(?:BEGIN|END)[A-Z ]+-----")
SHELL_BYTES, HEAD = 2_000, 1_000


def forms(secret: str) -> Iterator[bytes]:
    """Return the forms that reveal a part of a secret: plain, hex, URL-encoded, and base64 at each alignment."""
    raw = secret.encode()
    for begin in range(0, len(raw) - PART + 1, 6 if len(raw) < 60 else 18):
        part = raw[begin : begin + PART]
        if b"PRIVATE KEY" in part or b"-----" in part or any(part in one.encode() for one in MARKERS.findall(secret)):
            continue  # the marker itself may be seen
        yield part
        yield part.hex().encode()
        yield quote(part, safe="").encode()
        for shift in range(3):
            yield b64encode(bytes(shift) + part)[4 if shift else 0 : -4]


FORMS = {form: name for name, secret in CANARIES.items() for form in forms(secret)}


def shown(data: bytes) -> str | None:
    """Return the secrets that bytes reveal, and in which form."""
    for form, name in FORMS.items():
        if (place := data.find(form)) >= 0:
            return f"{name}: {form!r} in {data[max(place - 200, 0) : place + 100]!r}"
    return None


def reads(name: str, data: bytes) -> Iterator[Step]:
    """Return calls that read a file in every way."""
    yield call("files", action="read", path=name, evidence=f"text {name}")
    yield call("files", action="read", path=name, encoding="base64", evidence=f"base64 {name}")
    if name.startswith(("cut", "bytes-0", "utf-16")):
        yield call("shell", command=["/bin/cat", name], evidence=f"shell {name}")
    for line in range(1, data.count(b"\n") + 2, 2):
        yield call("files", action="read", path=name, from_line=line, lines=1)


def files() -> dict[str, bytes]:
    """Return files with the secrets: at each alignment, in encodings, among other bytes, and where output is cut."""
    found: dict[str, bytes] = {}
    everything = "\n".join(f"one: {text}" for text in TEXTS.values())
    for shift in range(3):
        found[f"align-{shift}"] = b"." * shift + b"".join(
            b" " + text.encode() + b" " * (-(len(text) + 1) % 3) for text in TEXTS.values()
        )
        found[f"bytes-{shift}"] = b"\xff" * (shift + 1) + everything.encode() + b"\x00\xfe"
    for encoding in ("utf-16", "utf-16-be", "utf-32-le"):
        found[encoding] = everything.encode(encoding)
    found["json"] = json.dumps({"all": [everything, USER_INFO]}).replace("/", "\\/").encode()
    for number, (name, text) in enumerate(islice(TEXTS.items(), 0, None, 3)):
        middle = text.encode()
        for at in (HEAD, -HEAD):
            cut = len(middle) // 2 + number % 5
            before, after = (b"x " * 3_000)[: HEAD - 16 - cut] if at > 0 else b"x " * 3_000, b" y" * 3_000
            if at < 0:
                after = (b" y" * 3_000)[: HEAD - cut]
            found[f"cut{at}-{name.replace(' ', '-')}"] = before + b" " * 16 + middle + after
    return found


FILES = files()
MEMORY = "\n".join(f"The harbour {'x' * 170} {text}" for text in TEXTS.values()) + f"\n{LONG}\n"


def script() -> list[Step]:
    """Return the steps of the model: every way to every file."""
    steps = [step for name, data in FILES.items() for step in reads(name, data)]
    steps += [call("memory", action="get", path="MEMORY.md", from_line=line, lines=1) for line in range(1, 40)]
    steps += [call("memory", action="search", query="harbour", max_results=50, evidence="found")]
    secrets = list(TEXTS.values())
    for secret in secrets:
        hidden = f"\\u{ord(secret[0]):04x}" + "".join(
            one if one.isalnum() else f"\\u{ord(one):04x}" for one in secret[1:]
        )
        steps.append((("files", f'{{"action": "read", "path": "{hidden}"}}'),))
        steps.append((("shell", f'{{"command": ["{hidden}"]}}'),))
        steps.append((("evidence", f'{{"label": "Say", "type": "text", "content": "{hidden}"}}'),))
        steps.append((("files", f'{{"action": "{hidden}"}}'),))
        steps.append((("http", f'{{"url": "https://{hidden}.example.org"}}'),))
    return [
        sum((step for step in steps[at : at + 20] if not isinstance(step, str)), ()) for at in range(0, len(steps), 20)
    ]


SCRIPT = (*script(), json.dumps({"text": "\n".join(TEXTS.values())}))


def model(asked: Asked) -> Behaviour:
    """Follow the script; answer a review with secrets."""
    messages = asked.body["messages"]
    if "Review what changed" in str(messages[-1]["content"]):
        answer = {"schemaVersion": 1, "mergeGate": "pass", "reportMarkdown": "\n".join(TEXTS.values()), "findings": []}
        return turn_of(json.dumps(answer), 1)
    number = sum(1 for message in messages if message["role"] == "assistant" and message.get("tool_calls"))
    return turn_of(SCRIPT[min(number, len(SCRIPT) - 1)], number + 1)


class Heard(NamedTuple):
    """A server whose tools read secrets, and every byte of its answers."""

    server: Server
    answers: list[bytes]

    def client(self) -> Api:
        """Return a client whose answers are kept."""
        api = self.server.client()
        api.http.event_hooks = {"response": [lambda response: self.answers.append(response.read())]}
        return api


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    directory = tmp_path_factory.mktemp("encodings")
    workspace = directory / "workspace"
    library = make(workspace / "library")
    branch(library, "work", a_py="\n".join(f"KEY = {text!r}" for text in TEXTS.values()))
    (workspace / "personas").mkdir()
    (workspace / "personas/critic.json").write_text('{"schemaVersion": 1, "id": "critic"}')
    (workspace / "MEMORY.md").write_text(MEMORY)
    for name, data in FILES.items():
        (workspace / name).write_bytes(data)
    fails = workspace / "fails"
    fails.write_text("#!/bin/sh\ncat " + str(workspace / "align-0") + " >&2; exit 1\n")
    fails.chmod(0o755)
    with standing(model) as stub:
        settings = SETTINGS | {"openai_base_url": stub.url, "local_provider_cmd": str(fails)}
        settings |= {"memory_enabled": "true", "context_max_chars": "10000000", "runtime_run_timeout_ms": "600000"}
        with Server(directory, **settings) as server:
            yield Heard(server, [])


def work(api: Api) -> str:
    """Run the script. Return the id of the run."""
    schema = {"id": "fits", "kind": "json-schema", "label": "Shape", "schema": {"type": "object"}}
    body: dict[str, Any] = Profile(commands=(("/bin/cat",),), verification=(schema,), max_turns=200).body
    body["config"]["tools"] = ["files", "shell", "memory", "evidence", "http"]
    body["toolPolicies"]["shell"]["outputBytesMax"] = SHELL_BYTES
    profile = api.post("/harness-profiles", body)["id"]
    run_id = str(api.run("read all", harnessProfileId=profile, sessionId="one")["runId"])
    for name in FILES:
        for lines in ("", "#L1-L3", "#L14-L40") if name in ("align-0", "json", "utf-16-be") else ():
            directive = {"input": "look", "contextRefs": [f"file:{name}{lines}"]}
            api.send("/runs", {"directiveId": api.post("/directives", directive)["id"], "provider": "mock"})
    api.send("/runs", {"input": "fail", "provider": "local-exec"})
    review = {"name": "critic", "repoPath": "library", "headRef": "work", "provider": "openai", "model": "gpt-4o-mini"}
    reviewed = api.post("/personas/run", review | {"outJsonPath": "out/a.json", "outMarkdownPath": "out/a.md"})
    assert reviewed["result"]["status"] == "ok"
    api.send("/personas/run", review | {"repoPath": USER_INFO, "headRef": CANARIES["lena"]})
    return run_id


def look(api: Api, run_id: str) -> None:
    """Read everything that shows the run."""
    assert api.get(f"/runs/{run_id}")["status"] == "completed"
    for path in (f"/runs/{run_id}/explain", "/runs", "/sessions/one/transcript", "/directives", "/personas/runs"):
        api.get(path, limit=500)
    found = api.items(f"/runs/{run_id}/evidence", limit=500)
    assert {one["label"] for one in found} >= {"Shape", "Say", "found", *(f"text align-{shift}" for shift in range(3))}
    for one in found:
        api.get(f"/runs/{run_id}/evidence/{one['id']}")
    for line in range(1, 40, 3):
        api.post("/memory/get", {"path": "MEMORY.md", "from": line, "lines": 1})
    api.get("/memory/search", query="harbour")
    api.events()
    api.http.get(api.url + "/metrics")


@pytest.mark.heavy
def test_no_part_of_a_secret_is_in_an_answer_a_file_or_a_bundle_in_any_encoding_of_ours(heard: Heard) -> None:
    api = heard.client()
    look(api, work(api))
    assert shown(b"\0".join(heard.answers)) is None
    heard.server.stop()
    sources = {heard.server.workspace / name for name in ("MEMORY.md", *FILES)}
    looked = [
        path
        for path in sorted(heard.server.directory.rglob("*"))
        if path.is_file() and path not in sources and "library" not in path.parts
    ]
    for path in looked:
        assert shown(path.read_bytes()) is None, path
    assert {"server.log", "log.db", "diff.patch", "a.json", "a.md", "index.sqlite"} <= {path.name for path in looked}
    archive = open_archive(heard.server.state_dir, None)
    assert shown(b"".join(export(archive.reader(), BundleScope(), redact=False))) is None


@pytest.mark.parametrize("name", CANARIES)
def test_each_of_them_would_be_found_in_each_form(name: str) -> None:
    raw = CANARIES[name].encode()
    for shift in range(3):
        for text in (b64encode(bytes(shift) + raw), b64encode(bytes(shift) + raw[max(len(raw) // 2 - 12, 0) :])):
            assert shown(b"\0" + text + b"\0"), (shift, text)
    assert shown(raw[3:])
    assert shown(raw.hex().encode())
    assert shown(quote(raw, safe="").encode())
