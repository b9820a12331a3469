"""The verification: each rule finds its breach and nothing else; a legal history passes."""

from collections.abc import Callable

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import FixedClock, iso
from athena_core.domain import directive, halt, memory, plane, policy, run, schedule, session, template
from athena_core.domain.anchor import stream_of
from athena_core.event import MARK_BYTES, Event, Guard, Position
from athena_core.log.anchor import Anchor
from athena_core.log.chain import GENESIS
from athena_core.log.key_clock import KEPT_MS
from athena_core.log.port import FORMAT
from athena_core.log.sqlite.reader import SqliteReader
from athena_core.protocols import Row
from athena_core.services.proof import rules
from athena_core.services.proof import verify as verifying
from athena_core.services.proof.pages import UNREADABLE_MAX
from athena_core.services.proof.rule import Violation
from athena_core.services.proof.rules.run import TRANSITIONS
from athena_core.services.proof.verify import NO_ANCHOR, NOT_LOOKED_AT, VIOLATIONS_MAX
from athena_core.services.proof.witnesses import ComparedAnchors, Witness, Witnesses
from athena_core.values import Usage
from tests.core.domain.given import NOW
from tests.projections.history import FIRST_OF_SCHEDULES, MOVES, History
from tests.support.agent_breaches import AGENT_BREACHES
from tests.support.agent_breaches import legal as legal_agents
from tests.support.ask_breaches import ASK_BREACHES
from tests.support.breach import Breach, Step, breach, budgeted, described, guarded, keyed, lived, sets, sql
from tests.support.events import dead_letter as letter
from tests.support.events import queue
from tests.support.events import redrive as bulk
from tests.support.events import review as critic
from tests.support.events import workflow_run as flow
from tests.support.events.anchor import CONFLICTED, KEPT
from tests.support.events.run import (
    ASKED,
    BUDGETED,
    CALLED,
    COMPLETED,
    CREATED,
    DEAR,
    LEASED,
    PAID,
    PARTIAL,
    PAUSED,
    QUEUED,
    RESULT,
    RESUMED,
    SAID,
    STARTED,
    TAKEN,
)
from tests.support.events.schedule import HOUR, HOURLY, buffered, missed, skipped, started, upserted
from tests.support.forged_log import (
    CODEC,
    CRASHED,
    FILLER,
    LIMIT_ONE,
    Forge,
    Plain,
    abridged,
    rejection,
    run_to_the_end,
    whole_lives,
)
from tests.support.mcp_breaches import MCP_BREACHES
from tests.support.mcp_breaches import legal as legal_mcp
from tests.support.token_breaches import TOKEN_BREACHES
from tests.support.token_breaches import legal as legal_tokens
from tests.support.workspace_breaches import WORKSPACE_BREACHES
from tests.support.workspace_breaches import legal as legal_workspaces

KEY_LIMIT = policy.KeyLimit(scope="provider", max=1, strategy="enqueue")
ONE_OF_EACH = policy.PolicyUpdated(
    schema_version=1, updated_at="", after=policy.Policy(schema_version=1, limits=(KEY_LIMIT,))
)
NOTED = memory.MemoryRecorded(entry_id="mem_1", chars=1, has_metadata=False, text="x")
TEMPLATE = template.RunTemplateCreated(run_template_id="tpl_1", harness_profile_id="hp_1", version=1, param_names=())
TEMPLATE_AGAIN = template.RunTemplateUpdated(
    run_template_id="tpl_1", harness_profile_id="hp_1", version=2, param_names=()
)
ELSEWHERE = replace(CREATED, session_id="elsewhere")


def test_an_empty_log_is_right(forge: Forge) -> None:
    report = forge.report()
    assert (report.ok, report.head, report.chain, report.violations) == (True, 0, GENESIS.hex(), ())


def test_every_legal_history_of_a_run_verifies(forge: Forge) -> None:
    whole_lives(forge)
    report = forge.report()
    assert report.violations == ()
    assert (report.ok, report.head, report.chain) == (True, forge.position, forge.chain.hex())
    assert (report.runs, report.open_runs, report.streams) == (8, 1, 12)
    assert report.guards == len(forge.store.guards()) == 4  # the slot, the turn and the lease of run_7; the day


def test_reservations_settled_or_released_or_of_the_next_day_are_right(forge: Forge) -> None:
    days(forge)
    assert forge.report().violations == ()


@pytest.mark.parametrize("later", [1, 86_400_000, 40 * 86_400_000])
def test_spending_that_release_0_1_0_noted_is_right_and_so_is_what_follows(forge: Forge, later: int) -> None:
    forge.add("run_1", replace(BUDGETED, budget_micro_usd=10**6), LEASED, STARTED, DEAR, DEAR)
    by_release_0_1_0(forge, 2 * (DEAR.cost_micro_usd or 0))
    assert forge.report().violations == ()
    forge.add("plane", FILLER, later=later)
    forge.add("run_1", DEAR)
    assert forge.report().violations == ()


ON = schedule.ScheduleEnabled(id="a", updated=True, after_ms=NOW)
OFF = schedule.ScheduleDisabled(id="a", updated=True)
HALTED = schedule.SchedulePaused(id="a", cause="requested")
CONTINUED = schedule.ScheduleResumed(id="a")
DONE = schedule.ScheduleRunCompleted(id="a", target_run_id=started(None).target_run_id)
UNRUN = schedule.ScheduleRunFailed(id="a", target_run_id=started(None, 5).target_run_id, code="X", error_text="no")


def scheduled(*events: Event, stream: str = "schedule:a") -> Step:
    """Return the commands of a schedule and the whole lives of the runs that it starts."""

    def writes(forge: Forge) -> None:
        command = forge.ids.new("cmd")
        forge.add(stream, *events, command=command)
        for event in events:
            if isinstance(event, schedule.ScheduleRunStarted):
                forge.add(event.target_run_id, CREATED, LEASED, STARTED, COMPLETED, command=command)

    return writes


