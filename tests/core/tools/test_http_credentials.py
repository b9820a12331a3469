"""Tests of the credentials of the tool http, against an API that demands its key and records what arrives."""

import asyncio
import base64
import gzip
import html
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from athena_core.credentials.credentials import Credentials
from athena_core.definitions.profile import Egress, HttpPolicy, ToolPolicies
from athena_core.mask import Mask
from athena_core.tools.http import HttpTool
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ToolContext, ToolResult
from athena_core.tools.workspace import Workspace
from tests.core.tools.bench import Workbench
from tests.support.keyed_api import ECHOES, KeyedApi, credentials_file, keyed, write_secret

SECRET = "canary/of+the\"vault'&<7>"
"""A secret whose characters are escaped in JSON, in HTML and in URLs."""
BEARER = f"Bearer {SECRET}"
HEADER = "Authorization: Bearer {secret}"
PUBLIC = "93.184.215.14"


@pytest.fixture
def api() -> Iterator[KeyedApi]:
    with keyed(BEARER) as api:
        yield api


class Caller:
    """A caller of the tool under a profile; ``mask`` is the mask of the plane."""

    def __init__(self, workbench: Workbench, directory: Path, **entries: Mapping[str, object]) -> None:
        self.mask = Mask()
        self.path = credentials_file(directory, **entries)
        self.credentials = Credentials(self.path, self.mask)
        self.names = tuple(entries)
        self.answers: dict[str, list[str]] = {}
        self.tool = HttpTool(self.credentials, resolve=self._resolve)
        self._workspace = workbench.workspace

    async def _resolve(self, host: str, port: int) -> list[str]:
        return self.answers.get(host, ["127.0.0.1"])

    async def get(
        self, url: str, *, carries: tuple[str, ...] | None = None, limit: int = 0, **given: Any
    ) -> ToolResult:
        """Make a call as the agent does: recorded with the names that it carries, and masked."""
        arguments = {"url": url, **given}
        policy = HttpPolicy(methods=("GET", "POST"), response_bytes_max=limit or None)
        bench = ToolContext(
            workspace=Workspace(self._workspace),
            mask=self.mask,
            policies=ToolPolicies(http=policy),
            allowed_egress=(Egress(host="127.0.0.1"), Egress(host="*.example.org"), Egress(host="localhost")),
            credentials=self.names,
            carries=self.tool.carries(arguments, self.names) if carries is None else carries,
        )
        return await self.tool.call(arguments, bench)

    async def refusal(self, url: str, **given: Any) -> str:
        with pytest.raises(ToolRefused) as refused:
            await self.get(url, **given)
        assert SECRET not in str(refused.value)
        return str(refused.value)


def entry(api: KeyedApi, **changes: object) -> dict[str, object]:
    """Return the entry of a credential for the API."""
    given = {"header": HEADER, "hosts": [f"127.0.0.1:{api.port}"], "secret": SECRET, "private": True}
    return {**given, **changes}


async def test_a_request_carries_the_credential_that_covers_its_host(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api))
    arguments = {"url": f"{api.url}/things"}
    assert caller.tool.carries(arguments, caller.names) == ("vault",)
    result = await caller.get(f"{api.url}/things", headers={"accept": "text/plain"})
    assert (result.is_error, result.content.partition("\n\n")[2]) == (False, '{"ok": true}')
    assert api.carried == [BEARER]
    assert api.seen[0].headers["accept"] == "text/plain"


async def test_two_credentials_set_a_header_and_a_parameter_each_once(workbench: Workbench, tmp_path: Path) -> None:
    with keyed("one-secret", header="x-key") as api:
        first = entry(api, header="X-Key: {secret}", secret="one-secret")
        second = entry(api, secret="two & secret", query="key={secret}")
        del second["header"]
        caller = Caller(workbench, tmp_path, one=first, two=second)
        for path, sent in (("/", "/?key=two%20%26%20secret"), ("/a?b=1#c", "/a?b=1&key=two%20%26%20secret")):
            assert not (await caller.get(api.url + path)).is_error
            assert (api.seen[-1].path, api.carried[-1]) == (sent, "one-secret")


