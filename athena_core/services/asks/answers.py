"""The service of answers: a person decides what a run asks, and the run goes on.

The text of an ask never changes, so options, values and edited arguments are checked outside of the log. The right to
answer, the first answer, and the room for the run are decided in one transaction.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, NoReturn

import msgspec

from athena_core.clock import Ids, iso
from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.domain import permission_rule, run
from athena_core.domain.permission_rule import CreatePermissionRule, PermissionRuleCreated
from athena_core.enums import RuleScope
from athena_core.errors import (
    AskChanged,
    AskDecided,
    AskEnded,
    AskExpired,
    AskNotEditable,
    AthenaError,
    ConfigError,
    NotFound,
)
from athena_core.event import Fact, Meta, Position, says
from athena_core.log.codec import SALT_BYTES
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.outside_text import values_of_form
from athena_core.schema import SchemaRefused
from athena_core.services.access.access import Access, ScopeProof, decision_denied
from athena_core.services.asks.rights import may_answer, requesters
from athena_core.services.asks.rules import bound_to
from athena_core.services.mcp.run_tools import approval_of_call
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.runs import LocalExecutor
from athena_core.text import clean
from athena_core.tools.approval import call_sha256, canonical
from athena_core.tools.ask_user import VALUES_BYTES_MAX, form_problems
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.toolbox import ToolRegistry
from athena_core.values import Body, Identity, Label, Role

OPERATION = "answerAsk"
EDITED_BYTES_MAX = 1 << 20
DAY_MS = 86_400_000
REMEMBER_MS_MAX = 365 * DAY_MS
REMEMBER_MS: dict[RuleScope, int] = {"run": DAY_MS, "session": 7 * DAY_MS, "profile": 30 * DAY_MS}
"""How long a permission rule is in force by default."""
EDITABLE = frozenset(("loop", "mcp"))
"""Origins whose calls Athena makes, so that their arguments can be edited."""


class AnswerBody(Body):
    """An answer to an ask: one of its options, or the values of its form.

    ``subject_hash`` is the hash that was shown. ``edited_arguments`` replaces the arguments of the call. ``remember``
    also allows the same call in the future, in the run, its session or all runs of its profile.
    """

    subject_hash: Annotated[Label, says("Hash that was shown, `subjectHash` of the ask.")]
    option_id: Annotated[Label | None, says("An option of the ask; needless with `values`.")] = None
    values: Annotated[dict[Label, Any] | None, says("Values that fit the `form` of a question.")] = None
    note: Label | None = None
    edited_arguments: Annotated[
        dict[Label, Any] | None, says("Arguments of the call to make instead; only where the ask is `editable`.")
    ] = None
    remember: Annotated[RuleScope | None, says("Also allow this exact call from now on, there.")] = None
    remember_for_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=1_000, le=REMEMBER_MS_MAX)] | None,
        says("How long; by default 1 day in a run, 7 in a session, 30 in a profile."),
    ] = None


class OpenAsk(NamedTuple):
    """An ask with its text, its run, the run's request, and who sent it."""

    run_id: str
    ask: run.RunAsked
    request: run.RunRequest
    actor: str


class SelectedAsks(NamedTuple):
    """The asks that a filter selected, kept with the idempotency key. ``more`` is true if it covered further ones."""

    ask_ids: tuple[str, ...]
    more: bool


class CheckedAnswer(NamedTuple):
    """An answer that fits its ask: the command, and the rule to create with it."""

    command: run.AnswerAsk
    rule: PermissionRuleCreated | None


