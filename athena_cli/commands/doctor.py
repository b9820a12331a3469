"""The command that checks an installation."""

from typing import TYPE_CHECKING, Annotated

from athena_cli import render
from athena_cli.exit_codes import Failed
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from athena_cli.checks import CheckResult


def doctor(*, repair: Annotated[bool, SWITCH] = False, options: OutputOptions | None = None) -> None:
    """Check versions, settings, disk, clock, port and log, and suggest a remedy for each problem.

    Needs no server, and changes nothing without --repair. The exit code is 1 if a check fails.

    Args:
        repair: First rebuild damaged indexes of the log.
        options: The output format.
    """
    from athena_cli.checks import examine

    repaired = _repair() if repair else []
    findings = [*repaired, *examine()]
    output = options.output if options else None
    if output == "table" or (output is None and render.on_terminal()):
        _list(findings)
    else:
        show_value({"ok": all(result.status != "wrong" for result in findings), "findings": findings}, options)
    wrong = [result for result in findings if result.status == "wrong"]
    if wrong:
        raise Failed(f"{wrong[0].check}: {wrong[0].says}", printed=True)


def _repair() -> "list[CheckResult]":
    """Rebuild damaged indexes, and return what was done. Raise Failed if a table is damaged."""
    from contextlib import closing

    from athena_cli.checks import CheckResult, remedy_of
    from athena_cli.client import settings_of
    from athena_cli.offline_log import open_offline_log
    from athena_core.log.engine import needs_driver
    from athena_core.log.sqlite.copies import repair

    log = open_offline_log(settings_of())
    with closing(log.reader()) as reader:
        found = reader.inspect()
    for fault in found.faults:
        if fault.index_name is None:
            raise Failed(str(fault), remedy_of(fault, log.url))
    if found.faults and log.url is None:
        repair(log.directory / "log.db")
    elif found.faults:
        needs_driver("postgres.integrity").reindex(log.url, found.faults)
    done = [f"index {fault.index_name} of table {fault.table} was rebuilt" for fault in found.faults]
    return [CheckResult(check="repair", status="ok", says=says) for says in done or ["nothing is damaged"]]


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