async def test_a_request_carries_nothing_to_another_host_or_port_and_no_credential_that_the_profile_does_not_name(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api))
    with keyed() as other:
        for url in (other.url, f"http://localhost:{api.port}/", f"http://127.0.0.1.example.org:{api.port}/"):
            assert caller.tool.carries({"url": url}, caller.names) == ()
            assert "not public" in await caller.refusal(url)
    caller.names = ()
    assert "not public" in await caller.refusal(api.url)
    assert api.seen == other.seen == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"headers": {"Authorization": "Bearer mine"}}, "Header 'authorization' is not allowed"),
        ({"headers": {"aUTHORIZATION": "Bearer mine"}}, "Header 'authorization' is not allowed"),
        ({"headers": {"accept": "a\r\nauthorization: b"}}, "other than printable ASCII"),
        ({"headers": {"accept\r\nauthorization": "b"}}, "is not allowed"),
        ({"headers": {"Range": "bytes=0-3"}}, "Header 'range' is not allowed in a request with credentials"),
    ],
)
async def test_a_model_may_not_set_a_header_of_a_credential_or_read_an_answer_in_parts(
    api: KeyedApi, workbench: Workbench, tmp_path: Path, given: dict[str, Any], reason: str
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api))
    assert reason in await caller.refusal(api.url, **given)
    assert "user name" in await caller.refusal(f"http://me:secret@127.0.0.1:{api.port}/")
    assert api.seen == []


async def test_a_model_may_not_set_an_allowed_header_that_a_credential_sets(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api, header="Idempotency-Key: {secret}"))
    assert "which a credential sets" in await caller.refusal(api.url, headers={"IDEMPOTENCY-KEY": "mine"})
    assert api.seen == []


@pytest.mark.parametrize("query", ["key=mine", "a=1&KEY=mine", "a=1;key=mine", "k%65y=mine", "key", "%6bey", "a&key="])
async def test_a_model_may_not_repeat_the_parameter_of_a_credential(
    api: KeyedApi, workbench: Workbench, tmp_path: Path, query: str
) -> None:
    given = entry(api, query="key={secret}")
    del given["header"]
    caller = Caller(workbench, tmp_path, vault=given)
    assert "which a credential sets" in await caller.refusal(f"{api.url}/?{query}")
    assert api.seen == []


async def test_two_credentials_in_one_place_are_refused(api: KeyedApi, workbench: Workbench, tmp_path: Path) -> None:
    caller = Caller(workbench, tmp_path, one=entry(api), two=entry(api, header="AUTHORIZATION: Basic {secret}"))
    assert "credentials 'one', 'two' set the same header" in await caller.refusal(api.url)
    assert api.seen == []


async def test_a_call_carries_exactly_the_credentials_that_it_was_recorded_with(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api))
    for carries in ((), ("other",), ("other", "vault")):
        assert "changed meanwhile" in await caller.refusal(api.url, carries=carries)
    credentials_file(tmp_path, vault=entry(api, hosts=["127.0.0.1:1"]))
    await caller.credentials.reload()
    assert "carry no credential" in await caller.refusal(api.url, carries=("vault",))
    credentials_file(tmp_path, other=entry(api))
    await caller.credentials.reload()
    told = await caller.refusal(api.url, carries=("vault",))
    assert "'vault', which does not exist on this server. An operator can add it" in told
    assert api.seen == []


# Addresses and transport


