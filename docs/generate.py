"""The generator of tables in the documents and in the clients: events, errors, operations, settings, metrics, limits.

``python -m docs.generate`` writes them; ``tests/test_docs.py`` fails when they are stale.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec.inspect as shapes
from cyclopts import App

from athena_api.document.responses import CODES, codes_of
from athena_api.edge.replies import status_of
from athena_api.endpoint.operation import EVERYBODY
from athena_api.metrics import FAMILIES
from athena_api.operations import OPERATIONS
from athena_cli.agent_check.check import CHECKED_ROWS
from athena_cli.client import ConnectionOptions
from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.exit_codes import MEANINGS
from athena_cli.operation_command import command_of
from athena_cli.operations import TABLE
from athena_cli.words.examples import EXAMPLES
from athena_core.decider import Decider
from athena_core.domain import DECIDERS
from athena_core.errors import AthenaError, ProviderError, retry_with
from athena_core.event import Event
from athena_core.services.proof.rules.precedence import PRECEDENCES
from athena_core.settings import LEAVING, SETTINGS
from athena_core.system.problems import LOOPS
from athena_core.tools import egress_proxy, evidence, files, http, memory, shell, toolbox, workspace
from athena_core.values import TOOL_BYTES_MAX, Role
from docs import command_table, layout, python_client, python_events, python_sync, typescript_client
from projections.feed import REFERRING
from tests.reliability import tamperings

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "python -m docs.generate"
REFERENCE = ROOT / "docs" / "reference"
WHY = ROOT / "docs" / "why"
API = REFERENCE / "api.md"
ARCHITECTURE = WHY / "architecture.md"
LOG_FORMAT = REFERENCE / "log-format.md"
OPERATING = REFERENCE / "operations.md"
TOOLS = REFERENCE / "tools.md"
AGENTS = REFERENCE / "agents.md"
TYPESCRIPT = ROOT / "clients" / "typescript" / "src" / "generated"
RELIABILITY = WHY / "reliability.md"
SAMPLES = {
    "nginx": {"nginx.conf": "nginx"},
    "haproxy": {"haproxy.cfg": "text"},
    "caddy": {"Caddyfile": "text"},
    "oauth2-proxy": {"oauth2-proxy.cfg": "toml", "nginx-oauth2-proxy.conf": "nginx"},
    "without-a-proxy": {"athena-tls.conf": "ini"},
}
"""The sample files of ``examples/deployment`` that a how-to page shows, each with its language."""

STREAMS = {
    "run": "`run_<ULID>`, the run's id",
    "session": "`session:<id>`, with an id from the client or the server",
    "dir": "`dir_<ULID>`, the directive's id",
    "hp": "`hp_<ULID>`, the profile's id",
    "tpl": "`tpl_<ULID>`, the template's id; `run-template.run` is in the stream of its run",
    "wf": "`wf_<ULID>`, the workflow's id",
    "wfr": "`wfr_<ULID>`, the workflow run's id",
    "rule": "`rule_<ULID>`, the permission rule's id",
    "tok": "`tok_<ULID>`, the token's id",
    "wsp": "`wsp_<ULID>`, the workspace's id",
    "policy": "`policy`, one stream",
    "halt": "`halt`, one stream",
    "schedule": "`schedule:<id>`, with an id from the client; ticks and requests for an unknown id are in `plane`",
    "work": "`work:<id>`, with the id of the session",
    "dlq": "`dlq_<ULID>`, the dead letter's id",
    "msg": "`msg_<ULID>`, the message's id",
    "persona": "`persona:<id>`, with the id of the run that was admitted with the review",
    "anchor": "`anchor:<log id>:<position>`, of another log",
    "mem": "`mem_<ULID>`, the entry's id; events about recalled passages are in the streams of runs",
    "bulk": "`bulk_<ULID>`, the id of the bulk request",
    "rdr": "`rdr_<ULID>`, the redrive's id",
    "mcp": "`mcp:<name>`, with the name of the server in the operator's file",
    "plane": "`plane`, one stream; the `safety.violation` of a run rejected or without its sandbox is in its stream",
}
EVENTS_HEAD = f"""# Events

Generated from `athena_core/domain/` by `{COMMAND}`; do not edit.

This page lists all event types. The name of a type is stored and never changes. If the shape of a type changes, its
schema number rises, and old events are converted to the new shape when they are read.

