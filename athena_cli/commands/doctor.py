"""The doctor: findings on a set-up, and what mends each."""

from typing import TYPE_CHECKING

from athena_cli import render
from athena_cli.exit_codes import Failed
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_cli.checks import CheckResult


def doctor(*, options: OutputOptions | None = None) -> None:
    """Look at versions, settings, disk, clock, port and log: what is wrong, and what mends it.

    Exit code 1 if something keeps Athena from working as promised.

    Args:
        options: How to show what was found.
    """
    from athena_cli.checks import examine

    findings = examine()
    output = options.output if options else None
    if output == "table" or (output is None and render.on_terminal()):
        _list(findings)
    else:
        show_value({"ok": all(found.status != "wrong" for found in findings), "findings": findings}, options)
    wrong = [found for found in findings if found.status == "wrong"]
    if wrong:
        raise Failed(f"{wrong[0].check}: {wrong[0].says}")


def _list(findings: "list[CheckResult]") -> None:
    from rich.console import Console
    from rich.text import Text

    from athena_core.text import printable

    colours = {"ok": "green", "notice": "yellow", "wrong": "red"}
    console = Console()
    for found in findings:
        line = Text(f"{found.status:>6}  ", style=colours[found.status])
        line.append(f"{found.check}: {printable(found.says)}", style="default")
        console.print(line)
        if found.remedy:
            console.print(Text(f"        {printable(found.remedy)}", style="dim"))
