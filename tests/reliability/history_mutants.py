"""Mutants of proofs, of repairs and of timers: damaged pages, the stored past, precedence of events and due work."""

from tests.reliability.mutant import Mutant, of

TIMER = "athena_core/system/timer.py"
DEADLINES = "athena_core/services/deadlines.py"
REACTORS = "athena_core/services/reactors.py"
EXPIRY = "athena_core/services/asks/expiry.py"
PRECEDENCE = "athena_core/services/proof/rules/precedence.py"
WRITER = "athena_core/log/writer.py"

TIMERS = "tests/between/test_timers.py"
DUE = f"{TIMERS}::test_what_time_makes_due_happens_once"
DEADLINE = "tests/core/services/test_deadlines.py"
FOLLOWS = "tests/core/services/proof/test_precedence.py"
INTEGRITY = "tests/core/log/test_integrity.py"
REFUSED = f"{INTEGRITY}::test_a_transaction_that_meets_a_damaged_page_is_refused_and_those_beside_it_are_not"
PAGES = "tests/cli/test_damaged_pages.py"
HEALED = f"{PAGES}::test_a_write_that_meets_a_damaged_index_is_refused_and_the_server_goes_on"

HISTORY_MUTANTS: tuple[Mutant, ...] = (
    of("a timer looks only when it is woken", f"{DUE}[files-forward]")(
        TIMER, "loop.call_later(self.seconds, self.woken.set)", "loop.call_later(1e9, self.woken.set)"
    ),
    of("a deadline that was replaced still counts", DEADLINE)(
        DEADLINES, "self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]", "not self._heap"
    ),
    of("a later deadline replaces an earlier one that another reader found", DEADLINE)(
        DEADLINES, "min(at, self._at.get(key, at))", "at"
    ),
    of(
        "a date that stands still delays work of the boot clock",
        "tests/reliability/test_golden_states.py::test_open_work_continues_where_it_was[files-state-0.1]",
    )(REACTORS, "went_back = now - boot < self._ahead - REST_MS", "went_back = now < 0"),
    of("the latest deadline of a run counts", "tests/core/services/asks/test_expiry.py")(
        EXPIRY, "deadlines[stream] = min(at, deadlines.get(stream, at))", "deadlines[stream] = at"
    ),
    of("a look at an ask that is not due plans no other", "tests/core/services/asks/test_expiry.py")(
        EXPIRY, "        return due\n", "        return None\n"
    ),
    of(
        "a leader trusts what it knew before another one led",
        f"{TIMERS}::test_a_leader_finds_the_end_of_a_step_that_it_did_not_hear_of",
    )("athena_core/services/workflows/stepper.py", "        self._known.clear()\n", ""),
    of("a token that ended under a wrong clock does not end again", "tests/core/services/access/test_tokens.py")(
        "athena_core/services/access/tokens.py", "self._expired = {", "self._expired = before | {"
    ),
    of("a step ends before its run", f"{FOLLOWS}::test_an_honest_log_that_lacks_just_what_an_event_follows_is_found")(
        PRECEDENCE, '(one.where == "named" or named not in self._runs.open)', "True"
    ),
    of(
        "an event follows one of an earlier command",
        f"{FOLLOWS}::test_an_event_in_another_command_than_what_it_follows_is_found",
    )(PRECEDENCE, "            self._now.clear()\n", ""),
    of(
        "a workflow run is resumed out of nothing",
        f"{FOLLOWS}::test_each_event_type_follows_another_one_or_is_named_as_a_beginning",
    )(PRECEDENCE, '    Precedence(workflow_run.WorkflowResumed, (workflow_run.WorkflowRunCreated,), "stream"),\n', ""),
    of(
        "dead letters of messages that were never sent are added",
        f"{FOLLOWS}::test_each_field_that_names_what_was_there_is_proved",
    )(
        PRECEDENCE,
        '    Precedence(dead_letter.DeadLetterAdded, (message.MessageSent,), "named", (("message_id", ""),)),\n',
        "",
    ),
    of("a damaged page ends the server", REFUSED)(
        WRITER, "return isinstance(error, self.store.damaged) and not", "return isinstance(error, ()) and not"
    ),
    of("a damaged page refuses the transactions beside", REFUSED)(
        WRITER, "        if len(results) > 1:\n", "        if len(results) > 100:\n"
    ),
    of("verify looks at no pages", f"{PAGES}::test_a_damaged_page_of_the_log_is_named_and_healed_or_refused")(
        "athena_core/services/proof/verify.py", "for fault in inspection.faults:", "for fault in ():"
    ),
    of("a repair copies damaged indexes", f"{HEALED}[command_age]")(
        "athena_core/log/sqlite/copies.py", " NOT INDEXED WHERE true", ""
    ),
    of("a start leaves a damaged index", f"{HEALED}[log_stream]")(
        "athena_core/log/sqlite/store.py", "            repair(self.path)\n", ""
    ),
    of(
        "replay compares no past",
        "tests/projections/engine/test_replay.py::test_a_past_that_was_tampered_with_is_found_in_every_table",
    )("projections/engine/replay.py", "        for earlier in (False, True):\n", "        for earlier in (False,):\n"),
    of(
        "an id counts as a text that was repeated",
        "tests/cli/test_redact_sessions.py::test_no_public_payload_repeats_a_text_of_a_session_for_good",
    )("athena_core/services/erasure/redaction.py", "NO_TEXT.fullmatch(value) is None", "True"),
    of(
        "a restored log sends its operator to where it was moved",
        "tests/cli/test_maintenance.py::test_a_restored_log_is_in_use_here_and_its_views_can_be_compared_at_once",
    )("athena_core/log/tools/backup.py", "DELETE FROM meta WHERE name = ?", "SELECT ?"),
)
