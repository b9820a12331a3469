"""Commands for a look at runs: those in progress, the timeline of one, and its page in the console."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from athena_cli import render
from athena_cli.client import ReadOptions, call, machine_output_of, output_of, settings_of, show_list
from athena_cli.commands.bulk_requests import RunFilters, filter_of
from athena_cli.commands.run_timeline import Record, RunFollower, check_ended
from athena_cli.exit_codes import Absent, Failed, Misused
from athena_cli.flags import SWITCH
from athena_cli.output.browser import open_browser
from athena_cli.output.options import LATEST, ListOptions
from athena_cli.output.values import ULID

if TYPE_CHECKING:
    from athena_cli.transport import Transport

PRESENT = ("running", "queued", "paused")
RECENT_RUNS = 20
PRESENT_RUNS = 200
PAGES = (
    *("fleet", "asks", "runs", "sessions", "schedules", "workflows", "queues", "messages", "letters", "reviews"),
    *("profiles", "templates", "directives", "memory", "workspaces", "mcp"),
    *("policy", "rejections", "audit", "anchors", "tokens", "events", "system"),
)
"""The pages of the console."""
PAGE_ALIASES = {"dead-letters": "letters", "mcp-servers": "mcp"}
"""Pages by the names of their groups of commands."""
RECORD_PAGES = {
    "ask": "asks",
    "dead-letter": "letters",
    "directive": "directives",
    "evidence": "runs",
    "harness-profile": "profiles",
    "memory": "memory",
    "message": "messages",
    "run": "runs",
    "run-template": "templates",
    "schedule": "schedules",
    "token": "tokens",
    "workflow": "workflows",
}
"""The page of each kind of record that has one."""


def list_present(
    *,
    recent: Annotated[bool, Parameter(name=("--all", "-a"), negative="", show_default=False)] = False,
    session: Annotated[str | None, Parameter(metavar="ID", group="Filters")] = None,
    filters: RunFilters | None = None,
    listing: ListOptions | None = None,
    connection: ReadOptions | None = None,
) -> None:
    """List the runs that are running, queued or paused now, newest first.

    Args:
        recent: Also list the newest runs that have ended.
        session: Only this session.
        filters: Filters of the runs.
        listing: Options of the list.
        connection: Connection options.
    """
    import msgspec

    async def read(transport: "Transport") -> bytes:
        found: dict[str, Any] = {}
        wanted = {name: str(value) for name, value in filter_of(filters, session).items()}
        queries = [{"status": status, "limit": str(PRESENT_RUNS)} | wanted for status in PRESENT]
        if "status" in wanted:
            queries = [{"limit": str(PRESENT_RUNS)} | wanted]
        for query in (*queries, *([{"limit": str(RECENT_RUNS)} | wanted] if recent else ())):
            for run in msgspec.json.decode(await transport.request("listRuns", query=query))["items"]:
                found[run["runId"]] = run
        newest = sorted(found.values(), key=lambda run: (run["createdAt"], run["runId"]), reverse=True)
        return msgspec.json.encode({"items": newest})

    show_list(connection, read, "listRuns", listing)


def logs(
    run: str = LATEST,
    /,
    *,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="", show_default=False)] = False,
    connection: ReadOptions | None = None,
) -> None:
    """Print the timeline of a run: its input, the text of the model, its tool calls, and how it ended.

    With `-f`, follow the run until it ends; then the text of the model goes to standard output and everything else to
    standard error, and the exit code is 1 if the run failed. `-o json` also prints the record of the run at the end;
    `-o jsonl` prints each transcript entry as a JSON line.

    Args:
        run: Id of the run, or the end of it.
        follow: Follow the run until it ends.
        connection: Connection options.
    """
    if follow and connection is not None and connection.as_of is not None:
        raise Misused("--follow cannot be combined with --as-of: the past does not change")

    async def work(transport: "Transport") -> Record:
        follower = RunFollower(transport, run, machine_output_of(connection), whole=not follow)
        return await (follower.follow() if follow else follower.tell())

    record = call(connection, work)
    if follow:
        check_ended(record)


def open_console(
    place: str = "fleet", /, *, no_browser: Annotated[bool, SWITCH] = False, connection: ReadOptions | None = None
) -> None:
    """Print the address of a record or a page in the console, and open it in a browser if there is one.

    With `--as-of` the console shows that moment.

    Args:
        place: Id of a record; `latest`, the newest run; a page such as fleet, runs, policy or audit; or a page with an
            id, as in `sessions/billing`.
        no_browser: Only print the address.
        connection: Connection options.
    """
    from urllib.parse import quote, urlencode

    from athena_core.settings import LOCAL_SERVER_URL

    options = connection or ReadOptions()
    served = replace(options, transport="api", as_of=None)  # only a server has a console, and it finds the moment
    url = settings_of(served).api_base_url or LOCAL_SERVER_URL
    if not url.startswith(("http://", "https://")):
        raise Misused(f"ATHENA_API_BASE_URL: {url!r} is not a web address")

    async def work(transport: "Transport") -> str:
        page, _, id = place.partition("/")
        page = PAGE_ALIASES.get(page, page)
        if page == LATEST:
            page, id = "runs", await transport.newest_run()
        elif page not in PAGES:
            page, id = await _record_place(transport, place)
        else:
            await transport.request("getCaller")
        return page + (f"/{quote(id, safe='')}" if id else "")

    address = f"{url}/#/{call(served, work)}"
    if options.past is not None:
        address += "?" + urlencode({"at": options.past})
    if output_of(connection) in {"json", "jsonl"}:
        import msgspec

        render.write(msgspec.json.encode({"url": address}))
        return
    render.say(address)
    if not no_browser and render.on_terminal():
        open_browser(address)


async def _record_place(transport: "Transport", part: str) -> tuple[str, str]:
    """Return the page of a record, and its id there, by a part of its id. Raise Absent, Failed or Misused."""
    from athena_cli.output.short_ids import is_part, only_found

    if is_part(part) or ULID.fullmatch(part):
        item = only_found(part, await transport.request("findIds", path={"part": part}))
        if item is not None and item["kind"] not in RECORD_PAGES:
            raise Failed(f"the console has no page of {item['id']}", f"athena ids find {part}")
        if item is not None:
            return RECORD_PAGES[item["kind"]], item.get("runId") or item["id"]
    raise Absent(f"there is neither a record nor a page {part!r}", f"the pages are {', '.join(PAGES)}")
