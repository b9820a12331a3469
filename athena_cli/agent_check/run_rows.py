"""The rows that runs answer: an agent under Athena, with a person who decides, a budget, and a sandbox."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import httpx2

from athena_cli.agent_check.checked_run import CheckedRun, described
from athena_cli.agent_check.interview import SAID
from athena_cli.agent_check.interview_rows import WORKS
from athena_cli.agent_check.private_plane import POLL_SECONDS
from athena_cli.agent_check.rows import Demand, Differs, Stage, expect, row
from athena_cli.agent_check.scripted.model import Hangs, Refuses, Script, Shell, Step, Writes
from athena_cli.agent_check.subject import Subject

REPORT = "Report this with the log of the check: it should not depend on the agent."
SANDBOX = "Do not run agents in this sandbox. Report it."
DEARER = (1_000, 2_000)
"""Tokens of an answer that costs about as much as the small budget."""
SMALL_USD = 0.001
REQUESTS_MAX = 2_000
"""Requests after which a script gives up."""
CANCEL_SECONDS_MAX = 8.0
EXPIRES_MS = 1_500
EDITED = "edited.txt"
KEY = re.compile(rb"gw_[A-Za-z0-9_-]{43}")
ENDPOINT = re.compile(rb"http://127\.0\.0\.1:\d+")
HOME = re.compile(rb"(?:\A|\0)HOME=([^\0]+)")
FILE_BYTES_MAX = 65_536
UNAUTHORIZED = 401
RUNS = (*WORKS, "run")
ASKS = (*RUNS, "asks", "one-request", "obeys")
LookAtRun: TypeAlias = Callable[[CheckedRun], Awaitable[str]]


def run_row(
    key: str,
    title: str,
    *,
    demand: Demand = "required",
    remedy: str = REPORT,
    stage: Stage = "runs",
    needs: tuple[str, ...] = RUNS,
    boxed: bool | None = None,
) -> Callable[[LookAtRun], LookAtRun]:
    """Register the function below as a row that looks at a run, which it has to start."""

    def register(look: LookAtRun) -> LookAtRun:
        async def of_subject(subject: Subject) -> str:
            return await look(CheckedRun(subject, key))

        row(key, title, demand, remedy, stage=stage, needs=needs, boxed=boxed)(of_subject)
        return look

    return register


def until_made(run: CheckedRun, name: str, command: str) -> Callable[[int], Step]:
    """Return a script that asks for a command until it has made a file, then answers."""
    asked: list[int] = []

    def script(turns: int) -> Step:
        asked.append(turns)
        return SAID if run.has_made(name) or len(asked) > REQUESTS_MAX else Shell(command)

    return script


def once(step: Step) -> Script:
    """Return a script that answers with a step for its first request, however many turns it has, and then in words."""
    asked: list[int] = []

    def script(turns: int) -> Step:
        asked.append(turns)
        return step if len(asked) == 1 else SAID

    return script


@run_row("run", "A run makes a file, edits one and passes a command verification", stage="first", needs=WORKS)
async def _run(run: CheckedRun) -> str:
    cat = ["/bin/cat", EDITED]
    await run.start(
        (Shell("echo made > made.txt"), Writes(EDITED, "hi\n"), SAID),
        verificationPolicies=[{"id": "c", "kind": "command", "label": "Made", "command": cat}],
        toolPolicies={"shell": {"commands": [cat[:1]]}},
    )
    record = await run.ended()
    status = record["verificationStatus"]
    expect(status == "passed", f"The verification is {status}.")
    written = await run.read("made.txt") == "made\n" and await run.read(EDITED) == "hi\n"
    expect(written, "A file was not written.")
    expect(SAID in (record.get("output") or ""), "The run has another answer than the model gave.")
    (attached,) = await run.payloads("agent.attached")
    return f"completed and passed, in the mode {attached['mode']}"


@run_row("usage", "The recorded tokens are those that the model counted")
async def _usage(run: CheckedRun) -> str:
    await run.start((Shell("echo one > one.txt"), Shell("echo two > two.txt"), SAID))
    await run.ended()
    usages = [one for one in await run.payloads("usage.recorded") if not one.get("estimated")]
    recorded = tuple(sum(one["usage"][member] for one in usages) for member in ("inputTokens", "outputTokens"))
    late = run.model.after(SAID)
    counted = run.model.spent
    if recorded != counted and not (late and len(usages) + late >= run.model.answered):
        raise Differs(f"{sum(recorded)} tokens are recorded, {sum(counted)} were counted.")
    return f"{sum(recorded)} tokens in {len(usages)} calls" + (f", {late} calls cut off" if recorded != counted else "")


# A person decides


@run_row("allowed", "A permission is asked, and allowed by a person", needs=ASKS)
async def _allowed(run: CheckedRun) -> str:
    await run.start(until_made(run, "allowed.txt", "echo made > allowed.txt"), permissions=())
    asks = await run.asked()
    expect(not run.has_made("allowed.txt"), "The call was made before the answer.")
    await run.answer_all()
    expect(await run.read("allowed.txt") == "made\n", "The call was not made after the answer.")
    return f"{asks[0]['toolKind']}, made after the answer"


@run_row("rejected", "A permission is asked, and rejected by a person", needs=ASKS)
async def _rejected(run: CheckedRun) -> str:
    await run.start((Shell("echo made > rejected.txt"), SAID), permissions=())
    await run.asked()
    record = await run.answer_all("deny", statuses=("completed", "failed"))
    expect(not run.has_made("rejected.txt"), "The rejected call was made.")
    return _after_refusal(record)


def _after_refusal(record: dict[str, object]) -> str:
    """Return how a run ended one of whose calls was refused. Raise Differs unless that is a clear end."""
    if record["status"] == "completed":
        return "not made, the run completed"
    expect("ASK_REJECTED" in described(record), f"The run ended as {described(record)}.")
    return "not made, the run failed with ASK_REJECTED"


@run_row("denied", "A call that the profile denies is not made", needs=ASKS)
async def _denied(run: CheckedRun) -> str:
    await run.start((Shell("echo made > denied.txt"), SAID), permissions=({"match": {}, "approval": "deny"},))
    record = await run.ended("completed", "failed")
    expect(not run.has_made("denied.txt"), "The denied call was made.")
    expect(not await run.payloads("run.asked"), "A person was asked.")
    return _after_refusal(record)


@run_row("by-rule", "A call that a person has remembered is allowed by the rule", needs=ASKS)
async def _by_rule(run: CheckedRun) -> str:
    again = Shell("echo made >> twice.txt")
    await run.start((again, again, SAID), permissions=())
    await run.asked()
    await run.answer(remember="session")
    await run.answer_all()
    causes = [one["cause"] for one in await run.payloads("run.answered")]
    made = (await run.read("twice.txt") or "").count("made")
    expect(made == len(causes), "The calls were not made as often as they were allowed.")
    by_rule = causes[:1] == ["person"] and "rule" in causes
    expect(by_rule, f"The same call was decided by {', '.join(causes)}.")
    return "a person, then the rule"


@run_row("expired", "A permission without an answer expires", needs=ASKS)
async def _expired(run: CheckedRun) -> str:
    asks = {"expiresAfterMs": EXPIRES_MS, "onExpiry": "deny"}
    await run.start((Shell("echo made > expired.txt"), SAID), permissions=(), asks=asks)
    await run.asked()
    record = await run.ended("completed", "failed")
    expect(not run.has_made("expired.txt"), "The call was made without an answer.")
    causes = [one["cause"] for one in await run.payloads("run.answered")]
    expect(causes[:1] == ["expiry"], "The ask did not expire.")
    return _after_refusal(record)


# What a run survives

Interrupt: TypeAlias = Callable[[CheckedRun], Awaitable[None]]


def survives(
    key: str,
    title: str,
    moment: Callable[[CheckedRun, Interrupt], Awaitable[str]],
    interrupt: Interrupt,
    *,
    stage: Stage = "runs",
    needs: tuple[str, ...] = RUNS,
) -> None:
    """Register a row about a run that goes on after an interrupt at a moment."""

    @run_row(key, title, stage=stage, needs=needs)
    async def _interrupted(run: CheckedRun) -> str:
        return await moment(run, interrupt)


async def while_streaming(run: CheckedRun, interrupt: Interrupt) -> str:
    """Interrupt a run while its model answers."""
    await run.start(once(Hangs("Half an ")))
    await hung(run)
    await interrupt(run)
    await run.ended()
    return f"completed, {await attached_again(run)}"


async def while_working(run: CheckedRun, interrupt: Interrupt) -> str:
    """Interrupt a run in a command."""
    await run.start(once(Shell("echo begun >> long.txt; sleep 1000")))
    await run.made("long.txt")
    await interrupt(run)
    await run.ended()
    return await _went_on(run, "long.txt", "begun\n")


async def while_asking(run: CheckedRun, interrupt: Interrupt) -> str:
    """Interrupt a run that has an open permission."""
    await run.start(until_made(run, "asked.txt", "echo made >> asked.txt"), permissions=())
    await run.asked()
    await interrupt(run)
    await run.answer_all()
    return await _went_on(run, "asked.txt", "made\n")


async def while_parked(run: CheckedRun, interrupt: Interrupt) -> str:
    await run.start(until_made(run, "parked.txt", "echo made >> parked.txt"), permissions=(), asks={"holdMs": 0})
    await run.parked()
    await interrupt(run)
    await run.answer_all()
    return await _went_on(run, "parked.txt", "made\n")


async def hung(run: CheckedRun) -> None:
    """Wait until the model of a run hangs. Raise Differs if the run ends before."""
    await run.until(lambda record: run.model.hung.is_set(), "its model was asked")


async def attached_again(run: CheckedRun) -> str:
    """Return how further processes of the agent were attached. Raise Differs if there was none."""
    how = [one["how"] for one in await run.payloads("agent.attached")]
    expect(len(how) > 1, "The agent was not attached again.")
    return " and ".join(how[1:])


async def _went_on(run: CheckedRun, name: str, content: str) -> str:
    """Return how the agent was attached again. Raise Differs if a recorded call was made twice, or not at all."""
    found = await run.read(name)
    expect(found == content, f"{name} should hold {content!r} and holds {found!r}.")
    return f"went on, {await attached_again(run)}"


survives(
    "parked",
    "A permission is answered after the run was parked",
    while_parked,
    CheckedRun.expect_no_process,
    needs=ASKS,
)


@run_row("cancelled", "A run is cancelled while a command runs, and nothing is left")
async def _cancelled(run: CheckedRun) -> str:
    await run.start((Shell("echo begun > begun.txt; sleep 1000"), SAID))
    await run.made("begun.txt")
    processes = await run.look_up_processes()
    began = time.monotonic()
    await run.cancel()
    await run.ended("cancelled")
    seconds = time.monotonic() - began
    expect(seconds <= CANCEL_SECONDS_MAX, f"It took {seconds:.1f} s.")
    return f"after {seconds:.1f} s, {len(processes)} processes gone"


agent_killed = partial(survives, interrupt=CheckedRun.kill_agent)
agent_killed("killed-streaming", "The agent is killed while its model answers: the run goes on", while_streaming)
agent_killed(
    "killed-working", "The agent is killed in a command: the run goes on, the command is not repeated", while_working
)
agent_killed(
    "killed-asking", "The agent is killed with an open permission: the answer still counts", while_asking, needs=ASKS
)


# Budgets, and failures


@run_row("budget", "A budget of a thousandth of a dollar pauses the run, and a resume finishes it")
async def _budget(run: CheckedRun) -> str:
    names = [f"step-{number}.txt" for number in range(3)]
    scripts = [until_made(run, name, f"echo made >> {name}") for name in names]

    def script(turns: int) -> Step:
        return next((step for one in scripts if (step := one(turns)) != SAID), SAID)

    await run.start(script, tokens=DEARER, budget_usd=SMALL_USD)
    record = await run.until(lambda record: record["status"] == "paused", "it was paused")
    (paused, *_) = await run.payloads("run.paused")
    expect(paused["reason"] == "budget", f"It was paused for {paused['reason']}.")
    spent = record.get("costMicroUsd") or 0
    await run.resume(1)
    await run.ended()
    for number, name in enumerate(names):
        expect(await run.read(name) == "made\n", f"Step {number} was made twice, or not at all.")
    return f"paused after {spent} micro-dollars, then completed"


@run_row("failed-call", "A failed model call fails the run, whatever the agent says")
async def _failed_call(run: CheckedRun) -> str:
    body = {"error": {"type": "invalid_request_error", "message": "The check refuses this call."}}
    await run.start((Refuses(400, body),))
    record = await run.ended("failed")
    expect("PROVIDER_ERROR" in described(record), f"The run ended as {described(record)}.")
    return "PROVIDER_ERROR"


# The sandbox, and the key


@run_row("network", "A command in the sandbox reaches no network", remedy=SANDBOX, boxed=True)
async def _network(run: CheckedRun) -> str:
    port = run.subject.plane.port
    tries = (
        f"curl -sf -m 3 http://127.0.0.1:{port}/livez",
        "curl -sf -m 3 http://1.1.1.1/",
        f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'",
    )
    return await _refused(run, "net.txt", " || ".join(tries), "the network")


@run_row("state", "A command in the sandbox does not read the state directory", remedy=SANDBOX, boxed=True)
async def _state(run: CheckedRun) -> str:
    log = run.subject.plane.state_dir / "log.db"
    expect(log.is_file(), "The log is not where it should be.")
    return await _refused(run, "state.txt", f"cat {log}", "the state directory")


async def _refused(run: CheckedRun, name: str, command: str, place: str) -> str:
    """Let the agent run a command that must fail. Raise Differs if it succeeds."""
    command = f"{{ {command}; }} > /dev/null 2>&1 && echo reached > {name} || echo closed > {name}"
    await run.start((Shell(command), SAID))
    await run.ended()
    expect(await run.read(name) == "closed\n", f"A command reached {place}.")
    return "closed"


@run_row("key", "The key of the gateway is refused after the end of the run", remedy=SANDBOX, boxed=False)
async def _key(run: CheckedRun) -> str:
    await run.start((Hangs("Half an "),))
    await hung(run)
    urls, key = await asyncio.to_thread(_endpoints, [one.pid for one in await run.look_up_processes()])
    found = [url for url in urls if await _status(url, key) not in {None, UNAUTHORIZED}]
    expect(found, "The key was refused while the run lived.")
    await run.cancel()
    await run.ended("cancelled")
    after = await _status(found[0], key)
    expect(after in {None, UNAUTHORIZED}, f"The endpoint answered {after} after the end.")
    return "no connection" if after is None else str(after)


def _endpoints(pids: Sequence[int]) -> tuple[Sequence[str], str]:
    """Return the key of a gateway, and the URLs that may be its own, as processes of its agent have them. Blocks.

    Raise Differs.
    """
    environments = [content for pid in pids if (content := _content(Path(f"/proc/{pid}/environ")))]
    keys = {key for content in environments for key in KEY.findall(content)}
    expect(keys, "The key was not found in the environment of the agent.")
    homes = {Path(os.fsdecode(home)) for content in environments for home in HOME.findall(content)}
    files = (
        path for home in homes for path in home.rglob("*") if path.is_file() and path.stat().st_size <= FILE_BYTES_MAX
    )
    contents = [*environments, *map(_content, files)]
    urls = {url.decode() for content in contents for url in ENDPOINT.findall(content)}
    return sorted(urls), min(keys).decode()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def _status(url: str, key: str) -> int | None:
    """Return the status of a request with a key; None without a connection."""
    headers = {"authorization": f"Bearer {key}", "x-api-key": key, "x-goog-api-key": key}
    async with httpx2.AsyncClient(timeout=5, trust_env=False) as http:
        with suppress(httpx2.TransportError):
            return (await http.get(f"{url}/v1/nothing", headers=headers)).status_code
    return None


# The server is killed

athena_killed = partial(survives, interrupt=CheckedRun.kill_athena, stage="kill")
athena_killed("athena-streaming", "Athena is killed while the model answers: the run goes on", while_streaming)
athena_killed(
    "athena-working", "Athena is killed in a command: the run goes on, the command is not repeated", while_working
)
athena_killed(
    "athena-asking", "Athena is killed with an open permission: the answer still counts", while_asking, needs=ASKS
)
athena_killed(
    "athena-parked",
    "Athena is killed while the run is parked: the answer still counts",
    while_parked,
    needs=(*ASKS, "parked"),
)


@run_row("nothing-left", "Ended runs leave no process", stage="last")
async def _nothing_left(run: CheckedRun) -> str:
    await asyncio.sleep(POLL_SECONDS)
    left = run.subject.left
    for first in left[:1]:
        raise Differs(f"{len(left)} processes were left, such as {first.name!r}.")
    return "no process"
