"""The activity of an outside agent beside its words: its plan, its reasoning, and calls that have not ended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from athena_cli import render
from athena_cli.output.ask_text import visible

MARKS: Mapping[str, str] = {"completed": "[x]", "in_progress": "[>]"}
LINES_MAX = 500
"""Maximum number of lines that are printed about the plans of a run."""
CLEAR = "\r\x1b[K"

Step = tuple[str, str]


class ActivityPrinter:
    """Prints the activity of an agent on standard error: changes of its plan as lines, the rest in a line of its own.

    That line stands on terminals only. The next activity replaces it, and ``clear`` removes it.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._plan: tuple[Step, ...] = ()
        self._lines = 0
        self._line = False

    def show(self, activity: Mapping[str, Any], *, in_text: bool) -> None:
        """Print an activity. ``in_text``: the line of the agent's words is not ended."""
        plan = tuple((str(step.get("text")), str(step.get("status"))) for step in activity.get("plan") or ())
        changes = list(_changes(self._plan, plan))
        self._plan = plan or self._plan
        if changes and not in_text and self._lines < LINES_MAX:
            self.clear()
            self._lines += len(changes)
            for change in changes:
                self._note(change)
        if not in_text and render.errors_on_terminal():
            self._replace(_now(activity))

    def clear(self) -> None:
        """Remove the line of the activity."""
        if self._line:
            render.write_errors(CLEAR)
        self._line = False

    def _replace(self, text: str) -> None:
        from rich.cells import chop_cells

        self.clear()
        shown = next(iter(chop_cells(text, max(render.width() - 1, 1))), "") if text else ""
        if shown:
            render.write_errors(f"\x1b[2m{shown}\x1b[0m")
            self._line = True


def _changes(before: Sequence[Step], plan: Sequence[Step]) -> Iterator[str]:
    """Yield the lines about a plan that changed: all of it if it is another one, else the steps with another status."""
    if [text for text, _ in before] != [text for text, _ in plan]:
        for number, (text, status) in enumerate(plan):
            yield f"{'plan:' if not number else '     '} {MARKS.get(status, '[ ]')} {visible(text)}"
        return
    for (_, earlier), (text, status) in zip(before, plan, strict=True):
        if earlier != status:
            yield f"plan: {MARKS.get(status, '[ ]')} {visible(text)}"


def _now(activity: Mapping[str, Any]) -> str:
    """Return the newest call in progress with its last output, or the reasoning, in one line."""
    for call in reversed(activity.get("calls") or ()):
        if call.get("status") == "in_progress":
            output = _last_line(str(call.get("output") or ""))
            return visible(f"… {call.get('kind')} {' '.join(str(call.get('title')).split())}{output and ': '}{output}")
    thoughts = _last_line(str(activity.get("thoughts") or ""))
    return visible(f"… {thoughts}") if thoughts else ""


def _last_line(text: str) -> str:
    return " ".join((text.strip().splitlines() or [""])[-1].split())
