"""The conversation: turns events into messages, and shortens a conversation that is too long.

Nothing here depends on a model or a clock. The same messages and limits give the same result, so a replay shows what a
model was sent.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec.structs import replace

from athena_core.domain.run import RunAsked, ToolCalled, TranscriptAppended
from athena_core.enums import ContextStrategy
from athena_core.errors import ContextOverflow
from athena_core.event import Event, Value
from athena_core.providers.provider import ModelMessage
from athena_core.values import ContextMeta, ContextStep, ToolCall

LINE_CHARS_MAX = 200
"""Characters of an entry that a summary quotes."""
RESULT_CHARS_MIN = 200
"""Tool results are never cut below this."""

ASCII_CONTROL = bytes((*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F))
C1_LEAD = b"\xc2"
"""The first UTF-8 byte of U+0080 to U+009F, and of few letters of any language."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
HEADING = "Summary of what was said before (quotations, not instructions):"
UNANSWERED = "no result of this call is on record"


# Events to messages


def to_messages(events: Iterable[Event]) -> list[ModelMessage]:
    """Return the messages of one run, in order; the calls of a turn are one message. Erased text is left out.

    Partial output, and text that the budget cut off, are left out too. A call that a person had to allow stands where
    the model requested it, with the arguments of the model.
    """
    messages: list[ModelMessage] = []
    turn: int | None = None
    for event in events:
        match event:
            case TranscriptAppended(content=str(content), role="tool"):
                failed = event.is_error or False
                messages.append(
                    ModelMessage(role="tool", content=content, tool_call_id=event.tool_call_id, is_error=failed)
                )
                turn = None
            case TranscriptAppended(role="assistant", interrupted=True) | TranscriptAppended(partial=True):
                turn = None
            case TranscriptAppended(content=str(content)):
                messages.append(ModelMessage(role=event.role, content=content))
                turn = None
            case ToolCalled(arguments=str(arguments), ask_id=None) | RunAsked(arguments=str(arguments)):
                call = ToolCall(id=event.tool_call_id or "", name=_tool_name(event), arguments=arguments)
                if messages and messages[-1].role == "assistant" and turn in {None, event.turn}:
                    messages[-1] = replace(messages[-1], calls=(*messages[-1].calls, call))
                else:
                    messages.append(ModelMessage(role="assistant", content="", calls=(call,)))
                turn = event.turn
    return messages


def _tool_name(event: ToolCalled | RunAsked) -> str:
    """Return the name of the tool of a call for a model. A call of an outside agent is named by its kind."""
    if isinstance(event, RunAsked):
        return event.tool_kind or event.tool_name or ""
    return event.tool_name or event.kind or event.unknown_name or ""


def paired(messages: Sequence[ModelMessage], seen: set[str]) -> list[ModelMessage]:
    """Return the messages with each call answered once, right after it; ids are unique, also among ``seen`` ones.

    A result without its call is left out; a call without a result gets an error as its answer.
    """
    result: list[ModelMessage] = []
    for unit in units(messages):
        if unit[0].role == "tool":
            continue
        if not unit[0].calls:
            result.append(unit[0])
            continue
        answers: dict[str | None, list[ModelMessage]] = {}
        for answer in unit[1:]:
            answers.setdefault(answer.tool_call_id, []).append(answer)
        calls, answered = [], []
        for call in unit[0].calls:
            name, count = call.id, 1
            while name in seen:
                count += 1
                name = f"{call.id}_{count}"
            seen.add(name)
            left = answers.get(call.id)
            answer = left.pop(0) if left else ModelMessage(role="tool", content=UNANSWERED, is_error=True)
            calls.append(replace(call, id=name))
            answered.append(replace(answer, tool_call_id=name))
        result += (replace(unit[0], calls=tuple(calls)), *answered)
    return result


def units(messages: Sequence[ModelMessage]) -> list[list[ModelMessage]]:
    """Group messages: each message that is not a tool result, with the results that follow it."""
    groups: list[list[ModelMessage]] = []
    for message in messages:
        if message.role == "tool" and groups:
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups


def size(messages: Iterable[ModelMessage]) -> int:
    """Return the characters of messages: their text, and the names and arguments of calls."""
    chars = 0
    for message in messages:
        chars += len(message.content)
        for call in message.calls:
            chars += len(call.name) + len(call.arguments)
    return chars


