"""The names of commands: sections of the help, old words, and words that people try."""

from collections.abc import Mapping, Sequence

SECTIONS: Mapping[str, Sequence[str]] = {
    "Run": (
        *("run", "cancel", "resume", "retry", "answer", "init", "demo"),
        *("profiles", "directives", "templates", "queues", "messages"),
    ),
    "Look": (
        *(
            "ps",
            "logs",
            "top",
            "open",
            "explain",
            "bisect",
            "runs",
            "sessions",
            "evidence",
            "events",
            "diff",
            "fleet",
            "series",
            "asks",
        ),
        *("drains", "reviews", "workspaces", "workers", "ids"),
    ),
    "Automate": ("schedules", "workflows", "personas", "memory"),
    "Govern": (
        *("policy", "permission-rules", "rejections", "halt", "halted", "unhalt", "tokens", "audit", "whoami"),
        *("verify", "anchor", "anchors", "export", "redact"),
    ),
    "Operate": (
        *(
            "api",
            "worker",
            "mcp",
            "doctor",
            "agents",
            "mcp-servers",
            "health",
            "capabilities",
            "dead-letters",
            "redrives",
            "backup",
            "restore",
        ),
        *("move", "replay", "digests", "clock", "help"),
    ),
}
"""The sections of ``athena --help``, in their order, with their commands and command groups."""

ALIASES: Mapping[str, str] = {
    "a2a": "messages",
    "a2a discard": "dead-letters discard",
    "a2a dlq": "dead-letters list",
    "a2a dlq-get": "dead-letters get",
    "a2a redrive": "redrives create",
    "a2a redrive-cancel": "redrives cancel",
    "a2a redrive-get": "redrives get",
    "a2a requeue": "dead-letters requeue",
    "a2a restore": "dead-letters restore",
    "anchors keep": "anchors create",
    "asks answer": "answer",
    "harness-profiles": "profiles",
    "memory add": "memory create",
    "memory forget": "memory delete",
    "memory show": "memory get",
    "persona": "personas",
    "persona list": "reviews list",
    "persona show": "reviews get",
    "policy put": "policy update",
    "policy rejections": "rejections list",
    "policy show": "policy get",
    "run-templates": "templates",
    "run-templates put": "templates update",
    "runs cancel": "cancel",
    "runs evidence": "evidence list",
    "runs evidence-get": "evidence get",
    "runs explain": "explain",
    "runs resume": "resume",
    "runs retry": "retry",
    "runs watch": "logs -f",
    "schedule": "schedules",
    "schedule add": "schedules create",
    "schedule put": "schedules update",
    "schedule remove": "schedules delete",
    "serve": "api serve",
    "sessions transcript-stream": "sessions tail",
    "work": "queues",
    "work queues": "queues list",
    "work drain-get": "drains get",
    "work enqueue": "queues add",
    "work status": "queues get",
    "workflow": "workflows",
}
"""Old words of commands, which go on working, and their present names."""

OLD_FLAGS: Mapping[str, str] = {
    "--directive-id": "--directive",
    "--harness-profile-id": "--profile",
    "--parent-run-id": "--parent",
    "--run-template-id": "--template",
    "--workflow-id": "--workflow",
}
"""Old names of options, used where a command has no option of that name."""

NEAR: Mapping[str, str] = {
    "allow": "answer",
    "always": "permission-rules list",
    "approvals": "asks list",
    "approve": "answer",
    "attach": "logs -f",
    "changes": "runs diff",
    "diff": "runs diff",
    "dlq": "dead-letters list",
    "halt": "policy update",
    "jobs": "ps",
    "inbox": "asks list",
    "kill": "cancel",
    "list": "ps",
    "login": "whoami",
    "new": "init",
    "reject": "answer",
    "rerun": "retry",
    "rules": "permission-rules list",
    "show": "runs get",
    "start": "run",
    "status": "ps",
    "stop": "cancel",
    "tail": "logs -f",
    "token": "tokens list",
    "tokens delete": "tokens revoke",
    "tokens remove": "tokens revoke",
    "tokens rm": "tokens revoke",
    "ui": "open",
    "version": "--version",
    "watch": "logs -f",
    "why": "explain",
    "workspaces delete": "workspaces clean",
    "workspaces remove": "workspaces clean",
    "workspaces rm": "workspaces clean",
}
"""Words that people try first, and the command that they mean."""


VERBS: Mapping[str, str] = {
    "add": "create",
    "describe": "get",
    "edit": "update",
    "forget": "delete",
    "ls": "list",
    "new": "create",
    "put": "update",
    "remove": "delete",
    "rm": "delete",
    "set": "update",
    "show": "get",
}
"""Verbs that people try in a command group, and the verb that it has."""


LISTED = (
    *("agents", "anchors", "asks", "dead-letters", "directives", "events", "mcp-servers", "memory", "messages"),
    *("permission-rules", "profiles", "queues", "rejections", "reviews", "runs", "schedules", "sessions", "templates"),
    *("tokens", "workflows", "workspaces"),
)
ALONE: Mapping[str, str] = {**{group: f"{group} list" for group in LISTED}, "clock": "health", "policy": "policy get"}
"""Command groups that list or show their records if no command of theirs follows."""


def renamed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the present name of the command that they begin with."""
    for count in (2, 1):
        words = " ".join(arguments[:count])
        if len(arguments) >= count and words in ALIASES:
            arguments = [*ALIASES[words].split(), *arguments[count:]]
            break
    group, options = " ".join(arguments[:1]), arguments[1:]
    if group in ALONE and all(word.startswith("-") for word in options[:1]) and not {"--help", "-h"} & set(options):
        return [*ALONE[group].split(), *options]
    return list(arguments)
