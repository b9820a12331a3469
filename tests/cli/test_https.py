"""Commands that reach a server by https: whose certificate they accept, and what they say of any other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_core.values import Role
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.support.certificates import MISSING, OPENSSL, Pair, make_pair
from tests.support.server import Server
from tests.support.token_server import TOKENS_ONLY, put_token

pytestmark = pytest.mark.skipif(OPENSSL is None, reason=MISSING)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("served"), **TOKENS_ONLY, **pair.settings) as server:
        yield server


@pytest.fixture(autouse=True)
def calls(terminal: Terminal, server: Server) -> None:
    """Let commands call the server as an Admin."""
    token = put_token(server, "ann", Role.ADMIN).text
    terminal.settings |= {"api_base_url": server.url, "cli_transport": "auto", "token": token}


def test_a_private_authority_is_trusted_by_its_file(here: Here, pair: Pair) -> None:
    assert here("whoami", api_ca_file=str(pair.cert)).data["identity"] == "ann"
    assert here("events", "list", api_ca_file=str(pair.cert)).data["events"]
    found = here("doctor", api_ca_file=str(pair.cert), **pair.settings).data["findings"]
    says = {one["check"]: one["says"] for one in found}
    assert says["token"] == "ATHENA_TOKEN is accepted, as ann (Admin); it expires in 89 days"
    assert says["certificate"] == f"{pair.cert} expires in 29 days"


def test_a_certificate_of_no_known_authority_is_refused(here: Here, server: Server, tmp_path: Path) -> None:
    other = make_pair(tmp_path / "other").cert
    for settings in ({}, {"api_ca_file": str(other)}):
        refused = here("whoami", **settings)
        assert (refused.code, refused.out) == (3, "")
        assert refused.err.startswith(f"error: the certificate of {server.url} is not accepted: self")
        assert "set ATHENA_API_CA_FILE to its certificate" in refused.err
        assert "is not accepted: self" in here("doctor", **settings).out


def test_a_certificate_of_another_name_is_refused(here: Here, server: Server, pair: Pair) -> None:
    url = server.url.replace("127.0.0.1", "[::ffff:127.0.0.1]")
    refused = here("whoami", api_base_url=url, api_ca_file=str(pair.cert))
    assert refused.code == 3 and "IP address mismatch" in refused.err


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file or directory"), ("no", "is not a file of certificates in PEM")],
)
def test_a_wrong_file_of_an_authority_is_refused_before_a_request(
    here: Here, tmp_path: Path, content: str | None, words: str
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    refused = here("whoami", api_ca_file=str(path))
    assert (refused.code, refused.err) == (2, f"error: ATHENA_API_CA_FILE: {path} {words}\n")
    assert words in here("doctor", api_ca_file=str(path)).out
