"""Tokens, sessions and credentials, used in every right and wrong way: afterwards only their hashes are found."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx2
import psycopg
import pytest

from athena_api.operations import OPERATIONS
from tests.api.examples import EXAMPLES
from tests.conftest import Serve
from tests.support.api import Api, until_caught_up
from tests.support.keyed_api import ECHOES, KeyedApi, credentials_file, keyed, write_secret
from tests.support.leaves import leaves, put
from tests.support.model import Model, acting, call
from tests.support.process import environment_of
from tests.support.server import NO_FLOOD, Server

API_TOKEN = "token.of-the-settings~with+29/characters="
VAULT, ROTATED = "canary+of/the-vault-0123456789", "canary+after/the-rotation-0123456789"
PARTS = 20
"""Length of the pieces of a random secret that are searched for: one alone would still be a leak."""


def spellings(secret: str) -> set[bytes]:
    """Return the spellings of a secret that are searched for."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), quote(secret, safe="").lower().encode(), plain[::-1]}
    found |= {plain.hex().encode(), plain.hex().upper().encode(), secret.encode("utf-16-le")}
    for before in range(3):
        inside = base64.b64encode(b"x" * before + plain)[4 * bool(before) : -4]
        found |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


class Canaries:
    """The secrets that must not be found, and everything that was answered."""

    def __init__(self) -> None:
        self.secrets = {API_TOKEN, VAULT, ROTATED}
        self.answers: list[tuple[str, bytes]] = []

    def add(self, token: str) -> str:
        """Add a token: its secret, and the beginning and the end of it."""
        secret = token[-43:]
        self.secrets |= {secret, secret[:PARTS], secret[-PARTS:]}
        return token

    def heard(self, response: httpx2.Response) -> None:
        """Keep an answer with its head, except the two answers that issue a token."""
        path = response.request.url.path
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return  # its frames are kept where they are read
        body, head = response.read(), [*response.headers.raw]
        if response.request.method == "POST" and path.endswith("/tokens") and response.status_code == 200:
            answer = json.loads(body)
            if token := answer["data"].pop("token", None):
                self.add(token)
            body = json.dumps(answer).encode()
        if path.endswith("/login"):
            for name, value in head:
                if name.lower() == b"set-cookie" and (token := value.partition(b";")[0].partition(b"=")[2].decode()):
                    self.add(token)
            head = [field for field in head if field[0].lower() != b"set-cookie"]
        self.answers.append((f"{response.request.method} {path}", repr(head).encode() + body))

    def found_in(self, name: str, content: bytes) -> list[str]:
        """Return a line for each secret in some bytes."""
        lines = []
        for secret in self.secrets:
            for spelling in spellings(secret):
                place = content.find(spelling)
                if place >= 0:
                    lines.append(f"{name}: {secret[:6]}… as {content[max(place - 80, 0) : place + 80]!r}")
        return lines


class Place(NamedTuple):
    """A server with tokens and credentials, a model, and an API that demands a key."""

    server: Server
    model: Model
    vault: KeyedApi
    canaries: Canaries
    secret_file: Path

    @contextmanager
    def client(self, **headers: str) -> Iterator[Api]:
        """Yield a client whose answers are kept."""
        with closing(Api(self.server.url, {name.replace("_", "-"): value for name, value in headers.items()})) as api:
            api.http.event_hooks = {"response": [self.canaries.heard]}
            yield api

    def follow(self, api: Api) -> None:
        """Read the feed as a stream, up to its head."""
        with api.stream() as frames:
            read = [frame.data for frame in until_caught_up(frames)]
        self.canaries.answers.append(("stream", json.dumps(read).encode()))

    def bearer(self, token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}


@pytest.fixture
def place(serve: Serve, tmp_path: Path) -> Iterator[Place]:
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    with ExitStack() as stack:
        vault = stack.enter_context(keyed(f"Bearer {VAULT}", f"Bearer {ROTATED}"))
        vault.answers = dict(ECHOES)
        model = stack.enter_context(acting(("done",)))
        file = credentials_file(
            keys,
            vault={
                "header": "Authorization: Bearer {secret}",
                "hosts": [f"127.0.0.1:{vault.port}"],
                "secret": VAULT,
                "private": True,
            },
        )
        server = serve(
            tmp_path / "server",
            auth_enabled="true",
            auth_identity_role_map="ada:Admin,ci:Operator,api-token:Operator",
            auth_api_token=API_TOKEN,
            credentials_file=str(file),
            openai_base_url=model.url,
            memory_enabled="true",
            memory_include_transcripts="true",
            **NO_FLOOD,
        )
        yield Place(server, model, vault, Canaries(), keys / "vault.secret")


