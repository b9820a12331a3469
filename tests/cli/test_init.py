"""The first set-up: model servers of several habits, answers on a terminal, options in a pipe, and a first run."""

import json
import signal
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from athena_core.providers.discovery import (
    LOCAL_PORTS,
    ModelSource,
    answering,
    chat_models,
    local_sources,
    vendor_sources,
)
from athena_core.system.dotenv import read_dotenv, update_dotenv
from tests.cli.terminal import NOWHERE, Terminal
from tests.support.model import Model, acting, call
from tests.support.outside_agents import stand_in, write_agents
from tests.support.stub import (
    Behaviour,
    Stub,
    models_listed,
    refuses,
    resets,
    says,
    says_and_waits,
    says_for_ever,
    standing,
)

KEY = "sk-canary-0123456789"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


@pytest.fixture
def stub() -> Iterator[Stub]:
    with standing(lambda asked: refuses(500)) as stub:
        stub.lists = says(models_listed("llama3.2", "qwen3", "nomic-embed-text"))
        yield stub


@pytest.fixture
def newcomer(terminal: Terminal) -> Terminal:
    """A terminal without settings, in an empty directory; nothing answers at the usual ports."""
    del terminal.settings["state_dir"]
    terminal.variables |= dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL"), "")
    terminal.variables["OLLAMA_HOST"] = NOWHERE
    return terminal


def dotenv_of(terminal: Terminal) -> Mapping[str, str]:
    path = terminal.directory / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return read_dotenv(path)


