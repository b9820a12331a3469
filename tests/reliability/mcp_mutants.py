"""Mutants of the tools of MCP servers in runs: which exist, which are asked for, refused, repeated and ended."""

from tests.reliability.mutant import Mutant, of

TOOLS = "athena_core/services/mcp/run_tools.py"
SERVERS = "athena_core/services/execution/mcp/run_mcp.py"
PROGRESS = "athena_core/services/execution/progress.py"
RULES = "athena_core/services/proof/rules/catalog.py"

RUNS = "tests/core/services/execution/test_mcp.py"
FOLD = "tests/core/services/execution/test_agent.py"
BREACHES = "tests/core/services/proof/test_verify.py::test_a_breach_is_found"

MCP_MUTANTS: tuple[Mutant, ...] = (
    of(
        "a tool that its server has changed is called",
        f"{RUNS}::test_a_changed_tool_is_refused_until_an_operator_accepts_it",
        (
            TOOLS,
            "        return tool in live and found.allows(tool, live[tool], self.pin(server, tool))\n",
            "        return tool in live\n",
        ),
    ),
    of(
        "a tool beyond the patterns of the profile exists",
        f"{RUNS}::test_a_tool_beyond_the_profile_is_not_called",
        (
            TOOLS,
            "            if not offered(policy, name):\n                continue\n            accepted",
            "            accepted",
        ),
    ),
    of(
        "a tool of an MCP server is called without an ask",
        f"{RUNS}::test_a_call_is_asked_for_by_default_and_made_as_edited",
        (TOOLS, "        approval=approval_of_tool(policy, listed.name),\n", '        approval="allow",\n'),
    ),
    of(
        "the hints of a server are trusted without the operator",
        f"{RUNS}::test_a_parked_question_ends_the_server_and_the_call_is_interrupted",
        (TOOLS, "        repeats=trusted and listed.read_only,\n", "        repeats=listed.read_only,\n"),
    ),
    of(
        "the servers of a run outlive it",
        f"{RUNS}::test_a_cancelled_run_cancels_its_call_at_the_server",
        (SERVERS, "            await asyncio.gather(*(client.close() for client in own))\n", "            del own\n"),
    ),
    of(
        "a question of a server is a call of the model",
        f"{FOLD}::test_a_question_of_a_server_is_no_call_of_the_model_and_parks_a_run_that_was_lost",
        (PROGRESS, "        case run.RunAsked(server=str()):\n", '        case run.RunAsked(server="x"):\n'),
    ),
    of(
        "the verification accepts a call that no person was asked about",
        f"{BREACHES}[called_without_an_ask---]",
        (RULES, 'or (approval == "ask" and event.ask_id is None)', 'or (approval == "ask" and False)'),
    ),
)
