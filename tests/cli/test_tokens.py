"""Tokens at a terminal: created once, sent by every command, and refused in a sentence."""

import json
import re
from pathlib import Path

import pytest

from athena_core.values import Role
from tests.cli.conftest import Here
from tests.cli.terminal import STYLES, Terminal
from tests.support.server import Server, server_of_module
from tests.support.token_server import TOKENS_ONLY, PutToken, put_token, revoke_token

TOKEN = re.compile(r"ath_[0-9A-Z]{26}_[A-Za-z0-9_-]{43}")
CREATE = ("tokens", "create", "--identity", "ci", "--role", "Operator")
LOCAL = ("--transport", "local")
HOUR_MS = 3_600_000


server = server_of_module(**TOKENS_ONLY)
"""A server that takes tokens only."""


@pytest.fixture(scope="module")
def admin(server: Server) -> PutToken:
    return put_token(server, "ann", Role.ADMIN)


@pytest.fixture
def guarded(terminal: Terminal, server: Server) -> Terminal:
    """A terminal whose commands call the server, without a token."""
    terminal.settings |= {"api_base_url": server.url, "cli_transport": "auto"}
    return terminal


def test_the_owner_of_the_state_directory_makes_the_first_token_while_a_server_runs(
    guarded: Terminal, here: Here, server: Server
) -> None:
    first = here("tokens", "create", "--identity", "ann", "--role", "Admin", "-q")
    sentence = "error: the server requires a token: set ATHENA_TOKEN, or make the first one on its machine with"
    assert (first.code, first.out) == (4, "")
    assert first.err.startswith(f"{sentence} --transport local\n  AUTH_TOKEN_MISSING")
    command = ("tokens", "create", "--identity", "ann", "--role", "Admin", "-q", *LOCAL)
    made = guarded.run(*command, state_dir=str(server.state_dir))
    assert (made.code, made.err) == (0, "") and TOKEN.fullmatch(made.out.removesuffix("\n"))
    assert here("whoami", token=made.out.strip()).data["token"].keys() == {"tokenId", "session", "expiresAt"}


def test_the_owner_makes_the_first_token_before_a_server_runs_and_with_the_settings_of_it(here: Here) -> None:
    command = ("tokens", "create", "--identity", "ann", "--role", "Admin", "-q", *LOCAL)
    refused = here(*command, auth_enabled="true")
    assert refused.code == 4 and "ATHENA_AUTH_IDENTITY_ROLE_MAP=ann:Admin" in refused.err
    made = here(*command, **TOKENS_ONLY)
    assert made.code == 0 and TOKEN.fullmatch(made.out.strip())
    who = here("whoami", *LOCAL, token=made.out.strip(), **TOKENS_ONLY).data
    assert (who["identity"], who["role"]) == ("ann", "Admin")


def test_a_log_that_the_first_token_begins_is_named(here: Here, terminal: Terminal) -> None:
    begun = here("tokens", "create", "--identity", "ann", "--role", "Admin", "-q", *LOCAL)
    assert begun.err == "No log was in ./state. A new one begins there.\n"
    assert here("tokens", "create", "--identity", "ann", "--role", "Admin", "-q", *LOCAL).err == ""


@pytest.mark.heavy
def test_a_screen_shows_the_token_once_with_what_to_do_next(guarded: Terminal, admin: PutToken) -> None:
    screen = guarded.screen(*CREATE, "--scope", "sessions=a,b", "--scope", "runs=run_1", token=admin.text)
    assert screen.end() == 0
    lines = screen.plain.splitlines()
    assert lines[0] == "Token of ci, Operator, only for runs=run_1 sessions=a,b"
    assert re.fullmatch(r"Valid until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+", lines[1])
    assert TOKEN.fullmatch(lines[3].strip()) and len(TOKEN.findall(screen.plain)) == 1
    assert max(map(len, lines)) <= 80
    token_id = lines[-1].removeprefix("  Revoke it:  athena tokens revoke ")
    shown = guarded.screen("tokens", "get", token_id[-8:], token=admin.text)
    assert shown.end() == 0
    assert TOKEN.search(shown.plain) is None and "last used   never" in shown.plain
    caller = guarded.screen("whoami", token=lines[3].strip())
    assert caller.end() == 0
    fields = dict(line.split(maxsplit=1) for line in caller.plain.splitlines())
    assert (fields["identity"], fields["scope"], fields["token"]) == ("ci", "runs=run_1 sessions=a,b", token_id)
    assert fields["expires"].endswith("(in 89 days)")


def test_scripts_get_the_token_alone_or_as_json(guarded: Terminal, here: Here, admin: PutToken) -> None:
    alone = here(*CREATE, "-q", "--note", "-", token=admin.text)
    assert (alone.code, alone.err) == (0, "") and TOKEN.fullmatch(alone.out.removesuffix("\n"))
    record = here(*CREATE, "-o", "json", "--expires", "1h", "--scope", "personas=lead", token=admin.text).data
    assert TOKEN.fullmatch(record["token"]) and record["scope"] == {"personas": ["lead"]}
    assert here(*CREATE, token=admin.text).data.keys() == record.keys() - {"scope"}


