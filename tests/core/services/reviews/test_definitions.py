"""Tests of personas: the places of definitions, and refused ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from athena_core.errors import ConfigError
from athena_core.mask import Mask
from athena_core.services.reviews.definitions import DEFINITION_BYTES_MAX, PersonaFiles
from athena_core.services.reviews.result import parse_answer
from athena_core.tools.workspace import Workspace
from tests.support.canaries import SECRETS


def write(place: Path, **fields: Any) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"schemaVersion": 1, **fields}))
    return place


@pytest.fixture
def files(tmp_path: Path) -> PersonaFiles:
    return PersonaFiles(Workspace(tmp_path))


def test_a_definition_is_a_file_or_a_folder(tmp_path: Path, files: PersonaFiles) -> None:
    write(tmp_path / "personas" / "critic.json", id="critic", description="Looks twice.", unknown=1)
    write(tmp_path / "personas" / "scribe" / "persona.json", id="scribe", git={"baseRefDefault": "develop"})
    critic, scribe = files.read("critic", "name"), files.read("scribe", "name")
    assert (critic.persona.description, critic.folder) == ("Looks twice.", ("personas",))
    assert (scribe.persona.git.base_ref_default, scribe.folder) == ("develop", ("personas", "scribe"))
    assert scribe.persona.git.require_clean_worktree


@pytest.mark.parametrize(
    "name", ["nobody", "..", ".", "../secret", "a/b", "", "critic\x00", "critic\n", "é", "x" * 5_000]
)
def test_an_undefined_persona_is_a_wrong_field(tmp_path: Path, files: PersonaFiles, name: str) -> None:
    write(tmp_path / "persona.json", id="..")
    write(tmp_path / "secret.json", id="../secret")
    with pytest.raises(ConfigError, match=r"a2a\.to: "):
        files.read(name, "a2a.to")


def test_the_fault_of_a_definition_is_reported(tmp_path: Path, files: PersonaFiles) -> None:
    folder = tmp_path / "personas"
    write(folder / "other.json", id="critic")
    (folder / "broken.json").write_text("{")
    (folder / "deep.json").write_text('{"schemaVersion": 1, "id": "deep", "x": ' + "[" * 100_000)
    (folder / "large.json").write_text("x" * (DEFINITION_BYTES_MAX + 1))
    (folder / "old.json").write_text('{"schemaVersion": 0, "id": "old"}')
    (folder / "bytes.json").write_bytes(b'{"schemaVersion": 1, "id": "\xff"}')
    for name in ("other", "broken", "deep", "large", "old", "bytes"):
        with pytest.raises(ConfigError, match=f"name: personas/{name}.json"):
            files.read(name, "name")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"context": {"promptFiles": ["tone.md", "gone.md"]}}, "the prompt file 'gone.md' of persona 'critic'"),
        ({"context": {"skillFiles": ["../../etc/passwd"]}}, "the skill file '../../etc/passwd' of persona"),
        ({"context": {"docFiles": ["folder"]}}, "the doc file 'folder' of persona 'critic' cannot be"),
        ({"context": {"workspaceDocFiles": ["tone.md"]}}, "the workspace-doc file 'tone.md' of persona"),
        ({"context": {"workspaceDocFiles": ["personas/tone.md"]}}, "the workspace-doc file 'personas/tone.md' of"),
        ({"output": {"writeJsonFile": "/tmp/x.json"}}, "output.writeJsonFile: "),
        ({"output": {"writeMarkdownFile": "personas/critic.json"}}, "output.writeMarkdownFile: "),
    ],
)
def test_a_definition_is_checked_as_a_review_checks_it(
    tmp_path: Path, files: PersonaFiles, fields: dict[str, Any], problem: str
) -> None:
    right = {"context": {"promptFiles": ["tone.md"], "workspaceDocFiles": ["README"]}, "output": {"writeJsonFile": "a"}}
    write(tmp_path / "personas" / "critic.json", id="critic", **right)
    (tmp_path / "personas" / "folder").mkdir()
    for place in (tmp_path / "README", tmp_path / "personas" / "tone.md"):
        place.write_text("words")
    files.check(files.read("critic", "id"), "id")
    write(tmp_path / "personas" / "critic.json", id="critic", **fields)
    with pytest.raises(ConfigError) as refused:
        files.check(files.read("critic", "id"), "id")
    assert problem in str(refused.value)
    assert "Errno" not in str(refused.value)


def test_a_link_is_not_followed(tmp_path: Path, files: PersonaFiles) -> None:
    write(tmp_path / "outside.json", id="linked")
    (tmp_path / "personas").mkdir()
    (tmp_path / "personas" / "linked.json").symlink_to(tmp_path / "outside.json")
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere" / "persona.json", id="folder")
    (tmp_path / "personas" / "folder").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for name in ("linked", "folder"):
        with pytest.raises(ConfigError, match="symbolic link"):
            files.read(name, "name")


def test_a_review_is_masked_once_its_escapes_are_read() -> None:
    answer = {"schemaVersion": 1, "mergeGate": "pass", "reportMarkdown": f"uses {SECRETS[0]}", "findings": []}
    assert parse_answer(json.dumps(answer).replace("-", "\\u002d"), Mask()).report_markdown == "uses ***"
