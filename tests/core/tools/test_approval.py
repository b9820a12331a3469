"""Which calls run, ask a person first, or are denied."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.definitions.profile import ToolPolicies
from athena_core.enums import Approval
from athena_core.tools.approval import approval_of, call_sha256, canonical


def policies(**tools: object) -> ToolPolicies:
    return msgspec.convert(tools, ToolPolicies)


SHELL = policies(
    shell={
        "commands": [["git"], ["make"], ["ls"]],
        "approval": "ask",
        "rules": [
            {"match": {"command": ["git", "push", "--force"]}, "approval": "deny"},
            {"match": {"command": ["git", "push"]}, "approval": "ask"},
            {"match": {"command": ["ls"]}, "approval": "allow"},
        ],
    }
)
HTTP = policies(
    http={
        "rules": [
            {"match": {"host": "api.example.org", "methods": ["GET"]}, "approval": "allow"},
            {"match": {"host": "*.example.org"}, "approval": "ask"},
            {"match": {"methods": ["DELETE"]}, "approval": "deny"},
        ]
    }
)
FILES = policies(
    files={
        "write": True,
        "rules": [
            {"match": {"path": "docs", "actions": ["write"]}, "approval": "allow"},
            {"match": {"path": "secrets/"}, "approval": "deny"},
            {"match": {"actions": ["write", "delete"]}, "approval": "ask"},
        ],
    }
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["ls", "-l"], "allow"),
        (["lsof"], "ask"),
        (["git", "push", "--force", "origin"], "deny"),
        (["git", "push"], "ask"),
        (["make"], "ask"),
    ],
)
def test_the_first_rule_whose_words_begin_the_command_decides(command: list[str], expected: Approval) -> None:
    assert approval_of("shell", {"command": command}, SHELL) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"url": "https://api.example.org/v1"}, "allow"),
        ({"url": "https://API.EXAMPLE.ORG./v1"}, "allow"),
        ({"url": "https://api.example.org/v1", "method": "POST"}, "ask"),
        ({"url": "https://example.org/"}, "allow"),  # no rule: the default is allow
        ({"url": "https://evil.test/?api.example.org", "method": "DELETE"}, "deny"),
        ({"url": "https://api.example.org@evil.test/"}, "deny"),  # cannot be read: the strictest decides
    ],
)
def test_requests_match_by_host_and_method(call: dict[str, str], expected: Approval) -> None:
    assert approval_of("http", call, HTTP) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"action": "write", "path": "docs/a.md"}, "allow"),
        ({"action": "write", "path": "./docs//a.md"}, "allow"),
        ({"action": "write", "path": "docs2/a.md"}, "ask"),
        ({"action": "read", "path": "secrets/key"}, "deny"),
        ({"action": "read", "path": "a/../secrets/key"}, "deny"),  # refused by the tool as well
        ({"action": "list"}, "allow"),
    ],
)
def test_files_match_by_path_and_action(call: dict[str, str], expected: Approval) -> None:
    assert approval_of("files", call, FILES) == expected


def test_without_a_policy_a_call_runs_as_it_always_did() -> None:
    assert approval_of("shell", {"command": ["rm"]}, None) == "allow"
    assert approval_of("memory", {"query": "x"}, SHELL) == "allow"
    assert approval_of("ask_user", {"question": "x"}, SHELL) == "allow"
    assert approval_of("memory", {"query": "x"}, policies(memory={"approval": "ask"})) == "ask"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_spellings_of_the_same_arguments_are_the_same_call(arguments: dict[str, object]) -> None:
    one = msgspec.json.encode(arguments).decode()
    other = msgspec.json.format(msgspec.json.encode(dict(reversed(arguments.items())))).decode()
    assert canonical(one) == canonical(other)
    assert msgspec.json.decode(canonical(one)) == msgspec.json.decode(one)


def test_the_last_of_two_equal_members_is_the_one_that_runs_and_the_one_that_is_shown() -> None:
    assert canonical('{"command":["ls"],"command":["rm"]}') == '{"command":["rm"]}'


def test_a_hash_depends_on_salt_tool_and_arguments() -> None:
    first = call_sha256("00" * 16, "shell", "{}")
    assert len({first, call_sha256("01" * 16, "shell", "{}"), call_sha256("00" * 16, "files", "{}")}) == 3
    assert first == call_sha256("00" * 16, "shell", "{}") != call_sha256("00" * 16, "shell", '{"a":1}')
