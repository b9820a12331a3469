"""The oracle of asks: the promises of ``docs/reference/runs.md``, checked against the rows of a log."""

import json
from collections.abc import Callable
from typing import NamedTuple

from athena_core.domain import run
from athena_core.domain.halt import HaltLifted, HaltStarted
from athena_core.domain.permission_rule import PermissionRuleCreated, PermissionRuleRevoked
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.asks.answers import AnswerBody
from athena_core.services.proof.rules.ask import AskRules
from athena_core.services.proof.rules.log import LogRules
from athena_core.services.proof.rules.permission_rule import PermissionRuleRules
from athena_core.services.proof.rules.policy import HaltRules, PolicyRules
from athena_core.services.proof.rules.run import RunRules
from athena_core.values import Identity
from tests.simulation.loop import EPOCH_MS
from tests.simulation.proof import Proof

RANKS = {"None": 0, "Viewer": 1, "Operator": 2, "Admin": 3}
DAY_MS = 86_400_000
REMEMBERED_MS = {"run": DAY_MS, "session": 7 * DAY_MS, "profile": 30 * DAY_MS}
LATE_MS = 40_000
"""The time after which an ask or a rule must have ended that expired."""
MEANWHILE = frozenset(("ASK_DECIDED", "ASK_EXPIRED", "ASK_ENDED", "EXACT_NOT_OPENED"))
"""Errors whose cause may come or go while a request waits. The rows show the order."""
SLACK_MS = 100


class Request(NamedTuple):
    """An answer that a caller sent, and the outcome: the code of an error, or empty."""

    ask: run.RunAsked
    of: run.RunCreated
    run_id: str
    body: AnswerBody
    who: Identity
    began: int
    ended: int
    outcome: str
    replayed: bool
    subject: str | None


class Rule(NamedTuple):
    """A permission rule, its ask, its run, and when it began and ended."""

    created: PermissionRuleCreated
    ask: run.RunAsked
    of: run.RunCreated
    at: int
    ended: int | None = None


class Decision(NamedTuple):
    """The end of an ask, and when and by which command it came."""

    event: run.RunAnswered
    at: int
    command: str


def may_answer(ask: run.RunAsked, of: run.RunCreated, who: Identity) -> bool:
    """Return True if the docs let an identity answer an ask of a run."""
    requested, rank = who.subject in (of.requesters or ()), RANKS[who.role.value]
    if (ask.not_requester and requested) or (ask.approvers is not None and who.subject not in ask.approvers):
        return False
    return rank >= RANKS[ask.role or "Operator"] or (ask.kind != "tool-permission" and requested and rank > 0)


def covers(who: Identity, request: Request) -> bool:
    """Return True if the scope of a caller covers the rule that it asks for."""
    if who.scope is None or request.body.remember is None:
        return True
    if request.body.remember == "profile":
        return False
    sessions, runs = who.scope.sessions, who.scope.runs
    if runs is not None and (request.body.remember == "session" or request.run_id not in runs):
        return False
    return sessions is None or request.of.session_id in sessions


