"""The mutants: copies of the code with one promise broken on purpose, and for each the test that has to notice.

``python -m tests.reliability.mutants`` runs all of them and prints the table.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tests.reliability.agent_mutants import AGENT_MUTANTS
from tests.reliability.history_mutants import HISTORY_MUTANTS
from tests.reliability.mcp_mutants import MCP_MUTANTS
from tests.reliability.mutant import Mutant, of
from tests.reliability.past_mutants import PAST_MUTANTS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("athena_core", "athena_api", "athena_cli", "clients", "projections", "tests", "pyproject.toml")
SECONDS_MAX = 180
FAILED = 1
PLUGINS = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")  # they start slowly

LOG = "athena_core/log/writer.py"
BATCH = "athena_core/log/batch.py"
COMMITTED_STATE = "athena_core/log/committed_state.py"
SQLITE = "athena_core/log/sqlite/store.py"
SQLITE_READER = "athena_core/log/sqlite/reader.py"
PROTOCOL = "athena_api/edge/protocol.py"
EXCHANGE = "athena_api/edge/exchange.py"
ADMISSION = "tests/core/services/runs/test_admission.py"
WRITER_TESTS = "tests/core/log/test_log.py"
FULL = f"{WRITER_TESTS}::test_a_full_disk_refuses_and_goes_on_when_there_is_space"
TAIL = "tests/core/log/test_tail.py"
SYSCALLS = "tests/reliability/test_syscalls.py"
POWER = "tests/reliability/test_power_loss.py::test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged"
GOLDEN = "tests/reliability/test_golden_states.py"
NOTICED = "tests/reliability/test_tampering.py::test_a_tampering_is_noticed_by"
KILLS = "tests/reliability/test_kill.py::test_a_server_killed_at_any_moment_keeps_what_it_promised"


def in_client(name: str, test: str) -> Callable[[str, str], Mutant]:
    """Return a mutant of both halves of the Python client's core, as a function of the old text and the new one."""

    def changed(old: str, new: str) -> Mutant:
        halves = (("_async", old, new), ("_sync", old.replace("await ", ""), new.replace("await ", "")))
        files = ((f"clients/python/athena_client/{half}/core.py", was, now) for half, was, now in halves)
        return of(name, test)(*chain.from_iterable(files))

    return changed


TIME = "tests/reliability/test_time.py"
SUPERVISOR = "athena_core/system/supervisor.py"
SHELLS = "tests/core/tools/test_shell.py"

DECIDED = "                batch = self._decide(results)\n"

CAUSED = "tests/api/endpoint/test_caused.py"
WORKFLOW_RUN = "tests/core/domain/test_workflow_run.py"

REDACT = "tests/cli/test_redact.py"

ASKS = "tests/core/domain/test_asks.py"
RUN_COMMANDS = "athena_core/domain/run/commands.py"
PROGRESS = "athena_core/services/execution/progress.py"

ODD = "tests/clients/python/test_odd_servers.py"
PARTS = "tests/clients/python/test_runs.py"

TOKENS = "athena_core/services/access/tokens.py"
TOKEN_RECORDS = "athena_core/services/access/token_records.py"
TOKENS_OVER_HTTP = "tests/api/operations/test_tokens.py"

