"""The credentials file: good ones are read, bad ones are refused in one line that quotes no value."""

import os
from pathlib import Path

import pytest

from athena_core.credentials.credentials import Credentials
from athena_core.credentials.credentials_file import FILE_BYTES_MAX, read_definitions
from athena_core.errors import ConfigError
from tests.core.credentials.corpus import BAD, CANARY, ENTRY, GOOD, SECRET_FILES, write_credentials, write_private


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_file_is_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENS_KEY", "a-variable-s3cret")
    credentials = Credentials(write_credentials(tmp_path, GOOD[kind]))
    assert credentials.configured
    assert len(credentials.names) == GOOD[kind].count("[credentials.")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_in_one_line_without_its_values(kind: str, tmp_path: Path) -> None:
    text, reason = BAD[kind]
    path = write_credentials(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        Credentials(path)
    assert raised.value.message.startswith(f"ATHENA_CREDENTIALS_FILE: {path}: {reason}")
    assert raised.value.message.isprintable()
    assert CANARY not in raised.value.message
    assert raised.value.__suppress_context__


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read_definitions(path)
    assert raised.value.message.isprintable()
    return raised.value.message.removeprefix(f"ATHENA_CREDENTIALS_FILE: {path}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644, 0o777, 0o610])
def test_a_file_that_others_may_use_is_refused(mode: int, tmp_path: Path) -> None:
    said = refusal(write_credentials(tmp_path, ENTRY, mode=mode))
    assert "chmod" in said
    assert "other users may" in said


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    text = ENTRY.replace("@DIR@", str(tmp_path))
    path = write_credentials(tmp_path, text + "#" * (FILE_BYTES_MAX - len(text)))
    assert read_definitions(path).keys() == {"a"}
    write_private(path, path.read_text() + "#")
    assert f"larger than {FILE_BYTES_MAX} bytes" in refusal(path)


def test_a_file_that_is_not_one_is_refused_at_once(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo, 0o600)
    link.symlink_to(fifo)
    for path in (fifo, link, tmp_path, Path("/dev/zero"), tmp_path / "missing"):
        assert refusal(path).startswith(" cannot be read: ")


def test_a_link_is_followed_and_its_directory_checked(tmp_path: Path) -> None:
    real, place = tmp_path / "real", tmp_path / "place"
    real.mkdir()
    place.mkdir()
    link = place / "link"
    link.symlink_to(write_credentials(real, ENTRY))
    assert read_definitions(link).keys() == {"a"}
    for directory in (real, place):
        directory.chmod(0o777)
        assert f"because other users may write {directory}" in refusal(link)
        directory.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    os.chown(path, 12_345, -1)
    assert "belongs to user 12345" in refusal(path)


def test_text_that_is_not_utf_8_is_refused_by_line(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    path.write_bytes(b"# one\n# two \xff\n")
    assert refusal(path) == ": line 2: not UTF-8 text. Save the file as UTF-8."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("1234567", "holds fewer than 8 characters"),
        ("x" * 4_097, "holds more than 4096 characters"),
        (f"{CANARY}\nx", "holds a line break, a control or a non-ASCII character"),
        (f"{CANARY}\r\nX-Evil: 1", "holds a line break, a control or a non-ASCII character"),
        (f"{CANARY}\0", "holds a line break, a control or a non-ASCII character"),
        (f"{CANARY}é", "holds a line break, a control or a non-ASCII character"),
        (f"\ufeff{CANARY}", "holds a line break, a control or a non-ASCII character"),
        (f" {CANARY}", "holds a line break, a control or a non-ASCII character"),
        (f"{CANARY}\t", "holds a line break, a control or a non-ASCII character"),
    ],
)
def test_a_bad_secret_stops_the_start_and_is_not_quoted(content: str, reason: str, tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    write_private(tmp_path / "key", content)
    with pytest.raises(ConfigError) as raised:
        Credentials(path)
    start = f"ATHENA_CREDENTIALS_FILE: credentials.a.secret: {tmp_path / 'key'} {reason}"
    assert raised.value.message.startswith(start)
    assert CANARY not in raised.value.message


@pytest.mark.parametrize("target", ["fifo", "directory", "/dev/zero", "missing", "link"])
def test_a_secret_file_that_is_not_one_stops_the_start(target: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("/dev/zero")
    path = write_credentials(tmp_path, ENTRY.replace("@DIR@/key", str(tmp_path / target)))
    with pytest.raises(ConfigError, match="cannot be read"):
        Credentials(path)


def test_a_secret_file_of_a_gigabyte_is_not_read_whole(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    os.truncate(tmp_path / "key", 1 << 30)
    with pytest.raises(ConfigError, match="holds more than 4096 characters"):
        Credentials(path)


def test_a_secret_file_that_others_may_write_stops_the_start(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    (tmp_path / "key").chmod(0o666)
    with pytest.raises(ConfigError, match="other users may write"):
        Credentials(path)


def test_a_secret_file_that_others_may_read_is_accepted_as_containers_mount_them(tmp_path: Path) -> None:
    path = write_credentials(tmp_path, ENTRY)
    (tmp_path / "key").chmod(0o444)
    assert Credentials(path).names == {"a"}


def test_one_line_break_at_the_end_is_left_out_of_a_secret(tmp_path: Path) -> None:
    write_credentials(tmp_path, ENTRY)
    for content in ("a-good-s3cret", "a-good-s3cret\n", "a-good-s3cret\r\n"):
        write_private(tmp_path / "key", content)
        (definition,) = read_definitions(tmp_path / "credentials.toml").values()
        assert definition.source.read() == SECRET_FILES["key"].strip()  # type: ignore[union-attr]
