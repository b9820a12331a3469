"""The command that checks an installation."""

from typing import TYPE_CHECKING

from athena_cli import render
from athena_cli.exit_codes import Failed
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_cli.checks import CheckResult


def doctor(*, options: OutputOptions | None = None) -> None:
    """Check versions, settings, disk, clock, port and log, and suggest a remedy for each problem.

    Changes nothing and needs no server. The exit code is 1 if a check fails.

    Args:
        options: The output format.
    """
    from athena_cli.checks import examine

    findings = examine()
    output = options.output if options else None
    if output == "table" or (output is None and render.on_terminal()):
        _list(findings)
    else:
        show_value({"ok": all(result.status != "wrong" for result in findings), "findings": findings}, options)
    wrong = [result for result in findings if result.status == "wrong"]
    if wrong:
        raise Failed(f"{wrong[0].check}: {wrong[0].says}", printed=True)


def _list(findings: "list[CheckResult]") -> None:
    from rich.console import Console
    from rich.text import Text

    from athena_core.text import printable

    colours = {"ok": "green", "notice": "yellow", "wrong": "red"}
    console = Console()
    for result in findings:
        line = Text(f"{result.status:>6}  ", style=colours[result.status])
        line.append(f"{result.check}: {printable(result.says)}", style="default")
        console.print(line)
        if result.remedy:
            console.print(Text(f"        {printable(result.remedy)}", style="dim"))
