"""The command that finds the event at which something became true."""

import operator
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from athena_cli.client import ConnectionOptions, call, output_of
from athena_cli.exit_codes import Absent, Failed, Misused
from athena_cli.flags import SWITCH, TEXT
from athena_cli.render import note, show

if TYPE_CHECKING:
    from athena_cli.operations import CommandOperation
    from athena_cli.transport import Transport

BLOCK_EVENTS = 4_096
"""Distance of the positions that ``--first`` looks at before it looks at each event between two of them."""
COMMAND_EVENTS_MAX = 500
SKIP = 125
COMMAND_SECONDS = 600.0

EXPRESSION = re.compile(
    r"\s*(?P<path>[\w.\[\]-]+)\s*(?:(?P<op>==|!=|<=|>=|<|>|contains)\s*(?P<literal>\S.*?)|exists)\s*"
)
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "contains": lambda value, part: part in value,
}
ABSENT: Any = object()

Look = Callable[[int], Awaitable[tuple[bool | None, Any]]]
"""Returns whether something is true as of a position (None: unknown), and the value that it was judged by."""


class Expression:
    """A condition on the data of an answer: ``PATH OP JSON``, or ``PATH exists``."""

    def __init__(self, text: str) -> None:
        """Parse. Raise Misused."""
        import msgspec

        found = EXPRESSION.fullmatch(text)
        if found is None:
            raise Misused(f"{text!r} is not a condition. Examples: 'status == \"failed\"', 'items[0].runId exists'")
        self._steps = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", found["path"])]
        self._compare = None if found["op"] is None else COMPARE[found["op"]]
        self._literal: Any = None
        if found["op"] is not None:
            try:
                self._literal = msgspec.json.decode(found["literal"])
            except msgspec.DecodeError:
                self._literal = found["literal"]

    def value(self, data: Any) -> Any:
        """Return the value at the path; ``ABSENT`` if there is none."""
        for step in self._steps:
            try:
                data = len(data) if step == "length" and isinstance(data, list) else data[step]
            except (KeyError, IndexError, TypeError):
                return ABSENT
        return data

    def holds(self, value: Any) -> bool:
        """Return True if the condition holds for a value. Values of different types are only unequal."""
        if self._compare is None:
            return value is not ABSENT
        try:
            return self._compare(value, self._literal)
        except TypeError:
            return False


def bisect(
    path: str,
    condition: Annotated[str | None, TEXT] = None,
    *,
    start: Annotated[str | None, Parameter(name="--from")] = None,
    end: Annotated[str | None, Parameter(name="--to")] = None,
    command: Annotated[str | None, Parameter(name="--exec"), TEXT] = None,
    first: Annotated[bool, SWITCH] = False,
    connection: ConnectionOptions | None = None,
) -> None:
    """Find the event at which something became true, by about twenty looks at the past.

    Example: `athena bisect /fleet/summary 'outcomes.failed > 10'`. The condition is `PATH OP JSON` or `PATH exists`, on
    the `data` of the answer. `OP` is ==, !=, <, <=, >, >= or contains; `length` is the number of items of a list. An
    object that does not exist yet has no values. If it became true several times, one of them is found.

    Args:
        path: Path of a GET below `/api/v1`, with its query.
        condition: What became true.
        start: A moment before: an event id, a position or a time; the beginning if absent.
        end: A moment after; now if absent.
        command: Judge by a command instead. It reads the answer as JSON; exit code 0 means not yet,
            1 true, 125 unknown.
        first: Find the first time, by a look at every 4,096th event and then at each one between two of them. A change
            that is taken back within 4,096 events can be missed.
        connection: Connection and output options.
    """
    import msgspec

    if (condition is None) == (command is None):
        raise Misused("bisect needs a condition or --exec")
    operation, parts = _route(path)
    expression = None if condition is None else Expression(condition)

    async def work(transport: "Transport") -> bytes:
        async def ask(moment: str | None) -> Any:
            query = {**parts["query"], "asOf": moment}
            try:
                return msgspec.json.decode(await transport.request(operation.id, path=parts["path"], query=query))
            except Absent:
                return None

        async def look(position: int) -> tuple[bool | None, Any]:
            data = await ask(str(position))
            if expression is not None:
                value = expression.value(data)
                return expression.holds(value), value
            return _judged(str(command), data), data

        low, high = await _position(transport, ask, start, 0), await _position(transport, ask, end, None)
        found = await (_first if first else _any)(look, low, high)
        return msgspec.json.encode(await _event(transport, found, look))

    show(call(connection, work), output_of(connection), "bisect")


