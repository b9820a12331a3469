"""The view of outside agents: those that are registered, and their processes."""

from athena_cli.output.column import Column, Record, ago, at, key, weight, word
from athena_cli.output.values import counted, line, size
from athena_cli.output.views.view import Listed, View


def _registered(record: Record) -> str:
    number = len(record["agents"])
    return counted(number, "agent") if number else "none; set ATHENA_AGENTS on the server"


def _installed(record: Record) -> str:
    return "yes" if record.get("installed") else line("; ".join(record.get("missing") or ()) or "no")


def _modes(record: Record) -> str:
    """Return the ordered mode, and the one in a sandbox if it is another one."""
    mode, boxed = record.get("mode"), record.get("boxedMode")
    return line(f"{mode or ''}{f' (in a sandbox {boxed})' if boxed else ''}")


def _memory(record: Record) -> str:
    """Return the memory of all processes, and its limit."""
    if not record.get("live"):
        return ""
    limit = at(record, "memoryBytesMax")
    return size(record["memoryBytes"]) + (f" of {size(limit)}" if limit else "")


AGENTS = View(
    (
        Column("registered", _registered),
        Column("memory of processes", _memory),
    ),
    (),
    (
        Listed(
            "agents",
            "agents",
            (
                word("agent", "name"),
                Column("installed", _installed),
                word("provider", "provider"),
                word("model", "model", rank=1),
                Column("mode", _modes, 2),
                word("resume", "resume", rank=3),
            ),
        ),
        Listed(
            "processes",
            "live",
            (
                word("agent", "agent"),
                key("run", "runId"),
                Column("state", lambda record: "waits for an answer" if record.get("waiting") else "works"),
                weight("memory", "memoryBytes"),
                ago("started", "since"),
            ),
        ),
    ),
)
