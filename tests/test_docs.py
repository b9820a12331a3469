"""The documentation: generated parts are current, links lead somewhere, examples do what they show."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from cyclopts import CycloptsError

from athena_api.endpoint.router import Router
from athena_api.operations import OPERATIONS
from athena_cli.app import build
from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.commands.run_activity import PAGES as CONSOLE_PAGES
from athena_cli.words.names import ALIASES, ALONE
from docs.generate import COMMAND, pages
from tests.conftest import Serve
from tests.support import tree
from tests.support.blocks import blocks
from tests.support.programs import needs

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
PICTURE_BYTES_MAX = 300_000
PICTURES_BYTES_MAX = 3_500_000
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
SERVER = "http://127.0.0.1:8787"
OUTSIDE = ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/events.schema.json")
SHOWN = re.compile(
    r'HTTP/1\.1 \d{3}|"ok":(?:true|false)|"code":"\w+"|"status":"[\w-]+"|^event: [\w.-]+|^[\w-]+: true$', re.M
)


TEST = re.compile(r"\btest_\w+")


@cache
def documents() -> dict[Path, str]:
    return {ROOT / name: (ROOT / name).read_text("utf-8") for name in tree.files() if name.endswith(".md")}


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Example(NamedTuple):
    """A command that a document shows, and the output that it shows below it."""

    page: str
    command: str
    output: str


def examples() -> Iterator[Example]:
    """The commands in fenced blocks, each on a line that begins with ``$``."""
    for path, text in documents().items():
        for block in FENCE.findall(text):
            for part in re.split(r"^\$ ", block.removesuffix("```"), flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield Example(path.relative_to(ROOT).as_posix(), command, output)


def test_generated_documents_are_current() -> None:
    stale = [path.relative_to(ROOT).as_posix() for path, text in pages().items() if path.read_text("utf-8") != text]
    assert not stale, f"stale: {', '.join(stale)}; run '{COMMAND}'"


def test_links_lead_somewhere() -> None:
    broken = []
    for path, text in documents().items():
        for target in LINK.findall(FENCE.sub("", text)):
            if urlsplit(target).scheme:
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            if not file.exists():
                broken.append(f"{path.relative_to(ROOT)}: {target} does not exist")
            elif anchor and anchor not in anchors(file.read_text("utf-8")):
                broken.append(f"{path.relative_to(ROOT)}: {target} has no such heading")
    assert not broken, "\n".join(broken)


def test_pictures_are_small_shown_and_of_every_page() -> None:
    """Each page of the console has a picture; a picture that no document shows is a leftover."""
    pictures = [ROOT / name for name in tree.files() if name.startswith("docs/images/")]
    shown = {(path.parent / link).resolve() for path, text in documents().items() for link in LINK.findall(text)}
    assert [path.name for path in pictures if path not in shown] == []
    assert [path.name for path in pictures if path.stat().st_size > PICTURE_BYTES_MAX] == []
    assert sum(path.stat().st_size for path in pictures) <= PICTURES_BYTES_MAX
    there = {path.stem for path in pictures if path.parent.name == "console"}
    assert set(CONSOLE_PAGES) - there == set()


def test_paths_in_examples_are_in_the_table() -> None:
    router, unknown = Router(OPERATIONS), []
    for example in examples():
        words = shlex.split(example.command)
        for url in [word for word in words if word.startswith(SERVER)]:
            path = urlsplit(url).path
            method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
            if path.startswith("/api/v1/"):
                try:
                    router.find(method, path)
                except Exception as error:
                    unknown.append(f"{example.page}: {method} {path}: {error}")
            elif path not in OUTSIDE:
                unknown.append(f"{example.page}: {path}")
    assert not unknown, "\n".join(unknown)


COMMAND_WORDS = re.compile(r"(?:`|bin/|^)athena ((?:[a-z][a-z0-9-]* ?)+)", re.MULTILINE)
ORIGINAL = ROOT / "docs" / "reference" / "contract-deviations.md"
"""The page about the original's command line, whose words still work."""


def test_commands_in_documents_exist() -> None:
    names = ["help", *ALONE, *COMMANDS, *GENERATED_COMMANDS]
    for path, document in documents().items():
        known = {tuple(words.split()) for words in [*names, *(ALIASES if path == ORIGINAL else ())]}
        said = COMMAND_WORDS.findall(document)
        unknown = {text for text in said if not any(tuple(text.split())[: len(words)] == words for words in known)}
        assert not unknown, f"{path.name}: no such command: {', '.join(sorted(unknown))}"