async def test_servers_are_found_and_others_are_not() -> None:
    habits: Mapping[str, Behaviour] = {
        "Ollama": says(models_listed("llama3.2", "nomic-embed-text")),
        "LM Studio": says(models_listed("text-embedding-nomic")),
        "empty": says(models_listed()),
        "page": says(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>"),
        "missing": refuses(404),
        "login": refuses(302, b"", "location: /login"),
        "resets": resets(),
        "other protocol": says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        "hangs": says_and_waits(),
        "trickles": says_for_ever(HEAD, b" ", pause_seconds=0.01),
        "large": says_for_ever(HEAD, b" " * 65_536),
        "nonsense": says(HEAD, b"[]"),
    }
    with ExitStack() as stack:
        ports = {}
        for name, habit in habits.items():
            stub = stack.enter_context(standing(lambda asked: refuses(500)))
            stub.lists = habit
            ports[name] = urlsplit(stub.url).port or 0
        found = await answering(local_sources({**ports, "closed": 9}), seconds=1.0)
    assert [(source.name, source.models) for source in found] == [
        ("Ollama", ("llama3.2",)),
        ("LM Studio", ("text-embedding-nomic",)),
    ]


def test_the_usual_places() -> None:
    assert {source.slug: source.base_url for source in local_sources()} == {
        "ollama": "http://127.0.0.1:11434/v1",
        "lm-studio": "http://127.0.0.1:1234/v1",
        "vllm": "http://127.0.0.1:8000/v1",
        "llama.cpp": "http://127.0.0.1:8080/v1",
    }
    for host, url in (
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:7", "http://127.0.0.1:7"),
        ("[::]:7", "http://[::1]:7"),
        ("gpu", "http://gpu:11434"),
        ("https://gpu.example.org/", "https://gpu.example.org:443"),
        ("gpu:99999", "http://gpu:11434"),
    ):
        assert local_sources(LOCAL_PORTS, host)[0].base_url == url + "/v1"
    assert vendor_sources({}) == []
    keys = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
    assert [(source.slug, source.host) for source in vendor_sources(keys)] == [
        ("openai", "api.openai.com"),
        ("anthropic", "api.anthropic.com"),
    ]
    (other,) = vendor_sources({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://router.example/v1/"})
    assert other == ModelSource("OpenAI", "openai", "https://router.example/v1", KEY)
    assert chat_models(("a", "b-Embedding")) == ("a",)


def test_a_person_answers_questions(newcomer: Terminal, stub: Stub) -> None:
    newcomer.variables |= {"OLLAMA_HOST": stub.url, "ANTHROPIC_API_KEY": KEY}
    path = newcomer.directory / "agents.toml"
    missing = '[agents.other]\nargv = ["/none"]\nwire = "gemini"\nresume = "none"\n'
    write_agents(path, missing + stand_in('[agents.codex]\ntemplate = "codex"\n'))
    screen = newcomer.screen("init", "--transport", "local", agents=str(path))
    shown = screen.read_until("Number [1]: ")
    assert f"1  Ollama (2 models, {urlsplit(stub.url).netloc})\n" in shown
    assert "2  Anthropic (key found, api.anthropic.com)\n" in shown
    screen.type("7\n")
    screen.read_until("Type a number from 1 to 3.")
    screen.type("1\n")
    assert "1  llama3.2\n   2  qwen3\n" in screen.read_until("Which model?\n   1  llama3.2\n   2  qwen3\nNumber [1]: ")
    screen.type("2\n")
    assert screen.end() == 0, screen.text
    shown = screen.plain
    assert f"Model     openai · qwen3 · {urlsplit(stub.url).netloc}\n" in shown
    assert "Outside   codex: athena run --agent codex TEXT\n" in shown
    assert 'Next      athena run --profile assistant "List the files"\n            athena api serve\n' in shown
    assert KEY not in shown
    assert dotenv_of(newcomer) == {
        "ATHENA_DEFAULT_PROVIDER": "openai",
        "ATHENA_DEFAULT_MODEL": "qwen3",
        "ATHENA_OPENAI_BASE_URL": stub.url + "/v1",
    }


def test_with_nothing_found_a_person_reads_so_and_gets_the_mock(newcomer: Terminal) -> None:
    screen = newcomer.screen("init", "--transport", "local")
    assert screen.end() == 0, screen.text
    assert (
        "No model server answers on this machine, and no OPENAI_API_KEY or ANTHROPIC_API_KEY is set.\n" in screen.plain
    )
    assert "Which model server?" not in screen.plain
    assert "Model     mock · " in screen.plain
    run = newcomer.run("run", "--profile", "assistant", "hello", "--transport", "local")
    assert (run.code, "hello" in run.data["output"]) == (0, True)


def test_each_agent_has_a_name_of_its_own(newcomer: Terminal) -> None:
    """Another model makes another agent, so its name stands for one id, and the same model finds its agent again."""
    command = ("init", "--provider", "mock", "--yes", "--transport", "local")
    made = [newcomer.run(*command, "--model", model).data for model in ("one", "two", "one", "two")]
    assert [one["next"][0] for one in made[:2]] == [
        f'athena run --profile {name} "List the files"' for name in ("assistant", "assistant-2")
    ]
    assert [one["harnessProfileId"] for one in made[2:]] == [one["harnessProfileId"] for one in made[:2]]


def test_nothing_is_changed_without_a_yes_and_no_key_is_printed(newcomer: Terminal, stub: Stub) -> None:
    path = newcomer.directory / ".env"
    mine = f"# mine\nexport ATHENA_DEFAULT_MODEL='old'\nATHENA_STATE_DIR=here\nATHENA_OPENAI_API_KEY={KEY}old\n"
    path.write_text(mine)
    path.chmod(0o644)
    newcomer.variables |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": stub.url + "/v1"}
    command = ("init", "--provider", "openai", "--model", "qwen3", "--transport", "local")
    refused = newcomer.run(*command)
    assert refused.code == 2
    assert "already sets ATHENA_DEFAULT_MODEL=old, ATHENA_OPENAI_API_KEY" in refused.err
    screen = newcomer.screen(*command)
    screen.read_until("Change it? [y/N]: ")
    screen.type("\n")
    assert screen.end() == 1
    assert path.read_text() == mine
    assert not (newcomer.directory / "here").exists()
    done = newcomer.run(*command, "--yes")
    assert done.data["changed"] == [
        "ATHENA_DEFAULT_PROVIDER",
        "ATHENA_DEFAULT_MODEL",
        "ATHENA_OPENAI_BASE_URL",
        "ATHENA_OPENAI_API_KEY",
    ]
    assert dotenv_of(newcomer)["ATHENA_OPENAI_API_KEY"] == KEY
    assert path.read_text().startswith("# mine\nATHENA_DEFAULT_MODEL=qwen3\nATHENA_STATE_DIR=here\n")
    again = newcomer.run(*command)
    assert (again.data["changed"], again.data["harnessProfileId"]) == ([], done.data["harnessProfileId"])
    assert KEY not in screen.text + refused.err + done.out + done.err + again.out + again.err


def test_no_file_is_written_that_later_commands_refuse(newcomer: Terminal) -> None:
    newcomer.directory.chmod(0o777)
    refused = newcomer.run("init", "--provider", "mock", "--model", "mock-model", "--transport", "local")
    assert refused.code == 2
    assert "other users may write" in refused.err
    assert not (newcomer.directory / ".env").exists()


def test_a_server_that_runs_gets_the_agent_and_is_named(newcomer: Terminal, stub: Stub) -> None:
    with newcomer.served() as server:
        done = newcomer.run("init", "--provider", "mock", "--model", "mock-model")
        assert (done.code, done.data["server"]) == (0, server.url)
        assert [command.split()[1] for command in done.data["next"]] == ["run"]
        assert server.api.get(f"/harness-profiles/{done.data['harnessProfileId']}")["displayName"] == "assistant"


def test_a_demo_that_runs_gets_no_agent(newcomer: Terminal) -> None:
    with newcomer.served(demo="true") as server:
        refused = newcomer.run("init", "--provider", "mock", "--model", "mock-model")
        assert refused.code == 1
        assert f"the server at {server.url} is a demo" in refused.err
        assert server.api.items("/harness-profiles") == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "found these model servers: none"),
        (("--provider", "ollama"), 1, "no model server answers at 127.0.0.1:9"),
        (("--provider", "openai"), 2, "no key is set for openai"),
        (("--base-url", NOWHERE), 1, "cannot list the models of 127.0.0.1:9 (openai: cannot connect)"),
        (("--base-url", "nowhere"), 2, "--base-url: expected a URL"),
        (("--base-url", NOWHERE, "--provider", "mock"), 2, "exclude each other"),
        (("--base-url", "STUB/v1"), 2, "lists 2 models: llama3.2, qwen3"),
        (("--base-url", "STUB/v1", "--model", "a\nb"), 1, "control characters"),
    ],
)
def test_without_a_terminal_options_decide(
    newcomer: Terminal, stub: Stub, options: tuple[str, ...], code: int, words: str
) -> None:
    result = newcomer.run("init", *(option.replace("STUB", stub.url) for option in options))
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert list(newcomer.directory.iterdir()) == []


