"""Tests of profiles whose runs are done by outside agents, and of the approval of the agents' tool calls."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.agents.known import WIRE_PROVIDERS
from athena_core.definitions.agent_permissions import approval_of_call, command_words, tool_kind
from athena_core.definitions.profile import (
    AGENT_PROVIDERS,
    AgentMatch,
    AgentPolicy,
    AgentRule,
    HarnessSpec,
    SandboxPolicy,
)
from athena_core.domain.profile import normalise_profile
from athena_core.enums import AgentToolKind, Approval
from athena_core.errors import ConfigError
from athena_core.gateway.wires import WIRES
from tests.support.events.run import SPEC

OPENAI = replace(SPEC.config, provider="openai")
CODEX = MappingProxyType({"codex": "openai"})


def of(agent: AgentPolicy, known: Mapping[str, str] | None = CODEX, **fields: Any) -> HarnessSpec:
    spec = replace(SPEC, agent=agent, **{"config": OPENAI} | fields)
    return normalise_profile(spec, frozenset({"mock", "openai"}), lambda schema: None, None, known)


def rule(approval: Approval, kind: AgentToolKind | None = None, *command: str) -> AgentRule:
    return AgentRule(match=AgentMatch(kind=kind, command=command or None), approval=approval)


def test_an_agent_works_in_a_required_sandbox_and_in_the_workspace_of_its_session() -> None:
    normal = of(AgentPolicy(name="codex", permissions=()))
    assert (normal.sandbox, normal.workspace) == (SandboxPolicy(mode="required"), "session")
    assert normal.agent == AgentPolicy(name="codex")
    chosen = of(AgentPolicy(name="codex"), sandbox=SandboxPolicy(mode="off"), workspace="shared")
    assert (chosen.sandbox, chosen.workspace) == (SandboxPolicy(mode="off"), "shared")
    assert normalise_profile(SPEC, frozenset({"mock"}), lambda schema: None, None, {}).sandbox is None


def test_an_agent_must_be_registered_where_that_is_known() -> None:
    assert of(AgentPolicy(name="mine"), None).agent == AgentPolicy(name="mine")
    registered = {"b": "openai", "a": "gemini"}
    for known, remedy in ((registered, "use one of a, b"), (dict[str, str](), "set ATHENA_AGENTS")):
        with pytest.raises(ConfigError, match=r"agent.name: no agent 'mine' is registered") as refused:
            of(AgentPolicy(name="mine"), known)
        assert remedy in str(refused.value.details)


def test_the_provider_of_a_profile_serves_the_models_of_its_agent() -> None:
    google, mine = replace(SPEC.config, provider="gemini"), AgentPolicy(name="mine")
    assert of(mine, {"mine": "gemini"}, config=google).config.provider == "gemini"
    assert of(mine, None, config=google).config.provider == "gemini"
    for known, config, remedy in (
        ({"mine": "gemini"}, OPENAI, "use gemini"),
        ({"mine": "openai"}, google, "use openai"),
        (None, SPEC.config, "use anthropic or gemini or openai"),
    ):
        with pytest.raises(ConfigError, match=r"config.provider: .* does not serve the models") as refused:
            of(mine, known, config=config)
        assert remedy in str(refused.value.details)


def test_a_profile_of_the_loop_cannot_name_a_provider_of_agents_only() -> None:
    with pytest.raises(ConfigError, match="serves outside agents only, and the profile names no agent"):
        normalise_profile(
            replace(SPEC, config=replace(SPEC.config, provider="gemini")), frozenset({"mock"}), lambda schema: None
        )


def test_each_wire_has_a_provider_of_agents() -> None:
    assert set(WIRE_PROVIDERS.values()) == AGENT_PROVIDERS
    assert {name: wire.provider for name, wire in WIRES.items()} == WIRE_PROVIDERS


@pytest.mark.parametrize(
    ("agent", "fault"),
    [
        (AgentPolicy(name="codex", mode="a\nb"), r"agent.mode: has control characters"),
        (
            AgentPolicy(name="codex", permissions=(rule("ask"), rule("ask", "read", "cat"))),
            r"agent.permissions\[1\].match.command: calls of kind 'read' have no command",
        ),
        (
            AgentPolicy(name="codex", permissions=(rule("allow", None, "/usr/bin/git", "status"),)),
            r"agent.permissions\[0\].approval: a rule may not allow 'git'",
        ),
    ],
)
def test_an_agent_that_cannot_be_meant_is_refused(agent: AgentPolicy, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        of(agent)


@pytest.mark.parametrize(
    ("raw_input", "words"),
    [
        ({"command": "ls  -l src"}, ("ls", "-l", "src")),
        ({"command": ["ls", "a b; c"]}, ("ls", "a b; c")),
        ({"command": ["/bin/bash", "-lc", "make test"]}, ("make", "test")),
        ({"command": ["bash", "-c", "make test; rm x"]}, None),
        ({"command": ["bash", "-x", "-c", "rm x"]}, None),
        ({"command": ["bash", "make"]}, None),
        *(({"command": f"ls{sign}rm"}, None) for sign in ";&|<>$`\n\t\r\\'\"(){}*?[]~#!^é"),
        ({"command": "PATH=/tmp ls"}, None),
        ({"command": " "}, None),
        ({"command": []}, None),
        ({"command": ["ls", 1]}, None),
        ({"path": "a"}, None),
        ("ls", None),
        (None, None),
    ],
)
def test_only_a_plain_command_has_words(raw_input: Any, words: tuple[str, ...] | None) -> None:
    assert command_words(raw_input) == words


LS = rule("allow", None, "ls")
RULES = (LS, rule("deny", "execute", "rm"), rule("deny", "fetch"), rule("allow", "read"))


@pytest.mark.parametrize(
    ("rules", "kind", "raw_input", "approval"),
    [
        (None, "read", None, "ask"),
        (RULES, "read", {"path": "a"}, "allow"),
        (RULES, "fetch", {"url": "x"}, "deny"),
        (RULES, "edit", {}, "ask"),
        (RULES, "execute", {"command": "ls -l"}, "allow"),
        (RULES, "execute", {"command": "lsof"}, "ask"),
        (RULES, "execute", {"command": "rm x"}, "deny"),
        (RULES, "execute", {"command": "ls; rm x"}, "ask"),
        ((rule("allow"),), "execute", {"command": "ls; rm x"}, "allow"),
        ((LS, rule("allow")), "execute", {"command": "ls; rm x"}, "allow"),
        ((rule("deny", None, "rm"), rule("allow")), "execute", {"command": "ls; rm x"}, "ask"),
        ((rule("deny", None, "rm"), rule("allow")), "execute", None, "ask"),
        ((rule("deny", None, "rm"), rule("allow")), "execute", {"command": "ls"}, "allow"),
        ((rule("deny", None, "rm"), rule("allow")), "edit", {"path": "rm"}, "allow"),
    ],
)
def test_the_first_rule_that_matches_decides(
    rules: tuple[AgentRule, ...] | None, kind: AgentToolKind, raw_input: Any, approval: Approval
) -> None:
    assert approval_of_call(rules, kind, raw_input) == approval


def test_an_unknown_kind_is_other() -> None:
    assert [tool_kind(text) for text in ("execute", "switch_mode", "")] == ["execute", "other", "other"]
