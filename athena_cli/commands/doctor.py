"""The command that checks an installation."""

from typing import TYPE_CHECKING, Annotated

from athena_cli import render
from athena_cli.exit_codes import Failed
from athena_cli.flags import SWITCH
from athena_cli.render import OutputOptions, show_value

if TYPE_CHECKING:
    from pathlib import Path

    from athena_cli.checks import CheckResult


def doctor(*, repair: Annotated[bool, SWITCH] = False, options: OutputOptions | None = None) -> None:
    """Check versions, settings, disk, clock, port and log, and suggest a remedy for each problem.

    Needs no server, and changes nothing without --repair. The exit code is 1 if a check fails.

    Args:
        repair: First rebuild damaged indexes of the log, and damaged tables that the log or a loss can spare.
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


LOSSES = {
    "checkpoint": "followers whose rows are lost read the log from its start",
    "command": "a request may run again if its idempotency key is lost",
    "guard": "nothing is lost: its rows follow from the events",
    "token_use": "the last uses of some tokens are unknown",
}
"""The consequences if the damaged pages of a table are dropped."""


def _repair() -> "list[CheckResult]":
    """Repair the log, and return what was done. Raise Failed if only a backup helps."""
    from contextlib import closing
    from functools import partial

    from athena_cli.checks import CheckResult, remedy_of
    from athena_cli.client import settings_of
    from athena_cli.offline_log import open_offline_log
    from athena_core.log.engine import needs_driver
    from athena_core.log.sqlite.copies import repair

    log = open_offline_log(settings_of())
    with closing(log.reader()) as reader:
        found = reader.inspect()
    tables = frozenset(fault.table for fault in found.faults if fault.index_name is None)
    for fault in found.faults:
        if fault.index_name is None and not (log.url is None and fault.table in LOSSES):
            raise Failed(str(fault), remedy_of(fault, log.url))
    if found.faults and log.url is None:
        repair(log.directory / "log.db", tables, _put_guards if "guard" in tables else None)
    elif found.faults:
        needs_driver("postgres.integrity").reindex(log.url, found.faults)
    done = partial(CheckResult, check="repair", status="ok")
    says = [
        f"index {fault.index_name} of table {fault.table} was rebuilt" for fault in found.faults if fault.index_name
    ]
    says += [f"table {table} was rebuilt from its readable rows; {LOSSES[table]}" for table in sorted(tables)]
    return [done(says=line) for line in says or ["nothing is damaged"]]


def _put_guards(draft: "Path") -> None:
    """Build the guards of a draft from its events."""
    from contextlib import closing

    from athena_core.domain import EVENTS
    from athena_core.log.codec import Codec
    from athena_core.log.sqlite.copies import replace_guards
    from athena_core.log.tools.backup import open_log_file
    from athena_core.services.proof.verify import guards_of

    reader, _ = open_log_file(draft)
    with closing(reader):
        changes = guards_of(reader, Codec(EVENTS))
    replace_guards(draft, changes)


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
