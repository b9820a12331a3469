"""Mutants of MCP: tools of servers in runs, the client, the secrets of servers, and the requests of clients."""

from tests.reliability.mutant import Mutant, of

TOOLS = "athena_core/services/mcp/run_tools.py"
SERVERS = "athena_core/services/execution/mcp/run_mcp.py"
PROGRESS = "athena_core/services/execution/progress.py"
RULES = "athena_core/services/proof/rules/catalog.py"

RUNS = "tests/core/services/execution/test_mcp.py"
FOLD = "tests/core/services/execution/test_agent.py"
BREACHES = "tests/core/services/proof/test_verify.py::test_a_breach_is_found"

CLIENT = "tests/core/mcp/test_client.py"
IN_RUNS = "tests/api/runs/test_mcp_misbehaviour.py"
SERVING = "tests/core/mcp/test_serving.py"
REQUESTS = "athena_core/mcp/requests.py"

MCP_MUTANTS: tuple[Mutant, ...] = (
    of(
        "a tool that its server has changed is called",
        f"{RUNS}::test_a_changed_tool_is_refused_until_an_operator_accepts_it",
    )(
        TOOLS,
        "        return tool in live and found.allows(tool, live[tool], self.pin(server, tool))\n",
        "        return tool in live\n",
    ),
    of("a tool beyond the patterns of the profile exists", f"{RUNS}::test_a_tool_beyond_the_profile_is_not_called")(
        TOOLS,
        "            if not offered(policy, name):\n                continue\n            accepted",
        "            accepted",
    ),
    of(
        "a tool of an MCP server is called without an ask",
        f"{RUNS}::test_a_call_is_asked_for_by_default_and_made_as_edited",
    )(TOOLS, "        approval=approval_of_tool(policy, listed.name),\n", '        approval="allow",\n'),
    of(
        "the hints of a server are trusted without the operator",
        f"{RUNS}::test_a_parked_question_ends_the_server_and_the_call_is_interrupted",
    )(TOOLS, "        repeats=trusted and listed.read_only,\n", "        repeats=listed.read_only,\n"),
    of("the servers of a run outlive it", f"{RUNS}::test_a_cancelled_run_cancels_its_call_at_the_server")(
        SERVERS, "            await asyncio.gather(*(client.close() for client in own))\n", "            del own\n"
    ),
    of(
        "a question of a server is a call of the model",
        f"{FOLD}::test_a_question_of_a_server_is_not_a_call_of_the_model_and_parks_a_run_that_was_lost",
    )(PROGRESS, "        case run.RunAsked(server=str()):\n", '        case run.RunAsked(server="x"):\n'),
    of("the verification accepts a call that no person was asked about", f"{BREACHES}[called_without_an_ask---]")(
        RULES, 'or (approval == "ask" and event.ask_id is None)', 'or (approval == "ask" and False)'
    ),
    of(
        "tools are accepted that the operator has not seen",
        "tests/core/domain/test_mcp_server.py::test_what_was_not_seen_is_not_accepted",
    )(
        "athena_core/domain/mcp_server.py",
        "    if listing_sha256(listed.tools) != command.listing_sha256:\n",
        "    if False:\n",
    ),
    of(
        "a model reads words of a server that people do not see",
        f"{IN_RUNS}::test_what_a_server_lists_is_bounded_and_cannot_act",
    )("athena_core/text.py", 'HIDDEN.sub("", text)\n\n\ndef one_line', "text\n\n\ndef one_line"),
    of("a redirect of a server is followed", f"{CLIENT}::test_redirects_are_not_followed")(
        "athena_core/mcp/client/http.py",
        "            follow_redirects=False,\n",
        "            follow_redirects=True,\n",
    ),
    of("a cookie of a server goes back to it", f"{CLIENT}::test_cookies_are_not_sent_back")(
        "athena_core/mcp/client/http.py", "            self._client.cookies.clear()\n", ""
    ),
    of(
        "the secret of a server goes to a host that its credential does not name",
        "tests/core/services/mcp/test_starting.py::test_a_request_carries_the_secret_only_to_the_hosts_of_its_credential",
    )(
        "athena_core/services/mcp/starting.py",
        "        if credential is None or not credential.covers(*self.server.place):\n",
        "        if credential is None:\n",
    ),
    of(
        "a secret that a server tells in its listing is recorded",
        "tests/api/secrets/test_mcp_secrets.py::test_a_secret_that_a_server_repeats_is_masked_everywhere",
    )(
        "athena_core/services/mcp/starting.py",
        "        tools = tuple(self._masked(tool) for tool in listing.tools)\n",
        "        tools = listing.tools\n",
    ),
    of(
        "a caller of /mcp cancels the call of another one",
        f"{SERVING}::test_a_notification_cancels_only_the_call_of_the_same_caller_and_session",
    )(
        "athena_core/mcp/serving.py",
        "        place = (owner, request.session, request.id)\n",
        '        place = ("eve", request.session, request.id)\n',
    ),
    of("the id of a request without a session is a key", f"{SERVING}::test_ids_are_keys_only_where_they_are_unique")(
        REQUESTS, "    if session is None and not (", "    if False and not ("
    ),
    of(
        "the answer of a form counts for another subject than was shown",
        "tests/api/mcp/test_hostile_callers.py::test_an_answer_to_another_subject_decides_nothing",
    )(
        "athena_api/mcp/asks.py",
        '    body: dict[str, Any] = {"subjectHash": subject_hash}\n',
        '    body: dict[str, Any] = {"subjectHash": found.data["subjectHash"]}\n',
    ),
)