A field is kept in one of three places:

| kept in | meaning |
| --- | --- |
| payload | the `payload` of the public record, as `GET /api/v1/events` and the stream show it |
| text | text of people and models: never in the feed, erasable, shown by transcripts, directives and runs |
| extra | beside the payload in the public record |

All events have the same envelope (`id`, `traceId`, `type`, `createdAt`, `sessionId`, `runId`): [api.md](api.md#events).
Fields without a tick in *always* are absent if they are empty. Names that end in `Ms` are milliseconds; an instant
counts from 1970 UTC. Names that end in `MicroUsd` are millionths of a dollar.
"""
FREE_TEXT = """## Free text

This table lists every field of an event that can hold free text, and whether `athena redact` can erase it. Other string
fields hold ids, codes and numbers.

| event | field | erasable |
| --- | --- | --- |
"""
PUBLIC = {
    "name": "no: a name, used by ids and filters",
    "definition": "no: a definition, shown with every run that used it",
    "place": "no: a path, a reference or a citation",
    "record": "no: the record of an Admin",
    "own": "no: a sentence by Athena, with names and numbers",
}
"""The reasons why free text is not erasable."""

PUBLIC_FIELDS: dict[str, str] = {
    **dict.fromkeys(("policy.updated.auditComment",), "record"),
    **dict.fromkeys(("policy.rejected.plan",), "name"),
    **dict.fromkeys(
        (
            "workflow.created.definition",
            "schedule.upserted.definition",
            "harness-profile.created.profile",
            "run.queued.harnessProfileSnapshot",
            "run.created.harnessProfileSnapshot",
            "run-template.created.paramsSchema",
            "run-template.updated.paramsSchema",
            "policy.updated.after",
            "policy.updated.before",
        ),
        "definition",
    ),
    **dict.fromkeys(
        (
            "run.queued.contextRefs",
            "run.created.contextRefs",
            "memory.recalled.citations",
            "persona.run.started.repoPath",
            "persona.run.started.headRef",
            "persona.run.started.baseRef",
            "persona.run.started.outJsonPath",
            "persona.run.started.outMarkdownPath",
            "persona.run.completed.artifacts",
            "persona.run.failed.repoPath",
            "persona.run.failed.headRef",
            "persona.run.failed.baseRef",
            "rbac.roles.loaded.source",
        ),
        "place",
    ),
    **dict.fromkeys(
        (
            "run.completed.verificationFailures",
            "run.completed.contextMeta",
            "policy.concurrency.rejected.policy",
            "policy.rejected.policy",
        ),
        "own",
    ),
}
"""The reason for each field with free text outside of the text column."""

NAMES = frozenset(
    (
        "actor",
        "agent",
        "agentSessionId",
        "agentVersion",
        "approvers",
        "bound",
        "by",
        "changes",
        "condition",
        "createdBy",
        "credentials",
        "secrets",
        "bound",
        "displayName",
        "enqueuedBy",
        "everybodyElse",
        "failedSteps",
        "fallbacks",
        "filter",
        "from",
        "fromAgent",
        "groups",
        "held",
        "id",
        "identity",
        "inputNames",
        "label",
        "mcpTools",
        "model",
        "owner",
        "paramNames",
        "personaName",
        "policyId",
        "protocolVersion",
        "provider",
        "refused",
        "rejection",
        "reopened",
        "requestId",
        "requestedBy",
        "requesters",
        "reset",
        "scope",
        "secrets",
        "sentBy",
        "server",
        "sessionId",
        "sourcePersona",
        "stepId",
        "stepIds",
        "subject",
        "targetPersona",
        "taskId",
        "toAgent",
        "toolCallId",
        "toolName",
        "tools",
        "updatedBy",
        "version",
    )
)
"""Fields with names that clients, operators or providers choose."""

PLAIN = frozenset(
    (
        "askId",
        "at",
        "attempts",
        "hiddenSpans",
        "baseCommit",
        "bulkId",
        "callSha256",
        "cancels",
        "chain",
        "code",
        "commit",
        "deadLetterId",
        "details",
        "directiveId",
        "drainId",
        "editedSha256",
        "entryId",
        "error",
        "evidenceId",
        "executor",
        "failedAt",
        "filterHash",
        "harnessProfileId",
        "headCommit",
        "hidden",
        "itemId",
        "itemIds",
        "items",
        "kept",
        "logId",
        "message",
        "messageId",
        "mode",
        "ok",
        "operation",
        "optionId",
        "options",
        "parent",
        "parentRunId",
        "previousId",
        "priceVersion",
        "reason",
        "redriveId",
        "repairRunId",
        "requiredRoles",
        "resumedFromRunId",
        "retryOf",
        "retryWith",
        "retryable",
        "role",
        "sandbox",
        "ruleId",
        "runId",
        "runTemplateId",
        "sha256",
        "since",
        "source",
        "status",
        "stepRunId",
        "subjectSha256",
        "toolSha256",
        "hidden",
        "takenFrom",
        "targetRunId",
        "terminates",
        "tokenId",
        "toolSha256",
        "traceId",
        "updatedAt",
        "violationCode",
        "tree",
        "workflowId",
        "workflowRunId",
        "workspaceId",
    )
)
"""Fields with ids, codes, hashes and times that Athena generates."""
ERRORS_HEAD = f"""# Error codes

Generated from `athena_core/errors/` and `athena_api/` by `{COMMAND}`; do not edit.

Every error is `{{"ok": false, "error": {{"code", "message", "retryable", "retryWith"?, "traceId", "details"?}}}}`.
Programs rely on the code; the message is for people and may change. The `details` of `CONFIG_ERROR` are `[{{field,
reason, remedy}}]`. If the meaning says that the request was not executed, nothing was stored.

`retryable` is true if the cause may pass. Then `retryWith` names the `Idempotency-Key` of the retry:

- `same-key`: nothing was decided yet, or the outcome is unknown. Repeat the request with the same key.
- `new-key`: the key is bound to a run or drain that failed. With the same key, the request gets the same error again;
  with a new key, it starts another run.

`PROVIDER_ERROR` is retryable by its cause: a provider that was overloaded or could not be reached may answer later, but
another 4xx or a missing API key is final. `OVERLOADED` has `new-key` if it ended a run that found no executor.

| code | status | retryable | `Retry-After` | meaning | returned by |
| --- | --- | --- | --- | --- | --- |
"""
SETTINGS_HEAD = f"""# Settings

Generated from `athena_core/settings.py` by `{COMMAND}`; do not edit.

Settings are read from the environment, or from `.env` in the working directory; the environment takes precedence. If a
value cannot be read, the start fails with one line and exit code 2. A few more settings
[become constants](../how-to/upgrading.md#settings-that-become-constants).

The start also fails if another user could have written `.env`, because settings choose programs and destinations. The
file, its directory and every link to it must belong to you or to root. The group and others must not have write access
to the file or the directory. The owner's private group may (same name, no other member: the umask 002), and sticky
directories are allowed.

"""
CLI_HEAD = f"""# The command line

Generated from the table of operations and `athena_cli/command_tree.py` by `{COMMAND}`; do not edit.

Most commands send one request. `--transport` chooses where:

- `api`: over HTTP to a server.
- `local`: to the same application, started inside the command on the state directory.
- `auto` (the default): `api` at `http://127.0.0.1:8787`, or `local` if the connection is refused, with a line that says
  so. It is `api` if an address was set, by `--api-base-url` or `ATHENA_API_BASE_URL`.

Without a server, a read of a state directory without a log fails and creates nothing.

A request that got no answer, or that the server could not handle now, is repeated for two seconds with the same
idempotency key. A command that waits for a run asks a silent server whether it still answers, so a server that hangs
does not hold the command; `--api-timeout-ms` bounds the silence. Of a stream it bounds the wait for the first bytes.

All transports print the same JSON. The commands `anchor`, `api`, `backup`, `doctor`, `export`, `move`, `personas init`,
`personas validate`, `redact`, `replay`, `restore`, `verify` and `worker` work directly on the state directory. They
need no server and have no transport flags. All of them except `move` and `restore` may run while a server does.

**Tokens.** If the server requires authentication, set `ATHENA_TOKEN`, or `ATHENA_TOKEN_FILE` to a file with the token.
All commands send it, also those that follow a stream. A revoked or expired token ends them with exit code 4.
`--identity` and `ATHENA_CLI_IDENTITY` are only for servers that accept identities from this machine; either of them
beside a token is refused. For `tokens create` and `tokens list`, `--identity` names the identity of the token. For a
server whose certificate is from a private authority, set `ATHENA_API_CA_FILE` to its certificate in PEM; then only this
authority is trusted. `athena demo` needs none of them. More: [Let a CI job in](../how-to/ci-token.md).

**Output.** Data goes to standard output, everything else to standard error. On a terminal, lists are tables, records
are fields, and events are lines, with ages (`3 min ago`) instead of times. In a pipe, the output is one line of JSON:
the `data` of the response, as [api.md](api.md) describes it. `-o json` (indented on a terminal) and `-o table` choose a
format explicitly; `-o jsonl` prints one record per line. Streams print one JSON line per record in a pipe, and the last
cursor on standard error when they end. Colours and progress bars appear on terminals only; `NO_COLOR` turns them off.

**Lists.** A table shows the most important columns that fit, and cuts long texts with `…`. `--columns
status,error.code` chooses columns, by the names in the head or by members of the records. `-q` prints ids only, one a
line. Lists are newest first, but asks, dead letters and queue items, which are worked off, are oldest first. `events
list` shows the newest page; with `--cursor` or `--all` it lists in the order of the log. `latest` stands for the newest
run wherever the id of a run does. A group of commands without a command lists its records, as in `athena runs`.
`--since 1h` (also `30m`, `2d`, or a time) limits a list to recent records, `--all` fetches every page, and
`--watch` repeats the list every two seconds on a terminal.

**The past.** `--as-of` shows records as they were at a moment: `--as-of 2h`, `--as-of 2026-11-28T02:10` (UTC without an
offset), a position, or the id of an event. A time means the last event recorded until then. A line on standard error
names the moment and its position; ages in tables count from now. What was erased since is not shown. Every command that
lists or shows records has this option, on a server and without one. More: [api.md](api.md#the-past).

![athena top: counts, newest runs, next schedules, rejections](../images/top.svg)

![athena runs list](../images/runs-list.svg)

![athena replay, in progress](../images/replay.svg)

Some commands print their own shapes, for compatibility with the original command line:

| command | prints |
| --- | --- |
| `schedules list` | `{{count, tasks}}` |
| `schedules logs` | `{{id, count, logs}}` |
| `schedules run`, `schedules tick` | the result with `summary {{ok, failed, alreadyRunning}}` |
| `memory search` | `{{query, count, results}}` |
| `queues add`, `queues get`, `queues drain` | the depth of the queue |
| `queues get --workflow` | lines of text, or JSON with `-o json` |

**Errors.** An error is one sentence with a remedy, on standard error, after `error:`. If a server gave it, a second
line has the error code, the request and the trace id. With an explicit `-o json` or `-o jsonl`, standard output gets
`{{"error": {{code, message, exitCode, ...}}}}` as well, with the fields of the API's error.

| exit code | meaning |
| --- | --- |
{chr(10).join(f"| {code} | {meaning} |" for code, meaning in MEANINGS.items())}

**Ctrl-C.** `athena run` on a terminal cancels its run. Start the run with `--async` to leave it to the server. Commands
that only follow a run (`logs -f`) leave it alone.

**Asks.** `athena asks` lists what agents and workflows ask people. `athena answer ASK` shows one in full and asks for
the decision; on no terminal it needs the option, and `--values` and `--edit` take JSON, `@FILE`, or `-` for standard
input. What the model wrote is shown behind a bar, with control characters written out (`[U+202E]`), so it cannot look
like output of Athena. A command that follows a run asks on its terminal; without one, it names the ask on standard
error. More: [Approve what an agent does](../how-to/approve.md).

**Old names.** The names of earlier releases and of the original still work, such as `schedule add` for `schedules
create`, and so do old options, such as `--harness-profile-id` for `--profile`.

**Completion.** `athena --install-completion` installs completion for the current shell (bash, zsh or fish).

**Options.** Repeat an option to pass a list of strings (`--tags a --tags b`). Pass objects as JSON. A switch accepts a
value (`--enabled false`). `--body FILE` passes a whole request body, with `-` for standard input; other options
override its members. `--input -` reads the prompt from standard input.
"""
CONNECTION_FLAGS = frozenset(ConnectionOptions.__dataclass_fields__)


# Types, as readers of JSON call them


def type_name(info: shapes.Type) -> str:
    """Return the JSON type of a field in words. A struct links to its table."""
    match info:
        case shapes.Metadata():
            return type_name(info.type)
        case shapes.StrType():
            return "string"
        case shapes.IntType():
            return "integer"
        case shapes.FloatType():
            return "number"
        case shapes.BoolType():
            return "boolean"
        case shapes.AnyType():
            return "any JSON"
        case shapes.LiteralType():
            return " or ".join(f"`{value}`" for value in sorted(map(str, info.values)))
        case shapes.EnumType():
            return " or ".join(f"`{member.value}`" for member in info.cls)
        case shapes.VarTupleType() | shapes.ListType():
            return f"list of {plural(type_name(info.item_type))}"
        case shapes.DictType():
            return f"object of {plural(type_name(info.value_type))}"
        case shapes.StructType():
            return f"[{info.cls.__name__}](#{info.cls.__name__.lower()})"
        case shapes.UnionType():
            return " or ".join(type_name(part) for part in info.types if not isinstance(part, shapes.NoneType))
    raise TypeError(info)


def plural(name: str) -> str:
    """Return the plural of a plain type's name."""
    return f"{name}s" if name.isalpha() else name


def structs(info: shapes.Type) -> Iterator[shapes.StructType]:
    """Yield the structs that a type contains, each followed by the structs of its fields."""
    match info:
        case shapes.Metadata():
            yield from structs(info.type)
        case shapes.VarTupleType() | shapes.ListType():
            yield from structs(info.item_type)
        case shapes.DictType():
            yield from structs(info.value_type)
        case shapes.UnionType():
            for part in info.types:
                yield from structs(part)
        case shapes.StructType():
            yield info
            for field in info.fields:
                yield from structs(field.type)


def place(info: shapes.Type) -> str:
    """Return the column in which a field is kept."""
    return str((info.extra or {}).get("part", "payload")) if isinstance(info, shapes.Metadata) else "payload"


def meaning(kind: type) -> str:
    """Return a docstring as one line of Markdown."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    text = text.replace("``", "`").replace("|", "\\|")
    return re.sub(r"`[a-z]+(_[a-z0-9]+)+`", lambda name: camel(name[0]), text)


def camel(name: str) -> str:
    """Return a field's name as JSON spells it."""
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)


def struct_type(kind: type) -> shapes.StructType:
    """Return msgspec's description of a struct."""
    info = shapes.type_info(kind)
    assert isinstance(info, shapes.StructType), kind
    return info


# Pages


def events_page() -> str:
    """Return the page of all event types that this release may store, by category of streams."""
    parts = [EVENTS_HEAD]
    values: dict[str, shapes.StructType] = {}
    parts.append(free_text_table())
    for decider in DECIDERS:
        parts.append(_category(decider))
        for event in decider.events:
            for field in struct_type(event).fields:
                values |= {value.cls.__name__: value for value in structs(field.type)}
    parts.append("## Values\n\nThe structs inside payloads.\n")
    parts += [_value(values[name]) for name in sorted(values)]
    return "\n".join(parts)


def holds_strings(info: shapes.Type) -> bool:
    """Return True if a type has room for strings of any kind."""
    match info:
        case shapes.Metadata():
            return holds_strings(info.type)
        case shapes.VarTupleType() | shapes.ListType():
            return holds_strings(info.item_type)
        case shapes.UnionType():
            return any(map(holds_strings, info.types))
        case shapes.StructType():
            return any(holds_strings(field.type) for field in info.fields)
    return isinstance(info, shapes.StrType | shapes.AnyType | shapes.DictType)


def free_text_table() -> str:
    """Return the table of fields that can hold free text. Raise ValueError if a field is not classified."""
    lines, seen = [], set()
    for decider in DECIDERS:
        for event in decider.events:
            for field in struct_type(event).fields:
                path = f"{event.TYPE}.{field.encode_name}"
                if place(field.type) == "text":
                    erasable = "yes"
                elif path in PUBLIC_FIELDS:
                    erasable = PUBLIC[PUBLIC_FIELDS[path]]
                elif field.encode_name in NAMES and holds_strings(field.type):
                    erasable = PUBLIC["name"]
                elif field.encode_name in PLAIN or not holds_strings(field.type):
                    continue
                else:
                    raise ValueError(f"{path}: not classified. Mark it TEXT, or add it to a list in docs/generate.py")
                seen.add(path)
                lines.append(f"| `{event.TYPE}` | `{field.encode_name}` | {erasable} |")
    if stale := PUBLIC_FIELDS.keys() - seen:
        raise ValueError(f"docs/generate.py names fields that no event has: {', '.join(sorted(stale))}")
    return FREE_TEXT + "\n".join(lines) + "\n"


def _category(decider: Decider[Any]) -> str:
    sections = [_event(event) for event in decider.events]
    return "\n".join([f"## {decider.category}\n\nStream: {STREAMS[decider.category]}.\n", *sections])


def _event(event: type[Event]) -> str:
    fields = struct_type(event).fields
    lines = [f"### {event.TYPE}\n", f"Schema {event.SCHEMA}. {meaning(event)}\n"]
    if event.TYPE in REFERRING:
        lines.append("It refers to another event by position; the feed shows that event's id as `eventId` instead.\n")
    if fields:
        lines += ["| field | type | kept in | always |", "| --- | --- | --- | --- |"]
    for field in fields:
        always = "✓" if field.required else ""
        lines.append(f"| `{field.encode_name}` | {type_name(field.type)} | {place(field.type)} | {always} |")
    return "\n".join(lines) + "\n"


def _value(info: shapes.StructType) -> str:
    lines = [f"### {info.cls.__name__}\n", f"{meaning(info.cls)}\n", "| field | type | always |", "| --- | --- | --- |"]
    for field in info.fields:
        lines.append(f"| `{field.encode_name}` | {type_name(field.type)} | {'✓' if field.required else ''} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Return the page of all error codes, by status."""
    kinds = sorted(CODES.values(), key=lambda kind: (status_of(kind), kind.code))
    return ERRORS_HEAD + "".join(_error(kind) for kind in kinds)


def _error(kind: type[AthenaError]) -> str:
    retry = f"`{retry_with(retryable=True, key_bound=kind.key_bound)}`" if kind.retryable else "no"
    if kind is ProviderError:
        retry = f"by cause: {retry} or no"
    after = f"{kind.retry_after} s" if kind.retry_after else ""
    return f"| `{kind.code}` | {status_of(kind)} | {retry} | {after} | {meaning(kind)} | {answered_by(kind.code)} |\n"


GROUPS: dict[str, frozenset[str]] = {
    "all operations": frozenset(row.id for row in OPERATIONS),
    "all write operations": frozenset(row.id for row in OPERATIONS if row.method != "GET"),
    "all lists": frozenset(row.id for row in OPERATIONS if row.paging is not None),
    "all operations that read views": frozenset(row.id for row in OPERATIONS if row.reads),
}
ELSEWHERE = {
    "INTERNAL_ERROR": "any",
    "LEASE_LOST": "no operation: only executors receive it",
    "UNKNOWN_ERROR": "paths without an operation",
}


def answered_by(code: str) -> str:
    """Return the operations that may answer a code, as groups where possible."""
    if code in ELSEWHERE:
        return ELSEWHERE[code]
    left = {row.id for row in OPERATIONS if code in codes_of(row)}
    names = []
    for name, group in GROUPS.items():
        if group and group <= left:
            names.append(name)
            left -= group
    return ", ".join([*names, *(f"`{name}`" for name in sorted(left))])


def settings_table() -> str:
    """Return the table of all settings with their defaults."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for setting in SETTINGS:
        if setting.name in LEAVING:
            continue
        default = f"`{setting.default}`" if setting.default else ""
        file = f" Or set `{setting.variable}_FILE` to the path of a file that holds it." if setting.secret else ""
        lines.append(f"| `{setting.variable}` | {default} | {setting.meaning}{file} |")
    return "\n".join(lines)


def operations_table() -> str:
    """Return the table of all operations, in their order."""
    lines = ["| operation | who | what |", "| --- | --- | --- |"]
    for row in OPERATIONS:
        who = "everybody" if row.roles == EVERYBODY else ", ".join(role.value for role in Role if role in row.roles)
        note = " Deprecated." if row.successor else ""
        lines.append(f"| `{row.method} {row.path}` | {who} | {row.summary}{note} |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Return the table of all metrics, in the order in which they are served."""
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}` | {family.kind} | {labels} | {family.meaning} |")
    return "\n".join(lines)


def loops_table() -> str:
    """Return the table of all background loops by name."""
    lines = ["| loop | task |", "| --- | --- |"]
    lines += [f"| `{name}` | {what} |" for name, what in LOOPS.items()]
    return "\n".join(lines)


def check_rows() -> str:
    """Return the table of the rows of ``athena agents check``."""
    lines = ["| row | | | if it is red |", "| --- | --- | --- | --- |"]
    for row in CHECKED_ROWS:
        place = {None: "", True: ", in a sandbox", False: ", without a sandbox"}[row.boxed]
        lines.append(f"| `{row.key}` | {row.title} | {row.demand}{place} | {row.remedy} |")
    return "\n".join(lines)


def egress_limits() -> list[tuple[str, str, str]]:
    """Return the limits of the egress proxy."""
    most = egress_proxy.EgressLimits()
    return [
        ("egress: connections of a run at once", f"{most.connections_max}; further ones wait", ""),
        ("egress: connections of all runs at once", "an eighth of the file descriptors (`LimitNOFILE`)", ""),
        ("egress: bytes of a run, both ways", f"{most.bytes_max:,} bytes", ""),
        (
            "egress: a request line with its headers",
            f"{egress_proxy.HEAD_BYTES_MAX:,} bytes, {egress_proxy.HEADERS_MAX} headers, {most.head_seconds:.0f} s",
            "",
        ),
        ("egress: looking up and connecting to a host", f"{most.connect_seconds:.0f} s", ""),
        ("egress: a connection", f"{most.connection_seconds:,.0f} s, {most.idle_seconds:.0f} s without a byte", ""),
    ]


def limits_table() -> str:
    """Return the table of the limits of tools, with the profile field that changes each."""
    limits = [
        ("`files`: a file", f"{files.FILE_BYTES:,} bytes", "`toolPolicies.files.fileBytesMax`"),
        ("`files`: a listing", f"{files.LIST_ENTRIES_MAX:,} entries", ""),
        ("`files`, `memory`: a path", f"{workspace.PATH_CHARS_MAX:,} characters, {workspace.PATH_PARTS_MAX} parts", ""),
        ("`shell`: a command", f"{shell.TIMEOUT_MS:,} ms", "`toolPolicies.shell.timeoutMs`"),
        (
            "`shell`: its output (first and last half are kept)",
            f"{shell.OUTPUT_BYTES:,} bytes",
            "`toolPolicies.shell.outputBytesMax`",
        ),
        ("`http`: a request in all", f"{http.TIMEOUT_MS:,} ms", "`toolPolicies.http.timeoutMs`"),
        ("`http`: the body of a response", f"{http.RESPONSE_BYTES:,} bytes", "`toolPolicies.http.responseBytesMax`"),
        ("`http`: a URL", f"{http.URL_CHARS_MAX:,} characters", ""),
        ("`http`: the body of a request", f"{http.BODY_CHARS_MAX:,} characters", ""),
        *egress_limits(),
        ("`memory`: a note", f"{memory.FILE_BYTES_MAX:,} bytes", ""),
        ("`memory`: a search", f"{memory.FILES_MAX:,} notes, {memory.SEARCH_BYTES_MAX:,} bytes", ""),
        ("`memory`: results", f"{memory.RESULTS}, at most {memory.RESULTS_MAX}", "`max_results` of the call"),
        ("`evidence`: the content", f"{evidence.EVIDENCE_CHARS_MAX:,} characters", ""),
        ("arguments of a call", f"{toolbox.ARGUMENTS_BYTES_MAX:,} bytes", ""),
        ("a value in a profile", f"{TOOL_BYTES_MAX:,} bytes, 86,400,000 ms", ""),
    ]
    lines = ["| what | at most | profile field that changes it |", "| --- | --- | --- |"]
    return "\n".join(lines + [f"| {what} | {limit} | {field} |" for what, limit, field in limits])


def commands_page() -> str:
    """Return the page of all commands with their parameters."""
    parts = [CLI_HEAD, "## Flags of every command that sends a request", "", *flags_of(connection_flags)]
    for words, command in sorted(
        {**COMMANDS, **{words: command_of(row.id) for words, row in GENERATED_COMMANDS.items()}}.items()
    ):
        what, _, _ = inspect.cleandoc(command.__doc__ or "").partition("\n\nArgs:")
        example = [f"Example: `athena {EXAMPLES[words]}`", ""] if words in EXAMPLES else []
        parts += [f"## athena {words}", "", what, "", *example, *flags_of(command, but=CONNECTION_FLAGS)]
    return "\n".join(parts).rstrip() + "\n"


def connection_flags(*, connection: ConnectionOptions | None = None) -> None:
    """Have the parameters that all commands with a request share."""


def flags_of(command: Callable[..., None], but: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines of a table of a command's parameters."""
    app = App(help_flags=[], version_flags=[])
    app.command(command, name="it")
    lines = []
    for argument in app["it"].assemble_argument_collection(parse_docstring=True):
        if not argument.show or (argument.keys and argument.keys[-1] in but):  # of an object of options
            continue
        names = ", ".join(f"`{name}`" for name in argument.names)
        choices = " ".join(f"`{choice}`" for choice in sorted(argument.get_choices() or ()))
        said = " ".join((argument.parameter.help or "").replace("|", "\\|").split())
        needed = "Required." if argument.required else ""
        what = " ".join(part for part in (said, needed, f"One of {choices}." if choices else "") if part)
        lines.append(f"| {names} | {what} |")
    return ["| | |", "| --- | --- |", *lines, ""] if lines else []


PLACES_OF_PRECEDENCE = {
    "stream": "stream",
    "command": "command",
    "both": "stream and command",
    "named": "stream of {}",
    "ended": "stream of {}, which has ended",
}


def precedence_table() -> str:
    """Return the table of events that only ever follow another one."""
    lines = ["| event | follows | in the same | equal fields | rule |", "| --- | --- | --- | --- | --- |"]
    for row in PRECEDENCES:
        after = ", ".join(f"`{kind.TYPE}`" for kind in row.after)
        names = [f"`{camel(name)}`" for name, _ in row.by]
        named = row.where in {"named", "ended"}
        place = PLACES_OF_PRECEDENCE[row.where].format(*names)
        pairs = () if named else [f"`{camel(one)}` = `{camel(other)}`" for one, other in row.by]
        lines.append(f"| `{row.kind.TYPE}` | {after} | {place} | {', '.join(pairs)} | `{row.rule}` |")
    return "\n".join(lines)


def filled(path: Path, **tables: str) -> str:
    """Return a document with its generated tables filled in between the marker lines of each name."""
    text = path.read_text("utf-8")
    for name, table in tables.items():
        begin, end = f"<!-- {name}: begin ({COMMAND}) -->", f"<!-- {name}: end -->"
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not begun or not ended:
            raise ValueError(f"{path.name} lacks the line {begin!r} or {end!r}")
        text = f"{before}{begin}\n{table}\n{end}{after}"
    return text


def samples() -> Iterator[tuple[Path, str]]:
    """Yield the how-to pages that show sample files."""
    for page, names in SAMPLES.items():
        path = ROOT / "docs" / "how-to" / f"{page}.md"
        shown = {
            name: f"```{language}\n{(ROOT / 'examples' / 'deployment' / name).read_text('utf-8')}```"
            for name, language in names.items()
        }
        yield path, filled(path, **shown)


def pages() -> dict[Path, str]:
    """Return the current content of every generated file."""
    return {
        REFERENCE / "events.md": events_page(),
        REFERENCE / "errors.md": errors_page(),
        REFERENCE / "cli.md": commands_page(),
        TABLE: command_table.table(),
        **{TYPESCRIPT / name: text for name, text in typescript_client.modules().items()},
        REFERENCE / "settings.md": SETTINGS_HEAD + settings_table() + "\n",
        API: filled(API, operations=operations_table()),
        ARCHITECTURE: filled(ARCHITECTURE, folders=layout.listing()),
        OPERATING: filled(OPERATING, metrics=metrics_table(), loops=loops_table()),
        TOOLS: filled(TOOLS, limits=limits_table()),
        AGENTS: filled(AGENTS, rows=check_rows()),
        LOG_FORMAT: filled(LOG_FORMAT, precedences=precedence_table()),
        RELIABILITY: filled(RELIABILITY, tamperings=tamperings.table()),
        **dict(samples()),
        **dict(python_client.files()),
        **dict(python_events.files()),
        **dict(python_sync.files()),
    }


def main() -> None:
    """Write the files that are stale. Start again after a change of the table that commands are built from."""
    if TABLE.read_text("utf-8") != (table := command_table.table()):
        TABLE.write_text(table, "utf-8")
        print(f"wrote {TABLE.relative_to(ROOT)}", flush=True)
        os.execv(sys.executable, [sys.executable, "-m", "docs.generate"])
    for path, text in pages().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
