"""Stores that are moved or damaged under a server: the errors, and no path of the machine in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_api.operations import OPERATIONS
from athena_api.operations.core import check_ready, health_of
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.errors import NotCaughtUp
from athena_core.settings import load
from projections.engine.updater import ViewUpdater
from projections.engine.views import DAMAGED
from tests.support.api import soon
from tests.support.damaged_view import damage
from tests.support.inside import Inside

PAGES = ("/livez", "/readyz", "/metrics")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Inside]:
    """A plane whose fatal errors are noted instead of ending the process."""
    found = Inside(tmp_path)
    found.start()
    found.app.plane.log._fatal = said.append
    yield found
    found.stop()


said: list[str] = []
"""What the plane said when it had to end."""


def answers(plane: Inside) -> Iterator[tuple[str, str]]:
    """Yield every answer: to each query, to commands, and of each page."""
    for operation in OPERATIONS:
        path = operation.path if operation.method == "GET" else ""
        if path and "stream" not in path:
            answer = plane.ask("GET", path.replace(":", ""))
            yield path, f"{answer.status_code} {answer.headers} {answer.text}"
    for path, body in (("/directives", {"input": "hello"}), ("/runs", {"input": "hello"})):
        answer = plane.ask("POST", path, body)
        yield path, f"{answer.status_code} {answer.headers} {answer.text}"
    for page in PAGES:
        answer = plane.ask("GET", f"http://plane{page}")
        yield page, f"{answer.status_code} {answer.headers} {answer.text}"


@pytest.mark.parametrize("away", ["log.db", "views", "."])
def test_no_answer_names_a_path_of_the_machine_once_something_was_moved_away(
    plane: Inside, tmp_path: Path, away: str
) -> None:
    said.clear()
    assert plane.ask("POST", "/runs", {"input": "hello"}).status_code == 200
    (plane.state_dir / away).resolve().rename(tmp_path / "away")
    if away == "views":
        (plane.state_dir / away).touch()  # no directory can be made in its place
        for _ in soon():
            if plane.app.plane.views.failure is not None:
                break
    else:
        for _ in soon():
            if said:
                break
        assert said == [f"{plane.state_dir}: the log was moved or replaced while it was in use"]
    found = dict(answers(plane))
    assert {path for path, answer in found.items() if str(tmp_path) in answer} == set()
    assert found["/readyz"].startswith("503")
    if away != "views":
        assert found["/runs"].startswith("503")
        assert "STORE_MOVED" in found["/runs"]


def test_a_damaged_page_of_the_log_is_named_as_damage_with_its_remedy(plane: Inside) -> None:
    for number in range(40):
        assert plane.ask("POST", "/directives", {"input": f"{number} " * 200}).status_code in {200, 201}
    damage(plane.state_dir / "log.db", "log", first=True)
    answer = plane.ask("GET", "/events?limit=500")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "STORE_DAMAGED")
    assert "athena doctor --repair" in answer.json()["error"]["message"]


@pytest.mark.both
def test_a_server_is_not_ready_while_its_views_are_damaged(store: dict[str, str], tmp_path: Path) -> None:
    settings = {"ATHENA_STATE_DIR": str(tmp_path / "state"), "ATHENA_DATABASE_URL": store.get("database_url", "")}
    parts = wire(load(settings, tmp_path), SystemClock(), SystemIds())
    updater = ViewUpdater(parts.views, lambda: False, parts.log.problems)
    assert updater.start()
    while updater.turn():
        pass
    check_ready(parts)
    damaged = parts.views.generations.current()
    assert damaged is not None
    parts.views.condemn(damaged)
    with pytest.raises(NotCaughtUp, match="The server is not ready"):
        check_ready(parts)
    health = health_of(parts, 0)
    assert (health.status, health.reason) == ("degraded", DAMAGED.format(name=damaged))
    for _ in soon():
        updater.turn()
        if parts.views.generations.current() != damaged:
            break
    check_ready(parts)
    updater.close()
    parts.close()
