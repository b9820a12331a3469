"""Wrong commands: each ends with one sentence, a remedy and its exit code, as the committed table says."""

import io
import json
import re
import shlex
from pathlib import Path

import pytest

from athena_cli import app, transport
from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.exit_codes import INTERRUPTED, MEANINGS, OK
from athena_cli.words.examples import EXAMPLES
from athena_cli.words.names import ALIASES, NEAR, SECTIONS, renamed
from tests.cli.conftest import Here
from tests.cli.terminal import NOWHERE, Terminal

TABLE = Path(__file__).with_name("wrong_commands.txt")
ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
COMMANDS_AGREED = 24


def commands() -> list[str]:
    """Return the commands of the table."""
    return [block.partition("\n")[0].removeprefix("$ athena ") for block in TABLE.read_text("utf-8").split("\n\n")]


def plain(text: str, terminal: Terminal) -> str:
    """Return the text without what differs between machines."""
    text = text.replace(str(terminal.directory), "DIRECTORY").replace(terminal.settings["api_base_url"], "SERVER")
    return ID.sub("TRACE", text).strip("\n")


def test_wrong_commands_end_as_the_table_says(terminal: Terminal, here: Here) -> None:
    asleep = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "1000"}
    with terminal.served(**asleep) as server:
        server.api.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
        server.api.start("hello", sessionId="busy", provider="local-exec")
        found = []
        for command in commands():
            result = here(*shlex.split(command))
            assert result.out == "", command
            found.append(f"$ athena {command}\nexit {result.code}\n{plain(result.err, terminal)}")
    said = "\n\n".join(found) + "\n"
    if said != TABLE.read_text("utf-8"):
        (terminal.directory / TABLE.name).write_text(said, "utf-8")
    assert said == TABLE.read_text("utf-8"), f"compare with {terminal.directory / TABLE.name}"
    assert len(found) >= COMMANDS_AGREED
    assert {int(one.splitlines()[1].split()[1]) for one in found} == MEANINGS.keys() - {OK, INTERRUPTED}


def test_errors_are_an_object_only_where_json_was_asked_for(terminal: Terminal, here: Here) -> None:
    with terminal.served():
        for output in ("-o", "json"), ("--output=jsonl",):
            result = here("runs", "get", "run_none", *output)
            error = json.loads(result.out)["error"]
            assert (error["code"], error["exitCode"], error["message"]) == ("NOT_FOUND", 5, "no run 'run_none' exists")
            assert error["traceId"] in result.err
        usage = json.loads(here("cancel", "-o", "json").out)["error"]
        assert (usage["code"], usage["exitCode"]) == ("USAGE", 2)
        assert here("runs", "get", "run_none").out == ""


def test_a_failed_run_is_not_0_and_its_record_is_printed_once(terminal: Terminal, here: Here) -> None:
    with terminal.served(local_provider_cmd="/bin/false") as server:
        run = server.api.start("hello", provider="local-exec")["runId"]
        result = here("runs", "get", run, "--wait", "20", "-o", "json")
        assert (result.code, json.loads(result.out)["status"]) == (1, "failed")
        assert result.err.startswith(f"error: run {run} is failed: ")
        assert here("runs", "get", run).code == 0


def test_a_workflow_that_fails_is_not_0_but_a_dry_run_of_it_is(terminal: Terminal, here: Here) -> None:
    with terminal.served(local_provider_cmd="/bin/false") as server:
        said = server.api.post("/directives", {"input": "hello"})["id"]
        config = {"provider": "local-exec", "model": "script", "tools": ["evidence"]}
        policies = {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0}
        profile = {"displayName": "Script", "version": "v1", "config": config, "policies": policies}
        step = {"directiveId": said, "harnessProfileId": server.api.post("/harness-profiles", profile)["id"]}
        definition = {"steps": [{"id": "only", **step}], "dependencies": []}
        workflow = server.api.post("/workflows", {"definition": definition})["id"]
        assert here("workflows", "run", workflow).code == 1
        assert here("workflows", "resume", workflow).code == 1
        assert here("workflows", "resume", workflow, "--dry-run").code == 0


# Without a server


