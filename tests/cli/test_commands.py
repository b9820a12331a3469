"""Every command as a process of its own, over both transports: a story in which each of them has its part."""

import inspect
import json
import re
import shlex
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from athena_cli import app
from athena_cli.command_tree import COMMANDS, GENERATED_COMMANDS
from athena_cli.operation_command import command_of
from tests.cli.worlds import World, shape, worlds
from tests.scale import sized

HERE = {
    "agents check": "starts a server of its own",
    "anchor": "reads the log itself, whose head it vouches for",
    "api contracts": "writes what the table says; there is nothing to ask",
    "api serve": "is the server",
    "backup": "copies the log, also where no server can be started",
    "demo": "starts a server of its own",
    "doctor": "looks at the set-up that a server would have",
    "export": "reads the log itself, whose hashes it hands on",
    "personas init": "writes a file of the workspace",
    "personas validate": "reads a file of the workspace",
    "move": "takes the log elsewhere, where nobody is at work",
    "redact": "writes the log and scrubs the files of the views",
    "replay": "reads the log itself, and writes views beside those that serve",
    "restore": "puts another log in the place of this one, where nobody is at work",
    "worker": "works beside servers",
    "verify": "reads the log itself: a server is not asked whether it is right",
    "--install-completion": "writes a file for the shell",
}
"""Commands without a transport, and why they ask no server; each runs beside one and gives the same in both worlds."""

TELLING = {
    "api contracts": "the time",
    "digests": "what ids and times are in the views",
    "doctor": "the space that is left",
    "fleet": "how long runs took",
    "health": "the time and the process that answers",
    "series": "when it was asked for, and how long runs took",
    "replay": "how many rows there are of how long runs took",
    "top": "ages",
    "workers": "which processes there are",
}
"""Commands that tell of the moment as well: their outputs have the same shape."""


class Case(NamedTuple):
    """A command of the story: its arguments, its exit code, and the parts of its output that later ones need.

    ``awaits`` is the type of an event that follows; ``lines`` is the number of lines read before Ctrl-C. ``says`` is a
    part of its error. ``after`` names parts that must be kept before it, beside those in its arguments. The outputs of
    a ``racing`` command may differ, because background work may run before it answers.
    """

    words: str
    arguments: str = ""
    keep: Mapping[str, str] = {}
    code: int = 0
    says: str = ""
    lines: int = 0
    awaits: str = ""
    after: str = ""
    settings: Mapping[str, str] = {}
    racing: bool = False

    @property
    def needs(self) -> set[str]:
        """The names of what has to be kept before it."""
        text = " ".join([self.arguments, self.after, *self.settings.values()])
        return set(re.findall(r"\$(\w+)", text)) - {"dir"}


WORKFLOW = json.dumps(
    {
        "steps": [
            {"id": "draft", "directiveId": "$directive", "harnessProfileId": "$profile"},
            {"id": "ask", "approval": {"message": "good?", "approvers": ["local"]}},
        ],
        "dependencies": [{"from": "draft", "to": "ask"}],
    }
)
ASKED = {"flow": "id", "hash": "stepStates.ask.approval.subjectHash"}

