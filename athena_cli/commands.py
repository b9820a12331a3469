"""The commands: arguments to one request each, or to work on the state directory itself."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, TypeAlias

from cyclopts import Parameter

from athena_cli.exit_codes import Failed, Misused

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane
    from athena_core.log.port import StoreReader
    from athena_core.services.proof.witnesses import ForkName, Witness, Witnesses
    from athena_core.settings import Settings
    from projections.engine.ids import IdComparison

PAGE_ITEMS_MAX = 500
Output: TypeAlias = Literal["table", "json", "jsonl"]
SWITCH = Parameter(negative="")
TEXT = Parameter(allow_leading_hyphen=True)
Detach: TypeAlias = Annotated[bool, Parameter(name="--async", negative="")]


OUTPUT = Parameter(alias="-o")


@Parameter(name="*", group="Transport")
@dataclass(frozen=True)
class Reach:
    """How to reach the plane; what is absent is as the settings say."""

    transport: Literal["api", "local", "auto"] | None = None
    """A server, this process, or the server if one answers (ATHENA_CLI_TRANSPORT)."""

    api_base_url: str | None = None
    """Where the server is (ATHENA_API_BASE_URL)."""

    api_timeout_ms: str | None = None
    """How long to wait for it (ATHENA_CLI_API_TIMEOUT_MS)."""

    identity: str | None = None
    """Who is asking, where authentication is on (ATHENA_CLI_IDENTITY)."""

    output: Annotated[Output | None, OUTPUT] = None
    """A table, one JSON document, or a line of JSON for each record; by itself a table on a terminal, else JSON."""


@Parameter(name="*", group="Output")
@dataclass(frozen=True)
class Form:
    """How a command shows what it did that works on the state directory itself."""

    output: Annotated[Output | None, OUTPUT] = None
    """For people, one JSON document, or the same in a line; by itself for people on a terminal, else JSON."""


@Parameter(name="*", group="Filters")
@dataclass(frozen=True)
class Filters:
    """Which events."""

    types: str | None = None
    """Only these types, separated by commas."""

    session: str | None = None
    """Only of this session."""

    run: str | None = None
    """Only of this run."""

    def query(self) -> dict[str, str | None]:
        """As parameters of a request."""
        return {"types": self.types, "sessionId": self.session, "runId": self.run}


def settings_of(reach: Reach | None) -> "Settings":
    """The settings, with the flags of this command in their place. Raises ConfigError, Misused."""
    from msgspec.structs import replace

    from athena_core.settings import SETTINGS, load

    settings = load()
    flags = reach or Reach()
    given = {
        "ATHENA_CLI_TRANSPORT": ("--transport", flags.transport),
        "ATHENA_API_BASE_URL": ("--api-base-url", flags.api_base_url),
        "ATHENA_CLI_API_TIMEOUT_MS": ("--api-timeout-ms", flags.api_timeout_ms),
        "ATHENA_CLI_IDENTITY": ("--identity", flags.identity),
    }
    found: dict[str, Any] = {}
    for setting in SETTINGS:
        flag, text = given.get(setting.variable, ("", None))
        if text is not None:
            try:
                found[setting.variable.removeprefix("ATHENA_").lower()] = setting.parse(text)
            except ValueError as error:
                raise Misused(f"{flag}: {error} (it is {text!r})") from error
    return replace(settings, **found)


def ask(
    reach: Reach | None,
    operation_id: str,
    *,
    stay: bool = False,
    told: Callable[[Any], Any] | None = None,
    problem: Callable[[Any], str | None] | None = None,
    lines: Callable[[Any], list[str]] | None = None,
    **parts: Any,
) -> None:
    """Send one request and show its answer, what is ``told`` of it, or ``lines`` of it unless JSON was asked for.

    Raise Failed where the answer holds a ``problem``.
    """
    import asyncio

    from athena_cli import render
    from athena_cli.transport import connect

    async def work() -> tuple[bytes, str | None]:
        async with connect(settings_of(reach), stay=stay) as transport:
            return await transport.request(operation_id, wait=not stay, **parts), transport.following

    data, following = asyncio.run(work())
    if lines is not None and not (reach is not None and reach.output in {"json", "jsonl"}):
        import msgspec

        for line in lines(msgspec.json.decode(data)):
            render.say(line)
        return
    if told is not None:
        import msgspec

        data = msgspec.json.encode(told(msgspec.json.decode(data)))
    if (parts.get("query") or {}).get("format") == "csv":
        render.write_sheet(data)
        if following is not None:
            render.note(f"More: --cursor {following}")
    else:
        render.show(data, reach.output if reach else None)
    if problem is not None:
        import msgspec

        wrong = problem(msgspec.json.decode(data))
        if wrong is not None:
            raise Failed(wrong)


def ask_all(reach: Reach | None, operation_id: str, *, query: dict[str, str | None], **parts: Any) -> None:
    """Send requests for all pages of a list and show them as one list."""
    import asyncio

    from athena_cli import render
    from athena_cli.transport import connect

    async def work() -> None:
        async with connect(settings_of(reach)) as transport:
            pages = render.Pages(reach.output if reach else None)
            query["limit"] = query.get("limit") or str(PAGE_ITEMS_MAX)
            if query.get("format") == "csv":
                render.write_sheet(await transport.request(operation_id, query=query, **parts))
                while transport.following is not None:
                    query["cursor"] = transport.following
                    page = await transport.request(operation_id, query=query, **parts)
                    render.write_sheet(page.partition(b"\n")[2])  # without the names of the columns
                return
            while following := pages.add(await transport.request(operation_id, query=query, **parts)):
                query["cursor"] = following

    asyncio.run(work())


def show(value: object, form: Form | None) -> None:
    """Show what a command did that works on the state directory itself."""
    import msgspec

    from athena_cli import render

    render.show(msgspec.json.encode(value), form.output if form else None)


def follow(reach: Reach | None, operation_id: str, *, query: dict[str, str | None], **parts: Any) -> None:
    """Print the records of a stream as they come, a line of JSON each, until Ctrl-C; then the last cursor."""
    import asyncio
    from contextlib import aclosing

    from athena_cli import render
    from athena_cli.transport import connect

    last: str | None = None

    def lost(reason: str) -> None:
        render.note(f"Reconnecting: {reason}")

    async def work() -> None:
        nonlocal last
        async with connect(settings_of(reach)) as transport:
            cursor = query.pop("after", None)
            async with aclosing(
                transport.follow(operation_id, query=query, cursor=cursor, lost=lost, **parts)
            ) as frames:
                async for frame in frames:
                    if frame.cursor is None:  # it only passes by
                        continue
                    if frame.record is not None:
                        render.write(frame.record)
                    last = frame.cursor

    try:
        asyncio.run(work())
    finally:
        if last is not None:
            render.note(f"Cursor: {last}")


def read_json(path: str, flag: str) -> dict[str, Any]:
    """The JSON object in a file; `-` is standard input. Raises Misused."""
    import msgspec

    try:
        text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return msgspec.json.decode(text, type=dict[str, Any])
    except OSError as error:
        raise Misused(f"{flag}: cannot read {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misused(f"{flag}: {path} holds no JSON object: {error}") from error


# Runs


def run(
    *,
    session: str | None = None,
    input: Annotated[str | None, TEXT] = None,
    directive: str | None = None,
    profile: str | None = None,
    provider: str | None = None,
    model: str | None = None,
    strategy: Literal["enqueue", "reject", "interrupt"] | None = None,
    parent: str | None = None,
    template: str | None = None,
    param: Annotated[tuple[str, ...], SWITCH] = (),
    detach: Detach = False,
    reach: Reach | None = None,
) -> None:
    """Start a run and wait for its answer.

    Args:
        session: The session that it belongs to; a new one if absent.
        input: What to say.
        directive: What to say, as a directive.
        profile: A harness profile.
        provider: A provider, instead of a profile.
        model: A model of that provider.
        strategy: Where the session is busy: wait for its turn, be refused, or have the other run cancelled.
        parent: The run that it belongs to: it is cancelled with that one.
        template: A run template, instead of what to say and a profile.
        param: A parameter of the template, `name=text` or `name:=JSON`; may be repeated.
        detach: Do not wait; a server goes on with it.
        reach: How to reach the plane.
    """
    body = {
        "sessionId": session,
        "input": input,
        "directiveId": directive,
        "harnessProfileId": profile,
        "provider": provider,
        "model": model,
        "sessionStrategy": strategy,
        "parentRunId": parent,
    }
    if template is None:
        if param:
            raise Misused("--param goes with --template only")
        ask(reach, "createRun", body=body, stay=detach)
        return
    if any(value is not None for name, value in body.items() if name != "sessionId"):
        raise Misused("--template goes with --param and --session only; it brings the rest")
    filled = {"sessionId": session, "params": dict(map(_param, param))}
    ask(reach, "runTemplate", path={"templateId": template}, body=filled, stay=detach)


def _param(text: str) -> tuple[str, Any]:
    """A parameter as it is written on the command line."""
    import msgspec

    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise Misused(f"--param: {text!r} is neither name=text nor name:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Misused(f"--param: {name[:-1]}: {value[:80]!r} is no JSON: {error}") from error


def cancel(
    *,
    session: str | None = None,
    run: str | None = None,
    reason: Annotated[str | None, TEXT] = None,
    reach: Reach | None = None,
) -> None:
    """Ask for the cancel of a run, by its id or by its session.

    Args:
        session: Cancel the admitted run of this session.
        run: Cancel this run.
        reason: Why.
        reach: How to reach the plane.
    """
    if (session is None) == (run is None):
        raise Misused("cancel needs either --session or --run")
    if run is not None:
        ask(reach, "cancelRunByRunId", path={"runId": run}, body={"reason": reason})
    else:
        ask(reach, "cancelRun", path={"sessionId": session}, body={"reason": reason})


# Work


def enqueue_work(
    *,
    session: str,
    input: Annotated[str, TEXT],
    mode: Literal["followup", "collect"] = "followup",
    reach: Reach | None = None,
) -> None:
    """Put an item at the end of a session's queue.

    Args:
        session: The session.
        input: What is to be done.
        mode: Alone, or together with the `collect` items before and after it.
        reach: How to reach the plane.
    """

    def told(queue: Any) -> Any:
        depth = len(queue["items"])
        return {"sessionId": queue["sessionId"], "queuedItems": depth, "queueDepth": depth}

    ask(reach, "enqueueWork", body={"sessionId": session, "payload": input, "mode": mode}, told=told)


def show_work(*, session: str | None = None, workflow: str | None = None, reach: Reach | None = None) -> None:
    """Show what waits in a session's queue, or in lines of text how far a run of a workflow is.

    Args:
        session: The session.
        workflow: Instead: the workflow, or one of its runs; with `-o json` what `workflow status` prints.
        reach: How to reach the plane.
    """
    if (session is None) == (workflow is None):
        raise Misused("work status needs either --session or --workflow")

    def told(queue: Any) -> Any:
        modes = queue["itemCounts"]
        depth = sum(modes.values())
        return {
            "sessionId": queue["sessionId"],
            "draining": queue["draining"],
            "queuedItems": depth,
            "queueDepth": depth,
            "modes": modes,
        }

    if session is not None:
        ask(reach, "getSessionWorkQueue", path={"sessionId": session}, told=told)
    else:
        ask(reach, "getWorkflowRun", path={"id": workflow}, lines=progress_lines)


MARKERS = {"ok": "[OK]", "running": "[..]", "waiting": "[..]", "failed": "[!!]", "cancelled": "[!!]"}


def progress_lines(observed: Any) -> list[str]:
    """How far a run of a workflow is: ids and status, progress, estimate, then a line for each step."""
    run, progress, eta = observed["run"], observed["progress"], observed["eta"]
    left = eta.get("estimatedRemainingMs")
    estimate = "" if left is None else f", about {left / 1000:.1f} s left ({eta['estimatedCompletionAt']})"
    lines = [
        f"workflow {observed['workflow']['id']}, run {run['id']}: {run['status']}"
        if run
        else f"workflow {observed['workflow']['id']}: no run",
        f"progress: {progress['completedSteps']}/{progress['totalSteps']} ({progress['percentComplete']}%)",
        f"eta: {eta['source']}{estimate}",
    ]
    for node in observed["nodes"]:
        waits = node["dependencyReadiness"]["blockingStepIds"]
        after = f", after {', '.join(waits)}" if waits and node["status"] == "pending" else ""
        lines.append(f"{MARKERS.get(node['status'], '[  ]')} {node['stepId']}: {node['status']}{after}")
    return lines


def drain_work(
    *,
    session: str,
    provider: str | None = None,
    model: str | None = None,
    detach: Annotated[bool, Parameter(name="--async", negative="")] = False,
    reach: Reach | None = None,
) -> None:
    """Work off a session's queue, and wait for the end.

    Args:
        session: The session.
        provider: A provider, instead of the default.
        model: A model of that provider.
        detach: Do not wait; a server goes on with it.
        reach: How to reach the plane.
    """

    def told(result: Any) -> Any:
        if "drainId" in result:
            return result
        delta = result["queueDepthAfter"] - result["queueDepthBefore"]
        return {**result, "sessionId": session, "queueDepthDelta": delta}

    body = {"provider": provider, "model": model}
    ask(reach, "drainWork", path={"sessionId": session}, body=body, stay=detach, told=told)


# Schedules


def list_schedules(*, reach: Reach | None = None) -> None:
    """List all schedules, in the order in which they were created.

    Args:
        reach: How to reach the plane.
    """
    import asyncio

    import msgspec

    from athena_cli import render
    from athena_cli.transport import connect

    tasks: list[Any] = []

    async def work() -> None:
        query: dict[str, str | None] = {"limit": str(PAGE_ITEMS_MAX)}
        async with connect(settings_of(reach)) as transport:
            while True:
                page = msgspec.json.decode(await transport.request("listSchedules", query=query))
                tasks.extend(page["items"])
                if "nextCursor" not in page:
                    return
                query["cursor"] = page["nextCursor"]

    asyncio.run(work())
    render.show(msgspec.json.encode({"count": len(tasks), "tasks": tasks}), reach.output if reach else None)


# Events


def list_events(
    *,
    filters: Filters | None = None,
    cursor: str | None = None,
    limit: int | None = None,
    everything: Annotated[bool, Parameter(name="--all", negative="")] = False,
    reach: Reach | None = None,
) -> None:
    """List recorded events, oldest first.

    Args:
        filters: Which events.
        cursor: Begin after this event (its id, or a position).
        limit: How many, at most 500.
        everything: All pages up to the head, as one list.
        reach: How to reach the plane.
    """
    query = {**(filters or Filters()).query(), "cursor": cursor, "limit": None if limit is None else str(limit)}
    if everything:
        ask_all(reach, "listEvents", query=query)
    else:
        ask(reach, "listEvents", query=query)


def tail_events(*, filters: Filters | None = None, cursor: str | None = None, reach: Reach | None = None) -> None:
    """Print recorded events as they come, a line of JSON each, until Ctrl-C; reconnects by itself.

    Args:
        filters: Which events.
        cursor: Begin after this event (its id, or a position), at `latest`, or at a time; else with the first.
        reach: How to reach the plane.
    """
    follow(reach, "streamEvents", query={**(filters or Filters()).query(), "after": cursor})


# The memory


def search_memory(
    *,
    query: Annotated[str, TEXT],
    max_results: int | None = None,
    min_score: float | None = None,
    reach: Reach | None = None,
) -> None:
    """Search notes, entries and, if the server does, transcripts.

    Args:
        query: Words that a passage has to hold, all of them.
        max_results: How many passages, as many as the settings say if absent.
        min_score: How well they have to fit.
        reach: How to reach the plane.
    """
    import asyncio

    import msgspec

    from athena_cli import render
    from athena_cli.transport import connect

    numbers = {"maxResults": max_results, "minScore": min_score}
    given = {"query": query} | {name: str(number) for name, number in numbers.items() if number is not None}

    async def work() -> bytes:
        async with connect(settings_of(reach)) as transport:
            return await transport.request("searchMemory", query=given)

    found = asyncio.run(work())
    count = len(msgspec.json.decode(found, type=list[msgspec.Raw]))
    answer = {"query": query, "count": count, "results": msgspec.Raw(found)}
    render.show(msgspec.json.encode(answer), reach.output if reach else None)


def get_memory(
    *,
    path: str,
    from_line: Annotated[int | None, Parameter(name="--from")] = None,
    lines: int | None = None,
    reach: Reach | None = None,
) -> None:
    """Show lines of a note.

    Args:
        path: MEMORY.md, or a file below memory/ that ends with .md.
        from_line: The first line, from 1.
        lines: How many.
        reach: How to reach the plane.
    """
    ask(reach, "getMemory", body={"path": path, "from": from_line, "lines": lines})


# Personas


def run_persona(
    *,
    name: str,
    repo: str,
    head: str,
    base: str | None = None,
    session: str | None = None,
    out_json: str | None = None,
    out_md: str | None = None,
    stdout: Literal["summary", "json", "md", "none"] | None = None,
    provider: str | None = None,
    model: str | None = None,
    reach: Reach | None = None,
) -> None:
    """Have a persona review what changed between two commits; the gate is in the result, not in the exit code.

    Args:
        name: The persona.
        repo: The repository, in the workspace.
        head: What is reviewed: a branch, a tag or a commit.
        base: What it is compared with, as the persona says if absent.
        session: The session that the review belongs to; a new one if absent.
        out_json: Where to put the result, in the workspace.
        out_md: Where to put the report, in the workspace.
        stdout: What to print, as the persona says if absent; with `-o json` the whole answer is printed instead.
        provider: A provider, instead of the persona's profile.
        model: A model of that provider.
        reach: How to reach the plane.
    """
    import asyncio

    import msgspec

    from athena_cli import render
    from athena_cli.transport import connect

    body = {
        "name": name,
        "repoPath": repo,
        "headRef": head,
        "baseRef": base,
        "sessionId": session,
        "outJsonPath": out_json,
        "outMarkdownPath": out_md,
        "stdout": stdout,
        "provider": provider,
        "model": model,
    }

    async def work() -> bytes:
        async with connect(settings_of(reach)) as transport:
            return await transport.request("runPersona", body=body)

    render.note(f"Reviewing {head} as {name} ...")
    data = asyncio.run(work())
    answer = msgspec.json.decode(data)
    machine = reach.output if reach is not None and reach.output in {"json", "jsonl"} else None
    if machine:
        render.show(data, machine)
    if "stdout" not in answer:  # its run is paused, or took too long
        raise Failed(f"the review goes on: athena persona show {answer['runId']}")
    if answer["stdout"] and not machine:
        render.say(answer["stdout"].rstrip("\n"))
    if answer["result"]["status"] == "failed":
        raise Failed(answer["result"]["error"]["message"])


def init_persona(
    id: str, /, *, role: str | None = None, description: str | None = None, form: Form | None = None
) -> None:
    """Write the definition of a persona, to be edited: personas/<id>.json of the workspace.

    Args:
        id: Its name.
        role: What it is, such as reviewer.
        description: What it is told about itself.
        form: How to show it.
    """
    import msgspec

    from athena_core.services.reviews.definitions import PersonaFiles
    from athena_core.tools.workspace import PERSONAS, open_workspace
    from athena_core.values import NAME

    if not NAME.fullmatch(id) or id in {".", ".."}:
        raise Misused(f"{id!r} is no name: letters, digits, dots, underscores and dashes")
    settings = settings_of(None)
    path = settings.workspace_root / PERSONAS / f"{id}.json"
    about = " ".join(part for part in (role, description) if part) or "Reviews changes."
    definition = {
        "schemaVersion": 1,
        "id": id,
        "description": about,
        "git": {"baseRefDefault": "main", "requireCleanWorktree": True},
        "review": {"rubric": "What is wrong, what could be simpler, what is not tested."},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(definition), indent=2) + b"\n")
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error
    PersonaFiles(open_workspace(settings)).read(id, "id")
    show({"status": "written", "id": id, "path": f"{PERSONAS}/{id}.json"}, form)


def validate_persona(id: str, /, *, form: Form | None = None) -> None:
    """Read the definition of a persona as a review would, and show it with its defaults.

    Args:
        id: Its name.
        form: How to show it.
    """
    from athena_core.services.reviews.definitions import PersonaFiles
    from athena_core.tools.workspace import open_workspace

    settings = settings_of(None)
    found = PersonaFiles(open_workspace(settings)).read(id, "id")
    place = "/".join(found.folder)
    show({"status": "valid", "id": id, "folder": place, "definition": found.persona}, form)


# The state directory


def replay(
    *,
    verify: Annotated[bool, SWITCH] = False,
    dry_run: Annotated[bool, SWITCH] = False,
    to: str | None = None,
    projection: Annotated[list[str] | None, SWITCH] = None,
    form: Form | None = None,
) -> None:
    """Rebuild all read models from the log; the server goes on answering meanwhile.

    Args:
        verify: Change nothing; compare what is served with a replay to the same position.
        dry_run: Replay without letting the result serve.
        to: Replay to this position, to this event (its id), or to what was recorded before this time (ISO-8601); the
            result never serves.
        projection: With --verify or --dry-run, only this projection; may be given several times.
        form: How to show it.
    """
    if verify and (dry_run or to is not None):
        raise Misused("--verify goes with neither --dry-run nor --to")
    if projection and not (verify or dry_run):
        raise Misused("--projection goes with --verify or --dry-run: what serves is rebuilt as a whole")

    from msgspec.structs import replace

    from athena_cli import render
    from athena_cli.offline_log import kept, place_of
    from athena_core.system import gc_tuning
    from projections import ALL
    from projections.engine import replay as replaying

    unknown = set(projection or ()) - {one.name for one in ALL}
    if unknown:
        known = ", ".join(one.name for one in ALL)
        raise Misused(f"--projection: there is no {', '.join(sorted(unknown))}; known: {known}")
    state = kept(settings_of(None))
    views = state.views()
    gc_tuning.tune_gc()
    if verify:
        _compare(views, projection, form)
        return
    if dry_run or to is not None:
        reader = state.reader()
        until = None if to is None else place_of(to, reader)
        reader.close()
        done = render.last(replaying.rehearse(views, to=until, names=projection), "replay")
    else:
        done = render.last(replaying.rebuild(views), "replay")
        done = replace(done, digests=digests_of(views))
    show(done, form)


def _compare(views: Any, names: list[str] | None, form: Form | None) -> None:
    """Show whether the views are what a replay gives. Raises Failed if not."""
    from time import perf_counter

    from projections.engine import replay as replaying

    began = perf_counter()
    verdicts = replaying.verify(views, names)
    seconds = perf_counter() - began
    position = max(verdict.position for verdict in verdicts)
    different = [verdict for verdict in verdicts if not verdict.equal]
    summary = {
        "outcome": "different" if different else "equal",
        "position": position,
        "seconds": round(seconds, 3),
        "eventsPerSecond": round(position / seconds),
        "verdicts": verdicts,
    }
    show(summary, form)
    if different:
        those = ", ".join(f"{verdict.projection} at position {verdict.position}" for verdict in different)
        raise Failed(f"the views differ from a replay: {those}")


def digests_of(views: Any) -> dict[str, str]:
    """The digests of the generation that was just built."""
    from projections.engine.replay import digest

    connection = views.generations.read(views.generations.candidate() or views.generations.current())
    try:
        with connection.snapshot():
            return {projection.name: digest(connection, projection).sha256 for projection in views.projections}
    finally:
        connection.close()


def verify(
    *,
    bundle: Annotated[Path | None, TEXT] = None,
    against: Annotated[list[str] | None, SWITCH] = None,
    forked: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None,
    ids: Annotated[Path | None, TEXT] = None,
    json: Annotated[bool, SWITCH] = False,
    form: Form | None = None,
) -> None:
    """Prove the log: its hash chain, and the invariants that every decision keeps.

    The report names the anchors that were compared, and what was not looked at. A history that was rewritten as a
    whole is shown only by an anchor that was kept elsewhere. Nothing in a log shows that somebody who may write it
    appended an event that is rightly chained, or that an event was never written.

    Args:
        bundle: Prove a slice that `athena export` wrote instead; `-` reads standard input.
        against: Compare with every anchor in a file, at `https://…`, `git:PATH` or `athena:URL`; may be repeated.
        forked: The id of a `log.forked` that you accepted: kept anchors of what it gave up are counted, not compared.
        ids: Compare with event ids that a consumer kept: one a line, or events as JSON lines; `-` is standard input.
        json: Show one JSON document, also on a terminal.
        form: How to show it.
    """
    from msgspec import to_builtins

    from athena_cli import render
    from athena_cli.offline_log import kept
    from athena_core.clock import SystemClock
    from athena_core.domain import EVENTS
    from athena_core.log.codec import Codec
    from athena_core.services.proof import verify as verifying
    from athena_core.services.proof.ranges import HelperProcesses
    from athena_core.system import gc_tuning

    form = Form("json") if json else form
    if bundle is not None:
        if ids is not None or forked:
            raise Misused("--ids and --forked go with the log, not with --bundle")
        _prove(bundle, form, against or ())
        return
    if forked and not against:
        raise Misused("--forked goes with --against")
    gc_tuning.tune_gc()
    state = kept(settings_of(None), any_schema=True)
    reader = state.reader()
    steps = verifying.verify(
        reader,
        Codec(EVENTS),
        SystemClock(),
        meta=state.archive.meta,
        anchor=state.anchor,
        against=_kept(against, reader.log_id, _forks(forked or (), reader.log_id)) if against else None,
        keys=reader.keys(),
        helpers=HelperProcesses(state.directory / "log.db", state.url),
    )
    report = render.last(steps, "verify").report
    assert report is not None
    compared = _compared(ids, reader) if ids is not None else None
    reader.close()
    show(report if compared is None else {**to_builtins(report), "ids": to_builtins(compared)}, form)
    if not report.ok:
        more = "" if report.violation_count == 1 else f" (and {report.violation_count - 1} more)"
        raise Failed(f"the log does not verify: {report.violations[0]}{more}")
    if compared is not None and not compared.checked:
        raise Failed(f"{ids}: holds no event id")
    if compared is not None and compared.unknown:
        first, others = compared.unknown[0], compared.unknown_count - 1
        more = f" (and {others} more)" if others else ""
        raise Failed(f"{ids}, line {first.line}: {first.id}: {first.reason}{more}")


def _forks(ids: Sequence[str], log_id: str) -> "list[ForkName]":
    """Read the ids of accepted forks. Raise Misused for what is no event id of this log."""
    from athena_core.errors import CursorInvalid
    from projections.engine.cursor import parse_cursor

    found = []
    for text in ids:
        try:
            cursor = parse_cursor(text)
        except CursorInvalid as error:
            raise Misused("--forked: expected the id of a log.forked") from error
        if cursor.mark is None or cursor.log_id != log_id:
            raise Misused("--forked: expected the id of a log.forked of this log")
        found.append((cursor.position, cursor.mark))
    return found


def _kept(places: Sequence[str], log_id: str, forks: "Sequence[ForkName]" = ()) -> "Witnesses":
    """Read the anchors that several places keep. Raise ConfigError."""
    import asyncio

    from athena_core.services.proof.anchors import Sender, destinations_of, fetch_anchors
    from athena_core.services.proof.witnesses import Witnesses, read_anchors

    sender = Sender.of(settings_of(None))
    found = destinations_of(places, "--against")

    def lines() -> "Iterator[Witness]":
        for place in found:
            with asyncio.run(fetch_anchors(place, log_id, sender)) as file:
                yield from read_anchors(place.shown, file)

    return Witnesses(lines(), [place.shown for place in found], forks)


def _compared(path: Path, reader: "StoreReader") -> "IdComparison":
    """Compare event ids of a file with a log. Raise Misused where it cannot be read."""
    from projections.engine.ids import compare_ids

    if str(path) == "-":
        return compare_ids(sys.stdin.buffer, reader)
    try:
        with path.open("rb") as file:
            return compare_ids(file, reader)
    except OSError as error:
        raise Misused(f"--ids: cannot read {path}: {error.strerror}") from error


def _prove(path: Path, form: Form | None, against: Sequence[str]) -> None:
    """Prove a bundle. Raises Failed if it is not what was exported."""
    from itertools import chain

    from athena_core.log.chain import ChainBroken
    from athena_core.services.proof.bundle import log_id_of, prove, read_lines

    def proven(file: "BinaryIO") -> Any:
        lines = read_lines(file)
        first = next(lines, b"")
        kept = _kept(against, log_id_of(first)).anchors() if against else ()
        if against and not kept:
            raise Failed(f"{', '.join(against)}: no anchor is kept there")
        return prove(chain((first,), lines), kept=kept)

    try:
        if str(path) == "-":
            proof = proven(sys.stdin.buffer)
        else:
            with path.open("rb") as file:
                proof = proven(file)
    except OSError as error:
        raise Misused(f"--bundle: cannot read {path}: {error.strerror}") from error
    except ChainBroken as broken:
        raise Failed(f"the bundle does not verify: {broken}") from broken
    show(proof, form)


# The server


def serve(*, host: str | None = None, port: int | None = None, uds: Path | None = None) -> None:
    """Serve the API until SIGINT or SIGTERM.

    Args:
        host: The address to listen on, else 127.0.0.1; only a loopback address while authentication is off.
        port: The port, else 8787; 0 takes a free one.
        uds: A Unix socket to listen on instead, which only this user may connect to.
    """
    if uds is not None and (host is not None or port is not None):
        raise Misused("--uds goes with neither --host nor --port")
    host, port = host or "127.0.0.1", 8787 if port is None else port
    if not 0 <= port <= 65_535:
        raise Misused(f"--port: {port} is no port; expected 0 to 65535")

    import json
    import logging.config
    from functools import partial

    from athena_api.edge.access_log import log_lines
    from athena_cli.render import note, say
    from athena_core.settings import load, replaced

    logging.config.dictConfig(log_lines())
    settings = load()
    for warning in replaced():
        note(f"Warning: {warning}")

    from athena_api import server
    from athena_api.app import build
    from athena_api.edge import versions

    versions.check()
    timeout_ms = settings.send_timeout_ms
    listening = server.listen_unix(uds) if uds else server.listen(host, port, send_timeout_ms=timeout_ms)
    with listening:
        address = listening.getsockname()[0] if uds is None else None
        server.check_exposure(settings, address)
        app = build(settings)
        if app.plane.access.roster.warning:
            note(f"Warning: {app.plane.access.roster.warning}")
        for name in (host, address) if address else ():
            app.gate.browsers.answers_to(name)
        ready: dict[str, Any] = {"status": "serving", "uds": str(uds)}
        if uds is None:
            ready = {"status": "serving", "host": host, "port": listening.getsockname()[1]}
        line = json.dumps(ready, separators=(",", ":"))
        try:
            server.serve(app, listening, partial(say, line))
        except SystemExit as stop:  # the server's own word for what went wrong, which it has explained
            raise Failed("the server could not start, or not go on") from stop
        finally:
            if uds is not None:
                uds.unlink(missing_ok=True)


def worker(*, concurrency: int | None = None, providers: str | None = None) -> None:
    """Execute runs without answering requests, beside servers on the same database or state directory.

    SIGTERM or SIGINT: no more runs are taken, and those at work here may end (ATHENA_WORKER_DRAIN_MS); a second one:
    leave at once. What has not ended goes on elsewhere.

    Args:
        concurrency: How many runs at a time (ATHENA_EXECUTOR_MAX_RUNS if absent).
        providers: Only runs of these providers, separated by commas.
    """
    if concurrency is not None and not 0 < concurrency < 2**31:
        raise Misused(f"--concurrency: {concurrency} is no number of runs; expected a whole number above 0")
    serves = tuple(name.strip() for name in providers.split(",")) if providers is not None else ()
    if "" in serves:
        raise Misused("--providers: expected names, separated by commas")

    import json

    from msgspec.structs import replace

    from athena_cli.render import note, say
    from athena_core.settings import load

    settings = load()
    settings = replace(settings, executor="inline", executor_max_runs=concurrency or settings.executor_max_runs)

    from athena_api.edge import versions
    from athena_api.worker import run_worker

    versions.check()

    def ready(plane: "ControlPlane") -> None:
        about = plane.runner.about
        line = {"status": "working", "id": plane.runner.executor, "concurrency": about.concurrency}
        say(json.dumps({**line, "providers": about.providers}, separators=(",", ":")))

    def leaving(runs: int) -> None:
        seconds = settings.worker_drain_ms / 1000
        if runs:
            note(f"Leaving once its runs have ended ({runs}), within {seconds:g} s; a second signal leaves at once")

    run_worker(settings, serves, ready, leaving)


def contracts(*, out: Path | None = None, form: Form | None = None) -> None:
    """Write the OpenAPI document as an artifact.

    Args:
        out: The file; `api/contracts.v1.json` in the state directory if absent.
        form: How to show it.
    """
    import msgspec

    from athena_api import openapi
    from athena_api.operations import OPERATIONS
    from athena_core import __version__
    from athena_core.clock import SystemClock, iso
    from athena_core.system import private_file

    path = out or settings_of(None).state_dir / "api" / "contracts.v1.json"
    artifact = {
        "schemaVersion": 2,
        "apiVersion": "v1",
        "generatedAt": iso(SystemClock().now()),
        "routeCount": len(OPERATIONS),
        "openapi": openapi.document(OPERATIONS, __version__),
    }
    draft = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=private_file.DIRECTORY_MODE)
        private_file.write(draft, msgspec.json.format(msgspec.json.encode(artifact), indent=2) + b"\n")
        draft.replace(path)
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error
    show({"status": "written", "path": str(path), "routeCount": len(OPERATIONS)}, form)