def use(place: Place) -> list[str]:
    """Create tokens and sessions, use them, and end them. Return the texts of the tokens."""
    issued = []
    with place.client(x_athena_identity="ada") as ada:
        for number in range(2):
            body = {"identity": "ci", "role": "Operator", "note": f"number {number}"}
            first = ada.send("/tokens", body, key=f"token-{number}")
            issued.append(str(first.json()["data"]["token"]))
            assert "token" not in ada.post("/tokens", body, key=f"token-{number}")
        for token in (*issued, API_TOKEN):
            with place.client(**place.bearer(token)) as api:
                for row in OPERATIONS:
                    if row.method == "GET" and not row.stream:
                        api.http.get(EXAMPLES[row.id].path)
                place.follow(api)
                cookie = str(api.send("/login", {}).headers["set-cookie"]).partition(";")[0]
            page = {"cookie": cookie, "origin": place.server.url}
            with place.client(**page) as session:
                session.post("/runs", {"input": "by a page", "sessionId": "page", "provider": "mock"})
                session.get("/caller")
                session.send("/runs", {"input": "by another page"}, origin="https://elsewhere.example")
                assert session.send("/logout", {}).status_code == 200
                assert session.http.get("/caller").status_code == 401
        token_ids = [one["tokenId"] for one in ada.items("/tokens") if one["kind"] == "token"]
        assert ada.send(f"/tokens/{token_ids[0]}", method="DELETE").status_code == 200
    return issued


def misuse(place: Place, token: str) -> None:
    """Send a token in every place where it does not belong, and wrong ones where it does."""
    wrong = token[:-2] + ("AA" if not token.endswith("AA") else "BB")
    basic = base64.b64encode(f"ci:{token}".encode()).decode()
    heads = (
        {"authorization": f"Bearer {wrong}"},
        {"authorization": f"Basic {basic}"},
        {"authorization": f"Token {token}"},
        {"authorization": token},
        {"authorization": f"Bearer {token} {token}"},
        {"authorization": f"Bearer {token}", "x-athena-identity": "ada"},
        {"authorization": f"Bearer {API_TOKEN}x"},
        {"x-athena-identity": token},
        {"x-athena-identity": "ada", "x-athena-scope-sessions": token},
        {"cookie": f"athena_session={token}", "origin": place.server.url},
        {"x-athena-proxy-secret": token},
        *({"x-athena-identity": "ada", name: token} for name in ("user-agent", "referer", "last-event-id", "prefer")),
        *({"x-athena-identity": "ada", name: token} for name in ("x-trace-id", "if-none-match")),
        {"x-athena-identity": "ada", "origin": f"https://{token}.example"},
        {"x-athena-identity": "ada", "host": f"{token}.example"},
        {"x-athena-identity": "ada", "x-forwarded-for": token},
    )
    for number, head in enumerate(heads):
        with place.client(**{"x-forwarded-for": f"198.51.100.{number}"} | head) as api:
            api.http.get("/caller")
            api.send("/runs", {"input": "hello", "provider": "mock"}, key=f"misuse-{number}")
            api.http.get("/audit")
    with place.client(x_athena_identity="ada") as ada:
        for query in ({"access_token": token}, {"token": token}, {"cursor": token}, {"sessionId": f"x{token}"}):
            assert ada.http.get("/runs", params=query).status_code == 400
        ada.http.get(f"/runs/{token}")
        ada.http.get(place.server.url + f"/{token}")
        ada.send("/runs", {"input": "hello", "provider": "mock"}, key=token)
    say_everywhere(place, token)


def say_everywhere(place: Place, token: str) -> None:
    """Send a token in each text of the body of each operation."""
    prefixes = cycle(("", "use "))
    with place.client(x_athena_identity="ada") as ada:
        for row in OPERATIONS:
            body = EXAMPLES[row.id].body or {}
            if row.method == "GET" or row.stream:
                continue
            for where in leaves(body):
                given = put(body, where, f"{next(prefixes)}{token}")
                ada.send(EXAMPLES[row.id].path, given, method=row.method, respond_async=True)
        ada.send("/halt", method="DELETE")


