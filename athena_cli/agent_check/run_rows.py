"""The rows that runs answer: an agent under Athena, with a person who decides, a budget, and a sandbox."""

import asyncio
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx2

from athena_cli.agent_check.checked_run import CheckedRun, described
from athena_cli.agent_check.interview import SAID
from athena_cli.agent_check.interview_rows import WORKS
from athena_cli.agent_check.private_plane import POLL_SECONDS
from athena_cli.agent_check.rows import Differs, row
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
ASKS = (*WORKS, "run", "asks", "one-request", "obeys")


def until_made(run: CheckedRun, name: str, command: str) -> Script:
    """Return a script that asks for a command until it has made a file, then answers."""
    asked: list[int] = []

    def script(turns: int) -> Step:
        asked.append(turns)
        return SAID if run.has_made(name) or len(asked) > REQUESTS_MAX else Shell(command)

    return script


def once(step: Step, *later: Step) -> Script:
    """Return a script whose first request gets a step, and later ones the others, by their number."""
    asked: list[int] = []

    def script(turns: int) -> Step:
        asked.append(turns)
        steps: Sequence[Step] = (step, *(later or (SAID,)))
        return steps[min(len(asked), len(steps)) - 1]

    return script


@row(
    "run",
    "A run makes a file, edits one and passes a command verification",
    "required",
    REPORT,
    stage="first",
    needs=WORKS,
)
async def _run(subject: Subject) -> str:
    run = CheckedRun(subject)
    cat = ["/bin/cat", EDITED]
    await run.start(
        (Shell("echo made > made.txt"), Writes(EDITED, "hi\n"), SAID),
        verificationPolicies=[{"id": "c", "kind": "command", "label": "Made", "command": cat}],
        toolPolicies={"shell": {"commands": [cat[:1]]}},
    )
    record = await run.ended()
    if record["verificationStatus"] != "passed":
        raise Differs(f"The verification is {record['verificationStatus']}.")
    if await run.read("made.txt") != "made\n" or await run.read(EDITED) != "hi\n":
        raise Differs("A file was not written.")
    if SAID not in (record.get("output") or ""):
        raise Differs("The run has another answer than the model gave.")
    (attached,) = await run.payloads("agent.attached")
    return f"completed and passed, in the mode {attached['mode']}"