STORY = (
    Case("capabilities"),
    Case("whoami"),
    Case("health"),
    Case("workers"),
    Case("digests"),
    Case("clock accept"),
    Case("anchors create", f"--log-id {'ab' * 8} --position 7 --chain {'cd' * 32} --at 2026-01-01T00:00:00.000Z"),
    Case("anchors list"),
    # directives, profiles and templates
    Case("directives create", """--input look --metadata '{"team":"red"}'""", {"directive": "id"}),
    Case("directives get", "$directive"),
    Case("directives list"),
    Case(
        "profiles create",
        """--display-name Careful --version v1 --config '{"provider":"mock","model":"mock-model","tools":["evidence"]}'
        --policies '{"timeoutMs":30000,"retryLimit":1,"budgetUsd":0}'""",
        {"profile": "id"},
    ),
    Case("profiles create", "--body $dir/agent.json", {"agent": "id"}),
    Case("profiles get", "$profile"),
    Case("profiles list", "--limit 1"),
    Case(
        "templates create",
        """--harness-profile-id $profile --directive-template 'write {{count}} words'
        --default-params '{"count":"3"}'""",
        {"template": "id"},
    ),
    Case("templates get", "$template"),
    Case(
        "templates update",
        """$template --harness-profile-id $profile --directive-template 'write {{count}}'
        --default-params '{"count":"3"}'""",
    ),
    Case("templates list"),
    # runs
    Case("run", "--session s --input hello", {"run": "runId", "session": "sessionId"}),
    Case("run", "--template $template --param count=3 --session t"),
    Case("run", "--profile $agent --session agent --input go", {"paused": "runId"}),
    Case("resume", "$paused --budget-usd 1", {"agentRun": "runId"}),
    Case("resume", "$run", code=1, says="RUN_NOT_PAUSED"),
    Case("retry", "$run --input again --budget-usd 0"),
    Case("retry", "$run --provider nobody", code=5, says="PROVIDER_NOT_FOUND"),
    Case("runs get", "$run"),
    Case("runs list", "--error-code PROVIDER_ERROR --cost-over-usd 1 --sort cost"),
    Case("runs facets", "--session s"),
    Case("runs diff", "run_none", code=5),
    Case("runs apply", "run_none --yes", code=5),
    Case("workspaces list", "--status active"),
    Case("workspaces get", "wsp_none", code=5),
    Case("workspaces keep", "wsp_none", code=5),
    Case("workspaces clean", "wsp_none", code=5),
    Case("cancel", "--all --session s --model mock-model"),
    Case("cancel", "--all --session s --yes --reason over"),
    Case("cancel", "--all --yes", code=2, says="requires --reason"),
    Case("runs list", "--session s"),
    Case("runs active"),
    Case("runs cancel-requests", "--session s"),
    Case("explain", "$run"),
    Case("runs proof", "$run"),
    Case("runs request", "$run 1"),
    Case("diff", "0 1 -q"),
    Case("bisect", "/sessions/s 'id exists' --exec true", code=2),
    Case("evidence list", "$agentRun", {"evidence": "items.0.id"}),
    Case("evidence get", "$agentRun $evidence"),
    Case("ps"),
    Case("ps", "--all --session s --created-after 2020-01-01T00:00:00Z"),
    Case("logs", "$run"),
    Case("open", "$run"),
    Case("open", "sessions/s --as-of 1"),
    Case("logs", "-f $run"),
    Case("logs", "-f $run -o jsonl"),
    Case("cancel", "--run $run --reason late"),
    Case("cancel", "--session s"),
    Case("sessions list"),
    Case("sessions get", "$session"),
    Case("sessions transcript", "$session"),
    Case("sessions tail", "$session", lines=2, code=130, says="Cursor: "),
    # work and messages
    Case("queues add", "--session q --input first --mode collect", {"queued": "sessionId"}),
    Case("queues add", "--session q --input second"),
    Case("queues list", after="$queued"),
    Case("queues get", "--session $queued"),
    Case("queues drain", "--session $queued"),
    Case("events list", "--types work.drain.started", {"drain": "events.0.payload.drainId"}, after="$queued"),
    Case("drains get", "$drain"),
    Case("queues add", "--session lost --input x", {"lost": "sessionId"}),
    Case("queues drain", "--session $lost --provider local-exec", code=1, says="PROVIDER_ERROR"),
    Case("dead-letters list", "--session lost", {"letter": "items.0.id"}, after="$lost"),
    Case("dead-letters get", "$letter"),
    Case("dead-letters discard", "$letter --audit-note 'not worth it'"),
    Case("dead-letters restore", "$letter"),
    Case("redrives create", """--filter '{"sessionId":"lost"}' --dry-run"""),
    Case("dead-letters requeue", "$letter"),
    Case(
        "redrives create",
        """--filter '{"sessionId":"nobody"}' --rate-per-second 500""",
        {"redrive": "id"},
        awaits="a2a.dlq.redrive.completed",
        racing=True,
    ),
    Case("redrives get", "$redrive"),
    Case("redrives cancel", "$redrive"),
    Case(
        "messages send",
        """--from-persona ada --to-persona bob --payload '{"do":"it"}'""",
        {"message": "messageId"},
        awaits="a2a.message.completed",
        racing=True,
    ),
    Case("messages get", "$message"),
    Case("messages list", "--to-persona bob"),
    # workflows
    Case("workflows create", f"--definition '{WORKFLOW}'", {"workflow": "id"}),
    Case("workflows get", "$workflow"),
    Case("workflows list"),
    Case("workflows run", "$workflow", ASKED),
    Case("queues get", "--workflow $flow"),
    Case("asks list", "", {"ask": "items.0.id"}, after="$flow"),
    Case("asks get", "$ask"),
    Case("ids find", "$flow"),
    Case(
        "workflows approve", "$flow ask --subject-hash $hash --note fine", awaits="workflow.run.completed", racing=True
    ),
    Case("workflows status", "$flow"),
    Case("workflows run", "$workflow", ASKED),
    Case("workflows reject", "$flow ask --subject-hash $hash", awaits="workflow.run.failed", racing=True),
    Case("workflows resume", "$flow --dry-run"),
    Case("workflows run", "$workflow", ASKED),
    Case("asks list", "", {"second": "items.0.id"}, after="$flow"),
    Case("answer", "$second approve --note fine", awaits="workflow.run.completed", racing=True),
    Case("workflows run", "$workflow", ASKED),
    Case("workflows cancel", "$flow --reason enough", awaits="workflow.run.cancelled", racing=True),
    Case("workflows runs", "$workflow"),
    Case("workflows items", "$flow ask"),
    Case("queues get", "--workflow $workflow"),
    # asks of runs, and permission rules
    Case("profiles create", "--body $dir/asking.json", {"asking": "id"}),
    Case("run", "--profile $asking --session asking --input go", {"asked": "runId"}),
    Case("asks list", "--run $asked", {"permission": "items.0.id"}),
    Case("answer", "$permission allow --remember session --for 8h", awaits="run.completed", racing=True),
    Case("permission-rules list", "", {"rule": "items.0.id"}, after="$permission"),
    Case("permission-rules get", "$rule"),
    Case("permission-rules revoke", "$rule"),
    Case("asks answer-all", """--filter '{"sessionId":"asking"}' --option-id deny""", after="$permission"),
    # memory and personas
    Case("memory create", "--text '--never deploy on Fridays'", {"entry": "id"}),
    Case("memory list"),
    Case("memory get", "$entry"),
    Case("memory search", "--query 'deploy on'"),
    Case("memory get", "--path MEMORY.md --from 2 --lines 1"),
    Case("memory delete", "$entry"),
    Case("personas init", "critic --role reviewer", {"critic": "id"}),
    Case("personas validate", "$critic"),
    Case("personas run", "--name $critic --repo library --head work"),
    Case("personas run", "--name $critic --repo library --head work -o json", {"review": "result.runId"}),
    Case("personas run", "--name $critic --repo library --head work --stdout md"),
    Case("reviews list"),
    Case("reviews get", "$review"),
    # tokens
    Case("tokens create", "--identity ci --role Operator --scope sessions=a,b --note nightly", {"token": "tokenId"}),
    Case("tokens list"),
    Case("tokens get", "$token"),
    Case("tokens revoke", "$token"),
    # limits
    Case(
        "policy update",
        "--schema-version 1 --max-concurrent-runs 3 --audit-comment '- enough'",
        {"policy": "updatedAt"},
    ),
    Case("policy update", "--body $dir/policy.json --audit-comment '- less'", after="$policy"),
    Case("policy get"),
    Case("rejections list", "--session s"),
    Case("halt", "--reason 'wrong prices' --cancel-running"),
    Case("halted"),
    Case("unhalt"),
    Case("policy simulate", """--policy '{"schemaVersion":1,"maxConcurrentRuns":1}' --since 0"""),
    # schedules, in the original's words
    Case(
        "schedules create",
        "--id nightly --session s --input hello --every-minutes 600 --start-now false",
        {"schedule": "id"},
    ),
    Case("schedules list"),
    Case("schedules get", "$schedule"),
    Case("schedules run", "--id $schedule --provider mock"),
    Case("schedules logs", "--id $schedule --limit 5"),
    Case("schedules tick", "--at 2020-01-01T00:00:00Z"),
    Case("schedules update", "$schedule --session s --input hello --cron '0 3 29 2 *'"),
    Case("schedules preview", "$schedule --count 2 --from 2027-01-01T00:00:00Z"),
    Case("schedules pause", "$schedule --note 'not now'"),
    Case("schedules resume", "$schedule"),
    Case("schedules disable", "$schedule"),
    Case("schedules enable", "--id $schedule"),
    Case("schedules delete", "--id $schedule"),
    # what was, and how it is
    Case("audit", "--limit 5"),
    Case("audit", "--format csv --kind policy", after="$put"),
    Case("fleet"),
    Case("series", "--by model"),
    Case("top", "--once -o json"),
    Case("events list", "--all"),
    Case("events tail", "--session s", lines=3, code=130, says="Cursor: ", after="$run"),
    # the state directory
    Case("verify"),
    Case("anchor", "--to $dir/kept.anchors"),
    Case("replay"),
    Case("replay", "--verify"),
    Case("backup", "$dir/copy.athena", {"copy": "path"}),
    Case("restore", "$copy", code=2, says="stop it first"),
    Case("restore", "$copy", settings={"state_dir": "$dir/other"}),
    Case("move", "--to postgresql://127.0.0.1:9/athena", code=2, says="stop it first"),
    Case("export", "--session s --out $dir/s.bundle", {"bundle": "path"}, after="$run"),
    Case("verify", "--bundle $bundle"),
    Case("redact", "--run $run --reason 'it was asked for'", code=1, says="it repeats an erased text"),
    Case("doctor"),
    Case("api contracts", "--out $dir/contracts.json"),
    Case("--install-completion"),
    Case("init", "--provider mock"),
    Case("api serve", "--port 0", settings={"state_dir": "$dir/third"}, lines=1),
    Case("demo", "--port 65536", code=2, says="is not a port"),
    Case("agents list"),
    Case("mcp"),
    Case("mcp-servers list"),
    Case("mcp-servers get", "unknown", code=5, says="no MCP server"),
    Case("mcp-servers check", "unknown", code=5, says="no MCP server"),
    Case("mcp-servers accept", f"unknown --listing-sha256 {'ab' * 32}", code=5, says="never listed"),
    Case("agents check", "nobody", code=5, says="no template"),
    Case("worker", "--concurrency 2", settings={"state_dir": "$dir/third"}, lines=1),
)