async def test_plain_http_carries_a_secret_to_private_addresses_only(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    hosts = [f"a.example.org:{api.port}", "b.example.org"]
    caller = Caller(workbench, tmp_path, vault=entry(api, hosts=hosts))
    url = f"http://a.example.org:{api.port}/"
    for answer in ([PUBLIC], ["127.0.0.1", PUBLIC], [PUBLIC, "127.0.0.1"]):
        caller.answers["a.example.org"] = answer
        assert "over plain http. Use https" in await caller.refusal(url)
    caller.answers["a.example.org"] = ["127.0.0.1"]
    assert not (await caller.get(url)).is_error
    assert api.carried == [BEARER]


async def test_a_name_is_resolved_once_for_a_request_with_credentials(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else [PUBLIC]

    caller = Caller(workbench, tmp_path, vault=entry(api, hosts=[f"a.example.org:{api.port}"]))
    caller.tool = HttpTool(caller.credentials, resolve=resolve)
    assert not (await caller.get(f"http://a.example.org:{api.port}/")).is_error
    assert asked == ["a.example.org"]


async def test_an_address_that_is_not_public_needs_private_in_every_credential(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    open_to_all = entry(api, header="X-Key: {secret}", private=False)
    for entries in ({"one": open_to_all}, {"one": open_to_all, "two": entry(api)}):
        caller = Caller(workbench, tmp_path, **entries)
        assert "not public" in await caller.refusal(f"https://127.0.0.1:{api.port}/")
    caller.tool = HttpTool(caller.credentials, allow_loopback=True)
    assert "not public" in await caller.refusal(f"https://127.0.0.1:{api.port}/")
    plain = Caller(workbench, tmp_path, one=open_to_all)
    assert plain.tool.carries({"url": api.url}, plain.names) == ()  # https only
    assert api.seen == []


# Secrets


async def test_a_secret_is_read_again_for_each_call_and_the_old_one_stays_masked(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api))
    await caller.get(api.url)
    write_secret(tmp_path / "vault.secret", "the-next-secret")
    assert (await caller.get(api.url)).is_error
    assert api.carried == [BEARER, "Bearer the-next-secret"]
    assert caller.mask.hide(f"{SECRET} the-next-secret") == "*** ***"


async def test_a_secret_that_cannot_be_had_is_a_refusal_without_a_place_of_the_server(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api, secret=["/bin/sh", "-c", f"echo '{SECRET}' >&2; exit 3"]))
    told = await caller.refusal(api.url)
    assert told == (
        "The secret of credential 'vault' cannot be read now, so the request was not sent. "
        "An operator finds the reason in the health of the server."
    )
    assert api.seen == []


@pytest.mark.parametrize("path", ECHOES)
async def test_an_api_that_repeats_the_key_shows_it_to_no_model(
    api: KeyedApi, workbench: Workbench, tmp_path: Path, path: str
) -> None:
    api.answers = dict(ECHOES)
    caller = Caller(workbench, tmp_path, vault=entry(api))
    for limit in (0, *range(1, 90, 7)):
        result = await caller.get(api.url + path, limit=limit, evidence="it")
        assert result.shown is not None
        for text in (result.content, result.shown.content):
            assert "canary" not in caller.mask.hide(text).lower()
            assert readings(caller.mask.hide(text)).isdisjoint(("canary", "of+the", "vault"))
    assert set(api.carried) == {BEARER}


def readings(text: str) -> set[str]:
    """Return the words that a patient reader finds in a text, however they are spelled."""
    found = [text, unquote(text), html.unescape(text), re.sub(r"\\u00(..)", lambda it: chr(int(it[1], 16)), text)]
    for word in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
        for start in range(4):
            piece = word[start:].replace("-", "+").replace("_", "/")
            data = base64.b64decode(piece[: len(piece) // 4 * 4])
            if data.startswith(b"\x1f\x8b"):
                data = gzip.decompress(data)
            found.append(data.decode("latin-1"))
    return {word for word in ("canary", "of+the", "vault") if any(word in one for one in found)}


async def test_an_answer_without_a_secret_is_shown_as_it_is(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    body = b'{"a": "x\\/y \\u0026 %20 &amp;"}'
    api.answers["/"] = lambda value: (200, {"content-type": "application/json"}, body)
    caller = Caller(workbench, tmp_path, vault=entry(api))
    assert (await caller.get(api.url)).content.encode().endswith(b"\n\n" + body)


async def test_a_redirect_is_the_result_and_carries_nothing_on(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    with keyed() as other:
        api.answers["/"] = lambda value: (302, {"location": f"{other.url}/?key={SECRET}"}, value.encode())
        caller = Caller(workbench, tmp_path, vault=entry(api))
        result = await caller.get(api.url)
    content = caller.mask.hide(result.content)
    assert content.startswith("HTTP 302 Found\n")
    assert f"location: {other.url}/?key=***" in content
    assert "canary" not in content
    assert (len(api.seen), other.seen) == (1, [])


async def test_no_secret_stands_in_errors_or_log_lines(
    api: KeyedApi, workbench: Workbench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = entry(api, query="key={secret}", hosts=["127.0.0.1:1", f"127.0.0.1:{api.port}"])
    del given["header"]
    api.accepts = set()
    caller = Caller(workbench, tmp_path, vault=given)
    with caplog.at_level(logging.WARNING):
        assert not (await caller.get(api.url)).is_error
        result = await caller.get("http://127.0.0.1:1/")
    assert (result.is_error, result.content) == (True, "127.0.0.1:1: cannot connect")
    assert "canary" not in caplog.text
    assert "canary" in api.seen[0].path


async def test_cancelling_ends_a_request_that_waits_for_its_secret(
    api: KeyedApi, workbench: Workbench, tmp_path: Path
) -> None:
    caller = Caller(workbench, tmp_path, vault=entry(api, secret=["/bin/sh", "-c", "exec sleep 60"]))
    call = asyncio.create_task(caller.get(api.url))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert api.seen == []
