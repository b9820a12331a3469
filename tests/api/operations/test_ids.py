"""Short ids over HTTP: records that are found, and parts that are refused."""

import pytest

from tests.support.api import opened
from tests.support.server import Server


def test_a_run_is_found_by_the_characters_that_are_printed(shared: Server) -> None:
    run_id = shared.api.run("hello")["runId"]
    for part in (run_id[-6:], run_id[:-2], run_id[-12:].lower(), run_id):
        assert shared.api.get(f"/ids/{part}") == {"items": [{"kind": "run", "id": run_id}]}
    assert shared.api.get("/ids/" + run_id[-7:-1]) == {"items": []}


def test_a_short_part_has_an_error_of_its_own(shared: Server) -> None:
    answer = shared.api.http.get("/ids/ABCDE")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "CONFIG_ERROR")
    assert "ids.find.part: must have at least 6 characters" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "part", ["%00%00%00%00%00%00", "%25%25%25%25%25%25", "a" * 10_000, "%F0%9F%92%A9%F0%9F%92%A9", "%FF%FE%FD%FC%FB%FA"]
)
def test_parts_that_no_id_and_no_name_has_find_nothing_or_are_refused(shared: Server, part: str) -> None:
    for names in ("true", "false"):
        answer = shared.api.http.get(f"/ids/{part}", params={"names": names})
        refusals = {(400, "CONFIG_ERROR"), (414, "URL_TOO_LONG"), (404, "NOT_FOUND")}
        if answer.status_code == 200:
            assert opened(answer) == {"items": []}
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) in refusals


def test_underscores_are_no_wildcards(shared: Server) -> None:
    assert shared.api.get("/ids/______") == {"items": []}
