"""Mutants of what concerns outside agents: their conversation, permissions, money, processes and records."""

from tests.reliability.mutant import Mutant, of

OUTSIDE = "athena_core/services/execution/outside"
RUN = f"{OUTSIDE}/agent_run.py"
TRANSCRIPT = f"{OUTSIDE}/agent_transcript.py"
PERMISSIONS = f"{OUTSIDE}/permissions.py"
GATEWAY = "athena_core/gateway/gateway.py"
CALL = "athena_core/gateway/call.py"

RUNS = "tests/api/runs/test_outside_agents.py"
ASKS = "tests/api/runs/test_agent_permissions.py"
MONEY = "tests/api/runs/test_agent_money.py"
TRAFFIC = "tests/api/runs/test_agent_traffic.py::test_a_run_ends_in_a_clear_state_whatever_its_agent_sends"
GATEWAYS = "tests/core/gateway/test_gateway.py"
DRIVEN = "tests/core/agents/test_driven.py"

AGENT_MUTANTS: tuple[Mutant, ...] = (
    of("an agent gets the permission for a denied call", f"{RUNS}::test_a_denied_call_is_not_made")(
        PERMISSIONS,
        '        if approval == "deny":\n',
        '        if approval == "deny" and (approval := "allow") == "deny":\n',
    ),
    of(
        "an agent gets a permission that lasts", f"{ASKS}::test_an_agent_that_offers_no_single_permission_makes_no_call"
    )("athena_core/agents/acp_messages.py", "if option.kind == kind), None)", "if option.kind[:5] == kind[:5]), None)"),
    of("a call that an agent makes before its permission is accepted", f"{TRAFFIC}[acts-early]")(
        TRANSCRIPT, '        if entry.waits and call.status == "completed":\n', "        if False:\n"
    ),
    of("a refused call that an agent makes is accepted", f"{TRAFFIC}[ignores-refusal]")(
        TRANSCRIPT, '            if not entry.recorded and call.status == "completed":\n', "            if False:\n"
    ),
    of("a run completes although its last model call failed", f"{MONEY}::test_a_refused_model_call_fails_the_run")(
        RUN, "        if failure is not None:\n            return", "        if False:\n            return"
    ),
    of(
        "the mode of a session that was taken up is not ordered",
        f"{ASKS}::test_a_parked_run_uses_its_answer_once_the_agent_asks_again",
    )(
        f"{OUTSIDE}/agent_process.py",
        "        if mode is not None:\n",
        '        if mode is not None and opening == "new":\n',
    ),
    of("words after the end of a turn are its answer", f"{DRIVEN}::test_calls_of_the_model_outside_of_a_turn_count")(
        "athena_core/agents/acp.py", "isinstance(update, TextChunk) and not self.peer.asking", "False"
    ),
    of("an agent may leave the ordered mode", f"{TRAFFIC}[mode-drift]")(
        "athena_core/agents/acp.py", '            self.peer.end("mode-changed"', '            str("mode-changed"'
    ),
    of(
        "the record of an agent has no bound",
        "tests/core/services/execution/test_call_records.py::test_the_record_of_a_run_of_an_agent_is_bounded",
    )(TRANSCRIPT, "        if self._events > EVENTS_MAX or self._recorded_chars > CHARS_MAX:\n", "        if False:\n"),
    of(
        "an agent's call compares lines without a bound",
        "tests/core/services/execution/test_call_records.py::test_only_some_lines_of_a_call_are_compared",
    )(f"{OUTSIDE}/calls/call_records.py", "        if left < 0:\n", "        if False:\n"),
    of(
        "a command has copies of its pipes",
        "tests/core/system/test_process.py::test_a_command_has_its_standard_streams_only",
    )("athena_core/system/supervisor.py", "    close_inherited(report)\n    try:\n", "    try:\n"),
    of("a gateway accepts any key", f"{GATEWAYS}::test_each_request_on_loopback_needs_the_key")(
        GATEWAY, "        if not hmac.compare_digest(*digests):\n", "        if False:\n"
    ),
    of(
        "a gateway serves models that the profile does not name",
        f"{GATEWAYS}::test_a_model_that_the_profile_does_not_name_is_refused",
    )(GATEWAY, "or self._models.get(ANY_MODEL)\n", "or asked.model\n"),
    of(
        "a gateway that reached a budget serves later calls",
        f"{GATEWAYS}::test_a_budget_refuses_this_call_and_all_later_ones_in_the_shape_that_stops_agents",
    )(GATEWAY, "        self._stopped = self._stopped or refusal\n", "        self._stopped = None\n"),
    of("a model call that is cut off costs nothing", f"{GATEWAYS}::test_leaving_cuts_calls_off_and_records_them")(
        CALL, '            return self._sent and self._outcome == "cut"\n', "            return False\n"
    ),
    of(
        "verify accepts a call of another kind than was allowed",
        "tests/core/services/proof/test_verify.py::test_a_breach_is_found",
    )("athena_core/services/proof/rules/ask.py", ' and (tool or "").endswith(f":{event.kind}")', ""),
    of("the home of an agent outlives the erased text", "tests/cli/test_redact_agents.py")(
        "athena_core/agents/homes.py",
        "            place.rename(begun)\n            self._delete(begun)\n",
        "            pass\n",
    ),
)
