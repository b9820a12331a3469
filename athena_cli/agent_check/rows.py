"""The rows of the check: what an agent is expected to do, each with a function that looks at it.

A required row has to be ok before Athena can run the agent. A habit is worth knowing, and Athena can live with it.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from athena_cli.agent_check.subject import Subject

Demand: TypeAlias = Literal["required", "habit"]
Stage: TypeAlias = Literal["interview", "first", "runs", "kill", "last"]
"""When a row is tried: in the interview, by the first run, by runs at once with others, by runs whose server is killed,
or after them."""
Result: TypeAlias = Literal["ok", "differs", "failed", "not tried"]
"""``differs``: the agent does something else. ``failed``: the row could not be tried to its end."""
Look: TypeAlias = Callable[["Subject"], Awaitable[str]]
"""Returns what was seen. Raises Differs, NotTried, or anything else for a row that failed."""


class Differs(Exception):
    """The agent does something else. The message is a sentence."""


class NotTried(Exception):
    """The row makes no sense here. The message is a sentence."""


def expect(seen: object, otherwise: str) -> None:
    """Raise Differs with a sentence unless the expected was seen."""
    if not seen:
        raise Differs(otherwise)


class CheckRow(NamedTuple):
    """A row. ``needs`` are the keys of rows that must not be red, or this one is not tried."""

    key: str
    title: str
    demand: Demand
    stage: Stage
    remedy: str
    """What an operator can do if it is red."""
    needs: tuple[str, ...]
    boxed: bool | None
    """True: only in a sandbox, False: only without one."""
    look: Look


class RowResult(NamedTuple):
    """The result of a row."""

    row: CheckRow
    result: Result
    seen: str
    seconds: float

    @property
    def red(self) -> bool:
        """True if the agent does not do what the row says."""
        return self.result in {"differs", "failed"}


ROWS: dict[str, CheckRow] = {}
"""All rows by key, in the order of the table."""


def row(
    key: str,
    title: str,
    demand: Demand,
    remedy: str,
    *,
    stage: Stage = "runs",
    needs: tuple[str, ...] = (),
    boxed: bool | None = None,
) -> Callable[[Look], Look]:
    """Register the function below as a row."""

    def register(look: Look) -> Look:
        assert key not in ROWS, f"two rows {key}"
        assert set(needs) <= ROWS.keys(), f"{key} needs a later row"
        ROWS[key] = CheckRow(key, title, demand, stage, remedy, needs, boxed, look)
        return look

    return register
