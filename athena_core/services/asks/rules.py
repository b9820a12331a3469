"""The service of permission rules: find the rule that allows a call, and revoke rules.

A rule allows one exact call: a tool and its arguments, compared as canonical JSON by a salted hash, and the same
credentials. It is bound to all else that the person saw. The salt is text of the rule, so a rule whose text was erased
allows nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.definitions.profile import AskPolicy, SandboxPolicy
from athena_core.domain import permission_rule, run
from athena_core.domain.permission_rule import RULE_GUARD, RULES_MAX, PermissionRuleCreated
from athena_core.errors import NotFound
from athena_core.event import Fact, Meta
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.mcp.tool_names import SEPARATOR, public_name
from athena_core.services.asks.rights import is_excluded, requesters
from athena_core.services.states import META
from athena_core.tools.approval import call_sha256, canonical
from athena_core.values import RuleBound

UNKNOWN_TOOL = ""
"""Stands for the hash of an MCP tool that is not known. No rule allows a call of such a tool."""
NO_SANDBOX = SandboxPolicy(mode="off")


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


def bound_to(request: run.RunRequest, tool_name: str, tool_sha256: str | None) -> RuleBound:
    """Return what a rule is bound to that allows a call in a run. ``tool_sha256`` is the one of the ask."""
    profile = request.harness_profile_snapshot
    sandbox, asks, own = profile.sandbox or NO_SANDBOX, profile.asks or AskPolicy(), run.own_workspace(request)
    return RuleBound(
        harness_profile_id=request.harness_profile_id,
        profile_sha256=permission_rule.profile_sha256(profile),
        sandbox=sandbox.mode,
        workspace="shared" if own is None else own[0],
        network=sandbox.network,
        role=asks.role,
        approvers=asks.approvers,
        not_requester=asks.not_requester,
        mcp_tool_sha256=tool_sha256 or _pinned(request, tool_name),
    )


def _pinned(request: run.RunRequest, tool_name: str) -> str | None:
    """Return the hash of an MCP tool that a run was bound to when it was created; UNKNOWN_TOOL if it has none.

    None for another tool.
    """
    servers = request.harness_profile_snapshot.mcp or {}
    server = next((name for name in servers if tool_name.startswith(f"{name}{SEPARATOR}")), None)
    if server is None:
        return None
    pins = (request.mcp_tools or {}).get(server, {})
    return next((sha256 for tool, sha256 in pins.items() if public_name(server, tool) == tool_name), UNKNOWN_TOOL)


class AllowedCall(NamedTuple):
    """The call that a rule allows: its salt, its hash, and what else has to be the same. ``by`` allowed it."""

    salt: str
    sha256: str
    credentials: tuple[str, ...] | None
    bound: RuleBound | None
    by: str


class PermissionRules:
    """Finds and revokes permission rules. An answer to an ask creates them (``answers.py``)."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reader = log.reader()
        self._hashes: dict[str, AllowedCall] = {}
        """The calls of rules that were looked at, by id."""

    async def match(self, run_id: str, request: run.RunCreated, ask: run.RunAsked) -> str | None:
        """Return the id of a rule in force that allows exactly the call of an ask in a run; None if there is none.

        It reads nothing but counters unless a rule for the tool exists in the run, its session or its profile. A rule
        does not answer what its creator could not answer.
        """
        if ask.hidden:
            return None
        wanted = tuple(permission_rule.tool_at(place, ask.tool_name or "") for place in places_of(run_id, request))

        def candidates(reader: Reader, context: Context) -> Outcome[tuple[str, ...]]:
            if not any(reader.count(RULE_GUARD, place) for place in wanted):
                return Outcome(answer=())
            rows = reader.guards(RULE_GUARD).items()
            now = context.now
            return Outcome(answer=tuple(key for key, (_, at, until) in rows if at in wanted and int(until) > now))

        found = await self._log.submit(candidates, META)
        if not found.answer:
            return None
        bound = bound_to(request, ask.tool_name or "", ask.tool_sha256)
        arguments = canonical(ask.exact_arguments or "")
        for rule_id in found.answer:
            known = self._hashes.get(rule_id) or self._read(rule_id)
            if known is None or not _allows(known, ask, arguments, bound):
                continue
            if await self._might_answer(known.by, run_id, ask):
                return rule_id
        return None

    async def _might_answer(self, by: str, run_id: str, ask: run.RunAsked) -> bool:
        """Return True if the creator of a rule is not excluded from the answer to an ask."""
        started_by: frozenset[str] = frozenset()
        if ask.not_requester:
            (first,) = self._reader.stream(run_id, 0, 1)
            found = await self._log.submit(
                lambda reader, context: Outcome(answer=requesters(reader, run_id, first.actor)), META
            )
            started_by = found.answer
        return not is_excluded(ask, by, started_by)

    def _read(self, rule_id: str) -> AllowedCall | None:
        """Return the call of a rule; None if its text was erased."""
        for row in self._reader.stream(rule_id)[:1]:
            created = self._log.codec.decode(row).event
            if isinstance(created, PermissionRuleCreated) and created.call_salt is not None:
                if len(self._hashes) >= RULES_MAX:
                    self._hashes.clear()
                bound = created.bound or self._bound_of_old(row.run_id, created)
                known = AllowedCall(created.call_salt, created.call_sha256, created.credentials, bound, created.by)
                self._hashes[rule_id] = known
                return known
        return None

    def _bound_of_old(self, run_id: str | None, created: PermissionRuleCreated) -> RuleBound | None:
        """Return what a rule of an older release is bound to: all that its run had. None if that is unknown."""
        for row in self._reader.stream(run_id or "", 0, 1):
            request = self._log.codec.decode(row, text=False).event
            if isinstance(request, run.RunRequest):
                return bound_to(request, created.tool_name, None)
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
        self._reader.close()


def _allows(rule: AllowedCall, ask: run.RunAsked, arguments: str, bound: RuleBound) -> bool:
    """Return True if a rule is for the call of an ask, under the conditions of its run."""
    if rule.credentials != ask.credentials or rule.bound != bound or bound.mcp_tool_sha256 == UNKNOWN_TOOL:
        return False
    return call_sha256(rule.salt, ask.tool_name or "", arguments, ask.secrets) == rule.sha256


def _revoked(reader: Reader, context: Context, rule_id: str, by: str | None) -> tuple[Fact, ...]:
    state = reader.state(permission_rule.DECIDER, rule_id)
    command = permission_rule.RevokePermissionRule(rule_id=rule_id, by=by)
    return facts_of(rule_id, permission_rule.decide(command, state, context))