@pytest.fixture
def nowhere(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal for which nothing listens at the usual address."""
    monkeypatch.setattr(transport, "LOCAL_SERVER_URL", NOWHERE)
    terminal.settings = {"state_dir": str(terminal.directory / ".athena")}
    return terminal


def test_a_read_without_a_server_creates_nothing_and_says_where_it_looked(nowhere: Terminal, here: Here) -> None:
    for command in ("runs list", "events tail", "ps", "workflows list"):
        result = here(*command.split())
        assert (result.code, result.out) == (3, ""), command
        assert result.err.startswith(f"error: no server at {NOWHERE} and no state in ./.athena: start one with ")
    assert list(nowhere.directory.iterdir()) == []


def test_a_command_without_a_server_says_where_it_works(nowhere: Terminal, here: Here) -> None:
    written = here("run", "hello")
    assert (written.code, written.err) == (0, f"Working in ./.athena without a server: none is at {NOWHERE}\n")
    read = here("runs", "list")
    assert (read.code, read.err) == (0, f"Reading ./.athena without a server: none is at {NOWHERE}\n")
    assert len(read.data["items"]) == 1
    for url in ({"api_base_url": NOWHERE}, {}):
        result = here("runs", "list", *(() if url else ("--api-base-url", NOWHERE)), **url)
        assert (result.code, result.err.splitlines()[0].split(":")[1]) == (3, " no server at http")


# Names


def test_each_command_has_an_example_that_parses_and_a_section() -> None:
    tree = app.build()
    for words in (*COMMANDS, *GENERATED_COMMANDS):
        example = shlex.split(EXAMPLES[words])
        assert example[: len(words.split())] == words.split()
        command, bound, unused = tree.parse_known_args(example)[:3]
        assert command is not None, words
        assert not unused, words
    placed = [name for names in SECTIONS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert {words.split()[0] for words in (*COMMANDS, *GENERATED_COMMANDS)} <= set(placed)
    assert EXAMPLES.keys() == {*COMMANDS, *GENERATED_COMMANDS}


def test_old_words_and_words_that_are_near_lead_to_commands() -> None:
    known = {*COMMANDS, *GENERATED_COMMANDS, "--version"}
    groups = {words.rpartition(" ")[0] for words in known}
    for target in (*ALIASES.values(), *NEAR.values()):
        assert {target, target.partition(" -")[0]} & (known | groups), target


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schedule add --id x", "schedules create --id x"),
        ("schedule pause x", "schedules pause x"),
        ("work", "queues list"),
        ("runs watch run_1", "logs -f run_1"),
        ("runs list", "runs list"),
        ("", ""),
    ],
)
def test_old_words_are_read_as_new_ones(old: str, new: str) -> None:
    assert renamed(old.split()) == new.split()


def test_old_options_are_read_as_new_ones(terminal: Terminal, here: Here) -> None:
    with terminal.served():
        result = here(
            "templates", "create", "--harness-profile-id=hp_none", "--directive-template", "x", "--default-params", "{}"
        )
    assert (result.code, "--profile: no harness profile 'hp_none' exists" in result.err) == (2, True), result.err


def test_help_is_a_command_too(here: Here) -> None:
    assert here("help", "schedule", "add").out == here("schedules", "create", "--help").out
    assert "Usage: athena COMMAND" in here("help").out
    assert "--api-base-url" in here("help", "connection").out
    assert [line.split()[0] for line in here("help", "exit-codes").out.splitlines()] == [str(code) for code in MEANINGS]


def test_a_prompt_is_read_from_standard_input(terminal: Terminal, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal.served():
        for arguments in (["run", "-"], ["run", "--input", "-"], ["directives", "create", "--input", "-"]):
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("grüß dich\n".encode())))
            made = here(*arguments).data
            assert made.get("input", made.get("output")) in {"grüß dich", "Echo: user: grüß dich"}


def test_a_name_is_refused_with_the_ids_or_names_that_fit(here: Here, tmp_path: Path) -> None:
    body = {"version": "v1", "config": {"provider": "mock", "model": "mock", "tools": ["none"]}}
    body["policies"] = {"timeoutMs": 30_000, "retryLimit": 1, "budgetUsd": 0}

    def create(name: str) -> str:
        (tmp_path / "profile.json").write_text(json.dumps({"displayName": name, **body}))
        made = here("profiles", "create", "--body", str(tmp_path / "profile.json"))
        return str(made.data["id"])

    known = create("Market analyst")
    assert here("run", "hello", "--profile", "market analyst").code == 0
    assert len(here("runs", "list", "--profile", "MARKET ANALYST").data["items"]) == 1
    assert here("ids", "find", "analyst").data["items"][0]["name"] == "Market analyst"
    for command in (("runs", "list"), ("run", "hello")):
        unknown = here(*command, "--profile", "Market analist")
        assert unknown.code != 0
        assert f"'Market analyst' ({known})" in unknown.err
    twin = create("market Analyst")
    for command in (("runs", "list"), ("run", "hello")):
        several = here(*command, "--profile", "market analyst")
        assert several.code != 0
        assert known in several.err
        assert twin in several.err


def test_a_part_of_the_name_of_a_schedule_stands_for_nothing(here: Here) -> None:
    create = "schedules create --id nightly-report --session s --input go --every-minutes 60"
    assert here(*create.split()).code == 0
    for act in ("pause", "run", "get"):
        refused = here("schedules", act, "nightly-rep")
        assert (refused.code, "nightly-rep" in refused.err) == (5, True), act
    for part in ("nightly-rep", "NIGHTLY-REPORT"):
        here("schedules", "delete", part)
    kept = here("schedules", "get", "nightly-report").data
    assert (kept["id"], kept["paused"]) == ("nightly-report", False)
    assert here("runs", "list").data["items"] == []