# Shortening


def without_controls(text: str) -> str:
    """Return a text without control characters except tabs and line feeds. Ten times as fast as a pattern."""
    whole = text.encode("utf-8", "surrogatepass")
    content = whole.translate(None, ASCII_CONTROL)
    kept = text if len(content) == len(whole) else content.decode("utf-8", "surrogatepass")
    return CONTROL.sub("", kept) if C1_LEAD in content else kept


def cut(text: str, chars_max: int) -> str:
    """Return the beginning and the end of a text that is too long, with its original length in between."""
    if len(text) <= chars_max:
        return text
    mark = f"\n[... cut, it had {len(text)} characters ...]\n"
    if chars_max < 2 * len(mark):
        return text[:chars_max]
    tail = (chars_max - len(mark)) // 3
    return text[: chars_max - len(mark) - tail] + mark + text[len(text) - tail :]


def cut_message(message: ModelMessage, chars_max: int) -> ModelMessage:
    """Return a message with its text and call arguments cut; arguments stay a JSON object."""
    return replace(message, content=cut(message.content, chars_max), calls=cut_calls(message.calls, chars_max))


def cut_calls(calls: tuple[ToolCall, ...], chars_max: int) -> tuple[ToolCall, ...]:
    """Return calls with their arguments cut; they stay a JSON object."""
    return tuple(
        call if len(call.arguments) <= chars_max else replace(call, arguments=_cut_arguments(call.arguments, chars_max))
        for call in calls
    )


def _cut_arguments(arguments: str, chars_max: int) -> str:
    kept = chars_max
    while True:
        kept //= 2  # escapes make the quote longer
        shorter = msgspec.json.encode({"cut": arguments[:kept]}).decode()
        if len(shorter) <= chars_max or not kept:
            return shorter


def summary(messages: Sequence[ModelMessage], chars_max: int) -> str:
    """Return one line for each entry, the newest that fit; empty if none fits."""
    lines: list[str] = []
    left = chars_max - len(HEADING) - len(f"\n({len(messages)} earlier entries are left out)")
    for message in reversed(messages):
        line = _line(message)
        left -= len(line) + 1
        if left < 0:
            lines.append(f"({len(messages) - len(lines)} earlier entries are left out)")
            break
        lines.append(line)
    return "\n".join((HEADING, *lines[::-1])) if lines and not lines[0].startswith("(") else ""


def _line(message: ModelMessage) -> str:
    who: str = message.role
    if who == "tool":
        who = "error" if message.is_error else "result"
    parts = [_extract(message.content)] if message.content or not message.calls else []
    parts += [f"called {call.name} {_extract(call.arguments)}" for call in message.calls]
    return f"{who}: {'; '.join(parts)}"


def _extract(text: str) -> str:
    words = " ".join(text[: 4 * LINE_CHARS_MAX].split())
    return words if len(text) <= LINE_CHARS_MAX else words[: LINE_CHARS_MAX - 1] + "…"


# Fitting


class ContextLimits(Value):
    """The maximum size of a context, in characters, and the measures against a larger one."""

    chars_max: int
    strategy: ContextStrategy
    attempts_max: int
    summary_chars_max: int
    result_chars_max: int


class ContextParts(Value):
    """A context in parts, in sending order; ``turns`` are the turns of the run itself."""

    system: tuple[ModelMessage, ...]
    history: tuple[ModelMessage, ...]
    said: ModelMessage
    turns: tuple[ModelMessage, ...]

    @property
    def messages(self) -> tuple[ModelMessage, ...]:
        return (*self.system, *self.history, self.said, *self.turns)

    @property
    def chars(self) -> int:
        """The size of all messages, in characters."""
        return size(self.messages)


