"""The judge of the gateway corner: compares requests, answers, records and money with the promises of the docs."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from athena_core.agents.known import AgentWire
from athena_core.gateway.exchange import GatewayLimits
from athena_core.gateway.ledger import EndedCall
from athena_core.providers.prices import COUNTED_TOKENS_MAX, CallCost, tokens_in
from tests.simulation.gateway_vendor import COUNTED, FLOOD_BYTES, FLOOD_PIECES, MODELS, SILENCE_SECONDS, Visit
from tests.simulation.histories import Failure
from tests.simulation.loop import SimLoop
from tests.support.gateway import KEYS, PRICES
from tests.support.vendors import VENDORS

if TYPE_CHECKING:
    from tests.simulation.gateway import Call, History, Term

LIMITS = GatewayLimits(body_seconds=20, body_bytes_max=3_000, bodies_bytes_max=6_000, calls_max=2, connections_max=4)
MALFORMED = {
    "key": "athena_key",
    "path": "athena_path",
    "slow head": "athena_head_time",
    "slow body": "athena_body_time",
    "json": "athena_request",
    "limit": "athena_request",
    "twice": "athena_request",
    "model": "athena_model",
    "large": "athena_body",
}
"""Malformed requests, and the error of each."""
UNRECORDED = {"key", "path", "slow head"}
FAILED = {
    "unreachable": "athena_server",
    "broken head": "athena_server",
    "silent": "athena_server_silent",
    "odd": "athena_server_odd",
}
"""Vendors without an answer, and the error of each."""
LIMIT_MEMBERS = {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens"}


def code_of(call: "Call") -> str:
    """Return the code of the gateway's own error; empty if the answer is none."""
    if call.reply is not None and call.reply.status >= 400 and b"athena_" in call.reply.body:
        with suppress(ValueError):
            return str(json.loads(call.reply.body)["error"]["code"])
    return ""


def others(call: "Call", calls: "Sequence[Call]") -> "list[Call]":
    """Return the calls that were open at the gateway beside one."""
    return [
        one
        for one in calls
        if one is not call
        and one.term is call.term
        and one.at <= max(call.over_at, call.ended_at)
        and max(one.over_at, one.ended_at) >= call.at
    ]


def left_with_gateway(call: "Call") -> bool:
    """Return True if the gateway was left before the call was over."""
    return max(call.over_at, call.ended_at) >= call.term.left_at


