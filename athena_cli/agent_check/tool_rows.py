"""The rows about the MCP endpoint of a run: an agent finds Athena's tools there, and calls them."""

from collections.abc import Sequence
from typing import Any

from athena_cli.agent_check.checked_run import CheckedRun
from athena_cli.agent_check.interview import SAID
from athena_cli.agent_check.interview_rows import WORKS
from athena_cli.agent_check.rows import Differs, row
from athena_cli.agent_check.scripted.model import Offers, Shell, Step
from athena_cli.agent_check.subject import Subject

SERVERS = 'Its runs have no tools of Athena. Let its configuration use MCP servers over HTTP, or set mcp = "none".'
TRUST = "Let its configuration trust the MCP server athena, which asks a person itself where that is required."
EVIDENCE = Offers("attach_evidence", {"label": "Report", "type": "text", "content": "All is well."})
QUESTION = {"question": "Which color?", "options": ["red", "blue"]}
BLUE = "2"
"""The option with the second color."""


def _question(subject: Subject) -> Offers:
    return Offers(subject.known.tool_names.get("ask_user", "ask_user"), QUESTION)


async def _started(subject: Subject, *steps: Step, permissions: Sequence[Any] = (), **fields: Any) -> CheckedRun:
    """Return a run whose agent may use the tools of Athena."""
    run = CheckedRun(subject)
    config = {"provider": subject.known.provider, "model": subject.model, "tools": ["evidence", "ask_user"]}
    await run.start((*steps, SAID), permissions=permissions, config=config, **fields)
    return run


@row(
    "endpoint",
    "It calls a tool of Athena, and no person is asked about that",
    "habit",
    SERVERS,
    needs=(*WORKS, "run"),
)
async def _endpoint(subject: Subject) -> str:
    run = await _started(
        subject, EVIDENCE, verificationPolicies=[{"id": "r", "kind": "require-evidence", "label": "Report"}]
    )
    await run.until(lambda record: record.get("waiting") or record["status"] == "completed", "it called the tool")
    if await run.payloads("run.asked"):
        await run.answer_all()
        raise Differs("It asks for a permission of its own.")
    record = await run.ended()
    if record["verificationStatus"] != "passed":
        raise Differs("The evidence was not attached.")
    return await _recorded_once(run)


async def _recorded_once(run: CheckedRun) -> str:
    """Return how the one call of a run was recorded. Raise Differs if there is a second record."""
    called = await run.payloads("tool.called")
    if len(called) != 1:
        raise Differs(f"Its call was recorded {len(called)} times.")
    return f"{called[0].get('toolName') or called[0].get('kind')}, recorded once"


@row(
    "endpoint-empty",
    "It works in a run without tools of Athena, and reports nothing about that",
    "habit",
    TRUST,
    needs=(*WORKS, "run"),
)
async def _empty(subject: Subject) -> str:
    run = CheckedRun(subject)
    config = {"provider": subject.known.provider, "model": subject.model, "tools": ["files"]}
    await run.start((Shell("echo made > made.txt"), SAID), config=config)
    await run.ended()
    return await _recorded_once(run)


@row(
    "endpoint-asks",
    "It waits for the answer of a person to a question",
    "habit",
    TRUST,
    needs=(*WORKS, "run"),
)
async def _asks(subject: Subject) -> str:
    run = await _started(subject, _question(subject))
    asks = await run.asked()
    await run.answer_all(BLUE)
    answers = await run.payloads("run.answered")
    if [one["kind"] for one in asks] != ["choice"] or [one["cause"] for one in answers] != ["person"]:
        raise Differs(f"A person was asked {len(answers)} times, or could not answer.")
    return "answered once, while it waited"


@row(
    "endpoint-parked",
    "Its question is answered after the run was parked",
    "habit",
    TRUST,
    needs=(*WORKS, "run"),
)
async def _parked(subject: Subject) -> str:
    run = await _started(subject, _question(subject), asks={"holdMs": 0})
    await run.until(lambda record: record["status"] == "paused", "it was parked")
    if left := await run.look_up_processes():
        raise Differs(f"The parked run has {len(left)} processes.")
    await run.answer_all(BLUE)
    if len(await run.payloads("run.asked")) != 1:
        raise Differs("A person was asked again.")
    if not run.model.was_asked_with("blue"):
        raise Differs("Its model did not get the answer.")
    return "went on with the answer"
