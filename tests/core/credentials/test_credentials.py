"""Credentials: rotation without a restart, the reload of the file, and the masking of every secret."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from athena_core.clock import FixedClock
from athena_core.credentials import credentials as module
from athena_core.credentials.credentials import Credential, Credentials, CredentialUnavailable
from athena_core.credentials.sources import CommandSource, SecretUnavailable
from athena_core.errors import ConfigError
from athena_core.mask import HIDDEN, LEARNED_MAX, Mask
from athena_core.system.problems import Problems
from tests.core.credentials.corpus import ENTRY, entry, write_credentials, write_private
from tests.support.api import PATIENCE_SECONDS


class Desk:
    """Credentials of a file with their mask, their problems and the files that tools may not reach."""

    def __init__(self, directory: Path, text: str) -> None:
        self.directory = directory
        self.clock = FixedClock()
        self.mask = Mask(shapes=False)
        self.problems = Problems(self.clock)
        self.closed: set[Path] = set()
        self.path = write_credentials(directory, text)
        self.credentials = Credentials(self.path, self.mask, monotonic=self.clock.monotonic)
        self.credentials.connect(self.problems, self.close)

    def close(self, paths: Iterable[Path]) -> None:
        self.closed.update(paths)

    def __getitem__(self, name: str) -> Credential:
        found = self.credentials.find(name)
        assert found is not None
        return found

    @property
    def failing(self) -> list[str]:
        return [problem.message for problem in self.problems.failing()]


def script(directory: Path, text: str) -> str:
    """Return a source that runs a shell script, for a minute."""
    write_private(directory / "script", f"#!/bin/sh\n{text}\n", 0o700)
    return entry(secret=f'{{ command = ["{directory / "script"}"], refreshSeconds = 60 }}')


def test_without_a_file_there_are_no_credentials() -> None:
    credentials = Credentials()
    assert (credentials.configured, credentials.names, credentials.files) == (False, frozenset(), ())
    assert credentials.find("a") is None


def test_plain_http_is_only_for_private_credentials(tmp_path: Path) -> None:
    hosts = '["api.example.org", "localhost:8080"]'
    desk = Desk(tmp_path, entry(hosts=hosts) + entry(hosts=hosts, private="true").replace(".a]", ".b]"))
    assert desk["a"].covers("https", "API.example.org.", 443)
    assert not desk["a"].covers("http", "localhost", 8080)
    assert not desk["a"].covers("https", "127.1", 443)
    assert desk["b"].covers("http", "localhost", 8080)
    assert desk["b"].covers("https", "localhost", 8080)
    assert not desk["b"].covers("http", "localhost", 80)
    assert not desk["b"].covers("ftp", "localhost", 8080)
    assert (desk["a"].private, desk["b"].private) == (False, True)
    assert (desk["a"].name, desk["a"].header, desk["a"].parameter) == ("a", "authorization", None)


async def test_a_secret_file_is_read_at_each_use_and_old_secrets_stay_masked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ENTRY)
    assert await desk["a"].secret() == "a-good-s3cret"
    held, size = desk["a"], (tmp_path / "key").stat().st_size
    write_private(tmp_path / "key", "b" * (size - 1) + "\n")
    assert await held.secret() == "b" * (size - 1)
    assert desk.mask.hide(f"a-good-s3cret {'b' * (size - 1)}") == f"{HIDDEN} {HIDDEN}"


async def test_a_secret_is_masked_before_its_first_use(tmp_path: Path) -> None:
    assert Desk(tmp_path, ENTRY).mask.hide("echo a-good-s3cret") == f"echo {HIDDEN}"


@pytest.mark.parametrize("content", ["", "a\nb", "short", None])
async def test_a_bad_new_secret_keeps_the_old_one_and_is_a_problem_until_it_is_good(
    content: str | None, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, ENTRY)
    if content is None:
        (tmp_path / "key").unlink()
    else:
        write_private(tmp_path / "key", content)
    assert await desk["a"].secret() == "a-good-s3cret"
    (message,) = desk.failing
    assert message.startswith(f"CONFIG_ERROR: Credential 'a': {tmp_path / 'key'} ")
    write_private(tmp_path / "key", "a-new-s3cret")
    assert await desk["a"].secret() == "a-new-s3cret"
    assert desk.failing == []


async def test_a_link_that_is_swapped_to_a_fifo_blocks_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ENTRY)
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "key").unlink()
    (tmp_path / "key").symlink_to(tmp_path / "fifo")
    with anyio.fail_after(PATIENCE_SECONDS):
        assert await desk["a"].secret() == "a-good-s3cret"
    assert "not a regular file" in desk.failing[0]


async def test_a_variable_is_read_once_and_leaves_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENS_VARIABLE", "a-variable-s3cret")
    desk = Desk(tmp_path, entry(secret='{ env = "ATHENS_VARIABLE" }'))
    assert "ATHENS_VARIABLE" not in os.environ
    assert await desk["a"].secret() == "a-variable-s3cret"
    await desk.credentials.reload()
    assert await desk["a"].secret() == "a-variable-s3cret"
    again = Credentials(desk.path)
    assert again.names == {"a"}
    assert desk.failing == []


def test_a_variable_that_is_not_set_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"credentials\.a\.secret: the variable ATHENS_MISSING is not set"):
        Desk(tmp_path, entry(secret='{ env = "ATHENS_MISSING" }'))


async def test_a_command_runs_once_until_its_refresh_however_many_ask(tmp_path: Path) -> None:
    desk = Desk(tmp_path, script(tmp_path, f"echo x >> {tmp_path}/runs; echo s3cret-number-$(wc -l < {tmp_path}/runs)"))
    assert not (tmp_path / "runs").exists()
    found = await asyncio.gather(*(desk["a"].secret() for _ in range(5)))
    assert set(found) == {"s3cret-number-1"}
    desk.clock.advance(59_000)
    assert await desk["a"].secret() == "s3cret-number-1"
    desk.clock.advance(2_000)
    assert await desk["a"].secret() == "s3cret-number-2"
    assert desk.mask.hide("s3cret-number-1 s3cret-number-2") == f"{HIDDEN} {HIDDEN}"


async def test_a_command_has_no_settings_and_no_secret_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_OPENAI_API_KEY", "x" * 20)
    monkeypatch.setenv("ATHENS_VARIABLE", "a-variable-s3cret")
    text = entry(secret='{ env = "ATHENS_VARIABLE" }').replace(".a]", ".b]")
    desk = Desk(tmp_path, script(tmp_path, f"env > {tmp_path}/found; echo a-good-s3cret") + text)
    await desk["a"].secret()
    found = (tmp_path / "found").read_text()
    assert "PATH=" in found
    assert "ATHEN" not in found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo a-s3cret-in-an-error >&2; echo another-s3cret; exit 3", "the command failed with exit status 3"),
        ("kill -9 $$", "the command failed with exit status -9"),
        ("true", "the output of the command is empty"),
        ("yes s3cret", "the output of the command holds more than 4096 characters"),
        ("printf 'a-s3cret\\nb-s3cret'", "the output of the command holds a line break"),
    ],
)
async def test_a_command_that_fails_is_not_quoted(
    text: str, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, script(tmp_path, text))
    with anyio.fail_after(PATIENCE_SECONDS), pytest.raises(CredentialUnavailable) as raised:
        await desk["a"].secret()
    assert raised.value.message.startswith(f"Credential 'a': {reason}")
    assert desk.failing == [f"CONFIG_ERROR: {raised.value.message}"]
    assert "s3cret" not in raised.value.message + caplog.text


async def test_a_command_that_cannot_start_is_a_reason(tmp_path: Path) -> None:
    desk = Desk(tmp_path, entry(secret=f'{{ command = ["{tmp_path}/none"] }}'))
    with pytest.raises(CredentialUnavailable, match="cannot be started: No such file"):
        await desk["a"].secret()


async def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    path = write_private(tmp_path / "script", "#!/bin/sh\necho a-good-s3cret; sleep 1000", 0o700)
    with anyio.fail_after(PATIENCE_SECONDS), pytest.raises(SecretUnavailable, match="ran for more than 0.2 s"):
        await CommandSource((str(path),), seconds_max=0.2).run()


async def test_a_failed_command_is_not_run_again_at_once_and_an_old_secret_stays(tmp_path: Path) -> None:
    desk = Desk(tmp_path, script(tmp_path, f"echo x >> {tmp_path}/runs; cat {tmp_path}/out"))
    for _ in range(3):
        with pytest.raises(CredentialUnavailable):
            await desk["a"].secret()
    assert (tmp_path / "runs").read_text() == "x\n"
    write_private(tmp_path / "out", "a-good-s3cret")
    desk.clock.advance(int(module.RETRY_SECONDS * 1_000))
    assert await desk["a"].secret() == "a-good-s3cret"
    assert desk.failing == []
    (tmp_path / "out").unlink()
    desk.clock.advance(61_000)
    assert await desk["a"].secret() == "a-good-s3cret"
    assert len(desk.failing) == 1


async def test_a_reload_takes_new_entries_and_ends_old_ones(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ENTRY)
    write_credentials(tmp_path, ENTRY.replace(".a]", ".b]").replace("/key", "/other").replace("api.", "*."))
    await desk.credentials.reload()
    assert desk.credentials.names == {"b"}
    assert await desk["b"].secret() == "another_s3cret"
    assert desk["b"].covers("https", "x.example.org", 443)
    assert desk.mask.hide("a-good-s3cret another_s3cret") == f"{HIDDEN} {HIDDEN}"
    assert desk.closed == {desk.path, tmp_path / "key", tmp_path / "other"}


async def test_a_bad_new_file_keeps_the_old_one_and_is_a_problem_until_it_is_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path, ENTRY)
    for bad in (entry(tokens='"x"'), ENTRY.replace("/key", "/missing"), ENTRY * 2):
        write_credentials(tmp_path, bad)
        await desk.credentials.reload()
        assert desk.credentials.names == {"a"}
        assert len(desk.failing) == 1
    assert "ATHENA_CREDENTIALS_FILE" in caplog.text
    desk.path.chmod(0o644)
    await desk.credentials.reload()
    assert "other users may read" in desk.failing[0]
    assert await desk["a"].secret() == "a-good-s3cret"
    write_credentials(tmp_path, ENTRY)
    await desk.credentials.reload()
    assert desk.failing == []


async def test_a_problem_of_an_entry_ends_with_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ENTRY)
    (tmp_path / "key").unlink()
    await desk["a"].secret()
    assert desk.failing
    desk.path.write_text("")
    await desk.credentials.reload()
    assert (desk.failing, desk.credentials.names) == ([], frozenset())


async def test_a_reload_keeps_what_a_command_printed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, script(tmp_path, f"echo x >> {tmp_path}/runs; echo a-good-s3cret"))
    await desk["a"].secret()
    await desk.credentials.reload()
    await desk["a"].secret()
    assert (tmp_path / "runs").read_text() == "x\n"


async def test_the_number_of_old_secrets_that_stay_masked_is_bounded(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ENTRY)
    for number in range(LEARNED_MAX):
        write_private(tmp_path / "key", f"s3cret-number-{number}")
        await desk["a"].secret()
    assert desk.mask.hide("a-good-s3cret") == "a-good-s3cret"
    for number in range(LEARNED_MAX):
        assert desk.mask.hide(f"s3cret-number-{number}") == HIDDEN
