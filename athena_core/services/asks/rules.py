"""The service of permission rules: find the rule that allows a call, and revoke rules.

A rule allows one exact call: a tool and its arguments, compared as canonical JSON by a salted hash, and the same
credentials. The salt is text of the rule, so a rule whose text was erased allows nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import permission_rule, run
from athena_core.domain.permission_rule import RULE_GUARD, RULES_MAX, PermissionRuleCreated
from athena_core.errors import NotFound
from athena_core.event import Fact, Meta
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.states import META
from athena_core.tools.approval import call_sha256, canonical


def places_of(run_id: str, request: run.RunCreated) -> tuple[str, ...]:
    """Return the places whose rules apply to a run: the run, its session, and its profile if it named one."""
    places = [permission_rule.place_of("run", run_id), permission_rule.place_of("session", request.session_id)]
    if request.profile_named:
        places.append(permission_rule.place_of("profile", request.harness_profile_id))
    return tuple(places)


def without_revoked(reader: Reader, context: Context, steps: Sequence[run.RunStep]) -> tuple[run.RunStep, ...]:
    """Return the steps without the answers by rules that are no longer in force, so that their asks stay open."""
    return tuple(
        step
        for step in steps
        if not isinstance(step, run.RunAnswered)
        or step.rule_id is None
        or permission_rule.in_force(reader, step.rule_id, context.now)
    )


class AllowedCall(NamedTuple):
    """The call that a rule allows: its salt, its hash, and the names of the credentials that it carries."""

    salt: str
    sha256: str
    credentials: tuple[str, ...] | None


class PermissionRules:
    """Finds and revokes permission rules. An answer to an ask creates them (``answers.py``)."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reader = log.reader()
        self._hashes: dict[str, AllowedCall] = {}
        """The calls of rules that were looked at, by id."""

    async def match(
        self,
        run_id: str,
        request: run.RunCreated,
        tool_name: str,
        arguments: str,
        credentials: tuple[str, ...] | None = None,
    ) -> str | None:
        """Return the id of a rule in force that allows exactly this call in a run; None if there is none.

        It reads nothing but counters unless a rule for the tool exists in the run, its session or its profile.
        """
        wanted = tuple(permission_rule.tool_at(place, tool_name) for place in places_of(run_id, request))

        def candidates(reader: Reader, context: Context) -> Outcome[tuple[str, ...]]:
            if not any(reader.count(RULE_GUARD, place) for place in wanted):
                return Outcome(answer=())
            rows = reader.guards(RULE_GUARD).items()
            now = context.now
            return Outcome(answer=tuple(key for key, (_, at, until) in rows if at in wanted and int(until) > now))

        found = await self._log.submit(candidates, META)
        allows = (rule_id for rule_id in found.answer if self._allows(rule_id, tool_name, arguments, credentials))
        return next(allows, None)

    def _allows(self, rule_id: str, tool_name: str, arguments: str, credentials: tuple[str, ...] | None) -> bool:
        known = self._hashes.get(rule_id) or self._read(rule_id)
        if known is None or known.credentials != credentials:
            return False
        return call_sha256(known.salt, tool_name, canonical(arguments)) == known.sha256

    def _read(self, rule_id: str) -> AllowedCall | None:
        """Return the call of a rule; None if its text was erased."""
        for row in self._reader.stream(rule_id)[:1]:
            created = self._log.codec.decode(row).event
            if isinstance(created, PermissionRuleCreated) and created.call_salt is not None:
                if len(self._hashes) >= RULES_MAX:
                    self._hashes.clear()
                self._hashes[rule_id] = AllowedCall(created.call_salt, created.call_sha256, created.credentials)
                return self._hashes[rule_id]
        return None

    async def revoke(self, rule_id: str, by: str, meta: Meta, key: Key | None) -> Committed:
        """Revoke a rule; the subject of the commit is its id. Nothing happens if it is over. Raise NotFound."""
        if not permission_rule.DECIDER.owns(rule_id):
            raise NotFound(f"no permission rule {rule_id!r} exists")
        return await self._log.submit(
            lambda reader, context: Outcome(facts=_revoked(reader, context, rule_id, by), subject=rule_id), meta, key
        )

    async def expire(self, rule_id: str, meta: Meta) -> None:
        """Revoke a rule if its time is over."""
        await self._log.submit(lambda reader, context: Outcome(facts=_revoked(reader, context, rule_id, None)), meta)

    def forget(self) -> None:
        """Forget the salts of all rules, because text was erased."""
        self._hashes.clear()

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


def _revoked(reader: Reader, context: Context, rule_id: str, by: str | None) -> tuple[Fact, ...]:
    state = reader.state(permission_rule.DECIDER, rule_id)
    command = permission_rule.RevokePermissionRule(rule_id=rule_id, by=by)
    return facts_of(rule_id, permission_rule.decide(command, state, context))