def test_every_legal_history_of_a_schedule_verifies(forge: Forge) -> None:
    scheduled(upserted(), started(NOW + HOUR), buffered(NOW + 2 * HOUR), DONE)(forge)
    second = (buffered(NOW + 3 * HOUR), skipped(NOW + 3 * HOUR, "buffer-full"))
    scheduled(started(NOW + 2 * HOUR, 2), *second, replace(DONE, target_run_id=started(None, 2).target_run_id))(forge)
    scheduled(HALTED, missed(NOW + 4 * HOUR, NOW + 6 * HOUR, 3, "paused"), CONTINUED, OFF)(forge)
    scheduled(started(None, 3), ON, upserted(after=NOW + 7 * HOUR - 1))(forge)
    scheduled(schedule.ScheduleRemoved(id="a", removed=True))(forge)
    forge.add("schedule:a", replace(DONE, target_run_id=started(None, 3).target_run_id))
    scheduled(upserted(), started(NOW + HOUR, 4), stream="schedule:b")(forge)
    refused = forge.ids.new("cmd")
    forge.add(started(None, 5).target_run_id, *rejection(forge), command=refused)
    forge.add("schedule:b", started(NOW + 2 * HOUR, 5), UNRUN, command=refused)
    forge.add("schedule:b", started(NOW + 3 * HOUR, 6), replace(UNRUN, target_run_id=started(None, 6).target_run_id))
    for unknown in (replace(ON, updated=False), replace(OFF, updated=False)):
        forge.add("plane", unknown, schedule.ScheduleRemoved(id="a", removed=False))
    forge.add("plane", schedule.ScheduleTickExecuted(at="2026-01-01T00:00:00.000Z", run=1, skipped=0))
    report = forge.report()
    assert report.violations == ()
    assert report.guards == 3  # that b exists, the slot that it ran last, and a run in flight


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(FIRST_OF_SCHEDULES, MOVES - 1), st.integers(0, 99)), min_size=30, max_size=60))
def test_every_decision_about_slots_verifies(moves: list[tuple[int, int]]) -> None:
    log = rules.Rules()
    for row in History().play(moves).written:
        found = [name for name, _ in log.look(row, CODEC.decode(row).event)]
        assert not {"schedules", "fired", "explained"} & set(found)


def test_erased_text_is_right(forge: Forge) -> None:
    forge.add("dir_1", directive.DirectiveCreated(directive_id="dir_1", has_context_refs=False, has_metadata=False))
    forge.add("run_1", CREATED, LEASED, STARTED, SAID)
    forge.erase(5)
    assert forge.report().ok
    forge.add("mem_1", NOTED)
    forge.add("mem_1", memory.MemoryForgotten(entry_id="mem_1"))
    forge.erase(7)
    forge.add("plane", plane.PayloadRedacted(target=7))  # two commands that redact one text at a time
    assert forge.report().violations == ()


class Erasing(SqliteReader):
    """A log of which a text is erased while it is read."""

    forge: Forge

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        if after == 0:
            self.forge.erase(4)
        return super().rows(after, limit, until)


def test_a_text_that_is_erased_during_the_pass_is_right(forge: Forge) -> None:
    forge.add("run_1", CREATED, LEASED, STARTED, SAID)
    reader = Erasing(forge.store.path, forge.store.log_id)
    reader.forge = forge
    report = run_to_the_end(reader, forge)
    reader.close()
    assert (report.violations, report.head, forge.position) == ((), 4, 5)


def test_events_of_a_newer_release_are_counted_and_break_nothing(forge: Forge) -> None:
    forge.add("new_1", Plain("new.invented"))
    forge.add("run_1", CREATED, Plain("run.invented"), LEASED)
    report = forge.report()
    assert (report.ok, report.unknown_events) == (True, 2)


def test_rows_committed_after_the_beginning_are_left_for_the_next_time(forge: Forge) -> None:
    forge.add("run_1", CREATED, LEASED, STARTED)
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    late = iter([forge.key(4, 4)])
    steps = verifying.verify(reader, CODEC, FixedClock(), meta=forge.meta, keys=late)
    next(steps)
    forge.add("run_1", COMPLETED)
    *_, last = steps
    reader.close()
    assert last.report is not None
    assert (abridged(last.report).violations, last.report.head, last.report.keys) == ((), 3, 1)


def test_progress_reaches_the_head(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * 2_500)
    reader = SqliteReader(forge.store.path, forge.store.log_id)
    seen = [step.position for step in verifying.verify(reader, CODEC, FixedClock(), meta=forge.meta)]
    reader.close()
    assert seen == [1_000, 2_000, 2_500, 2_500]


def test_the_first_violations_are_kept_and_all_are_counted(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * (VIOLATIONS_MAX + 5), skip=1)
    report = forge.report()
    assert (len(report.violations), report.violation_count) == (VIOLATIONS_MAX, VIOLATIONS_MAX + 5)
    assert report.violations[0].position == 1


# One violation for each rule