def test_a_table_says_when_a_token_was_used_and_expires(guarded: Terminal, here: Here, admin: PutToken) -> None:
    assert here(*CREATE, "--expires", "52w", "--note", "nightly build", token=admin.text).code == 0
    screen = guarded.screen("tokens", "--identity", "ci", "--status", "active", token=admin.text)
    assert screen.end() == 0
    head, newest = (line.split() for line in screen.plain.splitlines()[:2])
    assert head[:8] == ["TOKEN", "IDENTITY", "ROLE", "STATUS", "LAST", "USED", "EXPIRES", "NOTE"]
    assert newest[1:10] == ["ci", "Operator", "active", "never", "in", "363", "days", "nightly", "build"]
    assert {
        item["identity"] for item in here("tokens", "list", "--identity", "ci", token=admin.text).data["items"]
    } == {"ci"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--scope", "session=a"], "--scope: 'session=a' is not a scope; give sessions=…, runs=… or personas=…"),
        (["--scope", "sessions"], "--scope: 'sessions' is not a scope"),
        (["--scope", "sessions=a,,b"], "--scope (scope.sessions[1])"),
        (["--expires", "never"], "--expires: 'never' is not a span such as 30m, 8h or 2d"),
        (["--expires", "59s"], "--expires: '59s' is out of range; give 1m to 3650d"),
        (["--expires", "3651d"], "--expires: '3651d' is out of range"),
        (["--role", "Owner"], "--role: 'Owner' is not one of Admin, Operator, Viewer"),
        (["--identity", "system:x"], "--identity: "),
        (["--identity", "dora", "--role", "Admin"], "--role: dora has only the role Viewer; give the role Viewer, or"),
    ],
)
def test_a_wrong_token_is_not_created(
    guarded: Terminal, here: Here, admin: PutToken, options: list[str], sentence: str
) -> None:
    given = {"--identity": "ci", "--role": "Operator"} | dict(zip(options[::2], options[1::2], strict=True))
    wrong = here("tokens", "create", *(word for pair in given.items() for word in pair), token=admin.text)
    assert (wrong.code, wrong.out) == (2, "") and sentence in wrong.err


def test_a_token_beside_an_identity_is_refused(guarded: Terminal, here: Here, admin: PutToken) -> None:
    flag = here("whoami", "--identity", "ann", token=admin.text)
    assert (flag.code, flag.err) == (
        2,
        "error: ATHENA_TOKEN: set either this or --identity, not both; a token contains its identity\n",
    )
    both = here("whoami", token=admin.text, cli_identity="ann")
    assert (both.code, both.err) == (2, "error: ATHENA_TOKEN: set either this or ATHENA_CLI_IDENTITY, not both\n")


def test_a_token_may_be_in_a_file(guarded: Terminal, here: Here, admin: PutToken, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{admin.text}\n")
    assert here("whoami", token_file=str(tmp_path / "token")).data["identity"] == "ann"


@pytest.mark.parametrize(
    ("ms", "revoked", "code", "sentence"),
    [
        (1, False, "AUTH_TOKEN_EXPIRED", "the token in ATHENA_TOKEN has expired"),
        (HOUR_MS, True, "AUTH_TOKEN_INVALID", "the token in ATHENA_TOKEN is unknown or was revoked"),
    ],
)
def test_a_token_that_ended_is_refused_in_a_sentence(
    guarded: Terminal, here: Here, server: Server, ms: int, revoked: bool, code: str, sentence: str
) -> None:
    token = put_token(server, ms=ms)
    if revoked:
        revoke_token(server, token)
    for command in (("whoami",), ("run", "x"), ("events", "tail"), ("runs", "list", "--all")):
        refused = here(*command, token=token.text)
        assert (refused.code, refused.out) == (4, ""), refused.err
        assert refused.err.startswith(
            f"error: {sentence}: ask an Admin for another one, made by athena tokens create\n"
        )
        assert code in refused.err and token.text not in refused.err
    found = here("doctor", "-o", "json", token=token.text)
    (check,) = [one for one in json.loads(found.out)["findings"] if one["check"] == "token"]
    assert (found.code, check["status"]) == (1, "wrong") and code in check["says"]


def test_the_doctor_says_whose_token_it_is_and_when_it_expires(guarded: Terminal, here: Here, server: Server) -> None:
    for ms, status, left in ((90 * 24 * HOUR_MS, "ok", "in 89 days"), (2 * HOUR_MS, "notice", "in 1 h")):
        found = here("doctor", token=put_token(server, ms=ms).text).data["findings"]
        (check,) = [one for one in found if one["check"] == "token"]
        assert (check["status"], check["says"]) == (
            status,
            f"ATHENA_TOKEN is accepted, as ci (Operator); it expires {left}",
        )


@pytest.mark.heavy
def test_a_stream_ends_with_its_token_and_says_why(guarded: Terminal, server: Server) -> None:
    token = put_token(server)
    tail = guarded.start("events", "tail", "--cursor", "0", token=token.text)
    tail.line()
    revoke_token(server, token)
    ended = tail.end()
    assert ended.code == 4
    assert "error: the token in ATHENA_TOKEN is unknown or was revoked: ask an Admin" in ended.err
    assert ended.err.count("Reconnecting") <= 1 and token.text not in ended.err


def test_a_run_is_followed_with_a_token_of_its_scope(guarded: Terminal, here: Here, server: Server) -> None:
    token = put_token(server, scope={"sessions": ("builds",)})
    run = here("run", "hello", "--session", "builds", token=token.text).data
    assert "[completed" in here("logs", run["runId"], token=token.text).out
    other = here("run", "hello", "--session", "other", token=token.text)
    assert other.code == 4


def test_help_about_the_connection_names_the_token(here: Here) -> None:
    shown = STYLES.sub("", here("help", "connection").out)
    for name in ("ATHENA_TOKEN", "ATHENA_TOKEN_FILE", "ATHENA_API_CA_FILE"):
        assert name in shown
