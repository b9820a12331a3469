"""A prepared run for tests of admission."""

from typing import Any

from athena_core.definitions.profile import HarnessSpec
from athena_core.services.context.compiler import ResolvedReferences
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun
from athena_core.values import LOCAL, RunBody


def prepared(
    run_id: str, body: RunBody | None = None, *, profile: HarnessSpec | None = None, **more: Any
) -> PreparedRun:
    """Prepare a run that says "hi"; ``more`` are further fields."""
    fields: dict[str, Any] = {
        "session_id": "s",
        "directive_id": "dir_1",
        "who": LOCAL,
        "capacity": ExecutorCapacity(),
        "body": body or RunBody(input="hi", harness_profile_id="hp_1" if profile else None),
        "text": "hi",
        "resolved": ResolvedReferences(salt=bytes(16)),
        "provider": "mock",
        "model": profile.config.model if profile else "mock-model",
        "default_timeout_ms": 30_000,
    }
    return PreparedRun(run_id=run_id, profile=profile, **fields | more)
