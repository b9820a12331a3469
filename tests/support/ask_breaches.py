"""Logs that break one rule of asks each."""

from msgspec.structs import replace

from athena_core.domain import run
from athena_core.event import Event
from athena_core.outside_text import HiddenSpan
from athena_core.values import RuleBound
from tests.support.breach import BEGUN, Breach, Step, breach, lived, wrote
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


def answered_by_rule(rule: Event) -> Step:
    """Return an answer that a permission rule gave."""
    return wrote("rule_1", rule, lived(PERMISSION, answered(cause="rule", by=None, rule_id="rule_1")))


def closed_and_never_ended(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, PERMISSION, without_a_choice("run-ended"))


def answered_too_late(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, asked(expires_at_ms=forge.now + 5), answered())


HIDING = asked(hidden=(HiddenSpan(chars=3, sha256="ab"),), exact=PUSH, arguments="[hidden]")
OPENED = run.RunAskOpened(ask_id="ask_1", subject_sha256=HIDING.subject_sha256, by="ada")
BOUND = RuleBound(harness_profile_id="hp_other", profile_sha256="00", sandbox="required", workspace="shared")

ASK_BREACHES: tuple[Breach, ...] = (
    breach("allowed_unopened", "answers", 5, "by ada, who had not opened the exact text")(lived(HIDING, answered())),
    breach("opened_by_another", "answers", 6, "had not opened")(lived(HIDING, replace(OPENED, by="bob"), answered())),
    breach("opened_what_hides_nothing", "openings", 5, "not open or hides nothing")(lived(PERMISSION, OPENED)),
    breach("opened_twice", "openings", 6, "ada opened ask_1 twice")(lived(HIDING, OPENED, OPENED)),
    breach("hid_another_text", "asks", 4, "not the hash of its subject")(lived(replace(HIDING, exact="{}"))),
    breach("answered_out_of_bounds", "answers_by_rule", 6, "conditions")(answered_by_rule(replace(RULE, bound=BOUND))),
    breach("asked_of_two_runs", "asks", 8, "run_2 asked ask_1 a second time")(
        lived(PERMISSION), "run_2", replace(CREATED, session_id="elsewhere"), LEASED, STARTED, PERMISSION
    ),
    breach("asked_twice", "asks", 5, "run_1 asked ask_1 a second time")(lived(PERMISSION, asked(call="call_2"))),
    breach("asked_again", "asks", 6, "run_1 asked ask_1 a second time")(lived(PERMISSION, answered(), PERMISSION)),
    breach("asked_twice_about_a_call", "asks", 5, "twice about the call call_1")(lived(PERMISSION, asked("ask_2"))),
    breach("asked_with_another_hash", "asks", 4, "not the hash of its subject")(lived(asked(subject_sha256="00" * 32))),
    breach("asked_about_another_call", "asks", 4, "not the hash of its subject")(lived(asked(tool_name="http"))),
    breach("asked_with_a_bad_salt", "asks", 4, "not the hash of its subject")(lived(asked(subject_salt="salt"))),
    breach("asked_another_question", "asks", 4, "the hash of its subject")(lived(replace(QUESTION, title="What?"))),
    breach("asked_with_another_form", "asks", 4, "the hash of its subject")(lived(replace(QUESTION, form=None))),
    breach("asked_with_other_names", "asks", 4, "the hash of its subj")(
        lived(replace(CHOICE, option_names=("a", "b")))
    ),
    breach("ended_while_it_asked", "asks", 5, "run_1 ended with open asks: ask_1")(lived(PERMISSION, COMPLETED)),
    breach("crashed_while_it_asked", "asks", 5, "run_1 ended with open asks: ask_1")(lived(PERMISSION, CRASHED)),
    breach("answered_twice", "answers", 6, "was answered before")(lived(PERMISSION, answered(), answered("deny"))),
    breach("answered_of_its_own_accord", "answers", 4, "but it never asked")(lived(answered())),
    breach("answered_for_another", "answers", 5, "another subject")(lived(PERMISSION, answered(subject_sha256="00"))),
    breach("answered_with_no_option", "answers", 5, "by person with yes, which is")(lived(PERMISSION, answered("yes"))),
    breach("answered_with_nothing", "answers", 5, "by person with None, which is")(lived(PERMISSION, answered(None))),
    breach("denied_by_a_rule", "answers", 6, "by rule with deny")(
        "rule_1", RULE, lived(PERMISSION, answered("deny", cause="rule", by=None, rule_id="rule_1"))
    ),
    breach("allowed_by_expiry", "answers", 5, "by expiry with allow")(lived(PERMISSION, answered(cause="expiry"))),
    breach("allowed_by_its_end", "answers", 5, "by run-ended")(lived(PERMISSION, answered(cause="run-ended"), CRASHED)),
    breach("expired_early", "answers", 5, "ms too early")(lived(PERMISSION, without_a_choice("expiry"))),
    (answered_too_late, "answers", 5, "ms after it had expired"),
    breach("edited_and_denied", "answers", 5, "nothing was allowed")(
        lived(PERMISSION, replace(EDITED, option_id="deny"))
    ),
    breach("edited_without_a_hash", "answers", 5, "other arg")(lived(PERMISSION, replace(EDITED, edited_sha256=None))),
    breach("edited_after_all", "answers", 5, "another one")(lived(PERMISSION, replace(EDITED, edited_sha256="00"))),
    breach("edited_a_question", "answers", 5, "nothing")(
        lived(QUESTION, replace(EDITED, ask_id="ask_9", option_id="answer", subject_sha256=QUESTION.subject_sha256))
    ),
    (closed_and_never_ended, "closed", None, "the asks of run_1 were closed by its end, but it has not ended"),
    breach("closed_and_ended_later", "closed", 6, "run.crashed of run_1, whose asks were closed by its end")(
        closed_and_never_ended, "run_1", CRASHED
    ),
    breach("answered_after_its_end", "closed", 7, "run.answered of run_1, whose asks were closed by its end")(
        lived(
            PERMISSION, asked("ask_2", "call_2"), without_a_choice("run-ended"), answered(ask=asked("ask_2")), CRASHED
        )
    ),
    breach("called_before_its_answer", "permitted", 5, "no answer to ask_1 allowed it")(lived(PERMISSION, PUSHED)),
    breach("called_though_refused", "permitted", 6, "no answer to ask_1")(lived(PERMISSION, answered("deny"), PUSHED)),
    breach("called_without_its_ask", "permitted", 6, "made without its ask ask_1")(
        lived(PERMISSION, answered(), CALLED)
    ),
    breach("called_for_nothing", "permitted", 4, "no answer to ask_1 allowed it")(lived(PUSHED)),
    breach("called_as_another", "permitted", 6, "which is about another call")(
        lived(PERMISSION, answered(), replace(PUSHED, tool_name="http"))
    ),
    breach("called_with_other_arguments", "permitted", 6, "made with arguments that the answer to ask_1 did not allow")(
        lived(PERMISSION, answered(), PUSHED_DRY)
    ),
    breach("called_with_another_credential", "permitted", 6, "made with other credentials than ask_1 named")(
        lived(asked(credentials=("github",)), answered(), replace(PUSHED, credentials=("jira",)))
    ),
    breach("called_with_a_credential", "permitted", 6, "made with other credentials than ask_1 named")(
        lived(PERMISSION, answered(), replace(PUSHED, credentials=("jira",)))
    ),
    breach("called_as_before_the_edit", "permitted", 6, "made with arguments that the answer to ask_1 did not allow")(
        lived(PERMISSION, EDITED, PUSHED)
    ),
    breach("called_after_its_result", "permitted", 8, "no answer")(
        lived(PERMISSION, answered(), PUSHED, RESULT, PUSHED)
    ),
    breach("settled_while_it_asked", "steps", 5, "the call call_1, which is not open")(lived(PERMISSION, REFUSED)),
    breach("settled_without_the_call", "steps", 6, "call_1, which is not open")(lived(PERMISSION, answered(), RESULT)),
    breach("parked_for_nothing", "parked", 4, "run_1 was parked for an ask, but none was open")(lived(PARKED)),
    breach("resumed_while_it_asked", "parked", 6, "run.resumed of run_1 while 1 asks")(
        lived(PERMISSION, PARKED, RESUMED)
    ),
    breach("in_line_while_it_asked", "parked", 6, "run.requeued of run_1 while 1")(lived(PERMISSION, PARKED, REQUEUED)),
    breach("in_line_for_money", "parked", 7, "run_1 waits in line, although it was not parked for an ask")(
        lived(DEAR, DEAR, PAUSED, REQUEUED, begun=(BUDGETED, LEASED, STARTED))
    ),
    breach("paused_for_money_while_it_asked", "parked", 7, "run_1 was paused for budget while 1 asks were open")(
        lived(DEAR, DEAR, PERMISSION, PAUSED, begun=(BUDGETED, LEASED, STARTED))
    ),
    breach("said_while_it_was_parked", "transitions", 6, "run_1, which is paused")(lived(PERMISSION, PARKED, SAID)),
    breach("answered_by_a_revoked_rule", "answers_by_rule", 7, "answered by the rule rule_1, which was not in force")(
        "rule_1", RULE, REVOKED, lived(PERMISSION, answered(cause="rule", by=None, rule_id="rule_1"))
    ),
    breach("answered_by_a_rule_with_a_credential", "answers_by_rule", 6, "which is for another call")(
        answered_by_rule(replace(RULE, credentials=("github",)))
    ),
    breach("answered_by_a_rule_of_another_session", "answers_by_rule", 6, "which is for another session")(
        answered_by_rule(replace(RULE, session_id="elsewhere"))
    ),
    breach("answered_by_a_rule_of_another_run", "answers_by_rule", 6, "which is for another run")(
        answered_by_rule(replace(RULE, scope="run", session_id=None, run_id="run_2"))
    ),
    breach(
        "answered_by_a_rule_of_a_profile_that_it_did_not_name", "answers_by_rule", 6, "which is for another profile"
    )(answered_by_rule(replace(RULE, scope="profile", session_id=None, harness_profile_id="hp_1"))),
    breach("answered_by_a_rule_for_another_tool", "answers_by_rule", 6, "which is for another call")(
        answered_by_rule(replace(RULE, tool_name="http"))
    ),
    breach("answered_by_a_rule_for_another_call", "answers_by_rule", 6, "which is for another call")(
        answered_by_rule(replace(RULE, arguments=DRY))
    ),
    breach("expired_before_its_time", "permission_rules", 2, "ms too early")(
        "rule_1", RULE, replace(REVOKED, cause="expiry", by=None)
    ),
    breach("created_elsewhere", "permission_rules", 1, "rule_1 is in stream rule_2")("rule_2", RULE),
    breach("in_line_twice", "transitions", 8, "is requeued")(lived(PERMISSION, PARKED, answered(), REQUEUED, REQUEUED)),
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
