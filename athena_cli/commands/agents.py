"""The command that checks an outside agent."""

from typing import Annotated, Literal

from cyclopts import Parameter

from athena_cli import render
from athena_cli.exit_codes import Failed
from athena_cli.render import OutputOptions, show_value


def check_agent(
    name: str,
    /,
    *,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    sandbox: Literal["required", "off"] | None = None,
    options: OutputOptions | None = None,
) -> None:
    """Check what an outside agent does, and whether Athena can run it.

    The agent talks to a scripted model of this command, so it costs nothing and needs no key. It works in a temporary
    directory, for a private server that this command starts, kills and starts again. The exit code is 1 if a required
    row is not ok.

    Args:
        name: Name of the agent in the file that ATHENA_AGENTS names. Without a file: codex, claude, opencode or gemini.
        only: Try only this row, and the rows that it needs. Repeat it for more rows.
        sandbox: `required`: only in a sandbox; `off`: only without one. Default: both, if a sandbox works here.
        options: The output format.
    """
    import asyncio

    from athena_cli.agent_check import report
    from athena_cli.agent_check.session import check

    found = asyncio.run(check(name, only or (), sandbox, render.note if render.errors_on_terminal() else None))
    output = options.output if options else None
    if output == "table" or (output is None and render.on_terminal()):
        render.draw(report.lines(found, render.width()))
    else:
        show_value(found, options)
    if not found["ok"]:
        red = next(row for row in found["rows"] if row["required"] and row["result"] in {"differs", "failed"})
        raise Failed(f"{name}: {red['title']}: {red['detail']}", printed=True)