class Judge:
    """Notices broken promises."""

    def __init__(self, wire: AgentWire, loop: SimLoop) -> None:
        self._wire, self._loop = wire, loop
        self._provider, self._model = VENDORS[wire].provider, MODELS[wire]
        self._excess = 0
        """The sum by which vendors passed their reservations where that is allowed."""
        self._flying: list[Call] = []
        self.failures: list[Failure] = []
        self.marks = Counter[str]()
        self.record: list[Any] = []

    def fail(self, kind: str, what: str) -> None:
        self.failures.append(Failure(kind, what, self._loop.time()))

    def _ceiling(self, taken: int, given: int) -> int:
        return PRICES.ceiling(self._provider, self._model, taken, given) or 0

    # While calls are open

    def granted(self, term: "Term", call: "Call", least: int, most: int | None) -> None:
        """Judge a sum that the ledger gave to a call."""
        granted, budget = call.granted[-1], term.purse.least
        if granted is None:
            if budget is not None:
                self.fail("budget", f"call {call.name} may cost any sum")
            return
        if budget is None or not least <= granted <= (most or 0):
            self.fail("budget", f"call {call.name} wants {least} to {most} and gets {granted}")
        elif term.purse.progress.spent_micro_usd + sum(term.parts.values()) > budget + self._excess:
            self.fail("budget", f"{term.purse.progress} and {term.parts} exceed {budget} + {self._excess}")
        elif term.purse.day is not None and term.purse.reserved < sum(term.parts.values()):
            self.fail("budget", f"{term.purse.reserved} is recorded as reserved for {term.parts}")

    def visited(self, call: "Call", visit: Visit) -> None:
        """Judge a request that reaches a vendor."""
        self.marks[f"asked: {call.habit}"] += 1
        if len(call.visits) > 1:
            self.fail("twice", f"call {call.name} was sent twice")
        if not call.granted:
            self.fail("budget", f"call {call.name} was sent without a reservation")
            return
        if call.left_at is not None and call.left_at < visit.at:
            self.fail("cut", f"call {call.name} was sent after its agent had hung up")
        stopped = call.term.stopped_at
        if stopped is not None and stopped < min(call.at, visit.at):
            self.fail("budget", f"call {call.name} was sent although the ledger refused an earlier one")
        key, headers = KEYS[self._provider], str(visit.headers)
        if key not in headers or call.term.gateway.key in headers:
            self.fail("key", headers)
        self._flying.append(call)
        flying = [one for one in self._flying if one.term is call.term]
        if len(flying) > LIMITS.calls_max or sum(len(one.body) for one in flying) > LIMITS.bodies_bytes_max:
            self.fail("limit", f"{len(flying)} calls are open at once")
        self._rewritten(call, visit)

    def _rewritten(self, call: "Call", visit: Visit) -> None:
        """Judge what a request became: only its model and its limit may change."""
        plain, granted, limit = (
            call.body.replace(b'"alias"', f'"{self._model}"'.encode()),
            call.granted[0],
            visit.asked.limit,
        )
        if granted is None:
            if visit.body != plain:
                self.fail("request", f"{plain!r} became {visit.body!r}")
            return
        before, after = (json.loads(one) for one in (plain, visit.body))
        allowed = [_take_limits(one) for one in (before, after)]
        if before != after:
            self.fail("request", f"{plain!r} became {visit.body!r}")
        if limit is None or (allowed[0] and max(allowed[1]) > max(allowed[0])):
            self.fail("bound", f"{plain!r} became {visit.body!r}")
        elif self._ceiling(len(visit.body), limit) > granted:
            self.fail("bound", f"call {call.name} may write {limit} tokens, and {granted} are reserved")

    # The end of a call

    def paid(self, call: "Call", ended: EndedCall) -> None:
        """Judge the record of a call."""
        if call in self._flying:
            self._flying.remove(call)
        visit, cost = (call.visits[0] if call.visits else None), ended.cost
        self.record.append((call.name, self._loop.time(), ended.call, ended.outcome, ended.asked, cost))
        self.marks[ended.outcome] += 1
        if call.numbers - {ended.call}:
            self.fail("record", f"call {call.name} is {call.numbers} when reserved and {ended.call} at the end")
        answers = visit is not None and visit.headed and 200 <= visit.script.status < 300
        if visit is None or not (answers or (ended.outcome == "cut" and not visit.headed)):
            if cost is not None:
                self.fail("free", f"call {call.name} costs {cost}, but the vendor did not work")
            return
        if cost is None:
            if visit.script.status != 204:
                self.fail("free", f"call {call.name} ({call.habit}) costs nothing, {visit.sent} bytes were sent")
            return
        self._usage(call, visit, cost)
        self._sum(call, visit, cost)
        script = visit.script
        if visit.done and script.whole and not script.fails:
            expected = "failed" if script.problem else "answered"
            if ended.outcome != expected:
                self.fail("record", f"call {call.name} is recorded as {ended.outcome}: {ended.problem.exact}")

    def _usage(self, call: "Call", visit: Visit, cost: CallCost) -> None:
        """Judge the usage in a record beside what the vendor has sent and counted."""
        script, usage, sent = visit.script, cost.usage, tokens_in(visit.sent)
        taken, given, size = usage.input_tokens or 0, usage.output_tokens or 0, tokens_in(len(visit.body))
        shown = f"call {call.name} ({self._wire}, {script.counts}, {visit.sent} of {len(script.data)}): {usage}"
        whole = visit.done and script.whole
        if whole and script.counts in COUNTED and not script.fails:
            if (taken, given, cost.estimated) != (script.taken, script.given, False):
                self.fail("count", f"{shown} but the vendor counted {script.taken} and {script.given}")
            return
        least, most = tokens_in(script.marks(visit.sent)), max(script.given or 0, sent) + sent
        inputs = {size, script.taken}
        if script.counts == "huge":
            most = max(visit.asked.limit or COUNTED_TOKENS_MAX, sent) + sent
            inputs.add(min(taken, COUNTED_TOKENS_MAX))
        elif whole and script.counts in {"none", "negative", "words"}:
            most, inputs = tokens_in(script.said_max), {size}
        if given < least:
            self.fail("free", f"{shown} but {script.marks(visit.sent)} bytes of output passed")
        elif given > most or taken not in inputs:
            self.fail("count", shown)
        true = script.counts in COUNTED and (taken, given) == (script.taken, script.given)
        if not cost.estimated and script.written and not true:
            self.fail("count", f"{shown} is not called an estimate")

    def _sum(self, call: "Call", visit: Visit, cost: CallCost) -> None:
        """Judge the sum in a record: the price of the usage, and within the reservation but for what vendors add."""
        paid, granted, script = cost.cost_micro_usd or 0, call.granted[-1], visit.script
        if (cost.provider, cost.model) != (self._provider, self._model):
            self.fail("count", f"call {call.name} is paid to {cost.provider} {cost.model}")
        if paid != PRICES.cost(cost.provider, cost.model, cost.usage):
            self.fail("count", f"call {call.name} costs {paid}, {cost.usage}")
        if granted is None:
            return
        more = 0
        if call.habit == "flood" and not visit.done and visit.sent <= FLOOD_BYTES * FLOOD_PIECES:
            more = self._ceiling(0, tokens_in(2 * FLOOD_BYTES))
        elif not (visit.done and script.whole) or script.counts not in COUNTED:
            more = self._ceiling(
                max(cost.usage.input_tokens or 0, 0) if script.counts == "huge" else 0, tokens_in(visit.sent)
            )
        if paid > granted + more:
            self.fail("bound", f"call {call.name} ({script.counts}) costs {paid} of {granted} + {more}: {cost.usage}")
        self._excess += max(paid - granted, 0)

    def left(self, term: "Term", error: Exception | None) -> None:
        """Judge a gateway that was left."""
        if isinstance(error, TimeoutError) or (error is None) == term.broken:
            self.fail("error", f"the ledger was broken: {term.broken}, leaving raised {error!r}")
        if term.parts or (term.purse.reserved and not term.broken):
            self.fail("reserved", f"{term.parts} and {term.purse.reserved} stay reserved")
        if term.unended or any(times != 1 for times in term.numbers.values()):
            self.fail("record", f"calls without an end: {term.unended}; numbers of ends: {term.numbers}")
        if sorted(term.numbers) != list(range(1, len(term.numbers) + 1)):
            self.fail("record", f"calls have the numbers {sorted(term.numbers)}")

    # The end of a history

    def end(self, history: "History") -> None:
        """Judge all calls once everything is over."""
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        if tasks:
            self.fail("hangs", f"tasks are left: {sorted(map(str, tasks))[:3]}")
        for call in history.calls:
            self._recorded(call, history)
            self._answered(call, history)
            reply = call.reply
            self.record.append((call.name, call.at, call.over_at, reply and reply.status, bytes(call.got)))

    def _recorded(self, call: "Call", history: "History") -> None:
        """Judge how often a call is in the record."""
        code = code_of(call)
        expected = int(call.head_sent and call.malformed not in UNRECORDED and code != "athena_connections")
        unsure = call.reply is None and (
            left_with_gateway(call) or len(others(call, history.calls)) >= LIMITS.connections_max
        )
        if len(call.ends) != expected and not (unsure and len(call.ends) < 2):
            self.fail("record", f"call {call.name} ({call.malformed}, {code}) has {len(call.ends)} ends")
        paid = sum(end.cost is not None for end in call.ends)
        if history.purse.paid[call.name] != paid and not call.term.broken:
            self.fail("record", f"call {call.name} was paid {history.purse.paid[call.name]} times")

    def _answered(self, call: "Call", history: "History") -> None:
        """Judge the answer that an agent got, or the lack of one."""
        code, reply, visit = code_of(call), call.reply, (call.visits[0] if call.visits else None)
        if visit is not None and call.left_at is not None:
            self._cut(call, visit)
        if reply is None:
            if call.left_at is None and not left_with_gateway(call):
                self.fail("answer", f"call {call.name} ({call.habit}, {call.malformed}) gets no answer")
            return
        self.marks[f"error: {code}" if code else f"status: {reply.status}"] += 1
        if code:
            if not self._refused_rightly(call, code, visit, history) or (not reply.whole and call.left_at is None):
                self.fail("answer", f"call {call.name} ({call.habit}, {call.malformed}) gets {reply}")
        elif visit is None or call.malformed or visit.script.fails or reply.status != visit.script.status:
            self.fail("answer", f"call {call.name} ({call.habit}, {call.malformed}) gets {reply}")
        else:
            self._passed(call, visit)

    def _passed(self, call: "Call", visit: Visit) -> None:
        """Judge an answer that was passed on, byte for byte."""
        reply, script = call.reply, visit.script
        assert reply is not None
        key = KEYS[self._provider].encode()
        data = script.data[: visit.sent].replace(key, b"*" * len(key))
        if not data.startswith(reply.body) and not script.data.startswith(key[:4], visit.sent - 40):
            self.fail("answer", f"call {call.name}: {reply.body!r} is no part of {data!r}")
        if visit.done and call.left_at is None and (reply.body != data or not reply.whole):
            self.fail("answer", f"call {call.name} gets {len(reply.body)} of {len(data)} bytes, whole: {reply.whole}")
        cut = left_with_gateway(call) or call.refused or visit.script.ends != "well"
        if not visit.done and call.left_at is None and not cut:
            self.fail("cut", f"call {call.name} was cut off without a reason")
        complete = "content-length" in reply.headers and len(reply.body) == len(script.data)
        if not visit.done and reply.whole and not complete:
            self.fail("answer", f"call {call.name} takes an answer for whole that broke off")
        if script.status >= 400 and reply.headers.get("retry-after") != "7":
            self.fail("answer", f"call {call.name} gets no retry-after")

    def _cut(self, call: "Call", visit: Visit) -> None:
        """Judge what follows at the vendor once the agent has hung up."""
        if call.streamed and visit.sent_at > (call.left_at or 0.0) + 1e-6:
            self.fail("cut", f"call {call.name}: the vendor goes on though its agent hung up")
        wanted = not call.streamed and visit.script.ends == "well" and not visit.script.fails
        if wanted and not visit.done and not left_with_gateway(call):
            self.fail("cut", f"call {call.name}: an answer in one piece was not read to its end")

    def _refused_rightly(self, call: "Call", code: str, visit: Visit | None, history: "History") -> bool:
        """Return True if there was a reason for an error of the gateway."""
        beside = others(call, history.calls)
        if code == MALFORMED.get(call.malformed) and visit is None:
            return True
        if visit is not None:
            silent = code != "athena_server_silent" or call.over_at - visit.at >= SILENCE_SECONDS - 0.001
            return code == FAILED.get(visit.script.fails) and silent
        match code:
            case "athena_budget" | "athena_stopped":
                stopped = call.term.stopped_at
                left = left_with_gateway(call)
                named = code == "athena_budget" or call.term.broken or left
                return named and (left or (stopped is not None and stopped <= call.over_at))
            case "athena_calls":
                return len(beside) >= LIMITS.calls_max
            case "athena_connections":
                return len(beside) >= LIMITS.connections_max
            case "athena_bodies":
                return sum(len(one.body) for one in (call, *beside)) > LIMITS.bodies_bytes_max
        return False


def _take_limits(asked: dict[str, Any]) -> list[int]:
    """Take the limits out of a request. Return them."""
    config = asked.get("generationConfig", asked)
    found = [config.pop(name) for name in LIMIT_MEMBERS & set(config)]
    if not asked.get("generationConfig", True):
        asked.pop("generationConfig")
    return found
