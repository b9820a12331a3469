"""``athena bisect``: the event at which something became true."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from athena_cli.commands.event_bisect import Expression
from athena_cli.exit_codes import Misused
from tests.cli.conftest import Here
from tests.scale import sized
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server with twelve runs in three sessions, of which every fourth failed."""
    with Server(tmp_path_factory.mktemp("past")) as server:
        for number in range(12):
            server.api.run(f"hello {number}", sessionId=f"s{number % 3}")
            server.api.post("/directives", {"input": f"do {number}"})
        yield server.api


@pytest.mark.parametrize(
    ("text", "data", "holds"),
    [
        ("a == 1", {"a": 1}, True),
        ("a == 1", {"a": "1"}, False),
        ('a == "x y"', {"a": "x y"}, True),
        ("a == x y", {"a": "x y"}, True),
        ("a.b[1].c >= 2", {"a": {"b": [{}, {"c": 2}]}}, True),
        ("a < 2", {"a": "text"}, False),
        ("a < 2", None, False),
        ("a != 2", None, True),
        ("items.length > 1", {"items": [1, 2]}, True),
        ("a exists", {"a": None}, True),
        ("a exists", {}, False),
        ("a contains b", {"a": "abc"}, True),
        ("a contains b", {"a": 1}, False),
    ],
)
def test_a_condition_is_judged_on_a_value(text: str, data: Any, holds: bool) -> None:
    expression = Expression(text)
    assert expression.holds(expression.value(data)) is holds


@pytest.mark.parametrize("text", ["", "a", "a = 1", "a == ", "== 1", "a exists 1"])
def test_other_texts_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(Misused, match="is not a condition"):
        Expression(text)


def test_it_finds_what_a_scan_finds(past: Api, here: Here) -> None:
    """Random conditions on values that only grow, which have one event each."""
    draw = random.Random(3)
    head = int(past.http.get("/runs").headers["athena-position"])
    paths = {"/fleet/summary": "succeeded", "/runs?limit=500": "items.length", "/directives?limit=500": "items.length"}
    values: dict[str, list[Any]] = {}
    for path, value in paths.items():
        shown = [past.http.get(path, params={"asOf": str(position), "limit": "500"}) for position in range(head + 1)]
        values[path] = [Expression(f"{value} exists").value(answer.json()["data"]) for answer in shown]
    for _ in range(sized(20, 50, 500)):
        path, value = draw.choice(list(paths.items()))
        start, end = sorted(draw.sample(range(head + 1), 2))
        bound = draw.randrange(0, values[path][-1])
        scan = [position for position in range(start, end + 1) if values[path][position] > bound]
        first = ("--first",) if draw.random() < 0.3 else ()
        words = ("bisect", path, f"{value} > {bound}", "--from", str(start), "--to", str(end), *first)
        done = here(*words, api_base_url=past.url, cli_transport="api")
        if not scan or scan[0] == start:
            assert (done.code, "choose --from" in done.err) == (1, True), done.err
        else:
            assert json.loads(done.out)["position"] == scan[0], (words, done.err)
            assert json.loads(done.out)["before"] <= bound < json.loads(done.out)["after"]


def test_it_names_the_event_its_actor_and_what_else_the_request_caused(past: Api, here: Here) -> None:
    found = here("bisect", "/sessions/s1", "id exists", api_base_url=past.url, cli_transport="api").data
    assert found["event"]["type"] == "session.created"
    assert found["after"] == past.get("/sessions/s1")["id"]
    assert "before" not in found
    assert {event["type"] for event in found["sameTrace"]} > {"session.created", "run.created"}


def test_people_see_the_event_the_values_and_the_way_to_that_moment(past: Api, here: Here) -> None:
    served = {"api_base_url": past.url, "cli_transport": "api"}
    shown = here("bisect", "/fleet/summary", "succeeded > 3", "-o", "table", **served).out
    position = here("bisect", "/fleet/summary", "succeeded > 3", **served).data["position"]
    fields = dict(line.split(maxsplit=1) for line in shown.splitlines() if len(line.split(maxsplit=1)) == 2)
    assert (fields["before"], fields["after"], fields["type"]) == ("3", "4", "run.completed"), shown
    assert f"athena open fleet --as-of {position}" in shown
    assert "Events of its request" in shown


def test_a_command_judges_the_answer(past: Api, here: Here) -> None:
    judge = """python3 -c 'import json, sys; sys.exit(len(json.load(sys.stdin)["items"]) >= 5)'"""
    found = here("bisect", "/directives?limit=500", "--exec", judge, api_base_url=past.url, cli_transport="api").data
    listed = past.get("/directives", asOf=str(found["position"]), limit=500)["items"]
    earlier = past.get("/directives", asOf=str(found["position"] - 1), limit=500)["items"]
    assert (len(earlier), len(listed)) == (4, 5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("/runs",), "needs a condition or --exec"),
        (("/runs", "a exists", "--exec", "true"), "needs a condition or --exec"),
        (("/workers", "a exists"), "/workers has no past"),
        (("/nonsense", "a exists"), "Not found"),
        (("/runs", "a ~ 1"), "is not a condition"),
    ],
)
def test_what_cannot_be_asked_is_refused(here: Here, words: tuple[str, ...], says: str) -> None:
    done = here("bisect", *words)
    assert (done.code, says in done.err) == (2, True), done.err


def test_a_command_that_fails_ends_it(past: Api, here: Here) -> None:
    done = here("bisect", "/runs", "--exec", "exit 7", api_base_url=past.url, cli_transport="api")
    assert (done.code, "exit code 7" in done.err) == (1, True), done.err
