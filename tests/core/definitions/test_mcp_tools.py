"""The tools of MCP servers that a profile names, and their approval."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.definitions.mcp_tools import approval_of_tool, matches, offered
from athena_core.definitions.profile import McpMatch, McpPolicy, McpRule

RULES = (
    McpRule(match=McpMatch(tool="read_*"), approval="allow"),
    McpRule(match=McpMatch(tool="*_secret"), approval="deny"),
)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "", True),
        ("*", "a", True),
        ("a", "a", True),
        ("a", "A", False),
        ("a", "ab", False),
        ("a*", "a", True),
        ("*b*", "abc", True),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abcdef", False),
        ("a?", "ab", False),
        ("[a]", "a", False),
        ("", "a", False),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, *, fits: bool) -> None:
    assert matches(pattern, name) == fits


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_like_regular_expressions(pattern: str, name: str) -> None:
    expected = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None
    assert matches(pattern, name) == expected


def test_a_hostile_pattern_takes_no_time() -> None:
    began = time.process_time()
    assert not matches("a*" * 63 + "b", "a" * 128)
    assert time.process_time() - began < 1


def test_the_first_rule_that_matches_decides_else_a_person() -> None:
    policy = McpPolicy(tools=("read_*", "write", "get_secret"), rules=RULES)
    assert [offered(policy, name) for name in ("read_a", "write", "writes", "")] == [True, True, False, False]
    assert approval_of_tool(policy, "read_secret") == "allow"
    assert approval_of_tool(policy, "get_secret") == "deny"
    assert approval_of_tool(policy, "write") == "ask"
    assert approval_of_tool(McpPolicy(tools=("*",), approval="deny"), "write") == "deny"
