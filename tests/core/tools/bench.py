"""A bench for tests of tools: a workspace with secrets beside it, and calls as a model writes them."""

import json
from pathlib import Path
from typing import Any

from athena_core.definitions.profile import Egress, FilesPolicy, HttpPolicy, ShellPolicy, ToolPolicies
from athena_core.mask import Mask
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ToolContext, ToolResult
from athena_core.tools.toolbox import Toolbox, toolbox
from athena_core.tools.workspace import STATE, Workspace

CANARY = "canary-of-the-outside"


def snapshot(root: Path) -> dict[str, bytes | str | None]:
    return {
        path.relative_to(root).as_posix(): (
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        )
        for path in root.rglob("*")
    }


class Workbench:
    """A caller of tools in ``workspace``. ``outside`` lies beside it and ``state`` inside; both must stay untouched."""

    def __init__(self, root: Path) -> None:
        self.workspace = root / "workspace"
        self.outside = root / "outside"
        self.state = self.workspace / "state"
        for directory in (self.outside, self.state, self.workspace / ".athena"):
            directory.mkdir(parents=True)
            (directory / "secret.md").write_text(CANARY)
        self.tools: Toolbox = toolbox()

    def bench(self, **policies: FilesPolicy | ShellPolicy | HttpPolicy) -> ToolContext:
        return self.reaching(**policies)

    def reaching(self, *egress: Egress, **policies: Any) -> ToolContext:
        gate = Workspace(self.workspace, {self.state: STATE})
        return ToolContext(workspace=gate, mask=Mask(), policies=ToolPolicies(**policies), allowed_egress=egress)

    async def call(self, bench: ToolContext, name: str, **arguments: Any) -> ToolResult:
        tool, read = self.tools.read(name, json.dumps(arguments), (name,))
        return await tool.call(read, bench)

    async def refusal(self, bench: ToolContext, name: str, **arguments: Any) -> str:
        """Return the text of the refusal that a call must meet."""
        try:
            result = await self.call(bench, name, **arguments)
        except ToolRefused as refused:
            return str(refused)
        raise AssertionError(f"{name} {arguments} was not refused: {result}")
