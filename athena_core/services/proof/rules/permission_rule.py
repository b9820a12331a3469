"""Rules of permission rules: each is used in its scope and for its call only, while it is in force."""

from athena_core.domain import run
from athena_core.domain.permission_rule import PermissionRuleCreated, PermissionRuleRevoked
from athena_core.log.codec import at_of
from athena_core.protocols import Row
from athena_core.services.asks.rules import bound_to
from athena_core.services.proof.rule import RuleSet, follow, rule
from athena_core.services.proof.rules.ask import AskRules
from athena_core.services.proof.rules.run import RunRules


class PermissionRuleRules(RuleSet):
    """The permission rules in force, by id."""

    def __init__(self, asks: AskRules, runs: RunRules) -> None:
        self._asks = asks
        self._runs = runs
        self._in_force: dict[str, PermissionRuleCreated] = {}

    @rule(PermissionRuleCreated, PermissionRuleRevoked)
    def permission_rules(self, row: Row, event: PermissionRuleCreated | PermissionRuleRevoked) -> str | None:
        """A permission rule is created once in a stream of its own, names one target, and is revoked once."""
        if row.stream != event.rule_id:
            return f"{row.type} of {event.rule_id} is in stream {row.stream}"
        if isinstance(event, PermissionRuleRevoked):
            known = self._in_force.get(event.rule_id)
            if known is None:
                return f"{event.rule_id} was revoked, but was not in force"
            early = event.cause == "expiry" and at_of(row) < known.expires_at_ms
            return f"{event.rule_id} expired {known.expires_at_ms - at_of(row)} ms too early" if early else None
        targets = {"run": event.run_id, "session": event.session_id, "profile": event.harness_profile_id}
        if row.version != 1 or [kind for kind, target in targets.items() if target is not None] != [event.scope]:
            return f"{event.rule_id} was created twice, or its target is not one {event.scope}"
        return None

    @rule(run.RunAnswered)
    def answers_by_rule(self, row: Row, event: run.RunAnswered) -> str | None:
        """An answer by a permission rule names one that was in force, for its run, its call and its conditions."""
        if event.cause != "rule":
            return None
        used, named = self._in_force.get(event.rule_id or ""), f"{event.ask_id} of {row.stream}"
        if used is None or used.expires_at_ms <= at_of(row):
            return f"{named} was answered by the rule {event.rule_id}, which was not in force"
        if not self._runs.is_in(row.stream, used.scope, used.target):
            return f"{named} was answered by the rule {event.rule_id}, which is for another {used.scope}"
        if not self._asks.is_for(row.stream, event.ask_id, used):
            return f"{named} was answered by the rule {event.rule_id}, which is for another call"
        request = self._runs.request(row.stream)
        if used.bound is None or request is None:  # a rule of an older release
            return None
        if used.bound != bound_to(request, used.tool_name, self._asks.tool_sha256(row.stream, event.ask_id)):
            return f"{named} was answered by the rule {event.rule_id}, which is bound to other conditions"
        return None

    @follow(PermissionRuleCreated, PermissionRuleRevoked)
    def advance(self, row: Row, event: PermissionRuleCreated | PermissionRuleRevoked) -> None:
        if isinstance(event, PermissionRuleCreated):
            self._in_force[event.rule_id] = event
        else:
            self._in_force.pop(event.rule_id, None)