QUICK = {
    *("directives create", "run", "queues get", "schedules create", "schedules logs", "memory search", "policy update"),
    *("events tail", "export", "verify", "logs"),
}
"""Some of everything: a command and a query, what waits, a stream, the original's words, and the state directory."""


def chosen() -> list[Case]:
    """Return the cases at this scale, with those whose outputs they need."""
    if sized(quick=False, ci=True, full=True):
        return list(STORY)
    wanted, needed, found = set(QUICK), set[str](), list[Case]()
    for case in reversed(STORY):
        if case.words in wanted or needed & set(case.keep):
            wanted.discard(case.words)
            needed = (needed - set(case.keep)) | case.needs
            found.append(case)
    return found[::-1]


def reaches(words: str) -> bool:
    """Return True if a command calls the API."""
    own = COMMANDS.get(words)
    command = own or (command_of(GENERATED_COMMANDS[words].id) if words in GENERATED_COMMANDS else None)
    return command is not None and "connection" in inspect.signature(command).parameters


def test_every_command_has_a_part_and_those_that_ask_no_server_are_listed() -> None:
    everything = {*COMMANDS, *GENERATED_COMMANDS, "--install-completion"}
    assert {case.words for case in STORY} == everything
    assert {words for words in everything if not reaches(words)} == set(HERE)


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_every_command_prints_the_same_over_both_transports(tmp_path: Path) -> None:
    with worlds(tmp_path) as both, ThreadPoolExecutor(len(both)) as pool:
        for case in chosen():
            seen = list(pool.map(lambda world: told(world, case), both))  # noqa: B023 - it has ended
            assert seen[0] == seen[1], case