MUTANTS: tuple[Mutant, ...] = (
    of("a revoked token still works", f"{TOKENS_OVER_HTTP}::test_a_token_works_until_it_is_revoked")(
        TOKENS, "ended = self._tokens.pop(row.stream, None) is not None or ended", "ended = True"
    ),
    of("a session outlives its token", f"{TOKENS_OVER_HTTP}::test_a_session_ends_with_its_token")(
        TOKENS,
        "        if parent is None:\n            raise TokenInvalid(INVALID)\n",
        "        if parent is None:\n            return\n",
        TOKEN_RECORDS,
        "            sessions = _sessions_of(reader, token_id)\n",
        "            sessions: list[str] = []\n",
    ),
    of("a token has a higher role than its identity", "tests/core/services/access/test_token_records.py")(
        TOKEN_RECORDS, "        if not own.reaches(role):\n", "        if False:\n"
    ),
    of("the text of a token is stored for its key", f"{TOKENS_OVER_HTTP}::test_the_text_of_a_token_stands_nowhere")(
        TOKEN_RECORDS, "=created.token_id, handover=issued)", "=created.token_id, answer=issued.text, handover=issued)"
    ),
    of(
        "verify accepts a session that outlives its token",
        "tests/core/services/proof/test_verify.py::test_a_breach_is_found",
    )(
        "athena_core/services/proof/rules/token.py",
        "        if event.expires_at_ms > parent.expires_at_ms:\n",
        "        if False:\n",
    ),
    of("the end of a run leaves its asks open", ASKS)(
        RUN_COMMANDS, "    return (*events[:-1], *_closed(state), events[-1])\n", "    return events\n"
    ),
    of("a timeout ends a run that asks a person", ASKS)(
        RUN_COMMANDS,
        "case EndRun(ending=RunTimedOut()) if state.asks and state.cancel is None:",
        "case EndRun() if False:",
    ),
    of("an answer without room for the run is lost", "tests/core/services/asks/test_answers.py")(
        "athena_core/services/runs/admission.py", "self.decide(run_id, run.RequeueRun(reason=wait))", "pass"
    ),
    of("a call that was interrupted is made again", "tests/core/services/execution/test_agent.py")(
        PROGRESS, "    if progress.in_doubt and not call.repeatable:\n", "    if False:\n"
    ),
    of(
        "an answer to an expired ask is taken",
        "tests/core/domain/test_asks.py::test_an_answer_that_comes_too_late_or_is_about_something_else_is_refused",
    )(RUN_COMMANDS, "    if ask.expires_at_ms <= now:\n", "    if False:\n"),
    of(
        "an answer is taken for another subject than was read",
        "tests/core/domain/test_asks.py::test_an_answer_that_comes_too_late_or_is_about_something_else_is_refused",
    )(RUN_COMMANDS, "    if ask.subject_sha256 != command.subject_sha256:\n", "    if False:\n"),
    of(
        "verify accepts a call that no answer allowed",
        "tests/core/services/proof/test_verify.py::test_a_breach_is_found",
    )(
        "athena_core/services/proof/rules/ask.py",
        '            return f"{named} was made, but no answer to {event.ask_id} allowed it"\n',
        "            return None\n",
    ),
    of(
        "verify accepts other arguments than were allowed",
        "tests/core/services/proof/test_verify.py::test_a_breach_is_found",
    )(
        "athena_core/services/proof/rules/ask.py",
        "made is not None and ask.arguments is not None and made != ask.arguments",
        "made is not None and ask.arguments is None",
    ),
    in_client(
        "a repeated call of the client has another key",
        f"{ODD}::test_what_a_broken_connection_or_a_proxy_answers_is_asked_again_with_the_same_key",
    )(
        "            headers=call.headers,\n",
        '            headers={**call.headers, "idempotency-key": self._clock.key()},\n',
    ),
    in_client("the client repeats what only a new key can mend", f"{ODD}::test_a_final_answer_is_raised_at_once")(
        "                    raise failed from None\n                if silence",
        "                    pass\n                if silence",
    ),
    in_client(
        "the client obeys a pause beyond its deadline", f"{ODD}::test_a_pause_beyond_the_deadline_is_not_waited_for"
    )("self._clock.now() - begun + pause >= self._deadline", "self._clock.now() - begun >= self._deadline"),
    in_client("the client waits for a hung server", f"{ODD}::test_a_hung_server_is_given_up_after_a_question")(
        "                await self._send_until(probe, self._timeout)\n", "                pass\n"
    ),
    in_client("the client reads an answer without end", f"{ODD}::test_an_answer_beyond_the_limit_is_refused")(
        "if len(content) > self._answer_bytes_max:", "if len(content) > 1 << 30:"
    ),
    in_client(
        "a stream of the client begins anew", f"{ODD}::test_a_stream_continues_after_its_last_event_whatever_cuts_it"
    )(
        "        if self.cursor is not None:\n",
        "        if self.cursor is None:\n            self.cursor = None\n        elif False:\n",
    ),
    in_client("a stream of the client repeats an event", f"{ODD}::test_an_event_that_comes_twice_is_yielded_once")(
        "repeated, self.cursor = frame.id == self.cursor, frame.id", "repeated, self.cursor = False, frame.id"
    ),
    of(
        "live text is shown again after a reconnection",
        f"{PARTS}::test_text_that_comes_again_after_a_reconnection_is_shown_once",
    )("clients/python/athena_client/run_text.py", "text[len(shown) :]", "text"),
    of(
        "a transcript's stream does not show that a run ended",
        "tests/core/services/execution/test_live_text.py::test_a_settled_run_is_reported_once_after_its_text",
    )(
        "athena_core/services/execution/live_text.py",
        "                subscriber.settle(run_id)\n",
        "                pass\n",
    ),
    of(
        "an answer that a cancel overtook is lost",
        "tests/core/domain/test_run.py::test_a_cancel_that_was_acknowledged_wins_over_success_and_keeps_costs_and_a_partial_answer",
    )(
        "athena_core/domain/run/commands.py",
        "            return replace(step, partial=True)\n",
        "            return None\n",
    ),
    of(
        "partial output is context of later runs",
        "tests/core/services/execution/test_agent.py::test_partial_output_is_neither_an_answer_nor_context",
    )("athena_core/services/context/conversation.py", " | TranscriptAppended(partial=True)", ""),
    of(
        "a call that was cut off without a report costs nothing",
        "tests/core/services/execution/test_model_call.py"
        "::test_a_call_that_was_cut_off_without_a_report_is_estimated_and_keeps_its_text",
    )(
        "athena_core/services/execution/model_call.py",
        "if spoken.begun or spoken.meter.usage is not None",
        "if spoken.meter.usage is not None",
    ),
    of("output of a run that is cut off is not recorded", "tests/api/runs/test_partial_output.py")(
        "athena_core/services/execution/runner.py",
        "done = RunEnd(performer.cut_off(assignment), stopped)",
        "done = RunEnd(performer.paid_in_vain(assignment), stopped)",
    ),
    of(
        "auto replaces a server on another host",
        "tests/cli/test_transports.py::test_auto_does_not_replace_a_server_that_was_named",
    )("athena_cli/transport.py", "not detached and not settings.api_base_url", "not detached"),
    of(
        "damage that a reader meets is not passed on",
        "tests/projections/engine/test_views.py::test_damage_that_only_readers_meet_is_healed_while_the_rest_serves",
    )("projections/engine/views.py", "            self._views.condemn(self._name)\n", "            pass\n"),
    of(
        "an idle writer does not try whether it could write",
        "tests/core/log/test_log.py::test_an_idle_writer_notices_that_writes_fail_and_that_they_work_again",
    )(
        LOG,
        "                if idle or self._refusal is not None:\n",
        "                if self._refusal is not None:\n",
    ),
    of(
        "a kept history outlives an erasure",
        "tests/core/services/context/test_history.py::test_erased_text_is_in_no_history_even_without_notice_of_it",
    )("athena_core/services/context/history.py", "        self._check()\n", ""),
    of(
        "a WAL that a reader keeps counts as emptied",
        f"{REDACT}::test_a_reader_with_an_old_snapshot_is_named_until_it_ends",
    )(
        "athena_core/log/sqlite/scrub.py",
        "            if time.monotonic() >= until:\n                raise\n",
        "            if time.monotonic() >= until:\n                return\n",
    ),
    of("a redaction does not look at the index of the memory", f"{REDACT}::test_the_index_of_the_memory_forgets_too")(
        "athena_core/services/erasure/erasure.py", "    erasure.recall.scrub(seconds)\n", ""
    ),
    of("an interrupt needs no right to cancel", f"{CAUSED}::test_who_may_not_cancel_may_not_interrupt")(
        "athena_core/services/runs/runs.py", 'session_strategy == "interrupt"', 'session_strategy == "never"'
    ),
    of(
        "queue items lose the scope of their author",
        f"{CAUSED}::test_items_of_a_scoped_author_keep_the_scope_when_others_drain_them",
    )(
        "athena_core/services/queues/drainer.py",
        "scopes = (drain.scope, *(item.scope for item in items))",
        "scopes = (drain.scope,)",
    ),
    of(
        "a reopened approval does not shut what is behind its children",
        f"{WORKFLOW_RUN}::test_nothing_behind_a_reopened_approval_begins_though_its_own_parents_are_ok",
    )(
        "athena_core/domain/workflow_run/state.py",
        'if self.step(step_id).status not in {"ok", "skipped"}:',
        "if False:",
    ),
    of(
        "decisions go by the time of recording",
        f"{TIME}::test_a_date_that_was_wrong_for_a_while_opens_no_day_and_closes_none[files-year]",
    )(LOG, "batch.run(job, now)", "batch.run(job, max(now, batch.recorded_at))"),
    of(
        "a jump of the clock is used at once",
        "tests/core/test_clock.py::test_a_jump_ahead_is_left_out_until_the_clock_kept_step_for_ten_minutes",
    )("athena_core/clock.py", "return boot + min(offset, self._line)", "return boot + offset"),
    of("a supervisor adopts no orphans", f"{SHELLS}::test_processes_left_by_a_command_are_killed_and_delay_nothing")(
        SUPERVISOR,
        "    prctl(PR_SET_CHILD_SUBREAPER, 1)\n    prctl(PR_SET_DUMPABLE, 0)  #",
        "    prctl(PR_SET_DUMPABLE, 0)  #",
    ),
    of(
        "the server's environment is open to its commands",
        "tests/core/system/test_process.py::"
        "test_a_command_reads_neither_environment_nor_memory_of_the_program_that_started_it",
    )("athena_cli/app.py", "        protect()\n", "        pass\n"),
    of(
        "the server's environment stays in /proc",
        "tests/core/system/test_own_environment.py::"
        "test_no_process_reads_a_hidden_environment_and_its_own_code_reads_all_of_it",
    )("athena_core/system/own_environment.py", "        ctypes.memset(start, 0, end - start)\n", "        pass\n"),
    of(
        "commands of a root server may trace it",
        "tests/core/system/test_process.py::test_a_command_may_trace_no_process",
    )(SUPERVISOR, "    renounce_tracing()\n    prctl", "    prctl"),
    of(
        "a command takes files for a repository",
        "tests/core/system/test_git.py::test_git_as_a_tool_takes_no_directory_of_files_for_a_repository",
    )("athena_core/system/process.py", '    "safe.bareRepository": "explicit",\n', ""),
    of(
        "refusals are recorded one by one without end",
        "tests/core/services/access/test_refusal_limits.py::test_a_day_of_refusals_of_one_caller_is_a_burst_and_one_event_a_minute",
    )("athena_core/services/access/refusal_limits.py", "        bucket.take(now)\n        self._all.take(now)\n", ""),
    of(
        "a database takes its mode from the umask",
        "tests/cli/test_private_files.py::test_every_file_is_private_in_a_directory_that_is_open",
    )("athena_core/log/sqlite/connection.py", "    private_file.create(path)  #", "    pass  #"),
    of(
        "a sweep that finds no descriptor ends the server",
        "tests/api/server/test_shortages.py::"
        "test_without_descriptors_every_answer_is_the_truth_and_nothing_acknowledged_is_lost",
    )(
        "athena_core/system/timer.py",
        "                self._problems.report(self.loop, error)\n",
        "                raise\n",
    ),
    of("answers before the commit", POWER)(
        LOG, DECIDED, f"{DECIDED}                answer(results)\n                results.clear()\n"
    ),
    of("a commit is not synced", POWER)(SQLITE, 'open_writer(self.path, "FULL")', 'open_writer(self.path, "NORMAL")'),
    of("a full disk is acknowledged", FULL)(LOG, "            results = [(job, refusal) for job, _ in results]\n", ""),
    of("states are published before the commit", FULL)(
        LOG,
        DECIDED,
        f"{DECIDED}                self._publish(batch)\n",
        COMMITTED_STATE,
        "            self.cache.clear()\n            self.guards.load",
        "            self.guards.load",
    ),
    of("guards of a failed commit stay", FULL)(
        COMMITTED_STATE, "        self._forgetful = True\n", "        self.cache.clear()\n"
    ),
    of(
        "an error of a sync is taken for a full disk",
        f"{SYSCALLS}::test_a_commit_in_doubt_ends_the_process_without_an_answer",
    )(
        SQLITE,
        "full: tuple[type[Exception], ...] = (apsw.FullError, WalFull)",
        "full: tuple[type[Exception], ...] = (apsw.Error, WalFull)",
    ),
    of(
        "guards do not change inside a batch",
        f"{WRITER_TESTS}::test_a_guard_that_is_taken_in_the_same_commit_counts",
    )(
        BATCH,
        "[(made, at) for guard, at in guards if (made := apply(guard))]",
        "guards",
        LOG,
        "        self._state.head = LogHead(batch.head, batch.recorded_at, batch.chain)\n",
        "        self._state.head = LogHead(batch.head, batch.recorded_at, batch.chain)\n"
        "        for guard, _ in batch.guards:\n            self.guards.apply(guard)\n",
    ),
    of(
        "states do not change inside a batch",
        f"{WRITER_TESTS}::test_a_transaction_sees_what_the_one_before_it_in_the_same_commit_decided",
    )(BATCH, "return self.ahead.get(stream) or committed.cache", "return committed.cache"),
    of("a key is looked up in the database only", f"{WRITER_TESTS}::test_two_with_the_same_key_in_one_commit_are_one")(
        BATCH, "found = self.keys.get(key.hash) or self._store.key(key.hash)", "found = self._store.key(key.hash)"
    ),
    of("a refusal binds its key", f"{WRITER_TESTS}::test_a_refusal_never_binds_a_key")(
        BATCH,
        "                self.append(rejected.facts, context)\n",
        "                self.append(rejected.facts, context)\n            if job.key is not None:\n"
        "                bound = (self.key_time, self.head, 1, None, None, now, None)\n"
        "                self.keys[job.key.hash] = BoundKey(job.key.fingerprint, *bound)\n",
    ),
    of("no catch-up with other processes", f"{WRITER_TESTS}::test_a_limit_is_kept_by_two_logs_together")(
        COMMITTED_STATE, "        elif missed:\n", "        elif missed < 0:\n"
    ),
    of(
        "a log that went on past the head is taken for the same history",
        "tests/core/log/test_log.py::"
        "test_another_history_that_continued_past_the_head_of_a_running_log_stops_it[sqlite-1]",
    )(COMMITTED_STATE, "if not (follows(known.chain, rows) if missed > 0 else", "if not (missed > 0 or"),
    of(
        "a commit that no standby has confirmed is acknowledged",
        "tests/reliability/test_failover.py::"
        "test_a_commit_that_no_standby_confirms_is_not_acknowledged_nor_is_a_repeated_key",
    )("athena_core/log/postgres/store.py", "        if given_up:\n", "        if not given_up and given_up:\n"),
    of("guards of other processes are not taken in", f"{WRITER_TESTS}::test_a_limit_is_kept_by_two_logs_together")(
        COMMITTED_STATE,
        "            for guard in decider.guards(self.codec.decode(row, text=False)):\n",
        "            for guard in ():\n",
    ),
    of("a page begins with the cursor's own event", f"{TAIL}::test_a_long_tail_comes_in_pages")(
        "athena_core/log/sql/statements.py",
        "FROM log WHERE position > ? AND position <= ? ORDER",
        "FROM log WHERE position >= ? AND position <= ? ORDER",
    ),
    of(
        "a reader does not look whether something was committed",
        f"{TAIL}::test_commits_of_another_process_are_noticed",
    )(SQLITE_READER, "        if seen != self._seen:\n", "        if self._seen < 0:\n"),
    of("a run ends twice", "tests/core/domain/test_run.py")(
        "athena_core/domain/run/commands.py",
        "            if not state.open:\n                return ()\n            if state.token",
        "            if state.token",
        "athena_core/domain/run/commands.py",
        " or state.executor is None:\n                raise LeaseLost",
        ":\n                raise LeaseLost",
    ),
    of("the token of a lease is not looked at", "tests/core/domain/test_run.py")(
        "athena_core/domain/run/commands.py",
        "            if state.token != command.token or state.executor is None:\n",
        "            if state.token < command.token or state.executor is None:\n",
    ),
    of("the chain covers fewer columns", "tests/reliability/test_tampering.py::test_a_flipped_bit_is_found_in_column")(
        "athena_core/log/chain.py", "_sha256(_encode(columns)).digest())", "_sha256(_encode(columns[:9])).digest())"
    ),
    of("the anchor is not compared", "tests/reliability/test_tampering.py::test_a_cut_tail_is_found_by_the_anchor")(
        "athena_core/log/anchor.py",
        "        if not anchor.position or (rows and rows[0].chain.hex() == anchor.chain):\n",
        "        if anchor:\n",
    ),
    of("a text that is gone is passed over", f"{NOTICED}[7-files]")(
        "athena_core/services/proof/rules/erasure.py", "for position in sorted(self.missing):", "for position in ():"
    ),
    of("the order of guards is not compared", f"{NOTICED}[15-files]")(
        "athena_core/services/proof/side_tables.py", "if order != due_order and", "if False and"
    ),
    of("the anchor is written in its place", f"{SYSCALLS}::test_the_anchor_is_whole_whenever_a_process_dies")(
        "athena_core/log/anchor.py",
        "    private_file.write(draft, msgspec.json.encode(anchor), sync=True)\n    draft.replace(path)\n",
        "    path.write_bytes(msgspec.json.encode(anchor))\n",
    ),
    of(
        "a missing database is begun anew",
        "tests/reliability/test_disk.py::test_a_server_notices_that_its_database_was_moved",
    )("athena_core/log/sqlite/files.py", "    if left and not path.exists():\n", "    if left and path.name == '':\n"),
    of(
        "nobody looks where the database is",
        "tests/reliability/test_disk.py::test_a_server_notices_that_its_database_was_moved",
    )(SQLITE, "        if inode != self._inode:\n", "        if self._inode < 0:\n"),
    of(
        "the checkpoint of views is committed before their rows",
        "tests/projections/engine/test_projector.py::test_a_crash_between_any_two_statements_changes_nothing",
    )(
        "projections/engine/projector.py",
        "            with self.connection.transaction():\n                begins = ",
        "            with self.connection.transaction():\n"
        "                for some, rows in pages:\n"
        "                    reached |= {\n"
        "                        one.name: ProjectionCheckpoint(one.version, rows[-1].position) for one in some\n"
        "                    }\n"
        "                generation.save(self.connection, self.checkpoints | reached)\n"
        "            with self.connection.transaction():\n                begins = ",
    ),
    of(
        "rows that were rolled back are still known",
        "tests/projections/engine/test_projector.py::test_rolled_back_rows_are_not_cached",
    )("projections/engine/projector.py", "                buffers.clear()\n", "                pass\n"),
    of(
        "views give up in trouble",
        "tests/reliability/test_disk.py::test_a_full_disk_is_said_and_needs_no_restart_once_there_is_space",
    )("projections/engine/updater.py", "                    stop.wait(rest.seconds)\n", "                    return\n"),
    of(
        "a poisoned event is skipped",
        "tests/reliability/test_rebuild.py::test_a_poisoned_event_stops_its_projection_alone_until_it_is_cured",
    )(
        "projections/engine/projector.py",
        '                text = f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]\n'
        "                return ProjectionCheckpoint(projection.version, reached.position, "
        "reached.chain, text, row.position)"
        '\n            execute("RELEASE event")\n',
        '            else:\n                execute("RELEASE event")\n',
    ),
    of("a cursor resumes one event too late", KILLS)(
        "projections/engine/cursor.py",
        "    return cursor.position\n",
        "    return min(cursor.position + 1, log.head())\n",
    ),
    of(
        "the ring of a stream begins one event too early",
        "tests/api/streams/test_segments.py::test_a_subscriber_anywhere_in_the_ring_gets_what_follows",
    )("athena_api/streams/segments.py", "ends[max(after - self.after, 0)]", "ends[max(after - self.after - 1, 0)]"),
    of("nobody looks after the runs of dead executors", KILLS)(
        "athena_core/services/execution/runner.py",
        "                if loss is not None and (taken or run_id in self._cancelled):\n",
        "                if loss is not None and run_id in self._cancelled:\n",
    ),
    of(
        "an executor takes more runs than it has room for",
        f"{ADMISSION}::test_an_executor_leases_the_oldest_free_runs_up_to_its_capacity",
    )("athena_core/services/runs/admission.py", "free[: capacity.left(reader)]", "free"),
    of(
        "a run that is leased here and that nobody executes stays so",
        "tests/core/services/execution/test_runner.py::test_a_run_that_is_leased_here_and_not_executed_is_taken_anew",
    )("athena_core/services/execution/runner.py", "in unheld & self._unheld:", "in unheld - unheld:"),
    of(
        "who was forgotten after losing its session stays away",
        "tests/api/server/test_workers.py::test_a_worker_whose_session_was_ended_and_who_was_forgotten_attends_again",
    )(
        "athena_core/log/postgres/executor_registry.py",
        "            connection.execute(INSERT, (self.executor, self._number, self._count, self._about))\n",
        "            if self._session is None:\n"
        "                connection.execute(INSERT, (self.executor, self._number, self._count, self._about))\n",
        "athena_core/log/postgres/executor_registry.py",
        "                self._holder = None  # deleted",
        "                pass  # deleted",
    ),
    of(
        "a leader that stands still leads for ever",
        "tests/projections/engine/test_postgres.py::test_a_holder_that_gives_no_sign_of_life_is_ended_after_ten_seconds",
    )(
        "athena_core/log/postgres/leader_lock.py",
        "if self._still_seconds >= FROZEN_SECONDS:",
        "if self._still_seconds < 0:",
    ),
    of(
        "a server whose work has ended goes on answering",
        "tests/reliability/test_postgres.py::test_a_server_that_cannot_go_on_ends_and_says_why",
    )("athena_api/server.py", "        if self.broken:\n", "        if self.broken and counter < 0:\n"),
    of(
        "a read is as old as this process",
        "tests/reliability/test_processes.py::"
        "test_servers_share_a_state_directory_and_no_reader_is_older_than_its_promise",
    )(
        "athena_api/endpoint/endpoint.py",
        "            call.position = max(self.known_head.read(), wanted) if call.as_of is None else call.as_of\n",
        "            call.position = 0\n",
    ),
    of("a stored event name is changed", f"{GOLDEN}::test_every_event_of_a_golden_state_is_still_known")(
        "athena_core/domain/schedule/events.py", '"schedule.paused"', '"schedule.halted"'
    ),
    of("a projection forgets an event that it showed", f"{GOLDEN}::test_open_work_continues_where_it_was")(
        "projections/schedule_rows.py",
        "recorded: Recorded[SchedulePaused | ScheduleResumed]",
        "recorded: Recorded[ScheduleResumed]",
    ),
    of("keys are hashed in another way", f"{GOLDEN}::test_open_work_continues_where_it_was")(
        "athena_core/decider.py", 'scope = "\\0".join', 'scope = "\\n".join'
    ),
    of(
        "trailers reach the application",
        "tests/api/edge/test_identity.py::test_however_a_request_is_cut_its_trailers_never_reach_the_application",
    )(
        PROTOCOL,
        "        if self._begun:\n            name = name.lower()",
        "        if self.headers is not None:\n            name = name.lower()",
    ),
    of(
        "a body becomes the next request",
        "tests/api/edge/test_identity.py::test_the_body_of_a_request_for_another_protocol_is_not_parsed",
    )(
        EXCHANGE,
        'FRAMED = frozenset((b"content-length", b"transfer-encoding"))',
        "FRAMED: frozenset[bytes] = frozenset()",
        PROTOCOL,
        "        if upgrade:  # the parser",
        "        if self.pipeline is None:  # the parser",
    ),
    of(
        "any number of requests wait",
        "tests/api/edge/test_limits.py::test_sixteen_requests_wait_and_the_next_is_refused_in_its_turn",
    )(EXCHANGE, "PIPELINED_MAX = 16", "PIPELINED_MAX = 1 << 30"),
    of(
        "a .env that others may replace is read",
        "tests/core/test_settings.py::test_a_dotenv_that_others_may_write_is_refused",
    )("athena_core/system/dotenv.py", "            _check_mode(path, place.parent, folder)\n", ""),
    of(
        "a .env behind a link is judged by the link",
        "tests/core/test_settings.py::test_a_link_is_judged_by_what_it_leads_to",
    )("athena_core/system/dotenv.py", "if not place.is_symlink():", "if place == path:"),
    of("a tool opens .env", "tests/core/tools/test_workspace.py::test_a_closed_path_is_refused_by_every_action")(
        "athena_core/tools/workspace.py", '(".env", ".envrc")', '(".envrc",)'
    ),
    of("base64 carries a secret past the mask", "tests/api/secrets/test_encodings.py")(
        "athena_core/tools/files.py", "if self._mask.holds(data):", "if not data:"
    ),
    of("an output is cut before it is masked", "tests/api/secrets/test_encodings.py")(
        "athena_core/tools/shell.py", "mask.hide_part(head + after, 0, len(head))", "mask.hide(head)"
    ),
    of(
        "a page is not cut in bytes",
        "tests/projections/engine/test_page.py::test_pages_cut_in_bytes_show_every_row_once_in_order",
    )("projections/engine/page.py", "if pieces and size >= bytes_max:", "if bytes_max < 0:"),
    of(
        "each map of a workflow run has the limit of items for itself",
        "tests/core/domain/test_workflow_run.py::test_the_items_of_all_maps_of_a_run_are_limited_together",
    )(
        "athena_core/domain/workflow_run/commands.py",
        "if others + move.items > items_max and",
        "if move.items > items_max and",
    ),
    of(
        "a cancel leaves the steps none of whose items runs",
        f"{WORKFLOW_RUN}::test_the_last_item_that_ends_after_a_cancel_ends_the_steps_that_had_none",
    )(
        "athena_core/domain/workflow_run/commands.py",
        "    if state.cancel is not None or (command.close and",
        "    if (command.close and",
    ),
    of(
        "the walker waits for a step that waits for nothing",
        "tests/core/domain/test_ends.py::"
        "test_the_walker_goes_on_behind_a_step_that_release_0_1_left_waiting_for_nothing",
    )(
        "athena_core/services/workflows/stepper.py",
        "    if any(step.items is not None and not step.running() for step in running):\n",
        "    if running is None:\n",
    ),
    of("a reactor that fails is not reported", "tests/api/server/test_problems.py")(
        "athena_core/services/reactors.py", "                    self._problems.report(self.loop, error, key)\n", ""
    ),
    of(
        "a run whose lease fails leaves the others without one",
        "tests/core/services/execution/test_runner.py::test_a_run_whose_lease_fails_leaves_the_others_their_leases",
    )(
        "athena_core/services/execution/runner.py",
        "            if busy or len(texts) == 1:\n",
        "            if error:\n",
    ),
    of("a server is ready while its writes fail", "tests/api/server/test_problems.py")(
        "athena_api/operations/core.py", '(None if refusal is None else f"{WRITES_FAIL}: {refusal}")', "None"
    ),
    of(
        "a writer takes a read for a proof that writes work",
        "tests/core/log/test_log.py::test_a_read_does_not_prove_that_writes_work",
    )(LOG, "        if not batch.empty:\n            self._succeed()\n", "        self._succeed()\n"),
    of(
        "a stream that catches up leaves the event loop to nobody",
        "tests/api/streams/test_stream.py::test_streams_that_catch_up_take_turns_and_leave_the_loop_to_others_after_each_page",
    )(
        "athena_api/streams/sse.py",
        "                await self._turns.next()  # neither frames",
        "                pass  # neither frames",
    ),
    of(
        "views that are replaced under a server are not missed",
        "tests/projections/engine/test_views.py::test_views_that_vanish_are_noticed_at_the_next_look_and_rebuilt",
    )(
        "projections/engine/updater.py",
        "(generations.current() == name and generations.identity(name) == self._identity)",
        "generations.current() == name",
    ),
    *AGENT_MUTANTS,
    *MCP_MUTANTS,
    *PAST_MUTANTS,
    *HISTORY_MUTANTS,
)


