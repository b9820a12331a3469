"""An audit of rejected runs: a table with time, identity, rule, and the load at the time.

    python examples/audit_rejections.py                                    # everything, oldest first
    python examples/audit_rejections.py --since 2026-01-01T00:00:00Z --session nightly
    python examples/audit_rejections.py --actor olga --csv > rejections.csv

It needs only the standard library. It sees every rejection exactly once: a rejection is durable before the caller gets
its 429, the list is in the order of the log, and each page continues where the previous one ended. ``policy`` names the
rule. The event of a row is in the feed, under the id of the row without ``rej_``.
"""

import argparse
import csv
import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

TIMEOUT_SECONDS = 30
PAGE_ITEMS = 500
COLUMNS = ("createdAt", "actor", "sessionId", "runId", "rule", "reason", "activeRuns", "limit", "id")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Refused(Exception):
    """The server rejected the request."""


def get(url: str, identity: str | None) -> Any:
    """Return the data of a GET."""
    headers = {"x-athena-identity": identity} if identity else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        try:
            told = json.load(error)["error"]
            raise Refused(f"{told['code']}: {told['message']}") from None
        except (ValueError, KeyError, TypeError):
            raise Refused(f"HTTP {error.code}: {error.reason}") from None


def rejections(server: str, identity: str | None, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rejected requests of a query, oldest first."""
    while True:
        parameters = urlencode(query | {"limit": str(PAGE_ITEMS)})
        page = get(f"{server.rstrip('/')}/api/v1/policy/rejections?{parameters}", identity)
        yield from page["items"]
        if "nextCursor" not in page:
            return
        query = query | {"cursor": page["nextCursor"]}


def row_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return the table row of a rejected request."""
    rule = (item.get("policy") or {}).get("policyName", "-")
    return {**item, "rule": rule, "limit": item["maxConcurrentRuns"], "runId": item.get("runId", "-")}


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
    wanted = {
        "createdAfter": options.since,
        "createdBefore": options.until,
        "sessionId": options.session,
        "actor": options.actor,
    }
    table = csv.writer(sys.stdout, delimiter="," if options.csv else "\t", lineterminator="\n")
    table.writerow(COLUMNS)
    by_actor: Counter[str] = Counter()
    try:
        for item in rejections(options.url, options.identity, {k: v for k, v in wanted.items() if v}):
            row = row_of(item)
            table.writerow([safe(row[column]) for column in COLUMNS])
            by_actor[item["actor"]] += 1
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:  # no server, or not Athena
        print(f"{options.url}: {error}", file=sys.stderr)
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
