"""A made-up history: a log in memory, and moves that write plausible events to it."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import CountingIds, iso
from athena_core.definitions.profile import HarnessConfig, HarnessPolicies, HarnessSpec
from athena_core.domain import EVENTS
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.memory import MemoryForgotten, MemoryRecorded
from athena_core.domain.plane import (
    AuthzDenied,
    AuthzModeActive,
    PayloadRedacted,
    RequestsSuppressed,
    SafetyViolation,
    ViolationActor,
    ViolationSource,
)
from athena_core.domain.policy import Policy, PolicyUpdated
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.domain.run import (
    EvidenceAttached,
    MemoryRecalled,
    PolicyOrigin,
    PolicyRejected,
    RejectedRunDetails,
    RunCancelled,
    RunCancelRequested,
    RunCompleted,
    RunCrashed,
    RunCreated,
    RunFailed,
    RunLeased,
    RunQueued,
    RunRejection,
    RunStarted,
    RunTimedOut,
    ToolCalled,
    TranscriptAppended,
    UsageRecorded,
)
from athena_core.domain.session import SessionCreated
from athena_core.domain.template import RunTemplateCreated, RunTemplateRun, RunTemplateUpdated
from athena_core.enums import EvidenceType, WaitReason
from athena_core.event import Event, Position
from athena_core.log.codec import Codec
from athena_core.protocols import PublicRow, Row
from athena_core.values import PAGE_BYTES_MAX, ContextMeta, RefusedRequest, Reliability, Usage
from tests.projections import ask_history, queue_history, schedule_history, workflow_history

LOG_ID = "0123456789abcdef"
BEGINNING = 1_767_225_600_000

SPEC = HarnessSpec(
    display_name="Échange",
    version="v1",
    config=HarnessConfig(provider="mock", model="mock-model", tools=("none",)),
    policies=HarnessPolicies(timeout_ms=1000, retry_limit=1, budget_usd=0),
)
ASKING = replace(SPEC, config=replace(SPEC.config, tools=("ask_user",)))
RELIABILITY = Reliability(provider_attempts=1, provider_retries=0, fallback_hops=0)
CONTEXT = ContextMeta(
    initial_strategy="raw",
    final_strategy="raw",
    overflow_recovered=False,
    overflow_attempts=0,
    initial_chars=1,
    final_chars=1,
    effective_max_chars=1,
    steps=(),
)
CODEC = Codec(EVENTS)


class History:
    """A log in memory (``protocols.LogReader``) with methods that write it; one run id is one stream."""

    def __init__(self, log_id: str = LOG_ID) -> None:
        self.log_id = log_id
        self.written: list[Row] = []
        self.now = BEGINNING
        self.ids = CountingIds()
        self.open: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self._salt = 0
        self.queues = queue_history.QueueHistory(self)
        self.workflows = workflow_history.WorkflowHistory(self)
        self.schedules = schedule_history.ScheduleHistory(self)
        self.asks = ask_history.AskHistory(self)

    # Reading

    def head(self) -> Position:
        return len(self.written)

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        last = len(self.written) if until is None else min(until, len(self.written))
        return self.written[after : min(after + limit, last)]

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> list[PublicRow]:
        return list(map(PublicRow.of, self.rows(after, limit, until)))

    def row(self, position: Position) -> Row | None:
        return self.written[position - 1] if 0 < position <= len(self.written) else None

    def close(self) -> None:
        pass

    # Writing

    def write(
        self,
        stream: str,
        event: Event,
        *,
        session_id: str | None = None,
        run_id: str | None = None,
        trace: str = "t",
        actor: str = "local",
    ) -> Position:
        self._salt += 1
        encoded = CODEC.encode(event, lambda: self._salt.to_bytes(16, "big"))
        position = len(self.written) + 1
        previous = self.written[-1].chain if self.written else bytes(32)
        self.versions[stream] = self.versions.get(stream, 0) + 1
        self.written.append(
            Row(
                position=position,
                stream=stream,
                version=self.versions[stream],
                type=encoded.type,
                schema_version=encoded.schema_version,
                recorded_at=self.now,
                command_id=f"cmd_{position}",
                correlation=trace,
                causation=None,
                actor=actor,
                session_id=session_id,
                run_id=run_id,
                data=encoded.data,
                extra=encoded.extra,
                data_hash=b"",
                text_hash=None if encoded.text is None else hashlib.sha256(encoded.text).digest(),
                chain=hashlib.sha256(previous + encoded.data + position.to_bytes(8, "big")).digest(),
                text=encoded.text,
            )
        )
        return position

    def in_run(self, run_id: str, *events: Event) -> Position:
        for event in events:
            position = self.write(run_id, event, session_id=self._session(run_id), run_id=run_id, trace="t" + run_id)
        return position

    def _session(self, run_id: str) -> str:
        return self.open.get(run_id) or self.waiting[run_id]

    def request(
        self,
        session_id: str,
        wait: WaitReason | None = None,
        *,
        provider: str = "mock",
        model: str = "mock-model",
        profile_id: str = "shadow-harness-0123456789ab",
        persona: str | None = None,
        actor: str = "local",
        asking: bool = False,
        requesters: tuple[str, ...] | None = None,
        profile: HarnessSpec | None = None,
    ) -> str:
        """Append a run with plain input: its session, its shadow directive, and the run, admitted or waiting."""
        if f"session:{session_id}" not in self.versions:
            self.write(f"session:{session_id}", SessionCreated(session_id=session_id), session_id=session_id)
        directive_id = self.ids.new("dir")
        self.directive("what was asked", directive_id=directive_id, shadow=True)
        run_id = self.ids.new("run")
        fields: dict[str, Any] = {
            "session_id": session_id,
            "directive_id": directive_id,
            "harness_profile_id": profile_id,
            "provider": provider,
            "model": model,
            "harness_profile_snapshot": profile or (ASKING if asking else SPEC),
            "profile_named": asking,
            "timeout_ms": 30_000,
            "requested_by": "ex_1",
            "persona_name": persona,
            "requesters": requesters,
        }
        (self.waiting if wait else self.open)[run_id] = session_id
        requested = RunQueued(reason=wait, **fields) if wait else RunCreated(**fields)
        self.write(run_id, requested, session_id=session_id, run_id=run_id, trace="t" + run_id, actor=actor)
        return run_id

    def admit(self, run_id: str) -> None:
        self.open[run_id] = self.waiting.pop(run_id)
        queued = next(row for row in self.written if row.stream == run_id)
        event = CODEC.decode(queued).event
        assert isinstance(event, RunQueued)
        fields: dict[str, Any] = {name: getattr(event, name) for name in RunCreated.__struct_fields__}
        self.in_run(run_id, RunCreated(**fields))

    def start(self, run_id: str, said: str = "hello") -> None:
        self.in_run(
            run_id,
            RunLeased(executor="ex_1", token=1, attempt=1, pid=4242),
            RunStarted(attempt=1),
            TranscriptAppended(role="user", kind="message", chars=len(said), content=said),
        )

    def answer(self, run_id: str, text: str = "Echo: hello", *, partial: bool | None = None) -> Position:
        said = TranscriptAppended(role="assistant", kind="message", chars=len(text), partial=partial, content=text)
        return self.in_run(run_id, said)

    def call(self, run_id: str, call_id: str = "c1", **fields: Any) -> Position:
        return self.in_run(
            run_id,
            ToolCalled(
                turn=1,
                tool_call_id=call_id,
                chars=2,
                repeatable=False,
                **{"tool_name": "shell", "arguments": "{}", **fields},
            ),
        )

    def result(self, run_id: str, call_id: str = "c1", **fields: Any) -> Position:
        return self.in_run(
            run_id,
            TranscriptAppended(
                role="tool",
                kind="tool-result",
                chars=2,
                tool_call_id=call_id,
                **{"tool_name": "shell", "content": "ok", **fields},
            ),
        )

    def show(self, run_id: str, content: str = "green", kind: EvidenceType = "text", **fields: Any) -> str:
        """Append evidence. Return its id."""
        evidence_id = self.ids.new("evd")
        event = EvidenceAttached(
            evidence_id=evidence_id,
            evidence_type=kind,
            size_bytes=len(content),
            sha256="ab" * 32,
            content=content,
            content_salt="cd" * 16,
            **{"label": "log", "source": "tool", "workspace": False, **fields},
        )
        self.in_run(run_id, event)
        return evidence_id

    def pay(
        self,
        run_id: str,
        cost: int | None = 7,
        first_token_ms: int | None = None,
        *,
        estimated: bool | None = None,
    ) -> None:
        usage = Usage(input_tokens=2, output_tokens=3, total_tokens=5)
        paid = UsageRecorded(
            provider="mock",
            model="mock-model",
            usage=usage,
            estimated=estimated,
            cost_micro_usd=cost,
            first_token_ms=first_token_ms,
        )
        self.in_run(run_id, paid)

    def end(self, run_id: str, how: str = "completed") -> Position:
        endings: dict[str, Event] = {
            "completed": RunCompleted(
                provider="mock",
                model="mock-model",
                harness_profile_id="hp",
                evidence_count=0,
                verification_status="passed",
                reliability=RELIABILITY,
                context_meta=CONTEXT,
            ),
            "failed": RunFailed(code="PROVIDER_ERROR", error_text="no", retryable=True),
            "cancelled": RunCancelled(cause="requested"),
            "withdrawn": RunCancelled(cause="session-busy"),
            "timed-out": RunTimedOut(timeout_ms=1000),
            "crashed": RunCrashed(executor="ex_1", attempt=1),
        }
        self.asks.close(run_id)
        position = self.in_run(run_id, endings[how])
        self.open.pop(run_id, None)
        self.waiting.pop(run_id, None)
        return position

    def whole_run(self, session_id: str, said: str = "hello") -> str:
        run_id = self.request(session_id)
        self.start(run_id, said)
        self.answer(run_id, "Echo: " + said)
        self.pay(run_id)
        self.end(run_id)
        return run_id

    def ask_to_cancel(self, run_id: str, reason: str | None = "enough") -> None:
        self.in_run(run_id, RunCancelRequested(status="cancelled", note=reason, run_id=run_id))

    def directive(self, text: str, *, directive_id: str | None = None, shadow: bool = False) -> str:
        directive_id = directive_id or self.ids.new("dir")
        self.write(
            directive_id,
            DirectiveCreated(
                directive_id=directive_id,
                has_context_refs=True,
                has_metadata=True,
                shadow=shadow or None,
                input=text,
                context_refs=("file:a",),
                metadata={"k": "v"},
            ),
        )
        return directive_id

    def profile(self, provider: str = "mock") -> str:
        profile_id = self.ids.new("hp")
        event = HarnessProfileCreated(
            harness_profile_id=profile_id, version="v1", provider=provider, model="mock-model", profile=SPEC
        )
        self.write(profile_id, event)
        return profile_id

    def template(self, text: str = "about {{topic}}", *, template_id: str | None = None, version: int = 1) -> str:
        template_id = template_id or self.ids.new("tpl")
        kind = RunTemplateCreated if version == 1 else RunTemplateUpdated
        event = kind(
            run_template_id=template_id,
            harness_profile_id="hp_1",
            version=version,
            param_names=("topic",),
            params_schema={"type": "object"} if version == 1 else None,
            directive_template=text,
            default_params={"topic": "apples"},
        )
        self.write(template_id, event)
        return template_id

    def template_run(self, run_id: str, topic: str = "pears") -> Position:
        """Make a run one of a template that has two versions."""
        template_id = self.template()
        self.template("{{topic}}", template_id=template_id, version=2)
        event = RunTemplateRun(
            run_template_id=template_id,
            version=2,
            directive_id="dir_1",
            harness_profile_id="hp_1",
            provider="mock",
            model="mock-model",
            param_names=("topic",),
            effective_params={"topic": topic},
        )
        return self.in_run(run_id, event)

    def put_policy(self, limit: int | None, comment: str | None = None, *, actor: str = "ada") -> Position:
        before = [row for row in self.written if row.type == PolicyUpdated.TYPE]
        event = PolicyUpdated(
            schema_version=1,
            updated_at=iso(self.now),
            after=Policy(schema_version=1, max_concurrent_runs=limit),
            before=CODEC.decode(before[-1]).event.after if before else None,  # type: ignore[attr-defined]
            audit_comment=comment,
            updated_by=actor,
        )
        return self.write("policy", event, actor=actor)

    def refuse(
        self,
        session_id: str,
        *,
        limit: int = 1,
        actor: str = "local",
        profile_id: str | None = None,
        template_id: str | None = None,
        request: RefusedRequest | None = None,
    ) -> str:
        """Refuse a run at its admission."""
        run_id = self.ids.new("run")
        rejection = RunRejection(
            schema_version=1,
            timestamp=iso(self.now),
            policy_type="CONCURRENCY",
            limit=limit,
            rejected_run_details=RejectedRunDetails(session_id=session_id),
            reason="max-concurrent-runs-exceeded",
            active_runs=limit,
            policy=PolicyOrigin(schema_version=1, engine="athena", rule_type="concurrency", failure_action="enforce"),
        )
        event = PolicyRejected(
            rejection=rejection,
            directive_id="dir_1",
            harness_profile_id=profile_id,
            run_template_id=template_id,
            run_template_version=2 if template_id else None,
            request=request,
        )
        self.write(run_id, event, session_id=session_id, run_id=run_id, trace="t" + run_id, actor=actor)
        return run_id

    def remember(self, text: str) -> Position:
        entry_id = self.ids.new("mem")
        return self.write(entry_id, MemoryRecorded(entry_id=entry_id, chars=len(text), has_metadata=False, text=text))

    def forget(self, position: Position) -> None:
        stream = self.written[position - 1].stream
        self.write(stream, MemoryForgotten(entry_id=stream))
        self.redact(position)

    def deny(self, operation: str, *, actor: str = "vera") -> Position:
        event = AuthzDenied(
            subject=actor, role="Viewer", operation=operation, required_roles=("Admin",), deny_reason="ROLE_MISSING"
        )
        return self.write("plane", event, actor=actor)

    def suppress(self, count: int, *, actor: str = "vera", operation: str = "createRun") -> Position:
        """Suppress requests after too many refusals."""
        event = RequestsSuppressed(count=count, subject=actor, operation=operation)
        return self.write("plane", event, actor=actor)

    def redact(self, position: Position) -> None:
        """Erase the text of a row as the store does, and record it."""
        self.written[position - 1] = self.written[position - 1]._replace(text=None)
        self.write("plane", PayloadRedacted(target=position, note="asked for"))

    def violation(self, position: Position) -> Position:
        source = ViolationSource(position=position, trace_id="t", type="authz.denied", created_at="2026")
        return self.write(
            "plane",
            SafetyViolation(
                schema_version=1,
                source=source,
                category="authorization",
                severity="high",
                outcome="denied",
                violation_code="AUTHZ_DENIED",
                actor=ViolationActor(subject="eve", role="Viewer"),
            ),
        )

    def damage(self, position: Position) -> None:
        self.written[position - 1] = self.written[position - 1]._replace(data=b'{"damaged')

    # Moves of a generated history

    def play(self, moves: Iterable[tuple[int, int]]) -> "History":
        for kind, choice in moves:
            self.now += choice % 3
            self._move(kind, choice)
        return self

    def _move(self, kind: int, choice: int) -> None:
        runs, waiting = list(self.open), list(self.waiting)
        session_id = f"s{choice % 4}"
        run_id = runs[choice % len(runs)] if runs else None
        if kind == 0:
            self.request(session_id, asking=choice % 3 == 0)
        elif kind == 1:
            self.request(session_id, "session-busy" if choice % 2 else "concurrency")
        elif kind == 2 and waiting:
            self.admit(waiting[choice % len(waiting)])
        elif kind == 3 and waiting:
            self.end(waiting[choice % len(waiting)], "withdrawn")
        elif kind == 4 and run_id:
            self.start(run_id, f"said {choice} ÿ")
        elif kind == 5 and run_id:
            self.answer(run_id, f"answer {choice}")
        elif kind == 6 and run_id:
            self.pay(run_id, choice if choice % 2 else None)
        elif kind == 7 and run_id:
            self.ask_to_cancel(run_id)
        elif kind == 8 and run_id:
            self.end(run_id, ("completed", "failed", "cancelled", "timed-out", "crashed")[choice % 5])
        elif kind == 9 and (texts := [row.position for row in self.written if row.text is not None]):
            self.redact(texts[choice % len(texts)])
        elif kind == 10:
            self.directive(f"do {choice}")
        elif kind == 11:
            self.profile()
        elif kind == 12:
            self.whole_run(session_id)
        elif kind == 13:
            self.put_policy(choice % 5 or None, "so decided" if choice % 2 else None)
        elif kind == 14:
            self.refuse(session_id, limit=choice % 3 + 1, template_id="tpl_1" if choice % 2 else None)
        elif kind == 15:
            self.deny(f"operation{choice % 3}")
        elif kind == 16 and run_id:
            unknown: dict[str, Any] = {"tool_name": None, "unknown_name": "a secret", "refused": "unknown-tool"}
            self.call(run_id, **(unknown if choice % 5 == 0 else {}))
        elif kind == 17 and run_id:
            self.result(run_id, changed=choice % 2 == 0 or None, is_error=choice % 3 == 0 or None)
        elif kind == 18 and run_id:
            free: dict[str, Any] = {"label": None, "free_label": "a secret"} if choice % 3 == 0 else {}
            self.show(run_id, f"shown {choice}", workspace=choice % 2 == 0, **free)
        elif kind == 20 and run_id:
            self.template_run(run_id, f"topic {choice}")
        elif kind == 19:
            self.suppress(choice + 1)
        elif kind == 21:
            self.remember(f"note {choice} ÿ")
        elif kind == 22 and run_id:
            self.in_run(run_id, MemoryRecalled(citations=("MEMORY.md#L1",), chars=4, snippets=("note",)))
        elif FIRST_OF_ASKS <= kind < FIRST_OF_QUEUES and run_id:
            self.asks.move(kind - FIRST_OF_ASKS, choice, run_id)
        elif FIRST_OF_QUEUES <= kind < FIRST_OF_QUEUES + queue_history.MOVES:
            self.queues.move(kind - FIRST_OF_QUEUES, choice)
        elif FIRST_OF_WORKFLOWS <= kind < FIRST_OF_SCHEDULES:
            self.workflows.move(kind - FIRST_OF_WORKFLOWS, choice)
        elif FIRST_OF_SCHEDULES <= kind < MOVES:
            self.schedules.move(kind - FIRST_OF_SCHEDULES, choice)
        else:
            self.write("plane", AuthzModeActive(mode="off"))


FIRST_OF_ASKS = 28
FIRST_OF_QUEUES = 32
FIRST_OF_WORKFLOWS = FIRST_OF_QUEUES + queue_history.MOVES
FIRST_OF_SCHEDULES = FIRST_OF_WORKFLOWS + workflow_history.MOVES
MOVES = FIRST_OF_SCHEDULES + schedule_history.MOVES


HISTORIES = st.lists(st.tuples(st.integers(0, MOVES), st.integers(0, 99)), max_size=60)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)