def _route(path: str) -> "tuple[CommandOperation, dict[str, dict[str, str]]]":
    """Return the operation of a path with its parameters. Raise Misused."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    from athena_cli.operations import OPERATIONS
    from athena_client.wire import PREFIX

    parts = urlsplit(path)
    given = "/" + parts.path.removeprefix(PREFIX).strip("/")
    for row in sorted(OPERATIONS.values(), key=lambda row: row.path.count(":")):  # literal segments win
        pattern = re.sub(r":(\w+)", r"(?P<\1>[^/]+)", row.path)
        if row.method == "GET" and (found := re.fullmatch(pattern, given)):
            if not row.past:
                raise Misused(f"{row.path} has no past")
            names = {name: unquote(value) for name, value in found.groupdict().items()}
            return row, {"path": names, "query": dict(parse_qsl(parts.query))}
    raise Misused(f"Not found. No GET operation has the path {path[:80]!r}", "see docs/reference/operations.md")


async def _position(
    transport: "Transport", ask: Callable[[str | None], Awaitable[Any]], moment: str | None, default: int | None
) -> int:
    if moment is None and default is not None:
        return default
    await ask(moment)
    return transport.position


def _judged(command: str, data: Any) -> bool | None:
    """Return the judgement of a command. Raise Failed."""
    import subprocess

    import msgspec

    content = msgspec.json.encode(data)
    done = subprocess.run(command, shell=True, input=content, check=False, timeout=COMMAND_SECONDS)  # noqa: S602 - it is the caller's
    if done.returncode not in {0, 1, SKIP}:
        raise Failed(f"--exec ended with exit code {done.returncode}, not with 0, 1 or {SKIP}")
    return None if done.returncode == SKIP else done.returncode == 1


async def _any(look: Look, low: int, high: int) -> int:
    """Return a position at which it became true, by halves. Raise Failed if both ends agree."""
    await _check_ends(look, low, high)
    skipped: set[int] = set()
    while high - low > 1:
        middle = next((p for p in _around((low + high) // 2, low, high) if p not in skipped), None)
        if middle is None:
            note(f"Unknown at every position from {low + 1} to {high - 1}.")
            break
        true, _ = await look(middle)
        if true is None:
            skipped.add(middle)
        elif true:
            high = middle
        else:
            low = middle
    return high


def _around(middle: int, low: int, high: int) -> "list[int]":
    """Return the positions between two others, nearest to the middle first."""
    return sorted(range(max(low + 1, middle - 50), min(high, middle + 51)), key=lambda one: abs(one - middle))


async def _first(look: Look, low: int, high: int) -> int:
    """Return the first position at which it is true, as seen at the ends of blocks. Raise Failed."""
    await _check_ends(look, low, high)
    for edge in range((low // BLOCK_EVENTS + 1) * BLOCK_EVENTS, high, BLOCK_EVENTS):
        true, _ = await look(edge)
        if true:
            high = edge
            break
        low = edge
    for position in range(low + 1, high):
        true, _ = await look(position)
        if true:
            return position
    return high


async def _check_ends(look: Look, low: int, high: int) -> None:
    (before, value), (after, other) = await look(low), await look(high)
    if before or not after:
        state = {True: "true", False: "not true", None: "unknown"}
        raise Failed(
            f"it is {state[before]} at position {low} ({_shown(value)}) and {state[after]} at {high} ({_shown(other)})",
            "choose --from where it is not true yet, and --to where it is",
        )


def _shown(value: Any) -> str:
    import msgspec

    return "absent" if value is ABSENT else msgspec.json.encode(value).decode()[:80]


async def _event(transport: "Transport", position: int, look: Look) -> dict[str, Any]:
    """Return the event at a position, the events of its command, and the values before and after."""
    import msgspec

    listed = await transport.request("listEvents", query={"cursor": str(position - 1), "limit": "1"})
    event = msgspec.json.decode(listed)["events"][0]
    trace = await transport.request("listEvents", query={"traceId": event["traceId"], "limit": str(COMMAND_EVENTS_MAX)})
    audit = msgspec.json.decode(await transport.request("getAuditTrail", query={"limit": "1", "asOf": str(position)}))
    _, before = await look(position - 1)
    _, after = await look(position)
    values = {name: value for name, value in (("before", before), ("after", after)) if value is not ABSENT}
    entry: dict[str, Any] = next((one for one in audit["items"] if one["id"] == event["id"]), {})
    return {
        "position": position,
        "event": event,
        "actor": entry.get("actor"),
        **values,
        "sameTrace": msgspec.json.decode(trace)["events"],
    }
