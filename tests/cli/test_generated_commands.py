"""Every row of the table is a command: its words, its parameters, what it asks, what it prints."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_api.operations import OPERATIONS
from athena_cli import app
from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.flags import flag
from athena_cli.output.shapes import SHAPES
from docs.command_table import Row, words_of
from tests.api.examples import EXAMPLES
from tests.cli.conftest import Here
from tests.support.server import Server

PLAIN = [row for row in OPERATIONS if words_of(row) in GENERATED_COMMANDS and not row.stream]
CHANGING = {"getAdminHealth", "getFleetSummary", "getCapabilities", "listWorkers"}
"""Operations whose answer names the time or the process."""
CODES = {400: 2, 404: 5, 429: 4}
"""Exit codes by status."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all rows; it holds a run."""
    with Server(tmp_path_factory.mktemp("rows")) as server:
        server.api.run("hello", sessionId="session")
        yield server


def arguments_of(row: Row, body: Path) -> list[str]:
    """Return the example of a row as arguments."""
    example = EXAMPLES[row.id]
    pattern, path = row.path.strip("/").split("/"), example.path.strip("/").split("/")
    named = [value for name, value in zip(pattern, path, strict=True) if name.startswith(":")]
    flags = []
    for name, value in (example.query or {}).items():
        flags += [f"--{flag(name)}", value]
    if example.body is not None:
        body.write_text(json.dumps(example.body))
        flags += ["--body", str(body)]
    return [*words_of(row).split(), *named, *flags]


def test_only_commands_with_code_of_their_own_share_words() -> None:
    shared = {words for words, count in Counter(map(words_of, OPERATIONS)).items() if count > 1}
    assert shared <= {*COMMANDS, ""}  # of operations for browsers


def test_every_operation_has_a_command() -> None:
    assert {words_of(row) for row in OPERATIONS} <= {*COMMANDS, *GENERATED_COMMANDS, ""}  # "": for browsers


@pytest.mark.heavy
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_them(shell: str) -> None:
    script = app.build().generate_completion(prog_name="athena", shell=shell)  # type: ignore[arg-type]
    for words in ("dead-letters", "--budget-usd"):
        assert words in script


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: row.id)
def test_a_row_asks_what_its_example_asks(
    server: Server,
    row: Row,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("ATHENA_API_BASE_URL", server.url)
    monkeypatch.setenv("ATHENA_CLI_TRANSPORT", "api")
    example = EXAMPLES[row.id]
    response = server.api.http.request(row.method, example.path, params=example.query, json=example.body)
    expected = response.content
    code = app.main(arguments_of(row, tmp_path / "body.json"))
    printed, complaint = capsysbinary.readouterr()
    answer = json.loads(expected)
    if not answer["ok"]:
        assert (code, printed) == (CODES.get(response.status_code, 1), b"")
        assert answer["error"]["code"].encode() in complaint
        return
    assert (code, complaint) == (0, b"")
    if row.id in SHAPES:
        path = {name: value for name, value in zip(row.path.split("/"), example.path.split("/"), strict=True)}
        shaped = SHAPES[row.id](answer["data"], {name[1:]: value for name, value in path.items() if name[:1] == ":"})
        assert json.loads(printed).keys() == shaped.keys()
    elif row.method == "GET" and row.id not in CHANGING:
        assert b'{"ok":true,"data":' + printed.strip() + b"}" == expected
    else:
        assert json.loads(printed).keys() == answer["data"].keys()


def test_a_list_of_all_pages_is_one_list_in_every_form(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATHENA_API_BASE_URL", server.url)
    for number in range(3):
        server.api.run(f"run {number}")
    wanted = server.api.get("/runs", limit=500)["items"]
    assert app.main(["runs", "list", "--all", "--limit", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == {"items": wanted}
    assert app.main(["runs", "list", "--all", "--limit", "2", "-o", "jsonl"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == wanted
    assert app.main(["runs", "list", "-o", "jsonl", "--limit", "1"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == wanted[:1]
    assert app.main(["runs", "list", "-o", "table", "--limit", "1"]) == 0
    table, hint = capsys.readouterr()
    assert wanted[0]["runId"][-8:] in table
    assert wanted[0]["sessionId"][-8:] in table
    assert hint.startswith("More: --all, or --cursor ")


def test_options_go_before_the_members_of_a_body_and_objects_are_json(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATHENA_API_BASE_URL", server.url)
    file = tmp_path / "directive.json"
    file.write_text('{"input": "from the file", "metadata": {"team": "red"}}')
    options = [
        "--body",
        str(file),
        "--input",
        "-- from the option",
        "--context-refs",
        "file:a",
        "--context-refs",
        "file:b",
    ]
    assert app.main(["directives", "create", *options]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["input"] == "-- from the option"
    assert (made["metadata"], made["contextRefs"]) == ({"team": "red"}, ["file:a", "file:b"])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert app.main(["directives", "create", "--body", "-", "--input", "x"]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"] == {"team": "red"}
    assert app.main(["directives", "create", "--input", "x", "--metadata", "{team}"]) == 2
    assert capsys.readouterr().err.startswith("error: --metadata: '{team}' is not JSON")
    assert app.main(["directives", "create"]) == 2
    assert (
        capsys.readouterr().err
        == "error: athena directives create needs --input: see athena directives create --help\n"
    )


def test_a_sheet_is_printed_as_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATHENA_API_BASE_URL", server.url)
    assert app.main(["audit", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("createdAt,kind,actor,")


def test_all_pages_of_a_sheet_are_one_sheet(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATHENA_API_BASE_URL", server.url)
    for number in range(5):
        server.api.send("/run-control/by-run/run_1/cancel", {"reason": f"no {number}"})
    assert app.main(["audit", "--format", "csv", "--limit", "500"]) == 0
    wanted, hint = capsys.readouterr()
    assert (wanted.count("run.cancel.requested"), hint) == (5, "")
    assert app.main(["audit", "--format", "csv", "--all", "--limit", "2"]) == 0
    assert capsys.readouterr() == (wanted, "")
    assert app.main(["audit", "--format", "csv", "--limit", "2"]) == 0
    first, hint = capsys.readouterr()
    assert wanted.startswith(first)
    assert hint.startswith("More: --cursor ")


@pytest.mark.parametrize("words", ["schedules create", "policy update", "runs list", "profiles create"])
def test_help_names_the_kind_of_a_value(here: Here, words: str) -> None:
    said = here(*words.split(), "--help").out
    assert not re.search(r"--\S+\s+(STR|INT|FLOAT|LIST)\b", said), said
    assert "as JSON)" not in said
