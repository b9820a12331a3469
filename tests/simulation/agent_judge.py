"""The judge of an outside agent's run: the checks of its permissions, answers, effects and end."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from athena_core.definitions.profile import AgentMatch, AgentRule
from athena_core.domain import run
from athena_core.services.execution.outside.run_endpoint import OVER, TOO_MANY
from athena_core.services.execution.performer import RunEnd
from tests.simulation.acp_agent import SimAgent, canonical
from tests.simulation.agent_record import AgentRecord
from tests.simulation.histories import Failure
from tests.simulation.loop import Process, SimClock, SimIds, SimLoop

SILENCE_SECONDS = 300.0
WITHDRAWN_SECONDS = 1.0
"""After this time a withdrawn request is known, unless the log was away before."""
KINDS = {"execute": "ask", "edit": "ask", "read": "allow", "fetch": "deny"}
TOOLS: Mapping[str, Any] = {"deploy": "ask", "look": "allow", "drop": "deny", "form": "allow"}
PERMISSIONS = tuple(
    AgentRule(match=AgentMatch(kind=kind), approval=approval)  # type: ignore[arg-type]
    for kind, approval in KINDS.items()
)


class AgentJudge:
    """The events around one run, and the checks of them. The record checks its own rules."""

    def __init__(self, seed: str, trace: Callable[[str], None] | None) -> None:
        self.loop = SimLoop(seed)
        self.chance = random.Random(f"{seed}:world")
        self.trace = trace
        self.clock = SimClock(self.loop)
        self.ids = SimIds(seed, self.clock)
        self.failures: list[Failure] = []
        self.marks: Counter[str] = Counter()
        self.record = AgentRecord(self.loop, self.clock, self.ids, self.fail)
        self.agent: SimAgent | None = None
        self.granted: Counter[tuple[str, str]] = Counter()
        self.made: Counter[tuple[str, str]] = Counter()
        """Calls that the agent made, or asked for."""
        self.effects: Counter[str] = Counter()
        self.outputs: list[tuple[SimAgent, str, str, str]] = []
        self.values: dict[str, str] = {}
        """The ask of each value that a person gave."""
        self.users: defaultdict[str, list[Process | None]] = defaultdict(list)
        """The executors that used each value."""
        self.costs: Counter[int] = Counter()
        self.crashed = False

    def fail(self, kind: str, what: str) -> None:
        self.failures.append(Failure(kind, what, round(self.loop.time(), 3)))
        self.say(f"FAILED {kind}: {what}")

    def say(self, line: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.loop.time():10.3f} {line}")

    # Answers to the agent, and effects

    def permission(self, kind: str, raw: Any, message: dict[str, Any]) -> bool:
        """Judge the answer to a request for a permission."""
        outcome = (message.get("result") or {}).get("outcome") or {}
        chosen, call = outcome.get("optionId"), (f"codex:{kind}", canonical(raw))
        self.say(f"  the agent may {call}: {chosen}")
        if chosen is None:  # the request may be unread: the report that it failed is then a call without a description
            self.made["other", '{"content":[],"title":""}'] += 1
        if chosen == "always":
            self.fail("permission", f"{call} got a permission that lasts")
        if chosen == "no" and KINDS[kind] != "deny" and not self.record.refused(*call) and not self.twice(kind, raw):
            self.fail("permission", f"{call} was refused, but nothing refused it")
        if chosen != "yes":
            return False
        self.granted[call] += 1
        may = {"allow": 1_000, "deny": 0, "ask": self.record.allowed(*call)}[KINDS[kind]]
        if self.granted[call] > may:
            self.fail("permission", f"{call} was permitted {self.granted[call]} times, but allowed {may} times")
        if self.granted[call] > self.record.made[kind, call[1]]:
            self.fail("permission", f"{call} was permitted before it was recorded")
        return True

    def twice(self, kind: str, raw: Any) -> bool:
        """Return True if a call asked while a request for its own permission was open."""
        return isinstance(raw, dict) and bool(raw.get("again"))

    def own_effect(self, kind: str, raw: Any) -> None:
        self.marks["own effect"] += 1

    def own_output(self, agent: SimAgent, kind: str, raw: Any, *, asked: bool) -> str:
        output = f"output {self.marks['own output']}"
        self.marks["own output"] += 1
        if agent.prompt is not None:
            self.outputs.append((agent, kind, canonical(raw), output))
        return output

    def model_ended(self, cost: int) -> None:
        self.costs[cost] += 1

    def answered(self, message: str, value: str) -> None:
        """Judge the answer to a question."""
        users = self.users[value]
        users.append(Process.current.get())
        ask = self.record.asks.get(self.values.get(value, ""))
        if ask is None or message not in (ask.title or ""):
            self.fail("answer", f"the question {message!r} got {value!r}, the answer to {ask and ask.title!r}")
        elif len(users) > (len(set(users)) if self.lost(ask) else 1):
            self.fail("answer", f"the answer {value!r} was used {len(users)} times")

    def lost(self, ask: run.RunAsked) -> bool:
        """Return True if a server asked during a call that was interrupted: no record says that it got the answer."""
        result = self.record.results.get(ask.tool_call_id or "")
        return ask.server is not None and result is not None and bool(result.interrupted)

    def own_begins(self, called: run.ToolCalled) -> None:
        """Judge the record that a call of the agent's own tools begins, which a person or a rule allowed."""
        agent, call = self.agent, (called.kind or "", called.arguments or "")
        withdrawn = None if agent is None else agent.withdrawn.get(call)
        if agent is None or withdrawn is None or agent.asking[call] or agent.exited.is_set():
            return
        if self.loop.time() - withdrawn > WITHDRAWN_SECONDS and not self.marks["move away"]:
            self.fail("withdrawn", f"{call} began, although its request had been withdrawn")

    def effect_begins(self, called: run.ToolCalled, tool: str, arguments: Mapping[str, Any]) -> None:
        """Judge that a server's tool is called."""
        call_id, record = called.tool_call_id, self.record
        self.marks[f"tool {tool}"] += 1
        self.effects[call_id] += 1
        found = record.called.get(call_id)
        if found is None or found.refused is not None or msgspec.json.decode(found.arguments or "{}") != arguments:
            self.fail("effect", f"{tool} {dict(arguments)} is made as {call_id}, which is not recorded so")
        elif call_id in record.results:
            self.fail("effect", f"{call_id} is made after its result")
        if self.effects[call_id] > 1:
            self.fail("effect", f"{call_id} is made {self.effects[call_id]} times")
        if TOOLS[tool] == "deny" or (TOOLS[tool] == "ask" and called.ask_id is None):
            self.fail("effect", f"{tool} is made, which no person has allowed")

    def tool_answered(
        self, name: str, arguments: Mapping[str, Any], text: str, *, is_error: bool, reports: bool
    ) -> None:
        """Judge the result of a call at the endpoint."""
        self.say(f"  the agent gets of {name} {dict(arguments)}: {text[:80]}")
        if text == TOO_MANY and reports:  # the endpoint records nothing, so the record has the report of the agent
            self.made["other", canonical(arguments)] += 1
        if text in {OVER, TOO_MANY} or text.startswith("Unknown tool"):
            return
        if not any(result.content == text for result in self.record.results.values()):
            self.fail("result", f"{name} {dict(arguments)} answered {text!r}, which is not recorded")
        if name == "ask_user" and not is_error:
            values = msgspec.json.decode(text)
            self.answered(str(arguments["question"]), values["answer"])

    # The end

    def judge_end(self, executor: str, done: RunEnd) -> None:
        """Judge the end that an executor wants to record."""
        if self.record.state.executor != executor or self.record.state.cancel is not None:
            return
        agent = self.agent
        match done.ending:
            case run.RunFailed(code="AGENT_SILENT"):
                if not done.ending.retryable:
                    self.fail("silence", "a run whose agent is silent cannot be repeated")
                elif agent is not None and agent.last_state[0]:
                    self.fail("silence", "an agent was ended as silent that waited, or worked")
                elif agent is not None and agent.last_state[1] < SILENCE_SECONDS - 1:
                    self.fail("silence", f"an agent was ended as silent after {agent.last_state[1]:.1f} s")
            case run.RunFailed(code="INTERNAL_ERROR" | "AGENT_BROKEN") if agent is None or agent.reason != "cancelled":
                self.fail("failed", done.ending.error_text or "")
            case run.RunCompleted():
                if agent is None or agent.reason != "end_turn":
                    self.fail("turn", f"the run completed, but the agent's turn ended as {agent and agent.reason!r}")
            case run.RunTimedOut():
                worked = self.loop.time() - self.record.asked_seconds
                if worked < done.ending.timeout_ms / 1000 - 1:
                    self.fail("timeout", f"the run timed out after {worked:.1f} s in which it did not ask")

    def _judge_words(self) -> None:
        events = [row.event for row in self.record.rows]
        said = [one for one in events if isinstance(one, run.TranscriptAppended) and one.role == "assistant"]
        words = "" if self.agent is None else self.agent.words
        if words not in "".join(one.content or "" for one in said):
            self.fail("turn", f"the agent said {words!r} last, which is not recorded")

    def judge(self) -> None:
        """Judge the whole record."""
        record, ending = self.record, self.record.ending
        if ending is None:
            return
        self.marks[f"end {getattr(ending, 'code', None) or ending.TYPE}"] += 1
        by_executor = not isinstance(ending, run.RunCancelled) or record.state.executor is not None
        if record.open_calls and by_executor and not isinstance(ending, run.RunCrashed):
            self.fail("unended", f"calls without a result: {record.open_calls}")
        for call, times in record.made.items():
            if times > self.made[call] and call[0] != "ask_user":
                self.fail("record", f"{call} was made {self.made[call]} times, and recorded {times} times")
        paid = Counter(row.event.cost_micro_usd for row in record.rows if isinstance(row.event, run.UsageRecorded))
        for cost, times in paid.items():
            if times > self.costs[cost or 0]:
                self.fail("usage", f"the cost {cost} was recorded {times} times")
        cancelled = isinstance(ending, run.RunCancelled)  # it ends with the first record after the request
        if not self.crashed and not cancelled and self.costs != paid:
            self.fail("usage", f"models took {sorted(self.costs)}, recorded are {sorted(map(str, paid))}")
        if isinstance(ending, run.RunCompleted):
            self._judge_outputs()
            self._judge_words()

    def _judge_outputs(self) -> None:
        """The results that the last process of the agent reported are recorded, each for its own call."""
        for agent, kind, raw, output in self.outputs:
            if agent is not self.agent:
                continue
            calls = [call for call, result in self.record.results.items() if result.content == output]
            made = [self.record.called[call] for call in calls if call in self.record.called]
            if [(one.kind, one.arguments) for one in made] != [(kind, raw)]:
                self.fail("output", f"{output!r} of {kind} {raw} is recorded for {made}")