class Answers:
    """Answers the asks of runs."""

    def __init__(
        self,
        log: Log,
        executor: LocalExecutor,
        access: Access,
        tools_of: Callable[[run.RunRequest], ToolRegistry],
        mask: Mask,
        ids: Ids,
    ) -> None:
        """``tools_of`` returns the tools of a run."""
        self._log = log
        self._executor = executor
        self._access = access
        self._tools_of = tools_of
        self._mask = mask
        self._ids = ids
        self._reader = log.reader()

    async def answer(
        self, position: Position, body: AnswerBody, who: Identity, meta: Meta, key: Key | None
    ) -> Committed:
        """Answer the ask at a position; the subject of the commit is its id.

        Raise AskDecided, AskExpired, AskEnded or AskChanged if the answer came too late, ConfigError or AskNotEditable
        if it does not fit, AuthzDenied for a caller who may not decide, and PermissionRuleLimit.
        """
        asked = self._asked(position)
        checked = self._checked(asked, body, who)
        capacity, run_id = self._executor.capacity, asked.run_id

        def answer(reader: Reader, context: Context) -> Outcome:
            self._check_right(reader, context, asked, who)
            denied = self._check_reach(reader, context, asked, body, who)
            draft = RunTransaction(reader, context, capacity)
            draft.decide(run_id, checked.command)
            if checked.rule is not None:
                draft.add(_rule_facts(reader, context, asked, checked.rule, body))
            draft.carry_on(run_id)
            return Outcome(facts=(*denied, *draft.facts), subject=asked.ask.ask_id)

        try:
            committed = await self._log.submit(answer, meta, key)
        except (AskDecided, AskExpired, AskEnded) as error:
            self._explain(asked, error)
        if not committed.replayed and capacity.executor:
            self._executor.take_up(run_id)
        return committed

    async def select(self, found: SelectedAsks, meta: Meta, key: Key | None) -> Committed[SelectedAsks]:
        """Keep what a filter selected with the key. Return what it selected when the key was used first."""
        return await self._log.submit(lambda reader, context: Outcome(answer=found), meta, key, answers=SelectedAsks)

    def _asked(self, position: Position) -> OpenAsk:
        row = self._reader.row(position)
        ask = None if row is None else self._log.codec.decode(row).event
        if row is None or not isinstance(ask, run.RunAsked):
            raise NotFound(f"no ask exists at position {position}")
        (first,) = self._reader.stream(row.stream, 0, 1)
        request = self._log.codec.decode(first, text=False).event
        assert isinstance(request, run.RunRequest), "a run begins with its request"
        return OpenAsk(row.stream, ask, request, first.actor)

    def _explain(self, asked: OpenAsk, error: AthenaError) -> NoReturn:
        """Raise the error again with who or what was first, with which option, and when."""
        for row in reversed(self._reader.stream(asked.run_id)):
            event = self._log.codec.decode(row, text=False).event if row.type == run.RunAnswered.TYPE else None
            if isinstance(event, run.RunAnswered) and event.ask_id == asked.ask.ask_id:
                at = iso(row.recorded_at)
                given = {"cause": event.cause, "by": event.by, "optionId": event.option_id, "ruleId": event.rule_id}
                details = {name: value for name, value in given.items() if value is not None}
                raise type(error)(f"{error.message} at {at}", {**details, "at": at}) from None
        raise error

    # What fits the ask

    def _checked(self, asked: OpenAsk, body: AnswerBody, who: Identity) -> CheckedAnswer:
        """Return the command of an answer. Raise ConfigError, AskNotEditable, or AskChanged for an erased ask."""
        ask = asked.ask
        option = self._option(ask, body)
        allows = option.kind == "allow_once"
        if allows and ask.title is None:
            raise AskChanged(f"the text of ask {ask.ask_id} was erased, so it can only be refused")
        values = self._values(ask, body, allows=allows)
        edited = self._edited(asked, body, allows=allows)
        salt = self._ids.salt(SALT_BYTES).hex() if edited is not None else None
        command = run.AnswerAsk(
            ask_id=ask.ask_id,
            subject_sha256=body.subject_hash,
            option_id=option.id,
            by=who.subject,
            remembers=body.remember is not None,
            edited_sha256=None if salt is None else call_sha256(salt, ask.tool_name or "", edited or ""),
            arguments=edited,
            edited_salt=salt,
            values=values,
            note=body.note,
        )
        return CheckedAnswer(command, self._rule(asked, body, who, allows=allows))

    @staticmethod
    def _option(ask: run.RunAsked, body: AnswerBody) -> run.AskOption:
        chosen = body.option_id
        if chosen is None:
            if body.values is None:
                raise ConfigError.of("optionId", "is missing", "an option of the ask, or values")
            chosen = next((option.id for option in ask.options if option.kind == "allow_once"), "")
        ids = [option.id for option in ask.options]
        if chosen not in ids:
            raise ConfigError.of("optionId", f"the ask has no option {chosen!r}", f"one of {', '.join(ids)}")
        return ask.options[ids.index(chosen)]

    def _values(self, ask: run.RunAsked, body: AnswerBody, *, allows: bool) -> str | None:
        """Return the values of an answered form as JSON, exactly as they were given."""
        if ask.kind != "question" or not allows:
            if body.values is not None:
                raise ConfigError.of("values", "only the answer to a question has values", "leave them out")
            return None
        if body.values is None:
            raise ConfigError.of("values", "are missing", "an object with the fields of the form")
        self._check_secrets("values", body.values)
        given = values_of_form(ask.form or '{"properties":{}}', body.values)
        text = clean(msgspec.json.encode(given, order="deterministic").decode())
        if len(text.encode()) > VALUES_BYTES_MAX:
            raise ConfigError.of("values", f"are larger than {VALUES_BYTES_MAX} bytes", "shorter ones")
        try:
            problems = form_problems(ask.form or "{}", msgspec.json.decode(text))
        except SchemaRefused as refused:
            problems = (str(refused),)
        if problems:
            raise ConfigError.of("values", "; ".join(problems), "values that fit the form of the ask")
        return text

    def _edited(self, asked: OpenAsk, body: AnswerBody, *, allows: bool) -> str | None:
        """Return the edited arguments in canonical JSON, exactly as they were given; None if they are not edited."""
        ask, name = asked.ask, "editedArguments"
        if body.edited_arguments is None:
            return None
        if ask.kind != "tool-permission" or ask.origin not in EDITABLE:
            raise AskNotEditable(f"the arguments of ask {ask.ask_id} cannot be edited")
        if not allows:
            raise ConfigError.of(name, "only an allowed call has arguments", "leave them out")
        if body.remember is not None:
            raise ConfigError.of("remember", "cannot be combined with editedArguments", "one of the two")
        self._check_secrets(name, body.edited_arguments)
        given = msgspec.json.encode(body.edited_arguments).decode()
        if len(given.encode()) > EDITED_BYTES_MAX:
            raise ConfigError.of(name, f"are larger than {EDITED_BYTES_MAX} bytes", "shorter ones")
        text = canonical(clean(given))
        profile = asked.request.harness_profile_snapshot
        try:
            tool, arguments = self._tools_of(asked.request).read(ask.tool_name or "", text, profile.config.tools)
        except ToolRefused as refused:
            raise ConfigError.of(name, str(refused), f"arguments of {ask.tool_name}") from None
        if approval_of_call(tool, arguments, profile)[0] == "deny":
            raise ConfigError.of(name, "the profile denies this call", "arguments that it allows or asks for")
        return None if text == ask.arguments else text

    def _check_secrets(self, name: str, given: dict[str, Any]) -> None:
        """Refuse values with a secret: they would be recorded without it, so something else would be sent."""
        if self._mask.hide_in(given) != given:
            reason = "has the form of a secret, or is one of Athena's; it cannot be recorded, so it is not sent"
            raise ConfigError.of(
                name, reason, "leave it out, and name a credential in config.credentials of the profile"
            )

    def _rule(self, asked: OpenAsk, body: AnswerBody, who: Identity, *, allows: bool) -> PermissionRuleCreated | None:
        """Return the permission rule to create; its expiry is set in the transaction."""
        ask, scope, request = asked.ask, body.remember, asked.request
        if scope is None:
            if body.remember_for_ms is not None:
                raise ConfigError.of("rememberForMs", "needs remember", "add remember, or leave it out")
            return None
        if ask.kind != "tool-permission" or not allows:
            raise ConfigError.of("remember", "only an allowed call can be remembered", "leave it out")
        if scope == "profile" and not request.profile_named:
            raise ConfigError.of("remember", "the run has no profile of its own", "run or session")
        salt = self._ids.salt(SALT_BYTES).hex()
        arguments = canonical(ask.exact_arguments or "")
        return PermissionRuleCreated(
            rule_id=self._ids.new("rule"),
            scope=scope,
            tool_name=ask.tool_name or "",
            call_sha256=call_sha256(salt, ask.tool_name or "", arguments, ask.secrets),
            ask_id=ask.ask_id,
            by=who.subject,
            expires_at_ms=0,
            run_id=asked.run_id if scope == "run" else None,
            session_id=request.session_id if scope == "session" else None,
            harness_profile_id=request.harness_profile_id if scope == "profile" else None,
            credentials=ask.credentials,
            secrets=ask.secrets,
            bound=bound_to(request, ask.tool_name or "", ask.tool_sha256),
            arguments=arguments,
            call_salt=salt,
        )

    # The exact text

    async def open_exact(self, position: Position, who: Identity, meta: Meta) -> tuple[str | None, Position]:
        """Return the exact text of the ask at a position, and the position of the record that an identity read it.

        Nothing is recorded for an ask that hides nothing or is decided, nor a second time. Raise AuthzDenied for a
        caller who may not answer.
        """
        asked = self._asked(position)
        ask, run_id = asked.ask, asked.run_id

        def open_text(reader: Reader, context: Context) -> Outcome:
            self._check_right(reader, context, asked, who)
            state = reader.state(run.DECIDER, run_id)
            events = run.decide(run.OpenAskText(ask_id=ask.ask_id, by=who.subject), state, context)
            request = asked.request
            return Outcome(facts=facts_of(run_id, events, session_id=request.session_id, run_id=run_id))

        done = await self._log.submit(open_text, meta)
        return ask.exact_arguments, done.position

    # Who may answer

    def _check_right(self, reader: Reader, context: Context, asked: OpenAsk, who: Identity) -> None:
        """Refuse an identity that may not answer. Raise Rejected."""
        ask = asked.ask
        if self._access.roster.enabled and not may_answer(ask, who, requesters(reader, asked.run_id, asked.actor)):
            least = ask.role or Role.OPERATOR.value
            named = ask.approvers or ((least,) if ask.kind == "tool-permission" else (least, "who requested the run"))
            other = ", who did not request the run," if ask.not_requester else ""
            message = f"{OPERATION}: only {' or '.join(named)}{other} may answer; {who.subject} is {who.role}"
            raise decision_denied(reader, context, who, OPERATION, least, message)

    def _check_reach(
        self, reader: Reader, context: Context, asked: OpenAsk, body: AnswerBody, who: Identity
    ) -> tuple[Fact, ...]:
        """Refuse a rule for more runs than the scope of an identity covers. Raise Rejected."""
        if body.remember is None or not self._access.roster.enabled:
            return ()
        return self._access.demand(
            reader,
            context,
            who,
            OPERATION,
            _reach(asked, body.remember),
            f"remember {body.remember}",
            session_id=asked.request.session_id,
        )

    def close(self) -> None:
        self._reader.close()


def _reach(asked: OpenAsk, scope: RuleScope) -> ScopeProof:
    """Return what a permission rule of a scope concerns. A profile concerns everything."""
    if scope == "profile":
        return {}
    sessions = {"sessions": (asked.request.session_id,)}
    return sessions if scope == "session" else {**sessions, "runs": (asked.run_id,)}


def _rule_facts(
    reader: Reader, context: Context, asked: OpenAsk, rule: PermissionRuleCreated, body: AnswerBody
) -> tuple[Fact, ...]:
    """Return the creation of a permission rule. Its envelope names the run that asked, so that erasure finds it."""
    permission_rule.check_room(reader, rule.place)
    seconds = body.remember_for_ms or REMEMBER_MS[rule.scope]
    dated = msgspec.structs.replace(rule, expires_at_ms=context.now + seconds)
    command = CreatePermissionRule(rule=dated)
    events = permission_rule.decide(command, permission_rule.DECIDER.initial, context)
    return facts_of(rule.rule_id, events, session_id=asked.request.session_id, run_id=asked.run_id)