def time_goes_back(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.add("plane", FILLER, later=-5)


def version_skipped(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.add("plane", FILLER, skip=1)


def version_above_one(forge: Forge) -> None:
    forge.add("plane", FILLER, skip=1)


def paid_in_another_session(forge: Forge) -> None:
    forge.add("run_1", CREATED, LEASED, STARTED, SAID)
    forge.sessions["run_1"] = "elsewhere"
    forge.add("run_1", PAID)


def guards_in_another_order(forge: Forge) -> None:
    forge.add("run_1", QUEUED)
    forge.add("run_2", replace(QUEUED, session_id="elsewhere"))
    forge.execute("UPDATE guard SET position = 3 WHERE key = 'run_1'")


def keys_of_one_command(forge: Forge) -> None:
    forge.add("run_1", CREATED)
    forge.keys = [forge.key(1, 1, subject="run_1")._replace(key_hash=bytes([number]) * 32) for number in (1, 2)]


def key_of_another_time(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.add("plane", FILLER)
    earlier = forge.key(1, 1)._replace(key_hash=bytes(32), recorded_at=KEPT_MS + 2)
    forge.keys = [earlier, forge.key(2, 2)._replace(recorded_at=1)]


def paused_after_words_that_were_not_cut(forge: Forge) -> None:
    cut = replace(SAID, truncated=True, interrupted=True)
    forge.add("run_1", BUDGETED, LEASED, STARTED, cut, SAID, DEAR, replace(PAUSED, spent_micro_usd=600))


DAILY = policy.PolicyUpdated(
    schema_version=1, updated_at="", after=policy.Policy(schema_version=1, cost_budget_daily_usd=0.001)
)
RESERVED = run.BudgetReserved(turn=1, provider="openai", model="gpt-4o", reserved_micro_usd=300)


def reserved_too_much(forge: Forge) -> None:
    forge.add("policy", DAILY)
    forge.add("run_1", CREATED, LEASED, STARTED, RESERVED, DEAR)
    forge.add("run_2", ELSEWHERE, LEASED, STARTED, RESERVED)
    forge.add("run_3", replace(CREATED, session_id="third"), LEASED, STARTED, replace(RESERVED, reserved_micro_usd=101))


KEEPING = replace(PAID, turn=1, cost_micro_usd=10, reserved_micro_usd=200)


def days(forge: Forge) -> None:
    """Append legal spending: reservations that are settled or released, and the budget of the next day."""
    forge.add("policy", DAILY)
    forge.add("run_1", CREATED, LEASED, STARTED, RESERVED, DEAR, replace(RESERVED, reserved_micro_usd=400))
    forge.add("run_1", run.RunPaused(reason="daily-budget", elapsed_ms=1, spent_micro_usd=0, budget_micro_usd=0))
    forge.add("run_2", ELSEWHERE, LEASED, STARTED, replace(RESERVED, reserved_micro_usd=400))
    forge.add("run_2", KEEPING, replace(RESERVED, reserved_micro_usd=100), CRASHED)
    forge.add("plane", FILLER, later=86_400_000)
    forge.add("run_3", replace(CREATED, session_id="third"), LEASED, STARTED, replace(RESERVED, reserved_micro_usd=999))


def command_in_two_parts(forge: Forge) -> None:
    forge.add("plane", FILLER, command="cmd_a")
    forge.add("plane", FILLER)
    forge.add("plane", FILLER, FILLER, command="cmd_a")


def decided_after_it_was_recorded(forge: Forge) -> None:
    forge.add("plane", Plain(FILLER.TYPE, data=b'{"mode":"off"}', extra=b'{"decidedAt":%d}' % (forge.now + 6)))


def by_release_0_1_0(forge: Forge, spent: int) -> None:
    """Append the single row of spending that release 0.1.0 wrote."""
    with forge.store.exclusive():
        forge.store.put_guards(
            [
                *(
                    (Guard(kind=kind, key=key, value=None), 1)
                    for kind, key, _ in forge.store.guards()
                    if kind == "spent"
                ),
                (Guard(kind="spent", key=run.LAST_SPENT_KEY, value=("1970-01-01", spent)), forge.position),
            ]
        )
    forge.guards.load(forge.store.guards())


def a_last_day_that_costs_less(forge: Forge) -> None:
    forge.add("run_1", BUDGETED, LEASED, STARTED, DEAR)
    by_release_0_1_0(forge, 5)


def anchor_ahead(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.anchor = Anchor(log_id=forge.store.log_id, position=2, chain=forge.chain.hex())


def kept_ahead(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.against = kept(Anchor(log_id=forge.store.log_id, position=2, chain="00" * 32))


def kept_of_another_history(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.against = kept(Anchor(log_id=forge.store.log_id, position=1, chain="00" * 32))


def given_up(forge: Forge) -> list[Witness]:
    """Return two anchors of a branch that a fork at position 2 discarded."""
    forge.add("plane", FILLER, plane.LogForked(head=1, expected=3), FILLER)
    taken = Anchor(log_id=forge.store.log_id, position=2, chain="00" * 32)
    before = iso(forge.now - 2)
    return [Witness("kept.anchors", 1, taken, before), Witness("kept.anchors", 2, replace(taken, position=9), before)]


def forked(forge: Forge) -> None:
    forge.against = Witnesses(given_up(forge), ["kept.anchors"])


def kept_after_the_fork(forge: Forge) -> None:
    """An anchor taken after the fork, or before its position, belongs to no discarded branch."""
    forge.add("plane", FILLER, plane.LogForked(head=1, expected=3), FILLER)
    later = Anchor(log_id=forge.store.log_id, position=3, chain="00" * 32)
    forge.against = Witnesses([Witness("kept.anchors", 1, later, iso(forge.now))])


def kept_before_the_fork(forge: Forge) -> None:
    forge.add("plane", FILLER, plane.LogForked(head=1, expected=3), FILLER)
    earlier = Anchor(log_id=forge.store.log_id, position=1, chain="00" * 32)
    forge.against = Witnesses([Witness("kept.anchors", 1, earlier, iso(0))])


def kept(*anchors: Anchor) -> Witnesses:
    lines = [Witness("kept.anchors", number, anchor) for number, anchor in enumerate(anchors, 1)]
    return Witnesses(lines, ["kept.anchors"])


def anchor_of_another_history(forge: Forge) -> None:
    forge.add("plane", FILLER, FILLER)
    forge.anchor = Anchor(log_id=forge.store.log_id, position=1, chain=forge.chain.hex())


def ran_while_it_was_disabled(forge: Forge) -> None:
    scheduled(upserted(enabled=False), started(NOW + HOUR))(forge)


def ran_by_a_trigger_that_means_nothing(forge: Forge) -> None:
    nonsense = replace(HOURLY, trigger=replace(HOURLY.trigger, cron="61 * * * *"))
    scheduled(upserted(nonsense), started(NOW + HOUR))(forge)


def worked(forge: Forge, *, end: Event = COMPLETED) -> None:
    forge.add("work:s", queue.enqueued(1), queue.draining(1), queue.started(1))
    forge.add("run_1", CREATED, LEASED, STARTED, end)


def queued_and_worked_off(forge: Forge) -> None:
    """Append every outcome of queue items: done, given back, a dead letter that is discarded, restored or requeued."""
    worked(forge)
    forge.add("work:s", queue.drained(1, 0), queue.done(1, 1))
    forge.add("work:s", queue.enqueued(2, depth=1), queue.draining(1), queue.started(2, run_id="run_2"))
    forge.add("run_2", CREATED, LEASED, STARTED, run.RunFailed(code="PROVIDER_ERROR", error_text="no", retryable=True))
    forge.add("work:s", queue.returned(2, run_id="run_2"), queue.stopped(1, 1, run_id="run_2"))
    forge.add("work:s", queue.draining(1), queue.buried(2, depth=0, run_id=None, reason="unrunnable"))
    forge.add("dlq_1", letter_of("wi_2"))
    forge.add("work:s", queue.stopped(1, 0, run_id=None))
    forge.add("dlq_1", letter.DISCARDED, letter.RESTORED, requeued("wi_3"))
    forge.add("work:s", queue.enqueued(3, depth=1, dead_letter_id="dlq_1"))
    forge.add("msg_1", letter.SENT, letter.STARTED, letter.COMPLETED)
    forge.add("msg_2", letter.SENT, letter.FAILED)


def test_every_legal_history_of_a_queue_verifies(forge: Forge) -> None:
    queued_and_worked_off(forge)
    assert forge.report().violations == ()


def letter_of(item_id: str) -> Event:
    return replace(letter.ADDED, items=(replace(letter.ADDED.items[0], item_id=item_id),))


def requeued(item_id: str) -> Event:
    return replace(letter.REQUEUED, item_ids=(item_id,))


def buried_nowhere(forge: Forge) -> None:
    forge.add("work:s", queue.enqueued(1), queue.draining(1), queue.buried(1, depth=0, run_id=None))


def requeued_twice(forge: Forge) -> None:
    again = replace(letter.REQUEUED, item_ids=())
    forge.add("dlq_1", replace(letter.ADDED, items=()), again, again)


def kept_elsewhere(forge: Forge) -> None:
    forge.add(stream_of("ab" * 8, 8), KEPT)


def test_every_legal_history_of_a_workflow_run_verifies(forge: Forge) -> None:
    forge.add("wfr_1", flow.CREATED, flow.started(), flow.failed(), flow.ENDED, flow.resumed("a"))
    forge.add("wfr_1", flow.started(attempt=2), flow.completed(attempt=2), flow.started("b"), flow.completed("b"))
    report = forge.report()
    assert report.ok, report.violations


REVIEW = "persona:run_1"
OF_CRITIC = replace(CREATED, persona_name="critic")
LIFE = (OF_CRITIC, LEASED, STARTED, SAID, COMPLETED)


def review_repaired_twice(forge: Forge) -> None:
    forge.add(REVIEW, critic.STARTED)
    forge.add("run_1", *LIFE)
    forge.add(REVIEW, critic.REPAIR)
    forge.add("run_2", *LIFE)
    forge.add(REVIEW, replace(critic.REPAIR, repair_run_id="run_3"))


def test_every_legal_history_of_a_review_verifies(forge: Forge) -> None:
    forge.add("persona:run_9", critic.FAILED)
    forge.add(REVIEW, critic.STARTED)
    forge.add("run_1", *LIFE)
    forge.add(REVIEW, critic.REPAIR)
    forge.add("run_2", *LIFE)
    forge.add(REVIEW, critic.COMPLETED)
    report = forge.report()
    assert report.ok, report.violations
    assert "review" not in [kind for kind, _, _ in forge.store.guards()]


HALT = halt.HaltStarted(by="ann", reason="wrong prices")
LIFT = halt.HaltLifted(by="eve", since_ms=0)


def test_work_begins_before_and_after_a_halt_and_runs_end_meanwhile(forge: Forge) -> None:
    forge.add("run_1", CREATED, LEASED, STARTED)
    forge.add("halt", HALT)
    forge.add("run_1", COMPLETED)
    forge.add("halt", LIFT)
    forge.add("run_2", CREATED)
    assert forge.report().violations == ()


BREACHES: tuple[Breach, ...] = (
    breach("tampered_payload", "chain", 2, "the payload does not match its hash")(
        "plane", FILLER, FILLER, sql("""UPDATE log SET data = CAST('{"mode":"on!"}' AS BLOB) WHERE position = 2""")
    ),
    breach("tampered_text", "chain", 4, "the text does not match its hash")(
        lived(SAID),
        sql("UPDATE log SET text = CAST(replace(CAST(text AS TEXT), 'ok', 'no') AS BLOB) WHERE position = 4"),
    ),
    breach("tampered_actor", "chain", 1, "does not match the chain")(
        "plane", FILLER, FILLER, FILLER, sql("UPDATE log SET actor = 'somebody' WHERE position = 1")
    ),
    breach("hole", "chain", 2, "missing")(
        "plane", FILLER, "new_1", Plain("new.invented"), "plane", FILLER, sql("DELETE FROM log WHERE position = 2")
    ),
    (time_goes_back, "times", 2, "5 ms before"),
    (decided_after_it_was_recorded, "times", 1, "decided 5 ms after it was recorded"),
    breach("a_day_that_costs_less", "guards", None, "the guard spent of 0 is ['1970-01-01', 5]; the log implies")(
        budgeted(DEAR), guarded("spent", "0", ("1970-01-01", 5), 4)
    ),
    (a_last_day_that_costs_less, "guards", None, "the guard spent of 0 is ['1970-01-01', 5]; the log implies"),
    breach("text_without_its_words", "erasure", 4, "its text is gone, but no payload.redacted records it")(
        lived(SAID), sql("UPDATE log SET text = NULL WHERE position = 4")
    ),
    breach("text_put_back", "erasure", 5, "names position 4, whose text still exists")(
        lived(SAID), "plane", plane.PayloadRedacted(target=4)
    ),
    breach("erased_in_the_future", "erasure", 1, "names position 2, which is not an earlier one")(
        "plane", plane.PayloadRedacted(target=2), FILLER
    ),
    breach("forgotten_and_kept", "erasure", 2, "mem_1 was forgotten, but no payload.redacted names its text")(
        "mem_1", NOTED, "mem_1", memory.MemoryForgotten(entry_id="mem_1")
    ),
    breach("caused_by_what_follows", "envelope", 1, "caused by position 2, which is not an earlier one")(
        sets(causation=2), "plane", FILLER
    ),
    (paid_in_another_session, "envelope", 5, "usage.recorded of run_1 names the session elsewhere instead of s"),
    breach(
        "admitted_in_another_session", "envelope", 2, "run.created of run_1 names the session elsewhere instead of s"
    )("run_1", QUEUED, sets(session_of_next="elsewhere"), "run_1", CREATED),
    breach("said_under_another_run", "envelope", 4, "transcript.appended of run_1 names the run run_2")(
        lived(), sets(run_of_next="run_2"), "run_1", SAID
    ),
    breach("enqueued_in_another_session", "envelope", 1, "work.enqueued of work:s names the session elsewhere")(
        sets(session_of_next="elsewhere"), "work:s", queue.enqueued(1)
    ),
    breach("created_twice", "created", 2, "session.created of session:s, which already existed")(
        "session:s", session.SessionCreated(session_id="s"), "session:s", session.SessionCreated(session_id="s")
    ),
    breach("policy_out_of_nothing", "policies", 2, "the policy it replaces is not the one in force")(
        "policy", LIMIT_ONE, "policy", replace(ONE_OF_EACH, before=ONE_OF_EACH.after)
    ),
    breach("template_version_again", "templates", 3, "tpl_1 has version 2; expected 3")(
        "tpl_1", TEMPLATE, "tpl_1", TEMPLATE_AGAIN, TEMPLATE_AGAIN
    ),
    breach("completed_for_less", "totals", 6, 'a usage of {"totalTokens":2}; recorded is {"totalTokens":3}')(
        lived(SAID, PAID, replace(COMPLETED, usage=Usage(total_tokens=2)))
    ),
    breach("completed_with_more_evidence", "totals", 5, "run_1 completed with 1 pieces of evidence; recorded are 0")(
        lived(SAID, replace(COMPLETED, evidence_count=1))
    ),
    breach("completed_with_a_partial_answer", "totals", 7, "run_1 completed with a partial answer")(
        lived(SAID, PARTIAL, PAID, COMPLETED)
    ),
    breach("partial_question", "steps", 4, "run_1 has a partial entry that is not model output")(
        lived(replace(PARTIAL, role="user"))
    ),
    (guards_in_another_order, "guards", None, "the guards waiting have the order run_2, run_1; the log implies"),
    breach("key_of_another_subject", "keys", None, "refers to run_2, but positions 2 to 2 do not name it")(
        "plane", FILLER, "run_1", CREATED, keyed(2, 2, subject="run_2")
    ),
    (keys_of_one_command, "keys", None, "and another key are both bound to the command at position 1"),
    (key_of_another_time, "keys", None, "of position 2 was bound long before the key of an earlier position"),
    breach(
        "anchor_of_another_log", "anchor", None, "the anchor belongs to log 0000000000000000, but this is log 00000"
    )("plane", FILLER, sets(anchor=Anchor(log_id="0" * 16, position=1, chain=""))),
    (version_skipped, "versions", 2, "version 3; expected 2"),
    (version_above_one, "versions", 1, "version 2; expected 1"),
    breach("undecodable", "decodable", 1, "mode")("plane", Plain("AUTHZ_MODE_ACTIVE", data=b'{"mode":7}')),
    breach("written_by_a_newer_release", "decodable", 1, "newer release")("plane", Plain("AUTHZ_MODE_ACTIVE", 2)),
    breach("started_before_it_was_leased", "transitions", 2, "run.started of run_1, which is admitted")(
        "run_1", CREATED, run.RunStarted(attempt=0)
    ),
    breach("usage_of_nothing", "transitions", 1, "usage.recorded of run_1, which is new")("run_1", PAID),
    breach("spoken_after_the_end", "transitions", 5, "transcript.appended of run_1, which is ended")(
        lived(COMPLETED, SAID)
    ),
    breach("ended_twice", "endings", 5, "run.failed of run_1, which had ended")(
        lived(COMPLETED, run.RunFailed(code="X", error_text="", retryable=False))
    ),
    breach(
        "written_to_a_stream_of_another_kind", "streams", 2, "AUTHZ_MODE_ACTIVE is in run_1, a stream of another kind"
    )("run_1", CREATED, "run_1", FILLER),
    breach("two_of_one_slot", "slots", 3, "run_2 was admitted while 1 of 1 slots")(
        "policy", LIMIT_ONE, "run_1", CREATED, "run_2", ELSEWHERE
    ),
    (reserved_too_much, "reservations", 14, "101 of the daily budget 1000, of which 900 were already taken"),
    breach(
        "kept_more_than_was_reserved",
        "remaining_reservations",
        7,
        "keeps 201 of the daily budget reserved, of which it had 200",
    )("policy", DAILY, lived(RESERVED, KEEPING, replace(KEEPING, turn=2, reserved_micro_usd=201))),
    breach("two_of_one_provider", "keys", 3, "run_2 was admitted while 1 of 1 runs of provider:mock")(
        "policy", ONE_OF_EACH, "run_1", replace(CREATED, provider="openai", fallbacks=("mock",)), "run_2", ELSEWHERE
    ),
    breach("resumed_at_a_limit_by_key", "keys", 9, "run_1 was admitted while 1 of 1 runs of provider:mock")(
        "policy", ONE_OF_EACH, budgeted(DEAR, DEAR, PAUSED), "run_2", ELSEWHERE, "run_1", RESUMED
    ),
    breach("two_of_one_session", "turns", 2, "run_2 was admitted while run_1 held session")(
        "run_1", CREATED, "run_2", CREATED
    ),
    breach("token_again", "leases", 3, "token 1 after 1")("run_1", CREATED, LEASED, LEASED),
    breach("token_skipped", "leases", 4, "token 3 after 1")(lived(replace(LEASED, token=3))),
    breach("taken_from_another", "leases", 4, "taken over from exe_7, although exe_1 held it")(
        lived(replace(TAKEN, taken_from="exe_7"))
    ),
    breach("started_under_an_old_token", "leases", 5, "as attempt 2; expected 1")(
        lived(replace(LEASED, token=2), run.RunStarted(attempt=2))
    ),
    breach("crashed_for_another", "leases", 4, "exe_2")(lived(replace(CRASHED, executor="exe_2"))),
    breach("attempt_for_nothing", "attempts", 4, "attempt 2 after 1")(lived(replace(TAKEN, because="left"))),
    breach("attempt_too_many", "attempts", 5, "attempt 2, but the policy allows 1")(
        "policy", replace(LIMIT_ONE, after=policy.Policy(schema_version=1, max_run_attempts=1)), lived(TAKEN)
    ),
    breach("result_of_nothing", "steps", 4, "the call call_1, which is not open")(lived(RESULT)),
    breach("result_twice", "steps", 6, "the call call_1, which is not open")(lived(CALLED, RESULT, RESULT)),
    breach("call_twice", "steps", 5, "call_1 of run_1 was made twice")(lived(CALLED, CALLED)),
    breach("turn_twice", "steps", 5, "the usage of turn 1 after turn 1")(lived(*[replace(PAID, turn=1)] * 2)),
    breach("paid_while_paused", "transitions", 7, "usage.recorded of run_1, which is paused")(
        budgeted(DEAR, DEAR, PAUSED, DEAR)
    ),
    breach("answered_in_no_turn", "steps", 5, "the usage of turn 2 after turn 0")(
        lived(replace(PAID, turn=1, failed=True), replace(PAID, turn=2))
    ),
    breach("paid_back", "budgets", 4, "run_1 has a negative usage")(lived(replace(PAID, cost_micro_usd=-1))),
    breach("tokens_given_back", "budgets", 4, "run_1 has a negative usage")(
        lived(replace(PAID, usage=Usage(input_tokens=5, output_tokens=-5)))
    ),
    breach("paused_for_another_sum", "budgets", 6, "1200")(
        budgeted(DEAR, DEAR, replace(PAUSED, spent_micro_usd=1_100))
    ),
    (paused_after_words_that_were_not_cut, "budgets", 7, "it had spent 600 of 1000"),
    breach("paused_with_budget_left", "budgets", 5, "it had spent 600 of 1000")(
        budgeted(DEAR, replace(PAUSED, spent_micro_usd=600))
    ),
    breach("resumed_without_a_slot", "slots", 9, "1 of 1 slots")(
        budgeted(DEAR, DEAR, PAUSED), "run_2", ELSEWHERE, "policy", LIMIT_ONE, "run_1", RESUMED
    ),
    breach("child_of_nobody", "children", 1, "a child of run_0")("run_1", replace(CREATED, parent_run_id="run_0")),
    breach("retry_of_nobody", "retries", 1, "a retry of run_0")("run_1", replace(CREATED, retry_of="run_0")),
    breach("retry_of_an_open_run", "retries", 2, "a retry of run_1, which had not ended")(
        "run_1", CREATED, "run_2", replace(ELSEWHERE, retry_of="run_1")
    ),
    breach("cancelled_by_nobody", "cancels", 4, "without a request")(lived(run.RunCancelled(cause="parent"))),
    breach("completed_after_its_cancel", "cancels", 5, "completed after its cancel")(lived(ASKED, COMPLETED)),
    breach("cancelled_when_over", "cancels", 5, "although the run was not open")(lived(COMPLETED, ASKED)),
    (ran_while_it_was_disabled, "schedules", 2, "schedule.run.started of schedule:a, which is impossible in its state"),
    breach("ran_while_it_was_paused", "schedules", 3, "schedule.run.started")(
        scheduled(upserted(), HALTED, started(NOW + HOUR))
    ),
    breach("resumed_without_a_pause", "schedules", 2, "schedule.resumed")("schedule:a", upserted(), CONTINUED),
    breach("enabled_twice", "schedules", 2, "schedule.enabled")("schedule:a", upserted(), ON),
    breach("disabled_what_was_not", "schedules", 1, "schedule.disabled")("schedule:a", OFF),
    breach("ran_by_hand_after_its_removal", "schedules", 3, "schedule.run.started")(
        scheduled(upserted(), schedule.ScheduleRemoved(id="a", removed=True), started(None))
    ),
    breach("ended_a_run_that_was_not_its", "schedules", 3, "schedule.run.completed")(
        scheduled(upserted(), started(NOW + HOUR, 2), DONE)
    ),
    breach("waited_while_it_was_paused", "schedules", 3, "schedule.run.buffered")(
        "schedule:a", upserted(), HALTED, buffered(NOW + HOUR)
    ),
    breach("missed_while_it_was_disabled", "schedules", 2, "schedule.slots.missed")(
        "schedule:a", upserted(enabled=False), missed(NOW + HOUR, NOW + HOUR, 1, "disabled")
    ),
    breach("ran_a_slot_twice", "fired", 4, "the slot 2026-01-01T01:00:00.000Z, which was already decided")(
        scheduled(upserted(), started(NOW + HOUR), DONE, started(NOW + HOUR, 2))
    ),
    breach("ran_what_was_missed", "fired", 2, "the slot 2026-01-01T00:00:00.000Z")(
        "schedule:a", upserted(), missed(NOW, NOW + 2 * HOUR, 3, "paused")
    ),
    breach("missed_what_had_run", "fired", 3, "the slot 2026-01-01T01:00:00.000Z")(
        scheduled(upserted(), started(NOW + HOUR), missed(NOW + HOUR, NOW + 2 * HOUR, 2, "catchup-latest"))
    ),
    breach("passed_a_slot_over", "explained", 2, "claims 1 of 2 slots after 2026-01-01T00:00:00.000Z")(
        scheduled(upserted(), started(NOW + 2 * HOUR))
    ),
    breach("ran_at_no_slot", "explained", 2, "claims the slot 2026-01-01T01:00:00.001Z")(
        scheduled(upserted(), started(NOW + HOUR + 1))
    ),
    breach("missed_more_than_it_tells", "explained", 2, "claims 2 of 3 slots")(
        "schedule:a", upserted(), missed(NOW + HOUR, NOW + 3 * HOUR, 2, "paused")
    ),
    breach("missed_from_another_slot_on", "explained", 2, "schedule.slots.missed of schedule:a claims the slot")(
        "schedule:a", upserted(), missed(NOW + HOUR + 1, NOW + 2 * HOUR, 2, "paused")
    ),
    (ran_by_a_trigger_that_means_nothing, "explained", 2, "schedule:a, whose trigger"),
    breach("ran_at_the_end_of_time", "explained", 2, "claims 1 of ")(scheduled(upserted(), started(2**62))),
    breach("put_over_a_slot", "explained", 2, "schedule.upserted of schedule:a claims 0 of 1 slots")(
        "schedule:a", upserted(), upserted(after=NOW + HOUR)
    ),
    breach("started_and_lost", "launches", 2, "schedule:a started run_00000000000000000000000001, which was neither")(
        "schedule:a", upserted(), started(NOW + HOUR), "plane", FILLER
    ),
    breach("started_and_admitted_later", "launches", 3, "did not begin in the command in which schedule:a")(
        "schedule:a", upserted(), started(NOW + HOUR), started(None).target_run_id, CREATED
    ),
    breach("started_and_refused_later", "launches", 2, "which was neither admitted nor refused")(
        "schedule:a", upserted(), started(NOW + HOUR, 5), "schedule:a", UNRUN
    ),
    breach("started_an_old_run", "launches", 3, "which already existed")(
        started(None).target_run_id, CREATED, "schedule:a", upserted(), started(NOW + HOUR)
    ),
    breach("enqueued_twice", "queues", 2, "work.enqueued of work:s, which is impossible in its state")(
        "work:s", queue.enqueued(1), queue.enqueued(1)
    ),
    breach("drained_twice", "queues", 9, "work.item.drained of work:s")(
        worked, "work:s", queue.drained(1, 0), queue.drained(1, 0)
    ),
    breach("drained_twice_at_once", "queues", 3, "work.drain.started")(
        "work:s", queue.enqueued(1), queue.draining(1), queue.draining(1)
    ),
    breach("leased_twice", "queues", 4, "work.batch.started")(
        "work:s", queue.enqueued(1), queue.draining(1), queue.started(1), queue.started(1, run_id="run_2")
    ),
    breach("ended_with_a_run_at_work", "queues", 4, "work.drained")(
        "work:s", queue.enqueued(1), queue.draining(1), queue.started(1), queue.done(1, 0, 1)
    ),
    breach("ended_with_another_depth", "queues", 9, "work.drained")(
        worked, "work:s", queue.drained(1, 0), queue.done(1, 1, 1)
    ),
    breach("acknowledged_before_the_end", "acknowledged", 4, "wi_1 although its run run_1 had not completed")(
        "work:s", queue.enqueued(1), queue.draining(1), queue.started(1), queue.drained(1, 0)
    ),
    breach("given_back_though_done", "acknowledged", 8, "returned the items of run_1, although it had completed")(
        worked, "work:s", queue.returned(1)
    ),
    breach("given_to_an_old_run", "acknowledged", 7, "run_1, which already existed")(
        lived(COMPLETED), "work:s", queue.enqueued(1), queue.draining(1), queue.started(1)
    ),
    (buried_nowhere, "letters", None, "wi_1 left a queue for dlq_1, which was never added"),
    breach("buried_as_another", "letters", 4, "dlq_1 does not hold the items")(
        buried_nowhere, "dlq_1", letter_of("wi_7")
    ),
    breach("requeued_after_a_discard", "letters", 3, "a2a.dlq.requeued of dlq_1, which was discarded")(
        "dlq_1", replace(letter.ADDED, items=()), letter.DISCARDED, replace(letter.REQUEUED, item_ids=())
    ),
    (requeued_twice, "letters", 3, "a2a.dlq.requeued of dlq_1, which was requeued"),
    breach("requeued_and_lost", "letters", None, "wi_2 was requeued from dlq_1 but never enqueued")(
        "dlq_1", replace(letter.ADDED, items=()), letter.REQUEUED
    ),
    breach(
        "came_back_from_nowhere", "letters", 1, "wi_1 returned from dlq_1, which was not requeued or does not hold it"
    )("work:s", queue.enqueued(1, dead_letter_id="dlq_1")),
    breach("delivered_without_a_run", "messages", 2, "a2a.message.completed of msg_1, which was sent")(
        "msg_1", letter.SENT, letter.COMPLETED
    ),
    breach("delivered_and_failed", "messages", 4, "a2a.message.failed of msg_1, which had ended or was never sent")(
        "msg_1", letter.SENT, letter.STARTED, letter.COMPLETED, letter.FAILED
    ),
    breach("step_started_twice", "flows", 4, "step a of wfr_1 was started while it was ok")(
        "wfr_1", flow.CREATED, flow.started(), flow.completed(), flow.started(attempt=2)
    ),
    breach("step_completed_by_another", "flows", 3, "by run_a2, which is not the run of step a")(
        "wfr_1", flow.CREATED, flow.started(), flow.completed(attempt=2)
    ),
    breach("step_after_the_end", "flows", 5, "workflow.step.started of wfr_1, which is failed")(
        "wfr_1", flow.CREATED, flow.started(), flow.failed(), flow.ENDED, flow.started(attempt=2)
    ),
    breach("review_ended_twice", "reviews", 8, "persona.run.completed of persona:run_1, which is ended")(
        REVIEW, critic.STARTED, "run_1", *LIFE, REVIEW, critic.COMPLETED, critic.COMPLETED
    ),
    (review_repaired_twice, "reviews", 13, "which is running and was repaired"),
    breach("review_ended_before_its_run", "reviews", 6, "whose run run_1 has not ended")(
        REVIEW, critic.STARTED, "run_1", *LIFE[:-1], REVIEW, critic.COMPLETED
    ),
    breach("review_without_a_run", "reviews", 2, "whose run run_1 has not ended")(
        REVIEW, critic.STARTED, critic.COMPLETED
    ),
    breach("review_of_an_old_run", "reviews", 6, "with the run run_1, which already existed")(
        "run_1", *LIFE, REVIEW, critic.STARTED
    ),
    breach("review_run_of_another", "reviews", 2, "run_1 belongs to a review by critic, but its persona is scribe")(
        REVIEW, critic.STARTED, "run_1", replace(CREATED, persona_name="scribe")
    ),
    breach("review_repaired_by_an_old_run", "reviews", 12, "with the run run_2, which already existed")(
        "run_2", *LIFE, REVIEW, critic.STARTED, "run_1", *LIFE, REVIEW, critic.REPAIR
    ),
    breach("redriven_after_the_end", "redrives", 3, "a2a.dlq.redrive.advanced of rdr_1, which is completed")(
        "rdr_1", bulk.STARTED, bulk.completed(), bulk.advanced(3, "failed")
    ),
    breach("redriven_twice", "redrives", 3, "handled dlq_3 after a later dead letter")(
        "rdr_1", bulk.STARTED, bulk.advanced(3, "failed"), bulk.advanced(3, "failed")
    ),
    breach("redriven_what_is_not_there", "redrives", 2, "dlq_3 as requeued, although it was not there")(
        "rdr_1", bulk.STARTED, bulk.advanced(3)
    ),
    breach("redrive_that_counts_wrong", "redrives", 3, "does not have the counts (0, 0, 1)")(
        "rdr_1", bulk.STARTED, bulk.advanced(3, "failed"), bulk.completed(requeued=1)
    ),
    breach("redrive_begun_twice", "redrives", 2, "a2a.dlq.redrive.started of rdr_1, which is running")(
        "rdr_1", bulk.STARTED, bulk.STARTED
    ),
    breach("kept_twice", "anchors", 2, "anchor.kept is event 2 of anchor:abababababababab:7")(
        stream_of("ab" * 8, 7), KEPT, KEPT
    ),
    (kept_elsewhere, "anchors", 1, "anchor.kept of anchor:abababababababab:7 is in stream anchor:abababababababab:8"),
    breach("conflicted_with_nothing", "anchors", 1, "anchor.conflicted is event 1 of anchor:abababababababab:7")(
        stream_of("ab" * 8, 7), CONFLICTED
    ),
    breach("halted_twice", "halts", 2, "it starts during the halt of position 1")("halt", HALT, "halt", HALT),
    breach("lifted_without_a_halt", "lifts", 3, "nothing is halted")("halt", HALT, "halt", LIFT, "halt", LIFT),
    breach("begun_during_a_halt", "halted", 2, "run.created during the halt of position 1")(
        "halt", HALT, "run_1", CREATED
    ),
    breach("sent_twice", "messages", 2, "a2a.message.sent of msg_1, which was sent")("msg_1", letter.SENT, letter.SENT),
    (command_in_two_parts, "commands", 3, "are interrupted by another command"),
    breach(
        "guard_lost", "guards", None, "the guard slot of run_1 is absent; the log implies [1, 's', 'provider:mock']"
    )("run_1", CREATED, guarded("slot", "run_1", None, 1)),
    breach("guard_of_nothing", "guards", None, "the guard turn of s is ['run_1']; the log implies absent")(
        "plane", FILLER, guarded("turn", "s", ("run_1",), 1)
    ),
    breach("guard_of_another", "guards", None, "the guard turn of s is ['run_2']; the log implies ['run_1']")(
        "run_1", CREATED, guarded("turn", "s", ("run_2",), 1)
    ),
    breach("key_beyond_the_log", "keys", None, "1 to 2, which are not in the log")("plane", FILLER, keyed(1, 2)),
    breach("key_of_half_a_command", "keys", None, "1 to 1, which are not one command")(
        "plane", FILLER, FILLER, keyed(1, 1)
    ),
    breach("key_of_two_commands", "keys", None, "1 to 2, which are not one command")(
        "plane", FILLER, "plane", FILLER, keyed(1, 2)
    ),
    breach("key_inside_a_command", "keys", None, "2 to 2, which are not one command")(
        "plane", FILLER, FILLER, keyed(2, 2)
    ),
    breach("key_before_the_log", "keys", None, "0 to 0, which are not in the log")("plane", FILLER, keyed(0, 0)),
    breach("newer_format", "meta", None, f"the format is '{FORMAT + 1}'")(described(format=str(FORMAT + 1))),
    breach("strange_id", "meta", None, "'mine'")(described(log_id="mine")),
    (anchor_ahead, "anchor", None, "once reached position 2 but now ends at 1"),
    (kept_ahead, "anchor", None, "once reached position 2 but now ends at 1 (kept.anchors, line 1)"),
    (kept_of_another_history, "anchor", 1, "the row differs from the one that was anchored (kept.anchors, line 1)"),
    (forked, "forked", 2, "but anchors of later positions were kept (2, the first: kept.anchors,"),
    breach(
        "forked_elsewhere", "forked", None, "--forked names a log.forked at position 2, which the log does not hold"
    )("plane", FILLER, FILLER, sets(against=Witnesses(forks=[(2, bytes(MARK_BYTES))]))),
    (kept_after_the_fork, "anchor", 3, "the row differs from the one that was anchored (kept.anchors, line 1)"),
    (kept_before_the_fork, "anchor", 1, "the row differs from the one that was anchored (kept.anchors, line 1)"),
    breach("strange_description", "meta", None, "the log's metadata has 'owner', which this release does not know")(
        described(owner="mallory")
    ),
    breach("kept_nowhere", "anchor", None, "kept.anchors has no anchors")("plane", FILLER, sets(against=kept())),
    (anchor_of_another_history, "anchor", 1, "the row differs from the one that was anchored"),
    *ASK_BREACHES,
    *TOKEN_BREACHES,
    *WORKSPACE_BREACHES,
    *AGENT_BREACHES,
    *MCP_BREACHES,
)


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("breach", "rule", "position", "words"), BREACHES, ids=_name)
def test_a_breach_is_found(
    forge: Forge, breach: Callable[[Forge], None], rule: str, position: Position | None, words: str
) -> None:
    breach(forge)
    report = forge.report()
    assert not report.ok
    assert [(one.rule, one.position) for one in report.violations] == [(rule, position)], report.violations
    assert words in report.violations[0].reason
    assert f"[{rule}]" in str(report.violations[0])


@pytest.mark.parametrize("legal", [legal_tokens, legal_workspaces, legal_agents, legal_mcp])
def test_what_a_plane_writes_breaks_no_rule_of(legal: Callable[[Forge], None], forge: Forge) -> None:
    legal(forge)
    assert forge.report().violations == ()


def test_every_rule_has_a_breach() -> None:
    """``precedence`` has a forgery for each row of its table."""
    shown = {rule for _, rule, _, _ in BREACHES}
    beside = {"chain", "decodable", "commands", "guards", "keys", "meta", "anchor", "forked"}
    assert shown | {"precedence"} == rules.rule_names() | beside


def test_every_transition_is_of_an_event_of_runs() -> None:
    tags = {kind.TYPE for kind in run.DECIDER.events} | {plane.SafetyViolation.TYPE, template.RunTemplateRun.TYPE}
    assert {tag for _, tag in TRANSITIONS} == tags


def test_rules_hold_again_after_a_damaged_row(forge: Forge) -> None:
    whole_lives(forge)
    forge.execute("UPDATE log SET data = CAST('{' AS BLOB) WHERE position = 2")
    found = [(one.rule, one.position) for one in forge.report().violations]
    assert found[:2] == [("chain", 2), ("decodable", 2)]
    assert {position for _, position in found} <= {2, None}  # its guards are not known, everything else is


class Unreadable(SqliteReader):
    """A database with a damaged page."""

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        if after:
            raise apsw.CorruptError("database disk image is malformed")
        return super().rows(after, 1, until)


def test_a_damaged_page_is_named(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * (UNREADABLE_MAX + 10))
    reader = Unreadable(forge.store.path, forge.store.log_id)
    report = run_to_the_end(reader, forge)
    reader.close()
    reason = "the row cannot be read: database disk image is malformed"
    assert report.violations[0] == Violation(rule="readable", reason=reason, position=2)


def test_the_report_says_what_was_compared_and_what_was_not(forge: Forge) -> None:
    forge.add("plane", FILLER)
    report = forge.report()
    assert (report.anchors, report.not_looked_at) == ((), (NO_ANCHOR, *NOT_LOOKED_AT))
    forge.anchor = Anchor(log_id=forge.store.log_id, position=0, chain="")
    assert NO_ANCHOR in forge.report().not_looked_at, "without an anchor nothing is proved"
    forge.anchor = Anchor(log_id=forge.store.log_id, position=1, chain=forge.chain.hex())
    report = forge.report()
    assert (report.anchors, report.not_looked_at) == (
        (ComparedAnchors(source="log.anchor", position=1),),
        NOT_LOOKED_AT,
    )
    forge.against = kept(forge.anchor, forge.anchor, replace(forge.anchor, position=0, chain=GENESIS.hex()))
    report = forge.report()
    assert report.ok
    assert [(one.source, one.position, one.count) for one in report.anchors] == [
        ("kept.anchors", 1, 3), ("log.anchor", 1, 1)
    ]  # fmt: skip


def test_anchors_that_an_accepted_fork_gave_up_are_counted(forge: Forge) -> None:
    anchors = given_up(forge)
    row = forge.store.reader().row(2)
    assert row is not None
    forge.against = Witnesses(anchors, ["kept.anchors"], [(2, row.chain[:MARK_BYTES])])
    report = forge.report()
    assert report.ok, report.violations
    assert report.anchors == (ComparedAnchors(source="kept.anchors", position=9, count=2, given_up=2),)


def test_a_key_of_a_command_without_events_is_right(forge: Forge) -> None:
    forge.add("plane", FILLER)
    forge.keys = [forge.key(1, 1), forge.key(2, 1)]
    report = forge.report()
    assert (report.ok, report.keys) == (True, 2)


class Restless(SqliteReader):
    """A log that grows with each read."""

    moments = 0

    def head(self) -> Position:
        self.moments += 1
        return self.moments if self.moments < 10 else 10


def test_head_and_guards_are_of_one_moment(forge: Forge) -> None:
    forge.add("plane", *[FILLER] * 10)
    reader = Restless(forge.store.path, forge.store.log_id)
    verifier = verifying.Verifier(reader, CODEC)
    reader.close()
    assert verifier.head == 10
