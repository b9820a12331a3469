"""The token of the Python client: it is sent, and stands in no text of the client."""

import logging
import ssl
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from athena_client import AsyncAthena, Athena, AthenaError, InvalidAnswer, Unreachable
from athena_client._async.core import DEADLINE_SECONDS
from tests.clients.python.halves import HALVES, client_of
from tests.support.certificates import MISSING, OPENSSL, make_pair
from tests.support.odd_server import STREAM_HEAD, odd_server, response, sends
from tests.support.server import Server, server_of_module
from tests.support.token_server import TOKENS_ONLY, put_token, revoke_token

TOKEN = "ath_" + "T0K3N" * 10
GOOD = sends(response(200, b'{"ok":true,"data":{"a":1}}'))
REFUSED = response(401, b'{"ok":false,"error":{"code":"AUTH_TOKEN_INVALID","message":"no","retryable":false}}')
FRAME = b'id: c1\nevent: a.b\ndata: {"ok":true,"data":{"id":"c1"}}\n\n'


def read_policy(client: Athena) -> Any:
    return client.request("GET", "/policy")


def read_stream(client: Athena) -> list[Any]:
    return list(client.stream("/events/stream", dict))


guarded = server_of_module(**TOKENS_ONLY)
"""A server that takes tokens only."""


@pytest.mark.parametrize("half", HALVES)
def test_a_server_takes_the_token_until_it_is_revoked(half: str, guarded: Server) -> None:
    token, expired = put_token(guarded), put_token(guarded, ms=1)
    with client_of(half, guarded.url, token=token.text) as client:
        assert client.run("hello").output == "Echo: user: hello"
        caller = client.get_caller()
        assert (caller.identity, caller.token and caller.token.token_id) == ("ci", token.id)
        records: list[str] = []
        with pytest.raises(AthenaError, match="AUTH_TOKEN_INVALID") as ended:
            for event in client.events():
                if not records:
                    revoke_token(guarded, token)
                records.append(event.id)
        assert records and (ended.value.status, ended.value.retry_with) == (401, None)
        with pytest.raises(AthenaError, match="AUTH_TOKEN_INVALID"):
            client.run("hello")
    with client_of(half, guarded.url, token=expired.text) as late, pytest.raises(AthenaError, match="TOKEN_EXPIRED"):
        late.run("hello")
    with client_of(half, guarded.url) as nobody, pytest.raises(AthenaError, match="AUTH_TOKEN_MISSING"):
        nobody.run("hello")


@pytest.mark.parametrize("half", HALVES)
def test_the_token_goes_with_each_request_instead_of_an_identity(half: str) -> None:
    with odd_server(GOOD) as server, client_of(half, server.url, token=TOKEN) as client:
        read_policy(client)
        client.request("POST", "/directives", body={"input": "x"})
    assert server.header("authorization") == [f"Bearer {TOKEN}"] * 2
    assert server.header("x-athena-identity") == []


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_to_another_host_does_not_carry_it(half: str, status: int) -> None:
    with odd_server(GOOD) as elsewhere:
        away = sends(response(status, b"", "text/plain", f"location: {elsewhere.url}/api/v1/policy"))
        with odd_server(away) as server, client_of(half, server.url, token=TOKEN) as client:
            for use in (read_policy, read_stream):
                with pytest.raises(InvalidAnswer, match="not from an Athena server"):
                    use(client)
    assert elsewhere.requests == []


@pytest.mark.parametrize("half", HALVES)
def test_a_stream_whose_token_is_refused_at_a_reconnection_ends_with_the_error(half: str) -> None:
    with (
        odd_server(sends(STREAM_HEAD, FRAME), sends(REFUSED)) as server,
        client_of(half, server.url, token=TOKEN) as client,
    ):
        records: list[Any] = []
        with pytest.raises(AthenaError, match="AUTH_TOKEN_INVALID"):
            records.extend(record for record in client.stream("/events/stream", dict))
    assert server.header("last-event-id") == ["c1"] and len(server.requests) == 2


@pytest.mark.parametrize("use", [read_policy, read_stream])
def test_no_text_of_the_client_has_it(use: Callable[[Athena], Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    with odd_server(sends(REFUSED)) as server, Athena(server.url, token=TOKEN) as client:
        with pytest.raises(AthenaError) as refused:
            use(client)
        texts += [repr(client), repr(vars(client)), str(client._http.headers), *_texts_of(refused.value)]
    with (
        Athena("http://127.0.0.1:1", token=TOKEN, deadline=0) as alone,
        pytest.raises(Unreachable) as unreached,
    ):
        use(alone)
    texts += [*_texts_of(unreached.value), caplog.text]
    assert caplog.records and not [text for text in texts if TOKEN in text or TOKEN[4:] in text]


def _texts_of(error: BaseException) -> list[str]:
    """Return the printed forms of an error, also of tools that show the variables of each frame."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [str(error), repr(error), repr(vars(error)), "".join(shown.format())]


@pytest.mark.parametrize("token", ["", "ath_a\n", "ath_a b", "äth", "ath_\x7f"])
@pytest.mark.parametrize("kind", [Athena, AsyncAthena])
def test_a_token_that_no_header_carries_is_refused_without_quoting_it(token: str, kind: type) -> None:
    with pytest.raises(ValueError, match=r"^token: it is empty, or has characters") as caught:
        kind(token=token)
    assert not token or token not in str(caught.value)


def test_a_token_beside_another_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="token: give it or an identity, not both"):
        Athena(identity="ada", token=TOKEN)
    with pytest.raises(ValueError, match="token: give it or a user in base_url, not both"):
        Athena("https://ada:secret@athena.example", token=TOKEN)


@pytest.mark.skipif(OPENSSL is None, reason=MISSING)
@pytest.mark.parametrize("half", HALVES)
def test_a_server_of_a_private_authority_needs_its_certificate(half: str, tmp_path: Path) -> None:
    pair = make_pair(tmp_path / "certificates")
    with Server(tmp_path / "served", **TOKENS_ONLY, **pair.settings) as server:
        token = put_token(server).text
        trust = ssl.create_default_context(cafile=pair.cert)
        with client_of(half, server.url, token=token, verify=trust) as client:
            assert client.get_caller().identity == "ci"
        with client_of(half, server.url, token=token) as client:
            for use in (read_policy, read_stream):  # at once, not at the deadline of a minute
                begun = time.monotonic()
                with pytest.raises(Unreachable, match="certificate verify failed"):
                    use(client)
                assert time.monotonic() - begun < DEADLINE_SECONDS / 2