class Verdict(NamedTuple):
    """The result for a mutant: whether it was caught, and the last line of the test."""

    mutant: Mutant
    caught: bool
    words: str


def copied(directory: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name)
        else:
            shutil.copy(source, directory / name)
    return directory


def changed(directory: Path, mutant: Mutant) -> None:
    """Break a copy. Raise ValueError where the mutant's text has left the code."""
    for file, old, new in mutant.changes:
        path = directory / file
        text = path.read_text("utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{mutant.name}: {file} holds this {text.count(old)} times, not once:\n{old}")
        path.write_text(text.replace(old, new), "utf-8")


def tested(directory: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ATHENA_", "PYTEST_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", "-x", *PLUGINS, f"--timeout={SECONDS_MAX}", *tests],
        cwd=directory,
        env=kept | {"ATHENA_TEST_SCALE": "quick"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX * 2,
    )


def judged(mutant: Mutant) -> Verdict:
    """Break a copy of the code and run the test that must fail."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        directory = copied(Path(name))
        changed(directory, mutant)
        done = tested(directory, [mutant.test])
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return Verdict(mutant, done.returncode == FAILED, last if done.returncode else f"passed: {last}")


def unbroken(mutants: Iterable[Mutant]) -> str | None:
    """Return what fails in an unbroken copy; then no mutant proves anything."""
    with tempfile.TemporaryDirectory(prefix="unbroken-") as name:
        done = tested(copied(Path(name)), sorted({mutant.test for mutant in mutants}))
    return done.stdout[-5_000:] if done.returncode else None


def table(verdicts: Iterable[Verdict]) -> Iterator[str]:
    yield "| broken on purpose | noticed by | caught |"
    yield "| --- | --- | --- |"
    for mutant, caught, words in verdicts:
        test = mutant.test.removeprefix("tests/").replace("::", " › ")
        yield f"| {mutant.name} | {test} | {'yes' if caught else f'NO ({words})'} |"


def main() -> int:
    wrong = unbroken(MUTANTS)
    if wrong is not None:
        print(wrong, "\nthe tests do not pass without a mutant")
        return 1
    verdicts = [judged(mutant) for mutant in MUTANTS]
    print("\n".join(table(verdicts)))
    return 0 if all(verdict.caught for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
