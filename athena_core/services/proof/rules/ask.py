"""Rules of asks: each is answered once, for its own subject, and a call that needed permission is what was allowed."""

from collections.abc import Iterator
from typing import NamedTuple

from athena_core.domain import run
from athena_core.domain.permission_rule import PermissionRuleCreated
from athena_core.event import Event, Unknown
from athena_core.log import chain
from athena_core.log.codec import at_of
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, Violation, follow, rule
from athena_core.tools.approval import call_sha256, question_sha256

ENDED = "run-ended"


class CheckedAsk(NamedTuple):
    """An ask, as rules need it. ``arguments`` is the hash of the call's text, or None if the text is erased."""

    subject_sha256: str
    kind: str
    allowing: frozenset[str]
    refusing: frozenset[str]
    expires_at_ms: int
    call: str | None
    tool: str | None
    arguments: bytes | None
    credentials: tuple[str, ...] | None = None
    elicited: bool = False
    """True if an MCP server asks during the call, which goes on with the answer."""
    tool_sha256: str | None = None
    secrets: tuple[str, ...] | None = None
    hidden: bool = False
    """True if the shown text does not have all parts."""
    opened: frozenset[str] = frozenset()
    """Who opened the exact text."""


class RunAsks:
    """The asks of an open run: open ones, answered ones whose call has no result yet, and calls that were made."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.open: dict[str, CheckedAsk] = {}
        self.allowed: dict[str, CheckedAsk] = {}
        self.made: set[str] = set()
        self.calls: dict[str, str] = {}
        """The ask of each call that was asked for and has no result."""


NO_ASKS = RunAsks()


class AskRules(RuleSet):
    """The asks of open runs; ended runs are dropped."""

    def __init__(self) -> None:
        self._runs: dict[str, RunAsks] = {}
        self._open: dict[str, str] = {}
        """The run of each open ask."""
        self._closing: dict[str, str] = {}
        """Runs whose asks were closed by their end, with the command; the end must follow in it."""

    def open_in(self, run_id: str) -> int:
        """Return the number of open asks of a run."""
        return len(self._runs.get(run_id, NO_ASKS).open)

    def settled(self, run_id: str, call: str | None, *, error: bool) -> bool:
        """Return True if a call that was not made may have a result: refused, a question, or given up with an error."""
        asks = self._runs.get(run_id, NO_ASKS)
        ask_id = asks.calls.get(call or "")
        if ask_id is None or ask_id in asks.open:
            return False
        allowed = asks.allowed.get(ask_id)
        return allowed is None or allowed.kind != "tool-permission" or error

    def is_for(self, run_id: str, ask_id: str, rule: PermissionRuleCreated) -> bool:
        """Return True if an open ask is about the call of a rule; erased arguments are equal to any."""
        ask = self._runs.get(run_id, NO_ASKS).open.get(ask_id)
        if ask is None:
            return True
        digest = _digest(rule.arguments)
        same = not ask.hidden and (None in {digest, ask.arguments} or digest == ask.arguments)
        named = (rule.tool_name, rule.credentials, rule.secrets)
        return same and (ask.tool, ask.credentials, ask.secrets) == named

    def tool_sha256(self, run_id: str, ask_id: str) -> str | None:
        """Return the hash of the MCP tool that an open ask is about; None for another tool."""
        ask = self._runs.get(run_id, NO_ASKS).open.get(ask_id)
        return None if ask is None else ask.tool_sha256

    # The rules

    @rule(run.RunAsked, *run.ENDINGS)
    def asks(self, row: Row, event: Event) -> str | None:
        """A run asks under new ids, one ask for a call, and has no open ask when it ends."""
        asks = self._runs.get(row.stream, NO_ASKS)
        if not isinstance(event, run.RunAsked):
            return f"{row.stream} ended with open asks: {', '.join(asks.open)}" if asks.open else None
        if event.ask_id in asks.ids or event.ask_id in self._open:
            return f"{row.stream} asked {event.ask_id} a second time"
        if event.tool_call_id in asks.calls and event.server is None:
            return f"{row.stream} asked twice about the call {event.tool_call_id}"
        if _misnamed(event):
            return f"{row.stream} asked {event.ask_id}, whose hash is not the hash of its subject"
        return None

    @rule(run.RunAskOpened)
    def openings(self, row: Row, event: run.RunAskOpened) -> str | None:
        """The exact text of an open ask that hides a part is opened, once by each identity."""
        ask = self._runs.get(row.stream, NO_ASKS).open.get(event.ask_id)
        if ask is None or not ask.hidden or ask.subject_sha256 != event.subject_sha256:
            return f"{event.by} opened {event.ask_id} of {row.stream}, which is not open or hides nothing"
        return f"{event.by} opened {event.ask_id} twice" if event.by in ask.opened else None

    @rule(run.RunAnswered)
    def answers(self, row: Row, event: run.RunAnswered) -> str | None:
        """An answer names an open ask of its run and its subject, takes one of its options, and is in time."""
        asks = self._runs.get(row.stream, NO_ASKS)
        ask = asks.open.get(event.ask_id)
        named = f"{event.ask_id} of {row.stream}"
        if ask is None:
            return (
                f"{named} was answered, but it {'was answered before' if event.ask_id in asks.ids else 'never asked'}"
            )
        if event.subject_sha256 != ask.subject_sha256:
            return f"{named} was answered for another subject"
        late = at_of(row) - ask.expires_at_ms
        options = {"person": ask.allowing | ask.refusing, "rule": ask.allowing}.get(event.cause)
        if event.option_id is None if options is None else event.option_id in options:
            return _untimely(event, named, late) or _unseen(event, named, ask) or _wrongly_edited(event, named, ask)
        return f"{named} was answered by {event.cause} with {event.option_id}, which is none of its options"

    @rule(run.RunAsked, run.RunAnswered, *run.ENDINGS)
    def closed(self, row: Row, event: Event) -> str | None:
        """The end of a run closes its asks in the same command, and nothing comes between."""
        command = self._closing.get(row.stream)
        ends = isinstance(event, run.ENDINGS) or (isinstance(event, run.RunAnswered) and event.cause == ENDED)
        if command is None or (ends and command == row.command_id):
            return None
        return f"{row.type} of {row.stream}, whose asks were closed by its end"

    @rule(run.ToolCalled)
    def permitted(self, row: Row, event: run.ToolCalled) -> str | None:
        """A call that was asked for is made once, once allowed, with the allowed arguments and named credentials."""
        asks = self._runs.get(row.stream, NO_ASKS)
        asked, named = asks.calls.get(event.tool_call_id), f"the call {event.tool_call_id} of {row.stream}"
        if event.ask_id is None:
            return None if asked is None else f"{named} was made without its ask {asked}"
        ask = asks.allowed.get(event.ask_id)
        if ask is None:
            return f"{named} was made, but no answer to {event.ask_id} allowed it"
        if event.ask_id in asks.made:
            return f"{named} was made twice for {event.ask_id}"
        if event.tool_call_id != ask.call or not _is_tool(event, ask.tool):
            return f"{named} was made for {event.ask_id}, which is about another call"
        if event.refused is None and event.credentials != ask.credentials:
            return f"{named} was made with other credentials than {event.ask_id} named"
        made = _digest(event.arguments)
        if made is not None and ask.arguments is not None and made != ask.arguments:
            return f"{named} was made with arguments that the answer to {event.ask_id} did not allow"
        return None

    # The state

    @follow(run.RunAsked)
    def ask(self, row: Row, event: run.RunAsked) -> None:
        asks = self._runs.setdefault(row.stream, RunAsks())
        kinds = {option.id: option.kind for option in event.options}
        asks.ids.add(event.ask_id)
        asks.open[event.ask_id] = CheckedAsk(
            subject_sha256=event.subject_sha256,
            kind=event.kind,
            allowing=frozenset(name for name, kind in kinds.items() if kind == "allow_once"),
            refusing=frozenset(name for name, kind in kinds.items() if kind != "allow_once"),
            expires_at_ms=event.expires_at_ms,
            call=event.tool_call_id,
            tool=event.tool_name,
            arguments=_digest(event.arguments),
            credentials=event.credentials,
            elicited=event.server is not None,
            tool_sha256=event.tool_sha256,
            secrets=event.secrets,
            hidden=bool(event.hidden),
        )
        self._open[event.ask_id] = row.stream
        if event.tool_call_id is not None and event.server is None:
            asks.calls[event.tool_call_id] = event.ask_id

    @follow(run.RunAskOpened)
    def open_text(self, row: Row, event: run.RunAskOpened) -> None:
        """Record who saw the exact text."""
        asks = self._runs.get(row.stream, NO_ASKS).open
        if event.ask_id in asks:
            ask = asks[event.ask_id]
            asks[event.ask_id] = ask._replace(opened=ask.opened | {event.by})

    @follow(run.RunAnswered)
    def answer(self, row: Row, event: run.RunAnswered) -> None:
        asks = self._runs.get(row.stream)
        ask = None if asks is None else asks.open.pop(event.ask_id, None)
        if asks is None or ask is None:
            return
        self._open.pop(event.ask_id, None)
        if event.option_id in ask.allowing and not ask.elicited:
            edited = event.edited_sha256 is not None
            asks.allowed[event.ask_id] = ask._replace(arguments=_digest(event.arguments)) if edited else ask
        if event.cause == ENDED:
            self._closing[row.stream] = row.command_id

    @follow(run.ToolCalled)
    def call(self, row: Row, event: run.ToolCalled) -> None:
        """Record that an allowed call was made."""
        if event.ask_id is not None and row.stream in self._runs:
            self._runs[row.stream].made.add(event.ask_id)

    @follow(run.TranscriptAppended)
    def settle(self, row: Row, event: run.TranscriptAppended) -> None:
        """Forget a call that has its result."""
        if event.kind == "tool-result" and row.stream in self._runs:
            asks = self._runs[row.stream]
            ask_id = asks.calls.pop(event.tool_call_id or "", "")
            asks.allowed.pop(ask_id, None)

    @follow(*run.ENDINGS, Unknown)
    def end(self, row: Row, event: Event) -> None:
        """Forget an ended run; the payload may be damaged."""
        if row.type in run.ENDING_TYPES:
            self._closing.pop(row.stream, None)
            for ask_id in self._runs.pop(row.stream, NO_ASKS).open:
                self._open.pop(ask_id, None)

    def finish(self) -> Iterator[Violation]:
        """Yield runs whose asks were closed by an end that never came."""
        for run_id in self._closing:
            yield Violation(rule="closed", reason=f"the asks of {run_id} were closed by its end, but it has not ended")


def _untimely(event: run.RunAnswered, named: str, late: int) -> str | None:
    """Return why an answer came too late, or an expiry too early. ``late`` is in milliseconds."""
    if event.cause in {"person", "rule"} and late >= 0:
        return f"{named} was answered {late} ms after it had expired"
    return f"{named} expired {-late} ms too early" if event.cause == "expiry" and late < 0 else None


def _unseen(event: run.RunAnswered, named: str, ask: CheckedAsk) -> str | None:
    """Return why an allowed text was not seen as a whole."""
    if not ask.hidden or event.option_id not in ask.allowing or event.by in ask.opened:
        return None
    return f"{named} was allowed by {event.by or event.cause}, who had not opened the exact text"


def _wrongly_edited(event: run.RunAnswered, named: str, ask: CheckedAsk) -> str | None:
    if event.edited_sha256 is None and event.arguments is None:
        return None
    edits = event.cause == "person" and event.option_id in ask.allowing and ask.kind == "tool-permission"
    if not edits or event.edited_sha256 is None:
        return f"{named} was answered with other arguments, although nothing was allowed"
    if _forged(event.edited_sha256, event.edited_salt, ask.tool, event.arguments):
        return f"{named} was answered with other arguments, whose hash is another one"
    return None


def _misnamed(event: run.RunAsked) -> bool:
    """Return True if the hash of an ask is not the hash of its call, or of its question."""
    if event.kind == "tool-permission" or event.hidden:
        whole = event.exact if event.hidden else event.arguments
        return _forged(event.subject_sha256, event.subject_salt, event.tool_name, whole, event.secrets)
    if event.title is None or event.subject_salt is None:
        return False
    names = (event.option_names or ())[:-1] if event.kind == "choice" else ()
    try:
        sha256 = question_sha256(event.subject_salt, event.title, names, event.form, event.secrets)
        return sha256 != event.subject_sha256
    except ValueError:  # the salt is not hexadecimal
        return True


def _forged(
    sha256: str, salt: str | None, tool: str | None, arguments: str | None, secrets: tuple[str, ...] | None = None
) -> bool:
    """Return True if a hash is not the hash of a call. Where the text is erased, nothing can be said."""
    if salt is None or arguments is None:
        return False
    try:
        return call_sha256(salt, tool or "", arguments, secrets) != sha256
    except ValueError:  # the salt is not hexadecimal
        return True


def _is_tool(event: run.ToolCalled, tool: str | None) -> bool:
    """Return True if a call is one of the tool that was asked for. The tool of an outside agent ends with its kind."""
    if event.origin == "agent":
        return event.tool_name is None and (tool or "").endswith(f":{event.kind}")
    return event.tool_name == tool


def _digest(text: str | None) -> bytes | None:
    return None if text is None else chain.digest(text.encode("utf-8", "surrogatepass"))