def told(world: World, case: Case) -> Any:
    """Return the output of a command in a world, in a form that both worlds share."""
    arguments = [*case.words.split(), *shlex.split(case.arguments)]
    if case.words in {"api serve", "worker"}:
        return served(world, case)
    if case.lines:
        result = world.stream(arguments, case.lines)
    else:
        result = world.run(arguments, reaching=case.words not in HERE, **case.settings)
    assert result.code == case.code, (world.transport, case, result.out, result.err)
    assert case.says in result.err, (world.transport, case, result.err)
    for name, path in case.keep.items():
        world.keep(name, path, result.out)
    if case.awaits:
        world.api.await_event(case.awaits)
    if case.racing:
        return result.code
    if case.lines:  # what was read, not how far it had come by then
        return world.plain(result.out)
    if case.words == "init":  # it names the server that has the agent
        done = json.loads(world.plain(result.out))
        return {name: value for name, value in done.items() if name not in {"server", "next"}}
    if case.words == "events list":  # background work is recorded in another order
        return sorted(json.dumps([event["type"], shape(event)]) for event in json.loads(result.out)["events"])
    if case.words in TELLING:
        found = json.loads(result.out)
        processes = {"top": "workers", "workers": "items"}.get(case.words)
        if processes is not None:
            del found[processes][1:]  # a command is one of them
        if case.words == "series":  # a minute may end between two runs
            found = [line["total"] for line in (found["all"], *found["lines"])]
        return shape(found)
    return world.plain(result.out), world.plain(result.err)


def served(world: World, case: Case) -> Any:
    """Start a process, stop it, and return its first line and exit code."""
    running = world.terminal.start(*case.words.split(), *shlex.split(case.arguments), **world.told(case.settings))
    ready = json.loads(running.line())
    return shape(ready), running.end(signal.SIGINT).code


@pytest.mark.parametrize("words", [words for words in HERE if words in COMMANDS])
def test_a_command_without_a_transport_says_so(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    needed = {"redact": ["--reason", "x"], "move": ["--to", "x"]}.get(words, [])
    assert app.main([*words.split(), *needed, "--transport", "api"]) == 2
    assert "works directly on the state directory (ATHENA_STATE_DIR)" in capsys.readouterr().err