@row("usage", "The recorded tokens are those that the model counted", "required", REPORT, needs=(*WORKS, "run"))
async def _usage(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start((Shell("echo one > one.txt"), Shell("echo two > two.txt"), SAID))
    await run.ended()
    usages = [one for one in await run.payloads("usage.recorded") if not one.get("estimated")]
    recorded = tuple(sum(one["usage"][member] for one in usages) for member in ("inputTokens", "outputTokens"))
    late = run.model.after(SAID)
    counted = run.model.spent
    if recorded != counted and not (late and len(usages) + late >= run.model.answered):
        raise Differs(f"{sum(recorded)} tokens are recorded, {sum(counted)} were counted.")
    return f"{sum(recorded)} tokens in {len(usages)} calls" + (f", {late} calls cut off" if recorded != counted else "")


@row("allowed", "A permission is asked, and allowed by a person", "required", REPORT, needs=ASKS)
async def _allowed(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(until_made(run, "allowed.txt", "echo made > allowed.txt"), permissions=())
    asks = await run.asked()
    if run.has_made("allowed.txt"):
        raise Differs("The call was made before the answer.")
    await run.answer_all()
    if await run.read("allowed.txt") != "made\n":
        raise Differs("The call was not made after the answer.")
    return f"{asks[0]['toolKind']}, made after the answer"


@row("rejected", "A permission is asked, and rejected by a person", "required", REPORT, needs=ASKS)
async def _rejected(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start((Shell("echo made > rejected.txt"), SAID), permissions=())
    await run.asked()
    record = await run.answer_all("deny", statuses=("completed", "failed"))
    if run.has_made("rejected.txt"):
        raise Differs("The rejected call was made.")
    return _after_refusal(record)


def _after_refusal(record: dict[str, object]) -> str:
    """Return how a run ended one of whose calls was refused. Raise Differs unless that is a clear end."""
    if record["status"] == "failed" and "ASK_REJECTED" not in described(record):
        raise Differs(f"The run ended as {described(record)}.")
    return f"not made, the run {'completed' if record['status'] == 'completed' else 'failed with ASK_REJECTED'}"


@row("denied", "A call that the profile denies is not made", "required", REPORT, needs=ASKS)
async def _denied(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start((Shell("echo made > denied.txt"), SAID), permissions=({"match": {}, "approval": "deny"},))
    record = await run.ended("completed", "failed")
    if run.has_made("denied.txt"):
        raise Differs("The denied call was made.")
    if await run.payloads("run.asked"):
        raise Differs("A person was asked.")
    return _after_refusal(record)


@row("by-rule", "A call that a person has remembered is allowed by the rule", "required", REPORT, needs=ASKS)
async def _by_rule(subject: Subject) -> str:
    run = CheckedRun(subject)
    again = Shell("echo made >> twice.txt")
    await run.start((again, again, SAID), permissions=())
    await run.asked()
    await run.answer(remember="session")
    await run.answer_all()
    causes = [one["cause"] for one in await run.payloads("run.answered")]
    if (await run.read("twice.txt") or "").count("made") != len(causes):
        raise Differs("The calls were not made as often as they were allowed.")
    if causes[:1] != ["person"] or "rule" not in causes:
        raise Differs(f"The same call was decided by {', '.join(causes)}.")
    return "a person, then the rule"


@row("expired", "A permission without an answer expires", "required", REPORT, needs=ASKS)
async def _expired(subject: Subject) -> str:
    run = CheckedRun(subject)
    asks = {"expiresAfterMs": EXPIRES_MS, "onExpiry": "deny"}
    await run.start((Shell("echo made > expired.txt"), SAID), permissions=(), asks=asks)
    await run.asked()
    record = await run.ended("completed", "failed")
    if run.has_made("expired.txt"):
        raise Differs("The call was made without an answer.")
    if [one["cause"] for one in await run.payloads("run.answered")][:1] != ["expiry"]:
        raise Differs("The ask did not expire.")
    return _after_refusal(record)


@row("parked", "A permission is answered after the run was parked", "required", REPORT, needs=ASKS)
async def _parked(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(until_made(run, "parked.txt", "echo made >> parked.txt"), permissions=(), asks={"holdMs": 0})
    await run.until(lambda record: record["status"] == "paused", "it was parked")
    left = await run.look_up_processes()
    if left:
        raise Differs(f"The parked run has {len(left)} processes.")
    await run.answer_all()
    return await _went_on(run, "parked.txt", "made\n")


async def _went_on(run: CheckedRun, name: str, content: str) -> str:
    """Return how the agent was attached again. Raise Differs if a recorded call was made twice, or not at all."""
    found = await run.read(name)
    if found != content:
        raise Differs(f"{name} should hold {content!r} and holds {found!r}.")
    return f"went on, {await attached_again(run)}"


@row(
    "cancelled",
    "A run is cancelled while a command runs, and nothing is left",
    "required",
    REPORT,
    needs=(*WORKS, "run"),
)
async def _cancelled(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start((Shell("echo begun > begun.txt; sleep 1000"), SAID))
    await run.made("begun.txt")
    processes = await run.look_up_processes()
    began = time.monotonic()
    await run.cancel()
    await run.ended("cancelled")
    seconds = time.monotonic() - began
    if seconds > CANCEL_SECONDS_MAX:
        raise Differs(f"It took {seconds:.1f} s.")
    return f"after {seconds:.1f} s, {len(processes)} processes gone"


@row(
    "killed-streaming",
    "The agent is killed while its model answers: the run goes on",
    "required",
    REPORT,
    needs=(*WORKS, "run"),
)
async def _killed_streaming(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(once(Hangs("Half an "), SAID))
    await hung(run)
    await run.kill_agent()
    await run.ended()
    return f"completed, {await attached_again(run)}"


async def hung(run: CheckedRun) -> None:
    """Wait until the model of a run hangs. Raise Differs if the run ends before."""
    await run.until(lambda record: run.model.hung.is_set(), "its model was asked")


async def attached_again(run: CheckedRun) -> str:
    """Return how further processes of the agent were attached. Raise Differs if there was none."""
    how = [one["how"] for one in await run.payloads("agent.attached")]
    if len(how) < 2:  # noqa: PLR2004 - the first process and another one
        raise Differs("The agent was not attached again.")
    return " and ".join(how[1:])


@row(
    "killed-working",
    "The agent is killed in a command: the run goes on, the command is not repeated",
    "required",
    REPORT,
    needs=(*WORKS, "run"),
)
async def _killed_working(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(once(Shell("echo begun >> long.txt; sleep 1000"), SAID))
    await run.made("long.txt")
    await run.kill_agent()
    await run.ended()
    return await _went_on(run, "long.txt", "begun\n")


@row(
    "killed-asking",
    "The agent is killed with an open permission: the answer still counts",
    "required",
    REPORT,
    needs=ASKS,
)
async def _killed_asking(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(until_made(run, "asked.txt", "echo made >> asked.txt"), permissions=())
    await run.asked()
    await run.kill_agent()
    await run.answer_all()
    return await _went_on(run, "asked.txt", "made\n")


@row(
    "budget",
    "A budget of a thousandth of a dollar pauses the run, and a resume finishes it",
    "required",
    REPORT,
    needs=(*WORKS, "run"),
)
async def _budget(subject: Subject) -> str:
    run = CheckedRun(subject)
    steps = (until_made(run, f"step-{number}.txt", f"echo made >> step-{number}.txt") for number in range(3))
    scripts = list(steps)

    def script(turns: int) -> Step:
        found = (one(turns) for one in scripts if callable(one))
        return next((step for step in found if step != SAID), SAID)

    await run.start(script, tokens=DEARER, budget_usd=SMALL_USD)
    record = await run.until(lambda record: record["status"] == "paused", "it was paused")
    (paused, *_) = await run.payloads("run.paused")
    if paused["reason"] != "budget":
        raise Differs(f"It was paused for {paused['reason']}.")
    spent = record.get("costMicroUsd") or 0
    await run.resume(1)
    await run.ended()
    for number in range(3):
        if await run.read(f"step-{number}.txt") != "made\n":
            raise Differs(f"Step {number} was made twice, or not at all.")
    return f"paused after {spent} micro-dollars, then completed"


@row(
    "failed-call",
    "A failed model call fails the run, whatever the agent says",
    "required",
    REPORT,
    needs=(*WORKS, "run"),
)
async def _failed_call(subject: Subject) -> str:
    run = CheckedRun(subject)
    body = {"error": {"type": "invalid_request_error", "message": "The check refuses this call."}}
    await run.start((Refuses(400, body),))
    record = await run.ended("failed")
    if "PROVIDER_ERROR" not in described(record):
        raise Differs(f"The run ended as {described(record)}.")
    return "PROVIDER_ERROR"


@row("network", "A command in the sandbox reaches no network", "required", SANDBOX, needs=(*WORKS, "run"), boxed=True)
async def _network(subject: Subject) -> str:
    port = subject.plane.port
    tries = (
        f"curl -sf -m 3 http://127.0.0.1:{port}/livez",
        "curl -sf -m 3 http://1.1.1.1/",
        f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'",
    )
    return await _refused(subject, "net.txt", " || ".join(tries), "the network")


@row(
    "state",
    "A command in the sandbox does not read the state directory",
    "required",
    SANDBOX,
    needs=(*WORKS, "run"),
    boxed=True,
)
async def _state(subject: Subject) -> str:
    log = subject.plane.state_dir / "log.db"
    if not log.is_file():
        raise Differs("The log is not where it should be.")
    return await _refused(subject, "state.txt", f"cat {log}", "the state directory")


async def _refused(subject: Subject, name: str, command: str, place: str) -> str:
    """Let the agent run a command that must fail. Raise Differs if it succeeds."""
    run = CheckedRun(subject)
    await run.start(
        (Shell(f"{{ {command}; }} > /dev/null 2>&1 && echo reached > {name} || echo closed > {name}"), SAID)
    )
    await run.ended()
    if await run.read(name) != "closed\n":
        raise Differs(f"A command reached {place}.")
    return "closed"


@row(
    "key",
    "The key of the gateway is refused after the end of the run",
    "required",
    SANDBOX,
    needs=(*WORKS, "run"),
    boxed=False,
)
async def _key(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start((Hangs("Half an "),))
    await hung(run)
    urls, key = await asyncio.to_thread(_endpoints, [one.pid for one in await run.look_up_processes()])
    found = [url for url in urls if await _status(url, key) not in {None, UNAUTHORIZED}]
    if not found:
        raise Differs("The key was refused while the run lived.")
    await run.cancel()
    await run.ended("cancelled")
    after = await _status(found[0], key)
    if after not in {None, UNAUTHORIZED}:
        raise Differs(f"The endpoint answered {after} after the end.")
    return "no connection" if after is None else str(after)


def _endpoints(pids: Sequence[int]) -> tuple[Sequence[str], str]:
    """Return the key of a gateway, and the URLs that may be its own, as processes of its agent have them. Blocks.

    Raise Differs.
    """
    environments = [content for pid in pids if (content := _content(Path(f"/proc/{pid}/environ")))]
    keys = {key for content in environments for key in KEY.findall(content)}
    if not keys:
        raise Differs("The key was not found in the environment of the agent.")
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


@row(
    "athena-streaming",
    "Athena is killed while the model answers: the run goes on",
    "required",
    REPORT,
    stage="kill",
    needs=(*WORKS, "run"),
)
async def _athena_streaming(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(once(Hangs("Half an "), SAID))
    await hung(run)
    await subject.athena_dies("athena-streaming")
    await run.ended()
    return f"completed, {await attached_again(run)}"


@row(
    "athena-working",
    "Athena is killed in a command: the run goes on, the command is not repeated",
    "required",
    REPORT,
    stage="kill",
    needs=(*WORKS, "run"),
)
async def _athena_working(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(once(Shell("echo begun >> long.txt; sleep 1000"), SAID))
    await run.made("long.txt")
    await subject.athena_dies("athena-working")
    await run.ended()
    return await _went_on(run, "long.txt", "begun\n")


@row(
    "athena-asking",
    "Athena is killed with an open permission: the answer still counts",
    "required",
    REPORT,
    stage="kill",
    needs=ASKS,
)
async def _athena_asking(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(until_made(run, "asked.txt", "echo made >> asked.txt"), permissions=())
    await run.asked()
    await subject.athena_dies("athena-asking")
    await run.answer_all()
    return await _went_on(run, "asked.txt", "made\n")


@row(
    "athena-parked",
    "Athena is killed while the run is parked: the answer still counts",
    "required",
    REPORT,
    stage="kill",
    needs=(*ASKS, "parked"),
)
async def _athena_parked(subject: Subject) -> str:
    run = CheckedRun(subject)
    await run.start(until_made(run, "parked.txt", "echo made >> parked.txt"), permissions=(), asks={"holdMs": 0})
    await run.until(lambda record: record["status"] == "paused", "it was parked")
    await subject.athena_dies("athena-parked")
    await run.answer_all()
    return await _went_on(run, "parked.txt", "made\n")


@row("nothing-left", "Ended runs leave no process", "required", REPORT, stage="last", needs=(*WORKS, "run"))
async def _nothing_left(subject: Subject) -> str:
    await asyncio.sleep(POLL_SECONDS)
    if subject.left:
        raise Differs(f"{len(subject.left)} processes were left, such as {subject.left[0].name!r}.")
    return "no process"
