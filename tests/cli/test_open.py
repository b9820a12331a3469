"""``athena open``: the address of a page, of a record, and of a moment in the console."""

import re
from pathlib import Path

import pytest

from athena_api.operations import OPERATIONS
from athena_cli.commands.run_activity import PAGE_ALIASES, PAGES, RECORD_PAGES
from tests.cli.conftest import Here
from tests.support.server import Server, server_of_module

ROUTES = Path(__file__).resolve().parents[2] / "athena_api" / "dashboard" / "src" / "route.ts"


def test_the_console_has_the_same_pages() -> None:
    source = ROUTES.read_text()
    titles = source.partition("TITLES")[2].partition("};")[0]
    records = source.partition("RECORDS:")[2].partition("};")[0]
    assert set(PAGES) == set(re.findall(r"(\w+): \"", titles))
    assert {kind.strip('"'): page for kind, page in re.findall(r'([\w"-]+): "(\w+)"', records)} == RECORD_PAGES
    assert set(PAGE_ALIASES.values()) | set(RECORD_PAGES.values()) <= set(PAGES)


def test_each_page_of_the_console_leads_to_a_group_of_the_api_document() -> None:
    named = re.findall(r'([\w"-]+): "(\w+)"', ROUTES.read_text().partition("TAGS:")[2].partition("};")[0])
    groups = {operation.tag for operation in OPERATIONS}
    assert {page: tag for page in PAGES if (tag := dict(named).get(page, page)) not in groups} == {}
    assert set(dict(named)) <= set(PAGES)


server = server_of_module()


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ((), "fleet"),
        (("audit",), "audit"),
        (("dead-letters",), "letters"),
        (("sessions/the pears",), "sessions/the%20pears"),
        (("runs", "--as-of", "12"), "runs?at=12"),
        (("fleet", "--as-of", "2026-01-31T02:00+01:00"), "fleet?at=2026-01-31T02%3A00%2B01%3A00"),
    ],
)
def test_a_page_is_opened_at_a_moment(server: Server, here: Here, words: tuple[str, ...], address: str) -> None:
    assert here("open", *words, "-o", "json", api_base_url=server.url).data == {"url": f"{server.url}/#/{address}"}


def test_a_record_is_opened_by_a_part_of_its_id(server: Server, here: Here) -> None:
    run_id = server.api.run("hello")["runId"]
    directive = server.api.post("/directives", {"input": "later"})["id"]
    for id, page in ((run_id, "runs"), (run_id[-8:].lower(), "runs"), (directive, "directives")):
        found = here("open", id, "-o", "json", api_base_url=server.url).data["url"]
        assert found == f"{server.url}/#/{page}/{run_id if page == 'runs' else directive}"


def test_a_whole_id_is_opened_though_others_begin_with_it(server: Server, here: Here) -> None:
    for id in ("nightly", "nightly-report"):
        server.api.post("/schedules", {"id": id, "sessionId": "s", "input": "hello", "cron": "0 2 * * *"})
    found = here("open", "nightly", "-o", "json", api_base_url=server.url).data["url"]
    assert found == f"{server.url}/#/schedules/nightly"


@pytest.mark.parametrize("place", ["nonsense", "run_01M8XKABSENT", "../x", "a b", "fleets/x", "x" * 300])
def test_anything_else_is_refused_with_the_pages(server: Server, here: Here, place: str) -> None:
    done = here("open", place, api_base_url=server.url)
    assert (done.code, "the pages are fleet, asks" in done.err) == (5, True), done.err
