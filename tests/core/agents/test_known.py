"""Tests of the operator's file of agents, and of the templates that ship."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from athena_core.agents.known import FILE_BYTES_MAX, read_agents, templates
from athena_core.errors import ConfigError

WHOLE: dict[str, Any] = {"argv": ["/opt/agent", "--acp"], "wire": "anthropic", "resume": "none"}


def written(directory: Path, *entries: dict[str, Any], name: str = "agents.json") -> Path:
    path = directory / name
    path.write_text(json.dumps({"agents": {f"a{number}": entry for number, entry in enumerate(entries)}}))
    path.chmod(0o644)
    return path


def fault(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        read_agents(path)
    start = f"ATHENA_AGENTS: {path}"
    assert raised.value.message.startswith(start)
    assert "\n" not in raised.value.message
    return raised.value.message.removeprefix(start).removeprefix(": ")


def test_without_a_file_no_agent_is_known() -> None:
    assert read_agents(None) == {}


def test_a_template_is_taken_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "agents.toml"
    path.write_text(
        """
        [agents.coder]
        template = "codex"
        argv = ["/opt/codex/codex-acp"]
        readOnly = ["/opt/codex"]
        model = "gpt-5-mini"
        [agents.coder.env]
        RUST_LOG = "info"
        CODEX_GATEWAY_KEY = "x{key}"
        """
    )
    path.chmod(0o600)
    (coder,) = read_agents(path).values()
    assert (coder.name, coder.argv, coder.read_only) == ("coder", ("/opt/codex/codex-acp",), (Path("/opt/codex"),))
    assert (coder.wire, coder.resume, coder.mode, coder.boxed_mode, coder.model) == (
        *("openai-responses", "exact"),
        *("workspace-write", "agent-full-access", "gpt-5-mini"),
    )
    assert coder.message_ids
    assert (coder.env["CODEX_GATEWAY_KEY"], coder.env["RUST_LOG"]) == ("x{key}", "info")
    assert list(coder.files) == [".codex/config.toml"]


@pytest.mark.parametrize("name", ["opencode", "claude", "codex", "gemini"])
def test_a_shipped_template_can_be_launched(tmp_path: Path, name: str) -> None:
    (agent,) = read_agents(written(tmp_path, {"template": name})).values()
    home = tmp_path / "home"
    home.mkdir()
    launch = agent.launch("http://127.0.0.1:9", "the-key", "gpt-6.1-sol[low]", home)
    launch.write_files()
    texts = [*launch.environment.values(), *((home / file).read_text() for file in launch.files)]
    assert any("http://127.0.0.1:9" in text for text in texts)
    assert any("the-key" in text for text in texts)
    assert not any("{gateway}" in text or "{key}" in text or "{model}" in text for text in texts)
    assert launch.environment["HOME"] == str(home)
    assert not any(variable.startswith("ATHENA_") for variable in launch.environment)
    for file in launch.files:
        assert stat.S_IMODE((home / file).stat().st_mode) == 0o600
        text = (home / file).read_text()
        if file.endswith(".toml"):
            assert tomllib.loads(text)["model"] == "gpt-6.1-sol[low]"
        else:
            assert "athena" in json.dumps(json.loads(text))
    if name == "opencode":
        content = json.loads(launch.environment["OPENCODE_CONFIG_CONTENT"])
        assert content["model"] == "athena/gpt-6.1-sol[low]"
    assert set(templates()) == {"opencode", "claude", "codex", "gemini"}


@pytest.mark.parametrize("model", ['m"', "m\\", "m'", "m\n", "m`id`", "$m", "{key}"])
def test_a_value_that_would_leave_its_quotes_is_refused(tmp_path: Path, model: str) -> None:
    (agent,) = read_agents(written(tmp_path, {"template": "codex"})).values()
    with pytest.raises(ConfigError, match="model: quotes, backslashes"):
        agent.launch("http://127.0.0.1:9", "key", model, tmp_path)


def test_other_braces_stay(tmp_path: Path) -> None:
    (agent,) = read_agents(written(tmp_path, {**WHOLE, "env": {"A": '{"a": {"b": "{model}"}, "{A}": {}}'}})).values()
    assert agent.launch("g", "k", "m", tmp_path).environment["A"] == '{"a": {"b": "m"}, "{A}": {}}'


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ([], "agents.a0: expected a table."),
        ({"template": "codecs"}, "agents.a0.template: expected one of opencode, claude, codex, gemini."),
        ({**WHOLE, "argz": []}, "agents.a0: unknown member 'argz'. Known are template, argv, wire"),
        ({"argv": ["a"], "wire": "gemini"}, "agents.a0: resume is missing. Add it, or template."),
        ({**WHOLE, "argv": []}, "agents.a0.argv: expected the program and its arguments."),
        ({**WHOLE, "argv": "a b"}, "agents.a0.argv: expected a list of at most 64 texts."),
        ({**WHOLE, "argv": ["a"] * 65}, "agents.a0.argv: expected a list of at most 64 texts."),
        ({**WHOLE, "argv": ["bin/a"]}, "agents.a0.argv[0]: expected an absolute path, or a name"),
        ({**WHOLE, "argv": ["a", 1]}, "agents.a0.argv[1]: expected text of 1 to 65536 characters."),
        ({**WHOLE, "argv": ["a", "-k={key}"]}, "agents.a0.argv[1]: {key} is not allowed, because other users"),
        ({**WHOLE, "argv": ["a", "b\x1b"]}, "agents.a0.argv[1]: the text has control characters."),
        ({**WHOLE, "wire": "mcp"}, "agents.a0.wire: expected one of openai-chat, openai-responses, anthropic, gemini."),
        ({**WHOLE, "resume": True}, "agents.a0.resume: expected one of exact, idle, none."),
        ({**WHOLE, "env": []}, "agents.a0.env: expected a table."),
        ({**WHOLE, "env": {"HOME": "/x"}}, "agents.a0.env: 'HOME' is not allowed"),
        ({**WHOLE, "env": {"ATHENA_TOKEN": "x"}}, "agents.a0.env: 'ATHENA_TOKEN' is not allowed"),
        ({**WHOLE, "env": {"A=B": "x"}}, "agents.a0.env: 'A=B' is not allowed"),
        (
            {**WHOLE, "env": {"A": "{gatway}"}},
            "agents.a0.env.A: unknown placeholder {gatway}. Known are",
        ),
        ({**WHOLE, "env": {"A": "x" * 65_537}}, "agents.a0.env.A: expected text of 1 to 65536 characters."),
        ({**WHOLE, "env": {"A": "\0"}}, "agents.a0.env.A: the text has control characters."),
        ({**WHOLE, "env": {f"A{n}": "x" for n in range(101)}}, "agents.a0.env: more than 100 variables."),
        ({**WHOLE, "files": {"../a": "x"}}, "agents.a0.files: '../a' is not a path below the home directory"),
        ({**WHOLE, "files": {"/etc/a": "x"}}, "agents.a0.files: '/etc/a' is not a path below the home directory"),
        ({**WHOLE, "files": {"a//b": "x"}}, "agents.a0.files: 'a//b' is not a path below the home directory"),
        ({**WHOLE, "files": {f"{n}": "x" for n in range(101)}}, "agents.a0.files: more than 100 files."),
        ({**WHOLE, "mode": ""}, "agents.a0.mode: expected text of 1 to 65536 characters."),
        ({**WHOLE, "mode": "m" * 101}, "agents.a0.mode: longer than 100 characters."),
        ({**WHOLE, "mcp": True}, "agents.a0.mcp: expected one of session, none."),
        ({**WHOLE, "toolNames": []}, "agents.a0.toolNames: expected a table."),
        ({**WHOLE, "toolNames": {"a": "b c"}}, "agents.a0.toolNames: the name for 'a' is not a text of 1 to 48"),
        ({**WHOLE, "toolNames": {"a": "b" * 49}}, "agents.a0.toolNames: the name for 'a' is not a text of 1 to 48"),
        ({**WHOLE, "toolNames": {f"a{n}": "b" for n in range(101)}}, "agents.a0.toolNames: more than 100 names."),
        ({**WHOLE, "messageIds": 1}, "agents.a0.messageIds: expected true or false."),
        ({**WHOLE, "readOnly": ["opt"]}, "agents.a0.readOnly[0]: expected an absolute path without '..'"),
        ({**WHOLE, "readOnly": ["/opt/../etc"]}, "agents.a0.readOnly[0]: expected an absolute path without '..'"),
        ({**WHOLE, "readOnly": ["/"]}, "agents.a0.readOnly[0]: expected an absolute path without '..', other than /"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: Any, reason: str) -> None:
    assert fault(written(tmp_path, entry)).startswith(reason)


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agents.json"
    assert fault(path).strip() == "cannot be read: No such file or directory"
    for content, reason in (
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "expected a table."),
        ('{"agent": {}}', "unknown member 'agent'. Known are agents."),
        ('{"agents": {"a b": {}}}', "agents: the name 'a b' has other characters than letters"),
        (" " * FILE_BYTES_MAX + "{}", f"the file is larger than {FILE_BYTES_MAX} bytes."),
        (json.dumps({"agents": {f"a{n}": WHOLE for n in range(51)}}), "agents: more than 50 entries."),
    ):
        path.write_text(content)
        assert fault(path).startswith(reason)
    other = tmp_path / "agents.toml"
    other.write_bytes(b"\xff")
    assert fault(other).startswith("not valid TOML")
    other.write_text("agents = 1")
    assert fault(other) == "agents: expected a table."


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match=r"^ATHENA_AGENTS: .*other users"):
        read_agents(path)
