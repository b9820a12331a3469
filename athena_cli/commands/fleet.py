"""The command that shows the fleet live, from public API operations."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from athena_cli import render
from athena_cli.client import ConnectionOptions, call, machine_output_of
from athena_cli.exit_codes import Misused
from athena_cli.flags import SWITCH
from athena_cli.output.values import COLOURS, age, clock_time, distance, short
from athena_core.text import duration, money

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from athena_cli.transport import Transport

FRAMES_A_SECOND = 4
SECONDS_MAX = 2.0  # ages change even if no event arrives
RUNS = 12
REFUSALS = 5
SCHEDULES = 5


def top(*, once: Annotated[bool, SWITCH] = False, connection: ConnectionOptions | None = None) -> None:
    """Show the fleet live: runs, queues, rejections, schedules, lag and cost. Press Ctrl-C to quit.

    Args:
        once: Show one frame and exit; with `-o json`, print its data.
        connection: Connection options.
    """
    machine = machine_output_of(connection)
    if not once and (machine or not render.on_terminal()):
        raise Misused("top needs a terminal. Use --once to print one frame, or --once -o json for its data.")
    import msgspec
    from rich.console import Console

    console = Console()

    async def work(transport: "Transport") -> None:
        if once and machine:
            render.write(msgspec.json.encode(await read_snapshot(transport)))
        elif once:
            console.print(draw_frame(await read_snapshot(transport), console.width))
        else:
            await _draw_frames(transport, console)

    call(connection, work)


async def _draw_frames(transport: "Transport", console: "Console") -> None:
    """Draw a frame after each change, until cancelled. Raise the error that ends the event stream."""
    import asyncio

    from rich.live import Live

    changed = asyncio.Event()
    watching = asyncio.create_task(_watch(transport, changed))
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(draw_frame(await read_snapshot(transport), console.width), refresh=True)
                changed.clear()
                await asyncio.sleep(1 / FRAMES_A_SECOND)
                await _wait_for_change(changed, watching)
    finally:
        watching.cancel()


async def _watch(transport: "Transport", changed: Any) -> None:
    """Set ``changed`` at each event and each disconnect."""
    async for _ in transport.follow("streamEvents", query={}, cursor="latest", lost=lambda reason: changed.set()):
        changed.set()


async def _wait_for_change(changed: Any, watching: Any) -> None:
    """Wait up to ``SECONDS_MAX`` for a change. Raise the error that ended the event stream."""
    import asyncio

    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait((waiting, watching), timeout=SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if watching.done():
        watching.result()


FleetSnapshot = dict[str, Any]


async def read_snapshot(transport: "Transport") -> FleetSnapshot:
    """Read the data of one frame."""
    import msgspec

    async def read(operation_id: str, **query: str) -> Any:
        return msgspec.json.decode(await transport.request(operation_id, query=query))

    health = await read("getAdminHealth")
    hour_ago = (datetime.fromisoformat(health["now"]) - timedelta(hours=1)).isoformat()
    return {
        "fleet": await read("getFleetSummary"),
        "health": health,
        "runs": (await read("listRuns", limit=str(RUNS)))["items"],
        "refusals": (await read("listPolicyConcurrencyRejections", createdAfter=hour_ago, limit="500"))["items"],
        "schedules": (await read("listSchedules"))["items"],
        "policy": await read("getPolicy"),
        "workers": (await read("listWorkers"))["items"],
    }


def draw_frame(snapshot: FleetSnapshot, width: int) -> "RenderableType":
    """Draw one frame."""
    from rich.console import Group

    return Group(
        _headline(snapshot), _counts(snapshot), _runs(snapshot, width), _schedules(snapshot), _refusals(snapshot)
    )


def _headline(snapshot: FleetSnapshot) -> "RenderableType":
    from rich.text import Text

    from athena_core.text import printable

    health = snapshot["health"]
    now = datetime.fromisoformat(health["now"])
    line = Text()
    line.append(" athena ", style="bold reverse")
    line.append(f" {health['status']}", style="green" if health["status"] == "ok" else "bold red")
    line.append(f" · {clock_time(health['now'])} · position {health['head']:,} · lag {health['lag']:,}")
    line.append(f" · {health['streams']} streams · {health['queue']} pending writes")
    if health.get("loopBlockMs"):  # absent on older servers
        line.append(f" · blocked up to {health['loopBlockMs']:.0f} ms")
    line.append("\n")
    if health.get("reason"):
        line.append(f" {printable(health['reason'])}\n", style="red")
    others = [one for one in snapshot["workers"] if one["id"] != health.get("executor")]
    for place, one in [("", health), *((f"{one['host']}:{one['pid']} ", one) for one in others)]:
        for problem in one.get("problems", ()):  # absent on older servers
            since = age(problem["since"], now)
            times = f"{problem['count']:,} times, {since}"
            said = f"{place}{problem['loop']} failing ({times}): {problem['message']}"
            line.append(f" {printable(said)}\n", style="red")
    return line


def _counts(snapshot: FleetSnapshot) -> "RenderableType":
    from rich.columns import Columns
    from rich.panel import Panel

    fleet, policy = snapshot["fleet"], snapshot["policy"] or {}
    queue, recent, cost = fleet["queue"], fleet["recent"], fleet["costSummary"]
    limit = policy.get("maxConcurrentRuns")
    budget = policy.get("costBudgetDailyUsd")
    times = recent["runTimes"]
    unleased = queue.get("withoutExecutor", 0)  # absent on older servers
    panels = {
        "running": f"{fleet['running']}{f' of {limit}' if limit is not None else ''}"
        + (f", {unleased} without an executor" if unleased else "")
        + f"\n{fleet['paused']} paused",
        "queued": f"{queue['waiting']} runs\n{queue['items']} work items",
        "24 h": f"{recent['outcomes']['completed']} completed\n"
        + f"{sum(recent['outcomes'][name] for name in ('failed', 'timedOut', 'crashed'))} failed",
        "run time": f"p50 {duration(times.get('p50Ms', 0))}\np95 {duration(times.get('p95Ms', 0))}",
        "rejected 24 h": f"{recent['refused']} runs\n{recent['denied']} requests",
        "cost today": f"{money(cost['today']['spentUsd'] * 1e6)}\n"
        + (f"of {money(budget * 1e6)}" if budget else "no budget"),
        "cost this month": f"{money(cost['totalEstimatedSpendUsd'] * 1e6)}\n{cost['tokenMix']['totalTokens']:,} tokens",
        "dead letters": f"{queue['deadLetters']}\n",
    }
    return Columns([Panel(text, title=title, padding=(0, 1)) for title, text in panels.items()], equal=True)


def _table(title: str, *names: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(*names, title=title, title_justify="left", box=box.SIMPLE_HEAD, expand=True)


def _runs(snapshot: FleetSnapshot, width: int) -> "RenderableType":
    from rich.text import Text

    from athena_core.text import printable

    wide = width >= 120
    now = datetime.fromisoformat(snapshot["health"]["now"])
    table = _table("Runs", "run", "status", "session", *(("model", "cost") if wide else ()), "since", "waiting for")
    for run in snapshot["runs"]:
        more = (f"{run['provider']} {run['model']}", money(run.get("costMicroUsd"))) if wide else ()
        waiting = run.get("waiting") or {}
        cells = (run["sessionId"], *more, age(run["createdAt"], now), waiting.get("reason", ""))
        status = Text(run["status"], style=COLOURS.get(run["status"], ""))
        table.add_row(short(run["runId"]), status, *(Text(printable(cell), overflow="ellipsis") for cell in cells))
    return table


def _schedules(snapshot: FleetSnapshot) -> "RenderableType":
    from rich.text import Text

    from athena_core.text import printable

    table = _table("Upcoming schedules", "schedule", "next")
    now = datetime.fromisoformat(snapshot["health"]["now"])
    due = sorted((one for one in snapshot["schedules"] if one.get("nextRunAt")), key=lambda one: one["nextRunAt"])
    for one in due[:SCHEDULES]:
        table.add_row(Text(printable(one["id"])), distance(one["nextRunAt"], now))
    return table if due else Text(" No upcoming schedules.\n", style="dim")


def _refusals(snapshot: FleetSnapshot) -> "RenderableType":
    from rich.text import Text

    from athena_core.text import printable

    found = snapshot["refusals"][-REFUSALS:][::-1]
    if not found:
        return Text(" Nothing rejected in the last hour.", style="dim")
    now = datetime.fromisoformat(snapshot["health"]["now"])
    table = _table("Rejected in the last hour, newest first", "when", "reason", "session", "provider", "requested by")
    for one in found:
        details = one.get("rejectedRunDetails") or {}
        cells = (
            age(one.get("timestamp") or one["createdAt"], now),
            one.get("reason", ""),
            one.get("sessionId") or details.get("sessionId") or "",
            one.get("provider") or "",
            one.get("actor") or "",
        )
        table.add_row(*(Text(printable(str(cell))) for cell in cells))
    return table
