"""Failed commits: no work is lost and none is done twice, on both databases."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from athena_core.log.port import Store
from athena_core.protocols import Row
from tests.between.conftest import Planes
from tests.between.life import SCRIPT, lived, with_personas
from tests.support.api import Refused
from tests.support.broken_store import fail_inserts, refused
from tests.support.gate import Gates
from tests.support.inside import plane_on
from tests.support.model import acting

Trouble: TypeAlias = Callable[[Store, Callable[[], bool], pytest.MonkeyPatch], None]

EVERY = 3
"""One commit in three fails. Three runs with different first failures hit every commit."""

AGAIN = Counter({"run.leased": 99, "run.started": 99})
"""Events that an executor may record again after an unknown outcome."""


def lost(store: Store, failing: Callable[[], bool], patch: pytest.MonkeyPatch) -> None:
    """Lose the connection before a commit: nothing is stored."""
    fail_inserts(store, lambda: store.lost[0]("the connection was lost") if failing() else None, patch)


def unseen(store: Store, failing: Callable[[], bool], patch: pytest.MonkeyPatch) -> None:
    """Lose the connection after a commit: everything is stored."""
    exclusive, insert, written = store.exclusive, store.insert, list[bool]()

    def noted(rows: Sequence[Row]) -> None:
        written.append(failing())
        insert(rows)

    @contextmanager
    def exclusive_and_fail() -> Iterator[None]:
        written.clear()
        with exclusive():
            yield
        if any(written):
            raise store.lost[0]("the connection was lost")

    patch.setattr(store, "insert", noted)
    patch.setattr(store, "exclusive", exclusive_and_fail)


SETTINGS = {"a2a_retry_ms": "1"}


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Counter[str]]:
    """Return the results of the same life without failures."""
    directory = tmp_path_factory.mktemp("untroubled")
    root = with_personas(directory)
    with (
        acting(SCRIPT) as model,
        plane_on(directory, None, openai_base_url=model.url, workspace_root=root, **SETTINGS) as plane,
    ):
        return lived(plane)


def survive(
    trouble: Trouble, first: int, directory: Path, expected: tuple[list[Any], Counter[str]], **settings: str
) -> None:
    """Live while one commit in three fails, and compare the results."""
    root, commits = with_personas(directory), first

    def failing() -> bool:
        nonlocal commits
        commits += 1
        return commits % EVERY == 0

    settings |= SETTINGS | {"workspace_root": root}
    with (
        acting(SCRIPT) as model,
        plane_on(directory, None, openai_base_url=model.url, **settings) as plane,
        pytest.MonkeyPatch.context() as patch,
    ):
        trouble(plane.app.plane.log.store, failing, patch)
        came, types = lived(plane)
    assert commits > 10 * EVERY
    assert came == expected[0]
    assert types - AGAIN == expected[1] - AGAIN


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.heavy) for first in range(1, EVERY))])
def test_refused_commits_lose_no_work_and_repeat_none(
    first: int, store: dict[str, str], tmp_path: Path, untroubled: tuple[list[Any], Counter[str]]
) -> None:
    survive(refused, first, tmp_path, untroubled, **store)


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.heavy) for first in range(1, EVERY))])
@pytest.mark.parametrize("trouble", [lost, unseen])
def test_commits_with_an_unknown_outcome_lose_no_work_and_repeat_none(
    trouble: Trouble, first: int, database: str, tmp_path: Path, untroubled: tuple[list[Any], Counter[str]]
) -> None:
    """On files an unknown outcome ends the process: see ``tests/reliability/test_syscalls.py``."""
    survive(trouble, first, tmp_path, untroubled, database_url=database)


def test_a_full_disk_after_a_lost_connection_is_a_refusal(database: str, tmp_path: Path) -> None:
    with plane_on(tmp_path, None, database_url=database) as plane:
        store = plane.app.plane.log.store
        errors = [store.lost[0]("the connection was lost"), store.full[0]("the disk is full")]
        with pytest.MonkeyPatch.context() as patch:
            fail_inserts(store, lambda: errors.pop(0) if errors else None, patch)
            with pytest.raises(Refused) as refused:
                plane.data("POST", "/directives", {"input": "once"}, idempotency_key="k")
        assert (refused.value.code, errors) == ("STORE_FULL", [])
        plane.data("POST", "/directives", {"input": "once"}, idempotency_key="k")
        assert len(plane.data("GET", "/directives")["items"]) == 1


def test_a_refused_batch_does_not_undo_the_batch_before_it(planes: Planes, gates: Gates) -> None:
    first, holder = gates["first"], gates["holder"]
    with planes(**gates.settings) as plane:
        for payload in (first.order, "second"):
            plane.data("POST", "/work/enqueue", {"sessionId": "q", "payload": payload, "mode": "followup"})
        drain = plane.data("POST", "/work/q/drain", {}, prefer="respond-async")["drainId"]
        first.arrival()
        plane.begin(holder.order, "holder")
        holder.arrival()
        plane.data("PUT", "/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
        first.release()
        assert plane.until(f"/work/drains/{drain}", "status", "failed")["drainedItems"] == 1
        left = plane.data("GET", "/sessions/q/work-queue")
        assert [item["payload"] for item in left["items"]] == ["second"]
        holder.release()
