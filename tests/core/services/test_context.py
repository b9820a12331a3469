"""References into the workspace: what is read, what is refused."""

import hashlib
from pathlib import Path

import pytest

from athena_core.errors import ConfigError, ContextOverflow
from athena_core.services.context import resolve

SALT = bytes(range(16))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "memory").mkdir(parents=True)
    (root / "notes.md").write_text("one\ntwo\nthree\n")
    (root / "memory" / "tips.md").write_text("tip")
    (root / "MEMORY.md").write_text("known")
    (root / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.mark.parametrize(
    ("reference", "content"),
    [
        ("file:notes.md", "one\ntwo\nthree\n"),
        ("file:notes.md#L2", "two"),
        ("file:notes.md#L2-L3", "two\nthree"),
        ("file:notes.md#L2-3", "two\nthree"),
        ("file:notes.md#L3-L9", "three"),
        ("file:notes.md#L9", ""),
        ("memory:tips.md", "tip"),
        ("memory:memory/tips.md", "tip"),
        ("memory:MEMORY.md", "known"),
    ],
)
def test_a_reference_is_read_and_hashed(workspace: Path, reference: str, content: str) -> None:
    resolved = resolve((reference,), workspace, 1_000, SALT)
    assert resolved.contents == [content]
    assert resolved.references[0].sha256 == hashlib.sha256(SALT + content.encode()).hexdigest()
    assert resolved.references[0].chars == len(content)


@pytest.mark.parametrize(
    "reference",
    [
        "notes.md",
        "http://example.org",
        "file:",
        "file:missing.md",
        "file:memory",
        "file:../secret",
        "file:/etc/passwd",
        "file:link",
        "file:loop",
        "file:binary",
        "file:notes.md#L",
        "file:notes.md#2",
        "file:" + "x" * 5_000,
        "memory:../secret",
    ],
)
def test_what_cannot_be_read_is_refused_by_its_index(workspace: Path, reference: str) -> None:
    with pytest.raises(ConfigError, match=r"contextRefs\[1\]"):
        resolve(("file:notes.md", reference), workspace, 1_000, SALT)


def test_more_than_fits_is_refused(workspace: Path) -> None:
    with pytest.raises(ContextOverflow):
        resolve(("file:notes.md", "file:notes.md"), workspace, 20, SALT)