CALL = re.compile(r"^(?:\$ )?((?:[A-Z_]+=\S* +)*(?:[\w./]*/)?athena +[a-z].*)$", re.MULTILINE)


def test_the_arguments_of_commands_in_blocks_are_understood() -> None:
    app, wrong, seen = build(), [], 0
    for path, text in documents().items():
        for block in FENCE.findall(text):
            for line in CALL.findall(block.replace("\\\n", " ")):
                words = shlex.split(line.split(" | ")[0].split(" > ")[0], comments=True)
                words = words[next(index for index, word in enumerate(words) if word.endswith("athena")) + 1 :]
                seen += 1
                try:
                    app.parse_args(words, exit_on_error=False, print_error=False)
                except CycloptsError as error:
                    wrong.append(f"{path.relative_to(ROOT)}: {line}: {error}")
    assert seen > 40
    assert not wrong, "\n".join(wrong)


@needs("curl")
def test_examples_do_what_they_show(serve: Serve) -> None:
    server = serve()
    server.api.run("Hello, Athena", sessionId="demo")
    server.api.run("And again", sessionId="demo")
    shown = [example for example in examples() if example.command.startswith("curl ")]
    assert len(shown) > 10
    for example in shown:
        command = shlex.split(example.command.replace(SERVER, server.url))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        for part in SHOWN.findall(example.output):
            assert part in done.stdout, f"{example.page}: {example.command}: expected {part}, got\n{done.stdout}"


def test_the_verifier_of_the_log_format_verifies_and_finds_a_change(serve: Serve, tmp_path: Path) -> None:
    program = tmp_path / "verifier.py"
    program.write_text(blocks("docs/reference/log-format.md")["verifier"])
    server = serve()
    server.api.run()
    server.api.post("/directives", {"input": "ä" * 40_000})
    head = server.api.head()
    server.stop()
    log = server.state_dir / "log.db"
    anchor = json.loads((server.state_dir / "log.anchor").read_text())
    good = subprocess.run([sys.executable, str(program), str(log)], capture_output=True, text=True, check=True)
    assert good.stdout.split() == [str(head), anchor["chain"]]
    content = log.read_bytes()
    changed = tmp_path / "changed.db"
    assert b'"attempt":1' in content
    changed.write_bytes(content.replace(b'"attempt":1', b'"attempt":2'))
    bad = subprocess.run([sys.executable, str(program), str(changed)], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "the payload was changed" in bad.stderr


@pytest.mark.parametrize("name", ["reference/security.md", "why/threat-model.md"])
def test_every_test_that_answers_an_attack_is_there(name: str) -> None:
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(TEST.findall(documents()[ROOT / "docs" / name]))
    assert len(named) > 20
    assert named <= there, f"docs/{name} names tests that are not there: {sorted(named - there)}"


@pytest.mark.parametrize("name", ["why/threat-model.md", "why/reliability.md"])
def test_a_page_names_tests_by_their_path(name: str) -> None:
    named = set(re.findall(r"(?:tests/)?((?:[a-z]+/)+test_[a-z_]+)", documents()[ROOT / "docs" / name]))
    missing = sorted(path for path in named if not (ROOT / "tests" / f"{path}.py").exists())
    assert named and not missing, f"docs/{name} names tests that are not there: {missing}"


NAMED = re.compile(
    r"(?<![\w./-])(?:athena_api|athena_cli|athena_core|projections|tests|docs|benchmarks)/[\w/.-]+\.(?:py|tsx?|txt|json)\b"
)
IN_DOCUMENTS = re.compile(r"`([\w/]+\.(?:py|tsx?))`")
MADE_UP = {
    "CHANGELOG.md",
    "tests/core/tools/test_workspace.py",
    "tests/support/golden.py",
    "tests/test_house.py",
    "tests/test_packages.py",
}
"""What speaks of files that were there once, or that a test makes up."""


def test_files_that_are_named_exist() -> None:
    names, missing = set(tree.files()), []
    for name in sorted(names):
        if name in MADE_UP or not name.endswith((".py", ".md", ".toml", ".ts", ".tsx", "Makefile")):
            continue
        text = (ROOT / name).read_text("utf-8")
        missing += [f"{name}: {path}" for path in NAMED.findall(text) if not {path, f"tests/{path}"} & names]
        if name.endswith(".md"):
            missing += [
                f"{name}: {path}"
                for path in IN_DOCUMENTS.findall(text)
                if not any(f"/{one}".endswith(f"/{path}") for one in names)
            ]
    assert not missing, "\n".join(missing)
