"""Logs that break one rule of asks each."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event, Position
from athena_core.outside_text import HiddenSpan
from athena_core.values import RuleBound
from tests.support.events.ask import (
    CHOICE,
    DRY,
    EDITED,
    PARKED,
    PERMISSION,
    PUSH,
    PUSHED,
    PUSHED_DRY,
    QUESTION,
    REFUSED,
    REQUEUED,
    REVOKED,
    RULE,
    answered,
    asked,
    without_a_choice,
)
from tests.support.events.run import (
    ASKED,
    BUDGETED,
    CALLED,
    COMPLETED,
    CREATED,
    DEAR,
    LEASED,
    PAUSED,
    RESULT,
    RESUMED,
    SAID,
    STARTED,
)
from tests.support.forged_log import CRASHED, Forge

BEGUN = (CREATED, LEASED, STARTED)


def lived(*events: Event, begun: tuple[Event, ...] = BEGUN) -> Callable[[Forge], None]:
    """Return a breach by the events of a started run, in one command."""

    def breach(forge: Forge) -> None:
        forge.add("run_1", *begun, *events)

    return breach


def asked_of_two_runs(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, PERMISSION)
    forge.add("run_2", replace(CREATED, session_id="elsewhere"), LEASED, STARTED, PERMISSION)


def denied_by_a_rule(forge: Forge) -> None:
    forge.add("rule_1", RULE)
    forge.add("run_1", *BEGUN, PERMISSION, answered("deny", cause="rule", by=None, rule_id="rule_1"))


def created_elsewhere(forge: Forge) -> None:
    forge.add("rule_2", RULE)


def answered_by_a_revoked_rule(forge: Forge) -> None:
    forge.add("rule_1", RULE, REVOKED)
    forge.add("run_1", *BEGUN, PERMISSION, answered(cause="rule", by=None, rule_id="rule_1"))


def answered_by_rule(rule: Event, *run_events: Event) -> Callable[[Forge], None]:
    """Return a breach by an answer that a permission rule gave."""

    def breach(forge: Forge) -> None:
        forge.add("rule_1", rule)
        forge.add("run_1", *(run_events or BEGUN), PERMISSION, answered(cause="rule", by=None, rule_id="rule_1"))

    return breach


def expired_before_its_time(forge: Forge) -> None:
    forge.add("rule_1", RULE, replace(REVOKED, cause="expiry", by=None))


def closed_and_never_ended(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, PERMISSION, without_a_choice("run-ended"))


def closed_and_ended_later(forge: Forge) -> None:
    closed_and_never_ended(forge)
    forge.add("run_1", CRASHED)


def answered_too_late(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, asked(expires_at_ms=forge.now + 5), answered())


Breach = tuple[Callable[[Forge], None], str, Position | None, str]


def named(name: str, *rest: Any) -> Breach:
    breach, rule, position, words = rest
    breach.__name__ = name
    return breach, rule, position, words


HIDING = asked(hidden=(HiddenSpan(chars=3, sha256="ab"),), exact=PUSH, arguments="[hidden]")
OPENED = run.RunAskOpened(ask_id="ask_1", subject_sha256=HIDING.subject_sha256, by="ada")
BOUND = RuleBound(harness_profile_id="hp_other", profile_sha256="00", sandbox="required", workspace="shared")

ASK_BREACHES: tuple[Breach, ...] = (
    named("allowed_unopened", lived(HIDING, answered()), "answers", 5, "by ada, who had not opened the exact text"),
    named("opened_by_another", lived(HIDING, replace(OPENED, by="bob"), answered()), "answers", 6, "had not opened"),
    named("opened_what_hides_nothing", lived(PERMISSION, OPENED), "openings", 5, "not open or hides nothing"),
    named("opened_twice", lived(HIDING, OPENED, OPENED), "openings", 6, "ada opened ask_1 twice"),
    named("hid_another_text", lived(replace(HIDING, exact="{}")), "asks", 4, "not the hash of its subject"),
    named("answered_out_of_bounds", answered_by_rule(replace(RULE, bound=BOUND)), "answers_by_rule", 6, "conditions"),
    (asked_of_two_runs, "asks", 8, "run_2 asked ask_1 a second time"),
    named("asked_twice", lived(PERMISSION, asked(call="call_2")), "asks", 5, "run_1 asked ask_1 a second time"),
    named("asked_again", lived(PERMISSION, answered(), PERMISSION), "asks", 6, "run_1 asked ask_1 a second time"),
    named("asked_twice_about_a_call", lived(PERMISSION, asked("ask_2")), "asks", 5, "twice about the call call_1"),
    named("asked_with_another_hash", lived(asked(subject_sha256="00" * 32)), "asks", 4, "not the hash of its subject"),
    named("asked_about_another_call", lived(asked(tool_name="http")), "asks", 4, "not the hash of its subject"),
    named("asked_with_a_bad_salt", lived(asked(subject_salt="salt")), "asks", 4, "not the hash of its subject"),
    named("asked_another_question", lived(replace(QUESTION, title="What?")), "asks", 4, "the hash of its subject"),
    named("asked_with_another_form", lived(replace(QUESTION, form=None)), "asks", 4, "the hash of its subject"),
    named("asked_with_other_names", lived(replace(CHOICE, option_names=("a", "b"))), "asks", 4, "the hash of its subj"),
    named("ended_while_it_asked", lived(PERMISSION, COMPLETED), "asks", 5, "run_1 ended with open asks: ask_1"),
    named("crashed_while_it_asked", lived(PERMISSION, CRASHED), "asks", 5, "run_1 ended with open asks: ask_1"),
    named("answered_twice", lived(PERMISSION, answered(), answered("deny")), "answers", 6, "was answered before"),
    named("answered_of_its_own_accord", lived(answered()), "answers", 4, "but it never asked"),
    named("answered_for_another", lived(PERMISSION, answered(subject_sha256="00")), "answers", 5, "another subject"),
    named("answered_with_no_option", lived(PERMISSION, answered("yes")), "answers", 5, "by person with yes, which is"),
    named("answered_with_nothing", lived(PERMISSION, answered(None)), "answers", 5, "by person with None, which is"),
    (denied_by_a_rule, "answers", 6, "by rule with deny"),
    named("allowed_by_expiry", lived(PERMISSION, answered(cause="expiry")), "answers", 5, "by expiry with allow"),
    named("allowed_by_its_end", lived(PERMISSION, answered(cause="run-ended"), CRASHED), "answers", 5, "by run-ended"),
    named("expired_early", lived(PERMISSION, without_a_choice("expiry")), "answers", 5, "ms too early"),
    (answered_too_late, "answers", 5, "ms after it had expired"),
    named(
        "edited_and_denied", lived(PERMISSION, replace(EDITED, option_id="deny")), "answers", 5, "nothing was allowed"
    ),
    named("edited_without_a_hash", lived(PERMISSION, replace(EDITED, edited_sha256=None)), "answers", 5, "other arg"),
    named("edited_after_all", lived(PERMISSION, replace(EDITED, edited_sha256="00")), "answers", 5, "another one"),
    named(
        "edited_a_question",
        lived(QUESTION, replace(EDITED, ask_id="ask_9", option_id="answer", subject_sha256=QUESTION.subject_sha256)),
        "answers",
        5,
        "nothing",
    ),
    (closed_and_never_ended, "closed", None, "the asks of run_1 were closed by its end, but it has not ended"),
    (closed_and_ended_later, "closed", 6, "run.crashed of run_1, whose asks were closed by its end"),
    named(
        "answered_after_its_end",
        lived(
            PERMISSION, asked("ask_2", "call_2"), without_a_choice("run-ended"), answered(ask=asked("ask_2")), CRASHED
        ),
        *("closed", 7, "run.answered of run_1, whose asks were closed by its end"),
    ),
    named("called_before_its_answer", lived(PERMISSION, PUSHED), "permitted", 5, "no answer to ask_1 allowed it"),
    named("called_though_refused", lived(PERMISSION, answered("deny"), PUSHED), "permitted", 6, "no answer to ask_1"),
    named(
        "called_without_its_ask", lived(PERMISSION, answered(), CALLED), "permitted", 6, "made without its ask ask_1"
    ),
    named("called_for_nothing", lived(PUSHED), "permitted", 4, "no answer to ask_1 allowed it"),
    named(
        "called_as_another",
        lived(PERMISSION, answered(), replace(PUSHED, tool_name="http")),
        *("permitted", 6, "which is about another call"),
    ),
    named(
        "called_with_other_arguments",
        lived(PERMISSION, answered(), PUSHED_DRY),
        *("permitted", 6, "made with arguments that the answer to ask_1 did not allow"),
    ),
    named(
        "called_with_another_credential",
        lived(asked(credentials=("github",)), answered(), replace(PUSHED, credentials=("jira",))),
        *("permitted", 6, "made with other credentials than ask_1 named"),
    ),
    named(
        "called_with_a_credential",
        lived(PERMISSION, answered(), replace(PUSHED, credentials=("jira",))),
        *("permitted", 6, "made with other credentials than ask_1 named"),
    ),
    named(
        "called_as_before_the_edit",
        lived(PERMISSION, EDITED, PUSHED),
        *("permitted", 6, "made with arguments that the answer to ask_1 did not allow"),
    ),
    named(
        "called_after_its_result", lived(PERMISSION, answered(), PUSHED, RESULT, PUSHED), "permitted", 8, "no answer"
    ),
    named("settled_while_it_asked", lived(PERMISSION, REFUSED), "steps", 5, "the call call_1, which is not open"),
    named("settled_without_the_call", lived(PERMISSION, answered(), RESULT), "steps", 6, "call_1, which is not open"),
    named("parked_for_nothing", lived(PARKED), "parked", 4, "run_1 was parked for an ask, but none was open"),
    named(
        "resumed_while_it_asked", lived(PERMISSION, PARKED, RESUMED), "parked", 6, "run.resumed of run_1 while 1 asks"
    ),
    named("in_line_while_it_asked", lived(PERMISSION, PARKED, REQUEUED), "parked", 6, "run.requeued of run_1 while 1"),
    named(
        "in_line_for_money",
        lived(DEAR, DEAR, PAUSED, REQUEUED, begun=(BUDGETED, LEASED, STARTED)),
        *("parked", 7, "run_1 waits in line, although it was not parked for an ask"),
    ),
    named(
        "paused_for_money_while_it_asked",
        lived(DEAR, DEAR, PERMISSION, PAUSED, begun=(BUDGETED, LEASED, STARTED)),
        *("parked", 7, "run_1 was paused for budget while 1 asks were open"),
    ),
    named("said_while_it_was_parked", lived(PERMISSION, PARKED, SAID), "transitions", 6, "run_1, which is paused"),
    (answered_by_a_revoked_rule, "answers_by_rule", 7, "answered by the rule rule_1, which was not in force"),
    named(
        "answered_by_a_rule_with_a_credential",
        answered_by_rule(replace(RULE, credentials=("github",))),
        *("answers_by_rule", 6, "which is for another call"),
    ),
    named(
        "answered_by_a_rule_of_another_session",
        answered_by_rule(replace(RULE, session_id="elsewhere")),
        *("answers_by_rule", 6, "which is for another session"),
    ),
    named(
        "answered_by_a_rule_of_another_run",
        answered_by_rule(replace(RULE, scope="run", session_id=None, run_id="run_2")),
        *("answers_by_rule", 6, "which is for another run"),
    ),
    named(
        "answered_by_a_rule_of_a_profile_that_it_did_not_name",
        answered_by_rule(replace(RULE, scope="profile", session_id=None, harness_profile_id="hp_1")),
        *("answers_by_rule", 6, "which is for another profile"),
    ),
    named(
        "answered_by_a_rule_for_another_tool",
        answered_by_rule(replace(RULE, tool_name="http")),
        *("answers_by_rule", 6, "which is for another call"),
    ),
    named(
        "answered_by_a_rule_for_another_call",
        answered_by_rule(replace(RULE, arguments=DRY)),
        *("answers_by_rule", 6, "which is for another call"),
    ),
    (expired_before_its_time, "permission_rules", 2, "ms too early"),
    (created_elsewhere, "permission_rules", 1, "rule_1 is in stream rule_2"),
    named("in_line_twice", lived(PERMISSION, PARKED, answered(), REQUEUED, REQUEUED), "transitions", 8, "is requeued"),
)


def lives_with_asks(forge: Forge) -> None:
    """Append every legal course of asks."""
    resumed = (RESUMED, replace(LEASED, token=2), STARTED)
    forge.add("run_1", *BEGUN, SAID, PERMISSION, asked("ask_2", "call_2"), QUESTION)
    choice = replace(CHOICE, ask_id="ask_11", tool_call_id="call_11")
    forge.add("run_1", choice, answered("1", choice), replace(RESULT, tool_call_id="call_11"))
    forge.add("run_1", answered("deny", asked("ask_2")))
    forge.add("run_1", PARKED)
    forge.add("run_1", EDITED)
    forge.add("run_1", answered("answer", QUESTION), REQUEUED)
    forge.add("run_1", *resumed)
    forge.add("run_1", PUSHED_DRY)
    forge.add("run_1", RESULT, replace(REFUSED, tool_call_id="call_2"), replace(RESULT, tool_call_id="call_9"))
    forge.add("rule_1", RULE)
    forge.add("run_1", asked("ask_3"), answered(ask=asked("ask_3"), cause="rule", by=None, rule_id="rule_1"))
    forge.add("run_1", replace(PUSHED, ask_id="ask_3"), RESULT)
    forge.add("rule_1", REVOKED)
    forge.add("rule_2", replace(RULE, rule_id="rule_2", scope="profile", session_id=None, harness_profile_id="hp_1"))
    forge.add("run_3", replace(CREATED, session_id="third", profile_named=True), LEASED, STARTED, asked("ask_10"))
    forge.add("run_3", answered(ask=asked("ask_10"), cause="rule", by=None, rule_id="rule_2"), CRASHED)
    forge.add("run_1", asked("ask_4", expires_at_ms=forge.now))
    forge.add("run_1", without_a_choice("expiry", asked("ask_4")), REFUSED)
    forge.add("run_1", asked("ask_5"), answered(ask=asked("ask_5")), REFUSED)  # it was given up before the call
    forge.add("run_1", asked("ask_6"), asked("ask_7", "call_2"))
    forge.add("run_1", ASKED)
    ended = [without_a_choice("run-ended", asked(name)) for name in ("ask_6", "ask_7")]
    forge.add("run_1", *ended, CRASHED)
    forge.add("run_2", replace(CREATED, session_id="elsewhere"), LEASED, STARTED, asked("ask_8"))
