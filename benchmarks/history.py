"""The history: a log with the events of mock runs, of any length, written through the product's own log.

``python -m benchmarks.history DIRECTORY EVENTS [short|parked|mixed]`` writes one. With ``short``, runs only start and
end; with ``parked``, each asks a person for a call and waits; with ``mixed``, the runs of 40 sessions take turns.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path

from msgspec.structs import replace

from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.definitions.profile import HarnessConfig, HarnessPolicies, HarnessSpec, ShellPolicy, ToolPolicies
from athena_core.domain import DECIDERS, EVENTS, session
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.run import (
    AskOption,
    RunAsked,
    RunCompleted,
    RunCreated,
    RunLeased,
    RunPaused,
    RunStarted,
    TranscriptAppended,
    UsageRecorded,
)
from athena_core.domain.session import SessionCreated
from athena_core.event import Event, Fact, Meta
from athena_core.log.codec import Codec
from athena_core.log.engine import open_store
from athena_core.log.writer import Log
from athena_core.tools.approval import call_sha256
from athena_core.values import ContextMeta, Reliability, Usage

TRANSACTION_EVENTS = 2_000
RUNS_PER_SESSION = 10
SHORT_RUN_EVENTS = 4
MIXED_SESSIONS = 40
"""Number of sessions whose runs take turns in a mixed log."""
SAID = "Summarise the incidents of the last night, group them by service, and say which of them need a person today."
ANSWER = "Echo: " + SAID

PROFILE = HarnessSpec(
    display_name="Shadow harness profile",
    version="v1",
    config=HarnessConfig(provider="mock", model="mock-model", tools=("none",)),
    policies=HarnessPolicies(timeout_ms=30_000, retry_limit=1, budget_usd=0),
)
ASKING = replace(PROFILE, tool_policies=ToolPolicies(shell=ShellPolicy(commands=(("git",),), approval="ask")))
CALL = '{"command":["git","push","origin","main"]}'
PARKED_RUN_EVENTS = 7
DAY_MS = 86_400_000
USAGE = Usage(input_tokens=len(SAID), output_tokens=len(ANSWER), total_tokens=len(SAID) + len(ANSWER))
CONTEXT = ContextMeta(
    initial_strategy="raw",
    final_strategy="raw",
    overflow_recovered=False,
    overflow_attempts=0,
    initial_chars=len(SAID),
    final_chars=len(SAID),
    effective_max_chars=30_000,
    steps=(),
)
RELIABILITY = Reliability(provider_attempts=1, provider_retries=0, fallback_hops=0, turn_latency_ms=0)


def facts(ids: SystemIds, *, short: bool = False) -> Iterator[Fact]:
    """Yield mock runs forever, ten per session; ``short`` omits events that do not count them."""
    executor = ids.new("exe")
    while True:
        session_id = ids.new("ses")
        yield Fact(
            stream=session.stream(session_id), event=SessionCreated(session_id=session_id), session_id=session_id
        )
        for _ in range(RUNS_PER_SESSION):
            directive_id, run_id = ids.new("dir"), ids.new("run")
            if not short:
                yield Fact(
                    stream=directive_id,
                    event=DirectiveCreated(
                        directive_id=directive_id, has_context_refs=False, has_metadata=False, shadow=True, input=SAID
                    ),
                )
            events = run_events(session_id, directive_id, executor)
            for event in (*events[:3], events[-1]) if short else events:
                yield Fact(stream=run_id, event=event, session_id=session_id, run_id=run_id)


def parked_facts(ids: SystemIds) -> Iterator[Fact]:
    """Yield parked runs forever, each in a session of its own."""
    executor, now = ids.new("exe"), SystemClock().now()
    while True:
        session_id, run_id, ask_id, salt = ids.new("ses"), ids.new("run"), ids.new("ask"), ids.salt(16).hex()
        created, leased, started, said, *_ = run_events(session_id, ids.new("dir"), executor)
        asked = RunAsked(
            ask_id=ask_id,
            kind="tool-permission",
            origin="loop",
            turn=1,
            chars=len(CALL),
            options=(AskOption(id="allow", kind="allow_once"), AskOption(id="deny", kind="reject_once")),
            subject_sha256=call_sha256(salt, "shell", CALL),
            expires_at_ms=now + DAY_MS,
            on_expiry="deny",
            hold_until_ms=now,
            tool_call_id="call_1",
            tool_name="shell",
            title="Allow shell?",
            arguments=CALL,
            option_names=("Allow", "Deny"),
            subject_salt=salt,
        )
        yield Fact(
            stream=session.stream(session_id), event=SessionCreated(session_id=session_id), session_id=session_id
        )
        asking = replace(created, harness_profile_snapshot=ASKING)
        for event in (asking, leased, started, said, asked, RunPaused(reason="ask", elapsed_ms=0)):
            yield Fact(stream=run_id, event=event, session_id=session_id, run_id=run_id)


def run_events(session_id: str, directive_id: str, executor: str) -> tuple[Event, ...]:
    """Return the events of one run."""
    return (
        RunCreated(
            session_id=session_id,
            directive_id=directive_id,
            harness_profile_id="shadow-harness-0123456789ab",
            provider="mock",
            model="mock-model",
            harness_profile_snapshot=PROFILE,
            profile_named=False,
            timeout_ms=30_000,
            requested_by=executor,
        ),
        RunLeased(executor=executor, token=1, attempt=1, pid=os.getpid()),
        RunStarted(attempt=1),
        TranscriptAppended(role="user", kind="message", chars=len(SAID), content=SAID),
        TranscriptAppended(role="assistant", kind="message", chars=len(ANSWER), content=ANSWER),
        UsageRecorded(provider="mock", model="mock-model", usage=USAGE, cost_micro_usd=0),
        RunCompleted(
            provider="mock",
            model="mock-model",
            harness_profile_id="shadow-harness-0123456789ab",
            usage=USAGE,
            evidence_count=0,
            verification_status="passed",
            reliability=RELIABILITY,
            context_meta=CONTEXT,
        ),
    )


def mixed_facts(ids: SystemIds) -> Iterator[Fact]:
    """Yield mock runs forever. The runs of some sessions take turns, event by event."""
    return chain.from_iterable(zip(*(facts(ids) for _ in range(MIXED_SESSIONS)), strict=True))


KINDS: Mapping[str, Callable[[SystemIds], Iterator[Fact]]] = {
    "plain": facts,
    "short": partial(facts, short=True),
    "parked": parked_facts,
    "mixed": mixed_facts,
}
"""The kinds of logs, and their events."""


def write(directory: Path, events: int, kind: str = "plain", *, url: str | None = None) -> None:
    """Write a log with ``events`` events to a state directory or a database."""
    ids = SystemIds()
    log = Log(open_store(directory, url, ids), Codec(EVENTS), DECIDERS, clock=SystemClock(), ids=ids)
    log.start()
    source = KINDS[kind](ids)
    for done in range(0, events, TRANSACTION_EVENTS):
        page = tuple(islice(source, min(TRANSACTION_EVENTS, events - done)))

        def record(reader: Reader, context: Context, page: tuple[Fact, ...] = page) -> Outcome:
            return Outcome(facts=page)

        log.submit_in_thread(record, Meta(actor="local", correlation=ids.trace()))
    log.close()


def written(directory: Path, events: int, kind: str = "plain") -> Path:
    """Write a log in another process, so that the caller stays small."""
    subprocess.run([sys.executable, "-m", "benchmarks.history", str(directory), str(events), kind], check=True)
    return directory


def with_runs(directory: Path, runs: int) -> Path:
    """Write a log with many finished runs and little else."""
    return written(directory, -(-runs // RUNS_PER_SESSION) * (1 + RUNS_PER_SESSION * SHORT_RUN_EVENTS), "short")


def with_asks(directory: Path, asks: int) -> Path:
    """Write a log with parked runs, each of which asks a person."""
    return written(directory, asks * PARKED_RUN_EVENTS, "parked")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
