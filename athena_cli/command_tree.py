"""The commands that have code of their own, by their words, and what the groups of commands are about."""

from collections.abc import Callable, Mapping

from athena_cli import commands, fleet, maintenance, watch

GROUPS: Mapping[str, str] = {
    "a2a": "Messages between personas, and what could not be done.",
    "anchors": "What other logs held, kept here.",
    "clock": "The clock of the server's machine.",
    "api": "The server, and the document that describes it.",
    "events": "What was recorded.",
    "directives": "What runs are told to do.",
    "harness-profiles": "Provider, model, tools and limits of runs.",
    "persona": "Reviews of repositories, and who reviews.",
    "memory": "Notes, and what was noted down.",
    "policy": "The limits of the whole plane, and what they refused.",
    "run-templates": "Directives with placeholders; `run --template` runs one.",
    "runs": "Runs, one by one.",
    "schedule": "What runs by itself.",
    "sessions": "Conversations.",
    "work": "What waits to be done in sessions.",
}

COMMANDS: Mapping[str, Callable[..., None]] = {  # the others are rows of the table (operation_command.py)
    "run": commands.run,
    "cancel": commands.cancel,
    "work enqueue": commands.enqueue_work,
    "work status": commands.show_work,
    "work drain": commands.drain_work,
    "schedule list": commands.list_schedules,
    "events list": commands.list_events,
    "events tail": commands.tail_events,
    "persona run": commands.run_persona,
    "persona init": commands.init_persona,
    "persona validate": commands.validate_persona,
    "memory search": commands.search_memory,
    "memory get": commands.get_memory,
    "runs watch": watch.watch,
    "top": fleet.top,
    "replay": commands.replay,
    "verify": commands.verify,
    "anchor": maintenance.anchor,
    "backup": maintenance.backup,
    "restore": maintenance.restore,
    "move": maintenance.move,
    "export": maintenance.export,
    "doctor": maintenance.doctor,
    "redact": maintenance.redact,
    "worker": commands.worker,
    "api serve": commands.serve,
    "api contracts": commands.contracts,
}
"""The words of a command, and what it does."""