def test_a_file_that_others_may_write_is_refused(newcomer: Terminal) -> None:
    path = newcomer.directory / ".env"
    path.write_text("")
    path.chmod(0o666)
    result = newcomer.run("init", "--provider", "mock")
    assert result.code == 2
    assert "chmod go-w" in result.err


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("A=1\nB=2\nA=3\n")
    (tmp_path / ".env").symlink_to("real")
    update_dotenv(tmp_path / ".env", {"A": "x # y", "C": "'q'"})
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "real").read_text() == 'A="x # y"\nB=2\nC="\'q\'"\n'
    assert read_dotenv(tmp_path / ".env") == {"A": "x # y", "B": "2", "C": "'q'"}


@pytest.fixture
def model() -> Iterator[Model]:
    with acting((call("files", action="list", path="."), "There is one file: notes.md.")) as model:
        yield model


@pytest.mark.heavy
def test_a_stranger_reaches_a_run_with_a_tool_call_in_five_commands(newcomer: Terminal, model: Model) -> None:
    (newcomer.directory / "notes.md").write_text("pears")
    newcomer.variables["OLLAMA_HOST"] = model.url
    set_up = newcomer.run("init", cli_transport="local").data  # 1; another server may listen on the default port
    assert (set_up["provider"], set_up["model"]) == ("openai", "stub-model")
    serving = newcomer.start("api", "serve", "--port", "0")  # 2
    newcomer.settings["api_base_url"] = f"http://127.0.0.1:{json.loads(serving.line())['port']}"
    profile = newcomer.run("profiles", "get", set_up["harnessProfileId"]).data  # 3
    assert profile["config"] == {"provider": "openai", "model": "stub-model", "tools": ["files", "memory", "evidence"]}
    run = newcomer.run("run", "Which files are here?", "--profile", profile["id"]).data  # 4
    assert run["output"] == "There is one file: notes.md."
    transcript = newcomer.run("sessions", "transcript", run["sessionId"]).data  # 5
    (result,) = [entry for entry in transcript["items"] if entry["role"] == "tool" and "toolName" in entry]
    assert result["toolName"] == "files"
    assert "notes.md" in result["content"]
    assert ".env" not in result["content"]
    serving.end(signal.SIGTERM)
