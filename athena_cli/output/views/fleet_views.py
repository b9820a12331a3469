"""The views of the whole: the fleet, the halt and the health of a server."""

from athena_cli.output.column import Column, Record, ago, at, cost, dated, key, lasting, number, text, usd, whole, word
from athena_cli.output.values import counted, line, local_time, plain
from athena_cli.output.views.view import Listed, View


def _queued(record: Record) -> str:
    queue = record["queue"]
    since = f", oldest {ago('', 'queue.oldestWaitingSince').read(record)}" if queue.get("oldestWaitingSince") else ""
    return f"{counted(queue['waiting'], 'run')}{since}; {counted(queue['items'], 'work item')}"


def _today(record: Record) -> str:
    today = at(record, "costSummary.today")
    budget = today.get("budgetUsd")
    return usd("", "spentUsd").read(today) + (f" of {usd('', 'budgetUsd').read(today)}" if budget else ", no budget")


def _counts(record: Record, path: str) -> str:
    """Return counts by name, such as 12 completed, 5 failed."""
    found = at(record, path) or {}
    words = {"timedOut": "timed out", "tokenMix": "tokens"}
    return ", ".join(
        f"{count:,} {words.get(name, name)}" for name, count in found.items() if count or name == "completed"
    )


def _run_times(record: Record) -> str:
    times = at(record, "recent.runTimes") or {}
    if times.get("p50Ms") is None:
        return ""
    return f"median {lasting('', 'p50Ms').read(times)}, 95 % within {lasting('', 'p95Ms').read(times)}"


def _spends(name: str, path: str) -> tuple[Column, ...]:
    return (word(name, path, most=40), usd("cost", "estimatedSpendUsd"), number("tokens", "totalTokens"))


def _is_paid(record: Record) -> bool:
    return bool(record.get("estimatedSpendUsd"))


HALT = View(
    (
        Column("halted", lambda record: "yes" if record["halted"] else "no"),
        whole("by", "by"),
        dated("since", "since"),
        whole("reason", "reason"),
        number("running", "running"),
        number("waiting", "waiting"),
        number("cancelled", "cancelled"),
    )
)
FLEET = View(
    (
        Column(
            "running",
            lambda record: (
                f"{record['running']:,}"
                + (f" ({n:,} without an executor)" if (n := at(record, "queue.withoutExecutor")) else "")
            ),
        ),
        Column("queued", _queued),
        number("paused", "paused"),
        number("open asks", "openAsks"),
        Column("halted", lambda record: "yes, no work begins" if record.get("halted") else ""),
        Column("dead letters", lambda record: plain(at(record, "queue.deadLetters"))),
        Column("last 24 h", lambda record: _counts(record, "recent.outcomes")),
        Column("run time", _run_times),
        Column(
            "rejected 24 h",
            lambda record: ", ".join(
                (counted(at(record, "recent.refused"), "run"), counted(at(record, "recent.denied"), "request"))
            ),
        ),
        Column("cost today", _today),
        usd("cost this month", "costSummary.totalEstimatedSpendUsd"),
        Column("all runs", lambda record: f"{record['total']:,}: {_counts(record, 'outcomes')}"),
    ),
    (),
    (
        Listed("cost by provider", "costSummary.providerBreakdown", _spends("provider", "provider"), _is_paid),
        Listed(
            "cost by agent (profile)",
            "costSummary.profileBreakdown",
            (word("agent", "agentName", rank=1), key("profile", "harnessProfileId"), *_spends("", "")[1:]),
            _is_paid,
        ),
    ),
)

COUNTS = (
    number("started", "total.started", 3),
    number("completed", "total.completed", 1),
    number("failed", "total.failed"),
    number("timed out", "total.timedOut", 4),
    number("crashed", "total.crashed", 5),
    number("cancelled", "total.cancelled", 6),
    number("rejected", "total.rejected", 7),
    number("tokens in", "total.inputTokens", 8),
    number("tokens out", "total.outputTokens", 9),
    cost("cost", "total.costMicroUsd"),
    lasting("median", "total.p50Ms", 2),
    lasting("95 % within", "total.p95Ms", 10),
)


def _of_all(column: Column) -> Column:
    return Column(column.name, lambda record: column.read(record["all"]))


SERIES = View(
    (
        dated("from", "start"),
        dated("to", "end"),
        Column("intervals", lambda record: f"{record['intervals']:,} of {record['stepSeconds']:,} s"),
        *map(_of_all, COUNTS),
    ),
    (),
    (Listed("by name", "lines", (word("name", "name", most=40), *COUNTS)),),
)


def _views(record: Record) -> str:
    """Return how many views there are, and those that lag or have stopped."""
    views = record.get("projections") or {}
    behind = [f"{name} lags {view['lag']:,}" for name, view in views.items() if view.get("lag")]
    broken = [f"{name} stopped: {line(str(view['error']))}" for name, view in views.items() if view.get("error")]
    return f"{len(views)} views" + (f": {'; '.join([*broken, *behind])}" if behind or broken else ", all caught up")


HEALTH = View(
    (
        word("status", "status"),
        whole("reason", "reason"),
        number("events", "head"),
        Column("views", _views),
        number("pending writes", "queue"),
        number("streams", "streams"),
        Column("clock", lambda record: local_time(record["now"])),
        whole("executor", "executor"),
        lasting("longest block", "loopBlockMs"),
        Column(
            "clock ahead", lambda record: lasting("", "clockAheadMs").read(record) if record.get("clockAheadMs") else ""
        ),
    ),
    (),
    (
        Listed(
            "problems",
            "problems",
            (word("loop", "loop"), text("message", "message"), number("count", "count"), ago("since", "since")),
        ),
    ),
)