def call_the_vault(place: Place, token: str) -> None:
    """Let runs call an API with a credential that it echoes, before and after its rotation, and say a token."""
    with place.client(x_athena_identity="ada") as ada:
        profile = ada.post(
            "/harness-profiles",
            {
                "displayName": "Caller",
                "version": "v1",
                "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": ["http"], "credentials": ["vault"]},
                "policies": {"timeoutMs": 600_000, "retryLimit": 1, "budgetUsd": 0},
                "allowedEgress": [{"host": "127.0.0.1"}],
                "toolPolicies": {"http": {"methods": ["GET"]}},
            },
        )["id"]
        for secret in (VAULT, ROTATED):
            write_secret(place.secret_file, secret)
            steps = (call("http", url=place.vault.url + path, evidence="it") for path in ("/", *ECHOES))
            place.model.script = (*steps, f"it said {token}")
            run = ada.run(f"remember {token}", harnessProfileId=profile)
            assert place.vault.carried[-1] == f"Bearer {secret}"
            for path in ("", "/explain", "/evidence"):
                ada.get(f"/runs/{run['runId']}{path}")
            for one in ada.items(f"/runs/{run['runId']}/evidence"):
                ada.get(f"/runs/{run['runId']}/evidence/{one['id']}")
        for item in ada.items("/sessions"):
            ada.get(f"/sessions/{item['id']}/transcript")


def read_everything(place: Place) -> None:
    """Read what the server shows: lists, events, audit trail, metrics, pages of the console."""
    with place.client(x_athena_identity="ada") as ada:
        for row in OPERATIONS:
            if row.method == "GET" and not row.stream:
                ada.http.get(EXAMPLES[row.id].path, params=EXAMPLES[row.id].query or {})
        ada.events()
        place.follow(ada)
        for path in ("/metrics", "/", "/docs", "/openapi.json", "/events.schema.json", "/livez", "/readyz"):
            ada.http.get(place.server.url + path)


def commands(place: Place, token: str) -> dict[str, bytes]:
    """Run commands that copy the log, and one that calls the server with a token. Return their output."""
    directory = place.server.directory
    environment = environment_of(directory, {})
    remote = environment | {"ATHENA_TOKEN": token, "ATHENA_API_BASE_URL": place.server.url}
    output = {}
    for words, variables in (
        (("tokens", "list"), remote),
        (("run", "--session", "cli", "--input", f"say {token}"), remote),
        (("doctor",), environment),
        (("backup", str(directory / "backup.db")), environment),
        (("export", "--since", "1", "--out", str(directory / "bundle.jsonl")), environment),
        (("verify",), environment),
        (("redact", "--audit"), environment),
    ):
        done = subprocess.run(
            (sys.executable, "-m", "athena_cli", *words), env=variables, cwd=directory, capture_output=True, check=False
        )
        output["athena " + words[0]] = done.stdout + done.stderr
    return output


def rows_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield each table of a database, with the bytes of all its cells."""
    with psycopg.connect(url) as session:
        tables = session.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in tables:
            rows = session.execute(f'SELECT * FROM "{schema}"."{table}"'.encode()).fetchall()
            cells = (cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row)
            yield f"{schema}.{table}", b"\0".join(cells)


@pytest.mark.heavy
def test_only_hashes_of_tokens_and_names_of_credentials_are_found(place: Place, store: dict[str, str]) -> None:
    canaries, server = place.canaries, place.server
    issued = use(place)
    call_the_vault(place, issued[1])
    misuse(place, issued[1])
    read_everything(place)
    places = dict(commands(place, issued[1]))
    server.stop()
    files = [path for path in server.directory.rglob("*") if path.is_file()]
    places |= {path.name: path.read_bytes() for path in files}
    assert {"server.log"} <= places.keys()
    if store:
        places |= dict(rows_of(store["database_url"]))
    else:
        assert {"log.db", "backup.db", "bundle.jsonl"} <= places.keys()
    found = [
        line for name, content in [*places.items(), *canaries.answers] for line in canaries.found_in(name, content)
    ]
    assert not found, "\n".join(found[:20])
    everything = b"\0".join(places.values())
    assert all(hashlib.sha256(token.encode()).hexdigest().encode() in everything for token in issued)
    assert len(canaries.answers) > 300
    assert b"vault" in everything


@pytest.mark.parametrize("secret", [API_TOKEN, VAULT, "A" * 5 + "bcd_-" * 3])
def test_each_spelling_would_be_found(secret: str) -> None:
    canaries = Canaries()
    canaries.secrets = {secret}
    for said in (
        secret,
        secret.encode().hex(),
        quote(secret, safe=""),
        *(base64.b64encode(("ab"[:before] + secret + " and more").encode()).decode() for before in range(3)),
    ):
        assert canaries.found_in("it", f"before {said} after".encode()), said