class AskJudge:
    """The asks, rules and halts of a history."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.failures: list[tuple[str, str, float]] = []
        self.requests: list[Request] = []
        self.now = EPOCH_MS
        self._log = LogRules()
        policies, halts, asks = PolicyRules(), HaltRules(), AskRules()
        runs = RunRules(self._log, policies, halts, asks)
        self._proof = Proof(policies, asks, runs, PermissionRuleRules(asks, runs), halts)
        self._requests_of: dict[str, run.RunCreated] = {}
        self._asks: dict[str, tuple[run.RunAsked, str, int]] = {}
        self._decided: dict[str, Decision] = {}
        self._permissions: dict[str, Rule] = {}
        self._opened: dict[tuple[str, str], int] = {}
        self._stopped: dict[str, int] = {}
        """When runs ended, or their end was requested."""
        self._halted = False
        self._waits: dict[str, bool] = {}
        """Parked runs: True once in line."""
        self._created: dict[str, list[PermissionRuleCreated]] = {}
        """New rules by command."""

    def is_open(self, ask_id: str) -> bool:
        return ask_id not in self._decided

    def fail(self, kind: str, what: str) -> None:
        self.failures.append((kind, what, (self.now - EPOCH_MS) / 1000))
        self._say(f"FAILED {kind}: {what}")

    # Each row

    def look(self, row: Row, event: Event) -> None:
        """Judge a committed row."""
        self.now = row.recorded_at
        for breach in self._proof.breaches(row, event):
            self.fail("verify", breach)
        self._log.advance(row)
        match event:
            case run.RunCreated():
                self._requests_of[row.stream] = event
            case run.RunAsked():
                self._asks[event.ask_id] = event, row.stream, row.recorded_at
            case run.RunAskOpened():
                self._opened.setdefault((event.ask_id, event.by), row.recorded_at)
            case run.RunAnswered():
                self._look_at_answer(row, event)
            case PermissionRuleCreated():
                ask, run_id, _ = self._asks[event.ask_id]
                self._permissions[event.rule_id] = Rule(event, ask, self._requests_of[run_id], row.recorded_at)
                self._created.setdefault(row.command_id, []).append(event)
            case PermissionRuleRevoked():
                self._look_at_revoked(row, event)
            case HaltStarted():
                self._halted = True
            case HaltLifted():
                self._halted = False
            case _:
                self._look_at_run(row, event)

    def _look_at_run(self, row: Row, event: Event) -> None:
        match event:
            case run.RunPaused():
                self._waits[row.stream] = False
            case run.RunRequeued():
                self._waits[row.stream] = True
            case run.RunResumed():
                self._waits.pop(row.stream, None)
                if self._halted:
                    self.fail("halt", f"{row.stream} resumed in a halt")
                if self._open(row.stream):
                    self.fail("resumed", f"{row.stream} resumed while it asks")
            case run.RunCancelRequested():
                self._stopped.setdefault(row.stream, row.recorded_at)
            case _ if isinstance(event, run.ENDINGS):
                self._stopped.setdefault(row.stream, row.recorded_at)
                self._waits.pop(row.stream, None)
                if self._open(row.stream):
                    self.fail("closed", f"{row.stream} ended and left asks open")

    def _open(self, run_id: str) -> list[str]:
        return [ask_id for ask_id, (_, of, _) in self._asks.items() if of == run_id and ask_id not in self._decided]

    def _look_at_answer(self, row: Row, event: run.RunAnswered) -> None:
        ask = self._asks[event.ask_id][0]
        if event.ask_id in self._decided:
            self.fail("once", f"{event.ask_id} was decided twice")
        self._decided[event.ask_id] = Decision(event, row.recorded_at, row.command_id)
        if event.cause == "expiry" and row.recorded_at < ask.expires_at_ms:
            self.fail("expiry", f"{event.ask_id} expired {ask.expires_at_ms - row.recorded_at} ms too early")
        if event.cause in {"person", "rule"} and row.recorded_at >= ask.expires_at_ms:
            self.fail("expiry", f"{event.ask_id} was answered after it had expired")
        if event.cause in {"person", "rule"} and row.stream in self._stopped:
            self.fail("ended", f"{event.ask_id} was answered after the end of its run was requested")
        if event.cause == "rule":
            self._look_at_rule(row, event, ask)

    def _look_at_rule(self, row: Row, event: run.RunAnswered, ask: run.RunAsked) -> None:
        rule, request = self._permissions.get(event.rule_id or ""), self._requests_of[row.stream]
        if rule is None:
            self.fail("rule", f"{event.ask_id} was answered by an unknown rule")
        elif rule.ended is not None or row.recorded_at >= rule.created.expires_at_ms:
            self.fail("rule", f"{event.ask_id} was answered by {event.rule_id}, which is not in force")
        elif (why := self._unfit(rule, row.stream, request, ask)) is not None:
            self.fail("rule", f"{event.ask_id} was answered by {event.rule_id}: {why}")

    @staticmethod
    def _unfit(rule: Rule, run_id: str, request: run.RunCreated, ask: run.RunAsked) -> str | None:
        """Return why a rule does not answer an ask."""
        created, profile, own = rule.created, request.harness_profile_snapshot, rule.of.harness_profile_snapshot
        by_profile = request.harness_profile_id if request.profile_named else None
        places = {"run": run_id, "session": request.session_id, "profile": by_profile}
        if places[created.scope] != created.target:
            return f"another {created.scope}"
        if (
            json.loads(ask.arguments or "") != json.loads(rule.ask.arguments or "")
            or ask.tool_name != created.tool_name
        ):
            return "another call"
        if ask.credentials != rule.ask.credentials:
            return "other credentials"
        if (profile, request.harness_profile_id) != (own, rule.of.harness_profile_id):
            return "another profile than its creator saw"
        if ask.hidden:
            return "a hidden part"
        excluded = ask.not_requester and created.by in (request.requesters or ())
        if excluded or (ask.approvers is not None and created.by not in ask.approvers):
            return f"{created.by} may not answer it"
        return None

    def _look_at_revoked(self, row: Row, event: PermissionRuleRevoked) -> None:
        rule = self._permissions[event.rule_id]
        if rule.ended is not None:
            self.fail("rule", f"{event.rule_id} ended twice")
        if event.cause == "expiry" and row.recorded_at < rule.created.expires_at_ms:
            self.fail("rule", f"{event.rule_id} expired too early")
        self._permissions[event.rule_id] = rule._replace(ended=row.recorded_at)

    def opened(self, ask: run.RunAsked, of: run.RunCreated, who: Identity, text: str | None) -> None:
        """Judge that a caller read an exact text."""
        if not may_answer(ask, of, who):
            self.fail("opened", f"{who.subject} read {ask.ask_id}, which it may not answer")
        if text != (ask.exact or ask.arguments):
            self.fail("opened", f"{ask.ask_id} was shown as {text}")

    # The end

    def end(self, now: int) -> None:
        """Judge what was answered, and what should have happened."""
        self.now = now
        for request in self.requests:
            self._judge_request(request)
        for ask_id, (ask, run_id, at) in self._asks.items():
            decision = self._decided.get(ask_id)
            until = now if decision is None else decision.at
            if run_id not in self._stopped and until > ask.expires_at_ms + LATE_MS:
                self.fail("late", f"{ask_id} was open long after it had expired")
            if decision is not None and decision.event.cause == "person":
                self._judge_decision(ask, decision)
            elif decision is not None and (decision.event.cause, ask.on_expiry) == ("expiry", "cancel"):
                self._judge_cancelled(ask_id, run_id)
            if decision is None or decision.event.cause != "rule":
                self._judge_unruled(ask, run_id, at)
        for rule_id, rule in self._permissions.items():
            if (now if rule.ended is None else rule.ended) > rule.created.expires_at_ms + LATE_MS:
                self.fail("late", f"{rule_id} was in force long after it had expired")
        for run_id, queued in self._waits.items():
            if not queued and not self._open(run_id) and run_id not in self._stopped:
                self.fail("stuck", f"{run_id} is parked and has no open ask")
        for breach in self._proof.finish():
            self.fail("verify", breach)

    def _judge_cancelled(self, ask_id: str, run_id: str) -> None:
        if run_id not in self._stopped:
            self.fail("late", f"{run_id} was not cancelled, although {ask_id} expired")

    def _judge_unruled(self, ask: run.RunAsked, run_id: str, at: int) -> None:
        """Fail if a rule was in force that allows an ask, and no rule answered it.

        If the rule that was chosen ends before the answer is recorded, the ask stays open, although another rule fits.
        """
        request = self._requests_of[run_id]
        fits = [rule for rule in self._permissions.values() if self._unfit(rule, run_id, request, ask) is None]
        ends = [min(rule.created.expires_at_ms, rule.ended or rule.created.expires_at_ms) for rule in fits]
        if ask.kind != "tool-permission" or any(at - 2 * SLACK_MS < end <= at + SLACK_MS for end in ends):
            return
        for rule, end in zip(fits, ends, strict=True):
            if rule.at < at - 2 * SLACK_MS and at < end:
                self.fail("unruled", f"{rule.created.rule_id} allows {ask.ask_id}, and did not answer it")

    def _judge_decision(self, ask: run.RunAsked, decision: Decision) -> None:
        """Fail unless one request gave an answer, and could give it."""
        event = decision.event
        sent = [one for one in self.requests if one.body.note == event.note]
        done = [one for one in sent if not one.outcome and not one.replayed]
        if len(done) != 1 or done[0].who.subject != event.by or done[0].ask.ask_id != ask.ask_id:
            self.fail("answer", f"{ask.ask_id} was decided by {event.by}, and {len(done)} requests succeeded")
            return
        (request,) = done
        body, allows = request.body, event.option_id in {"allow", "answer"}
        if body.option_id != event.option_id:
            self.fail("answer", f"{ask.ask_id} was answered with {event.option_id}, not {body.option_id}")
        edited = None if event.arguments is None else json.loads(event.arguments)
        if edited != (body.edited_arguments if allows else None):
            self.fail("answer", f"{ask.ask_id} is allowed with {edited}")
        if (None if event.values is None else json.loads(event.values)) != body.values:
            self.fail("answer", f"{ask.ask_id} has the values {event.values}")
        made = self._created.get(decision.command, [])
        if body.remember is None:
            if made:
                self.fail("answer", f"{ask.ask_id} created a rule, which was not wanted")
            return
        after = body.remember_for_ms or REMEMBERED_MS[body.remember]
        places = {"run": request.run_id, "session": request.of.session_id, "profile": request.of.harness_profile_id}
        wanted = [(body.remember, places[body.remember], decision.at + after, event.by, ask.ask_id)]
        if [(one.scope, one.target, one.expires_at_ms, one.by, one.ask_id) for one in made] != wanted:
            self.fail("answer", f"{ask.ask_id} created {made}, not {wanted}")

    def _judge_request(self, request: Request) -> None:
        """Fail if a request had another outcome than the docs say."""
        why, ask, outcome = self._refusals(request), request.ask, request.outcome
        if not outcome and not request.replayed:
            wrong = why - MEANWHILE
            decision = self._decided.get(ask.ask_id)
            if wrong:
                self.fail("allowed", f"{request.who.subject} answered {ask.ask_id}, though {wrong}")
            elif decision is None or decision.event.note != request.body.note:
                self.fail("allowed", f"the answer of {request.who.subject} to {ask.ask_id} is not recorded")
        elif outcome and outcome not in why:
            self.fail("refused", f"{request.who.subject} got {outcome} for {ask.ask_id}; reasons were {why or 'none'}")

    def _refusals(self, request: Request) -> set[str]:
        """Return the errors that a request may get."""
        ask, body, who, why = request.ask, request.body, request.who, set[str]()
        if not may_answer(ask, request.of, who) or not covers(who, request):
            why.add("AUTHZ_DENIED")
        if body.subject_hash != ask.subject_sha256:
            why.add("ASK_CHANGED")
        decision, stopped = self._decided.get(ask.ask_id), self._stopped.get(request.run_id)
        if decision is not None and decision.at <= request.ended:
            why.add(
                {"person": "ASK_DECIDED", "rule": "ASK_DECIDED", "expiry": "ASK_EXPIRED"}.get(
                    decision.event.cause, "ASK_ENDED"
                )
            )
        if ask.expires_at_ms <= request.ended:
            why.add("ASK_EXPIRED")
        if stopped is not None and stopped <= request.ended:
            why.add("ASK_ENDED")
        if body.edited_arguments is not None and ask.origin == "agent":
            why.add("ASK_NOT_EDITABLE")
        if body.remember is not None and (ask.kind != "tool-permission" or ask.hidden):
            why.add("CONFIG_ERROR")
        if body.remember == "profile" and not request.of.profile_named:
            why.add("CONFIG_ERROR")
        if ask.hidden and body.option_id == "allow":
            opened = self._opened.get((ask.ask_id, who.subject))
            if opened is None or opened >= request.began:
                why.add("EXACT_NOT_OPENED")
        return why
