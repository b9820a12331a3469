"""The asks of a made-up history: what runs ask, the answers, and runs that park and wait in line."""

from typing import TYPE_CHECKING, Any

from athena_core.domain.run import AskOption, RunAnswered, RunAsked, RunPaused, RunRequeued, RunResumed
from athena_core.enums import AnswerCause

if TYPE_CHECKING:
    from tests.projections.history import History

OPTIONS = (AskOption(id="allow", kind="allow_once"), AskOption(id="deny", kind="reject_once"))
CALL = '{"command":["git","push"]}'
DAY_MS = 86_400_000


class AskHistory:
    """Writes the events of asks to a history."""

    def __init__(self, history: "History") -> None:
        self._history = history
        self.open: dict[str, list[str]] = {}
        self._parked: set[str] = set()

    def ask(self, run_id: str, **fields: Any) -> str:
        """Append an ask for a tool call. Return its id."""
        ask_id = self._history.ids.new("ask")
        usual: dict[str, Any] = {
            **{"kind": "tool-permission", "origin": "loop", "turn": 1, "chars": len(CALL), "options": OPTIONS},
            **{"subject_sha256": "ab" * 32, "expires_at_ms": self._history.now + DAY_MS, "on_expiry": "deny"},
            **{"hold_until_ms": self._history.now, "tool_call_id": "c1", "tool_name": "shell"},
            **{"title": "May the agent call shell?", "arguments": CALL, "option_names": ("Allow", "Deny")},
            "subject_salt": "cd" * 16,
        }
        self._history.in_run(run_id, RunAsked(ask_id=ask_id, **{**usual, **fields}))
        self.open.setdefault(run_id, []).append(ask_id)
        return ask_id

    def answer(self, run_id: str, ask_id: str, cause: AnswerCause = "person", **fields: Any) -> int:
        """Append the decision of an ask. Return its position."""
        self.open[run_id].remove(ask_id)
        chosen: dict[str, Any] = {"by": "ada", "option_id": "allow"} if cause == "person" else {}
        answered = RunAnswered(ask_id=ask_id, subject_sha256="ab" * 32, cause=cause, **{**chosen, **fields})
        return self._history.in_run(run_id, answered)

    def park(self, run_id: str) -> None:
        self._parked.add(run_id)
        self._history.in_run(run_id, RunPaused(reason="ask", elapsed_ms=5))

    def requeue(self, run_id: str) -> None:
        self._history.in_run(run_id, RunRequeued(reason="concurrency", provider="mock"))

    def resume(self, run_id: str) -> None:
        self._parked.discard(run_id)
        self._history.in_run(run_id, RunResumed(requested_by="ex_1", provider="mock"))

    def close(self, run_id: str) -> None:
        """Append the answers that the end of a run gives."""
        for ask_id in list(self.open.get(run_id, ())):
            self.answer(run_id, ask_id, "run-ended")
        self._parked.discard(run_id)

    def move(self, kind: int, choice: int, run_id: str) -> None:
        """Make a plausible move for a run."""
        asks = self.open.get(run_id, [])
        if kind == 0 and run_id not in self._parked:
            form = '{"type":"object"}' if choice % 3 == 0 else None
            self.ask(run_id, kind="tool-permission" if choice % 2 else "question", form=form, title=f"may I {choice} ÿ")
        elif kind == 1 and asks and run_id not in self._parked:
            self.park(run_id)
        elif kind >= 2 and asks:
            cause: AnswerCause = ("person", "rule", "expiry")[choice % 3]
            words: dict[str, Any] = {"note": "a secret", "values": "{}", "arguments": CALL} if choice % 2 else {}
            self.answer(run_id, asks[choice % len(asks)], cause, **words)
            if not asks and run_id in self._parked:
                self.requeue(run_id)
        elif kind >= 2 and run_id in self._parked:
            self.resume(run_id)
