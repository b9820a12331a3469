"""Tests of the agents of a process, and of reading their file again."""

from pathlib import Path

import pytest

from athena_core.agents.registered import RegisteredAgents
from athena_core.clock import FixedClock
from athena_core.system.problems import Problems

ENTRY = '[agents.{}]\ntemplate = "codex"\n'


@pytest.mark.anyio
async def test_a_file_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    path, problems = tmp_path / "agents.toml", Problems(FixedClock())
    path.write_text(ENTRY.format("one"))
    agents = RegisteredAgents(path)
    assert (agents.configured, agents.names) == (True, frozenset({"one"}))
    path.write_text(ENTRY.format("two"))
    await agents.reload(problems)
    two = agents.find("two")
    assert two is not None
    assert agents.names == {"two"}
    assert agents.find("one") is None
    assert two.wire == "openai-responses"
    path.write_text("[agents")
    await agents.reload(problems)
    assert agents.names == {"two"}
    assert "not valid TOML" in str(problems.failing())
    path.write_text(ENTRY.format("three"))
    await agents.reload(problems)
    assert agents.names == {"three"}
    assert not problems.failing()


@pytest.mark.anyio
async def test_without_a_file_no_agent_is_registered() -> None:
    agents = RegisteredAgents()
    await agents.reload(Problems(FixedClock()))
    assert (agents.configured, agents.names) == (False, frozenset())
