"""An audit of rejected runs: a table with time, identity, rule, and the load at the time.

    python examples/audit_rejections.py                                    # everything, oldest first
    python examples/audit_rejections.py --since 2026-01-01T00:00:00Z --session nightly
    python examples/audit_rejections.py --actor olga --csv > rejections.csv

It uses the Python client (docs/reference/from-python.md). It sees every rejection exactly once: a rejection is durable
before the caller gets its 429, and the list is in the order of the log. ``policy`` names the rule. The event of a row
is in the feed, under the id of the row without ``rej_``.
"""

import argparse
import csv
import sys
from collections import Counter

from athena_client import Athena, AthenaError, models

PAGE_ITEMS = 500
COLUMNS = ("createdAt", "actor", "sessionId", "runId", "rule", "reason", "activeRuns", "limit", "id")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def row_of(item: models.Rejection) -> tuple[object, ...]:
    """Return the table row of a rejected request."""
    rule = item.policy.policy_name if item.policy else "-"
    found = (item.actor, item.session_id, item.run_id or "-", rule, item.reason)
    return (item.created_at.isoformat(), *found, item.active_runs, item.max_concurrent_runs, item.id)


def safe(cell: object) -> object:
    """Escape a cell that a spreadsheet would take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def main() -> int:
    """Parse the command line, and print the table and the sums. Return 0, or 1 if the server rejects the request."""
    parser = argparse.ArgumentParser(description="List the runs that the policy of an Athena server rejected.")
    parser.add_argument("--url", default="http://127.0.0.1:8787")
    parser.add_argument("--identity", help="sent as x-athena-identity")
    parser.add_argument("--since", help="ISO-8601, inclusive")
    parser.add_argument("--until", help="ISO-8601, inclusive")
    parser.add_argument("--session", help="only this session")
    parser.add_argument("--actor", help="only this identity")
    parser.add_argument("--csv", action="store_true", help="print CSV, for a spreadsheet")
    options = parser.parse_args()
    table = csv.writer(sys.stdout, delimiter="," if options.csv else "\t", lineterminator="\n")
    table.writerow(COLUMNS)
    by_actor: Counter[str] = Counter()
    try:
        with Athena(options.url, identity=options.identity) as client:
            for item in client.list_policy_concurrency_rejections(
                created_after=options.since,
                created_before=options.until,
                session_id=options.session,
                actor=options.actor,
                limit=PAGE_ITEMS,
            ):
                table.writerow(map(safe, row_of(item)))
                by_actor[item.actor] += 1
    except AthenaError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{by_actor.total()} refused",
        *(f"{name}: {count}" for name, count in by_actor.most_common()),
        sep="; ",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