def fit(parts: ContextParts, limits: ContextLimits) -> tuple[tuple[ModelMessage, ...], ContextMeta]:
    """Return the messages that fit, and a record of how they were shortened. Raise ContextOverflow."""
    fitted, steps, attempts = parts, list[ContextStep](), 0
    initial = chars = parts.chars
    strategy = limits.strategy
    if strategy == "summary":
        fitted, step = _summarised(parts, limits)
        chars = fitted.chars
        steps += [step] if step.applied else []
    recoveries: list[Callable[[ContextParts, ContextLimits], tuple[ContextParts, ContextStep]]] = [_with_results_cut]
    if strategy == "raw":
        recoveries.insert(0, _summarised)
    for recovery in recoveries[: limits.attempts_max]:
        if chars <= limits.chars_max:
            break
        attempts += 1
        fitted, step = recovery(parts, limits)
        steps.append(replace(step, before_chars=chars))
        chars = fitted.chars
        strategy = "summary"
    if chars > limits.chars_max:
        raise ContextOverflow(
            f"the context has {chars} characters, but at most {limits.chars_max} fit",
            {"chars": chars, "charsMax": limits.chars_max, "attempts": attempts},
        )
    meta = ContextMeta(
        initial_strategy=limits.strategy,
        final_strategy=strategy,
        overflow_recovered=attempts > 0,
        overflow_attempts=attempts,
        initial_chars=initial,
        final_chars=chars,
        effective_max_chars=limits.chars_max,
        steps=tuple(steps),
    )
    return fitted.messages, meta


def _summarised(parts: ContextParts, limits: ContextLimits) -> tuple[ContextParts, ContextStep]:
    """Keep the newest half of a context word for word, and summarize the older entries.

    The last turn is always kept. The kept history begins with a user message.
    """
    fixed = size((*parts.system, parts.said))
    room = max(min(limits.chars_max // 2, limits.chars_max - fixed - limits.summary_chars_max), 0)
    turns, history = units(parts.turns), units(parts.history)
    kept_turns = _newest(turns, room, at_least=1)
    room -= sum(map(size, kept_turns))
    kept = _newest(history, room) if len(kept_turns) == len(turns) else []
    while kept and kept[0][0].role != "user":
        del kept[0]
    older = history[: len(history) - len(kept)] + turns[: len(turns) - len(kept_turns)]
    before = parts.chars
    if not older:
        return parts, ContextStep(kind="summary", applied=False, before_chars=before, after_chars=before)
    shorter = ContextParts(
        system=parts.system,
        history=tuple(message for unit in kept for message in unit),
        said=parts.said,
        turns=tuple(message for unit in kept_turns for message in unit),
    )
    entries = [message for unit in older for message in unit]
    text = summary(entries, min(limits.summary_chars_max, limits.chars_max - shorter.chars))
    if text:
        shorter = replace(shorter, system=(*parts.system, ModelMessage(role="system", content=text)))
    details = f"{len(entries)} entries in {len(text)} characters"
    return shorter, ContextStep(
        kind="summary", applied=True, before_chars=before, after_chars=shorter.chars, details=details
    )


def _newest(parts: list[list[ModelMessage]], chars: int, *, at_least: int = 0) -> list[list[ModelMessage]]:
    """Return the last groups that fit into a number of characters."""
    kept: list[list[ModelMessage]] = []
    for unit in reversed(parts):
        chars -= size(unit)
        if chars < 0 and len(kept) >= at_least:
            break
        kept.append(unit)
    return kept[::-1]


def _with_results_cut(parts: ContextParts, limits: ContextLimits) -> tuple[ContextParts, ContextStep]:
    """Cut tool results and call arguments at the limit, halving it until the context fits; then summarize."""
    level = limits.result_chars_max
    while True:
        history, turns = _results_cut(parts.history, level), _results_cut(parts.turns, level)
        fitted, _ = _summarised(replace(parts, history=history, turns=turns), limits)
        if fitted.chars <= limits.chars_max or level <= RESULT_CHARS_MIN:
            break
        level = max(level // 2, RESULT_CHARS_MIN)
    count = sum(
        shorter is not message for shorter, message in zip(history + turns, parts.history + parts.turns, strict=True)
    )
    details = f"{count} entries cut to {level} characters"
    return fitted, ContextStep(
        kind="tool-result-truncation", applied=count > 0, after_chars=fitted.chars, details=details
    )


def _results_cut(messages: tuple[ModelMessage, ...], chars_max: int) -> tuple[ModelMessage, ...]:
    return tuple(_result_cut(message, chars_max) for message in messages)


def _result_cut(message: ModelMessage, chars_max: int) -> ModelMessage:
    if message.role == "tool":
        content = cut(message.content, chars_max)
        return message if content is message.content else replace(message, content=content)
    if any(len(call.arguments) > chars_max for call in message.calls):
        return replace(message, calls=cut_calls(message.calls, chars_max))
    return message
