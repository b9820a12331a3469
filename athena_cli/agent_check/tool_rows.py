"""The rows about the MCP endpoint of a run: an agent finds Athena's tools there, and calls them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from athena_cli.agent_check.checked_run import CheckedRun
from athena_cli.agent_check.interview import SAID
from athena_cli.agent_check.rows import Differs, expect
from athena_cli.agent_check.run_rows import run_row
from athena_cli.agent_check.scripted.model import Offers, Shell, Step
from athena_cli.agent_check.subject import Subject

SERVERS = 'Its runs have no tools of Athena. Let its configuration use MCP servers over HTTP, or set mcp = "none".'
TRUST = "Let its configuration trust the MCP server athena, which asks a person itself where that is required."
EVIDENCE = Offers("attach_evidence", {"label": "Report", "type": "text", "content": "All is well."})
QUESTION = {"question": "Which color?", "options": ["red", "blue"]}
BLUE = "2"
"""The option with the second color."""
tool_row = partial(run_row, demand="habit", remedy=TRUST)


def _question(subject: Subject) -> Offers:
    return Offers(subject.known.tool_names.get("ask_user", "ask_user"), QUESTION)


async def _start(run: CheckedRun, *steps: Step, tools: Sequence[str] = ("evidence", "ask_user"), **fields: Any) -> None:
    """Start a run whose agent may use tools of Athena."""
    known = run.subject.known
    config = {"provider": known.provider, "model": run.subject.model, "tools": list(tools)}
    await run.start((*steps, SAID), config=config, **fields)


@tool_row("endpoint", "It calls a tool of Athena, and no person is asked about that", remedy=SERVERS)
async def _endpoint(run: CheckedRun) -> str:
    policy = {"id": "r", "kind": "require-evidence", "label": "Report"}
    await _start(run, EVIDENCE, permissions=(), verificationPolicies=[policy])
    await run.until(lambda record: record.get("waiting") or record["status"] == "completed", "it called the tool")
    if await run.payloads("run.asked"):
        await run.answer_all()
        raise Differs("It asks for a permission of its own.")
    record = await run.ended()
    expect(record["verificationStatus"] == "passed", "The evidence was not attached.")
    return await _recorded_once(run)


async def _recorded_once(run: CheckedRun) -> str:
    """Return how the one call of a run was recorded. Raise Differs if there is a second record."""
    called = await run.payloads("tool.called")
    expect(len(called) == 1, f"Its call was recorded {len(called)} times.")
    return f"{called[0].get('toolName') or called[0].get('kind')}, recorded once"


@tool_row("endpoint-empty", "It works in a run without tools of Athena, and reports nothing about that")
async def _empty(run: CheckedRun) -> str:
    await _start(run, Shell("echo made > made.txt"), tools=["files"])
    await run.ended()
    return await _recorded_once(run)


@tool_row("endpoint-asks", "It waits for the answer of a person to a question")
async def _asks(run: CheckedRun) -> str:
    await _start(run, _question(run.subject), permissions=())
    asks = await run.asked()
    await run.answer_all(BLUE)
    answers = await run.payloads("run.answered")
    answered = [one["kind"] for one in asks] == ["choice"] and [one["cause"] for one in answers] == ["person"]
    expect(answered, f"A person was asked {len(answers)} times, or could not answer.")
    return "answered once, while it waited"


@tool_row("endpoint-parked", "Its question is answered after the run was parked")
async def _parked(run: CheckedRun) -> str:
    await _start(run, _question(run.subject), permissions=(), asks={"holdMs": 0})
    await run.parked()
    await run.expect_no_process()
    await run.answer_all(BLUE)
    expect(len(await run.payloads("run.asked")) == 1, "A person was asked again.")
    expect(run.model.was_asked_with("blue"), "Its model did not get the answer.")
    return "went on with the answer"
