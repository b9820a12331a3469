"""The read model of ids: found by their beginning and their end, within a scope, at a cost that runs do not raise."""

from pathlib import Path

import pytest

from athena_core.clock import CountingIds
from athena_core.domain.memory import MemoryForgotten, MemoryRecorded
from athena_core.domain.workflow import WorkflowCreated
from athena_core.values import Scope
from projections.engine.projection import during
from projections.ids import BUCKET_BITS, FOUND_MAX, ID, SELECT_BY_BEGINNING, SELECT_BY_END, find_ids, id_cells
from tests.projections.history import History
from tests.projections.support import shown
from tests.support.workflow_graphs import definition

ULID = "01KB2M8Q4T7V9X1Z3A5C6E8G0H"


def create_run(history: History, run_id: str, session: str = "s") -> None:
    """Append a run of this id, in a session of its own or one whose earlier runs have ended."""
    plain = history.ids
    history.ids = OneId(run_id)
    history.ids.count = plain.count
    assert history.request(session) == run_id
    plain.count = history.ids.count
    history.ids = plain


class OneId(CountingIds):
    """Ids of which the next run has a given one."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    def new(self, prefix: str) -> str:
        return self._run_id if prefix == "run" else super().new(prefix)


def found(directory: Path, history: History, part: str, scope: Scope | None = None) -> list[tuple[str, str]]:
    return [(one.kind, one.id) for one in find_ids(shown(directory, history), part, scope).items]


@pytest.mark.parametrize(
    "part",
    [
        f"run_{ULID}",
        f"run_{ULID[:12]}",
        ULID[-6:],
        ULID[-12:],
        ULID[-20:],
        ULID,
        ULID[-6:].lower(),
        f"run_{ULID[:12].lower()}",
    ],
)
def test_a_run_is_found_by_what_begins_or_ends_its_id(tmp_path: Path, part: str) -> None:
    history = History()
    create_run(history, f"run_{ULID}")
    create_run(history, f"run_{ULID[::-1]}")
    assert found(tmp_path, history, part) == [("run", f"run_{ULID}")]


@pytest.mark.parametrize(
    "part", [ULID[3:12], "%", "_" * 6, "run_%1KB", ULID[-6:] + "\N{PILE OF POO}", "\U0010fffe" * 6]
)
def test_other_parts_find_nothing(tmp_path: Path, part: str) -> None:
    history = History()
    create_run(history, f"run_{ULID}")
    assert found(tmp_path, history, part) == []


def test_ids_of_all_kinds_are_found_until_their_record_is_removed(tmp_path: Path) -> None:
    history = History()
    graph = definition("ab", "a>b")
    created = WorkflowCreated(
        workflow_id=f"wf_{ULID}", step_count=2, dependency_count=1, created_by="ada", definition=graph
    )
    history.write(f"wf_{ULID}", created)
    create_run(history, f"run_{ULID}")
    history.write(f"mem_{ULID}", MemoryRecorded(entry_id=f"mem_{ULID}", chars=1, has_metadata=False, text="x"))
    kinds = {("workflow", f"wf_{ULID}"), ("run", f"run_{ULID}"), ("memory", f"mem_{ULID}")}
    assert set(found(tmp_path, history, ULID[-8:])) == kinds
    history.write(f"mem_{ULID}", MemoryForgotten(entry_id=f"mem_{ULID}"))
    (tmp_path / "later").mkdir()
    assert set(found(tmp_path / "later", history, ULID[-8:])) == kinds - {("memory", f"mem_{ULID}")}


def test_an_answer_has_at_most_ten_ids(tmp_path: Path) -> None:
    history = History()
    for number in range(FOUND_MAX + 1):
        create_run(history, f"run_{ULID[:24]}{number:02}")
    assert len(found(tmp_path, history, f"run_{ULID[:8]}")) == FOUND_MAX


def test_ids_of_every_bucket_are_found_by_their_ends_in_order(tmp_path: Path) -> None:
    connection = shown(tmp_path, History())
    sharing = [f"run_{letter}{ULID}" for letter in "CAB"]
    for bucket, run_id in enumerate(sharing):
        cells = id_cells(bucket << BUCKET_BITS, run_id, "run")
        with connection.transaction():
            connection.executemany(
                during(ID, 0).insert, [cells, id_cells(bucket << BUCKET_BITS, f"x{bucket}_{ULID[-6:]}", "run")]
            )
    assert [one.id for one in find_ids(connection, ULID).items] == sorted(sharing)


def test_ids_beyond_a_scope_are_not_found(tmp_path: Path) -> None:
    history = History()
    create_run(history, f"run_{ULID}", "mine")
    create_run(history, f"run_{ULID[::-1]}", "theirs")
    connection = shown(tmp_path, history)
    mine = Scope(sessions=frozenset({"mine"}))
    assert [one.id for one in find_ids(connection, "run_" + ULID[:6], mine).items] == [f"run_{ULID}"]
    assert find_ids(connection, f"run_{ULID[::-1]}", mine).items == ()
    both = Scope(sessions=frozenset({"mine"}), runs=frozenset({"run_other"}))
    assert find_ids(connection, f"run_{ULID}", both).items == ()


def test_an_ask_of_a_run_is_found_within_the_scope_of_the_run(tmp_path: Path) -> None:
    history = History()
    ask_id = history.asks.ask(history.request("mine"))
    connection = shown(tmp_path, history)
    for scope, count in ((None, 1), (Scope(sessions=frozenset({"mine"})), 1), (Scope(sessions=frozenset({"x"})), 0)):
        for part in (ask_id, ask_id[:9], ask_id.lower()):
            assert [one.kind for one in find_ids(connection, part, scope).items] == ["ask"] * count


@pytest.mark.parametrize(
    ("statement", "values"), [(SELECT_BY_BEGINNING, ("run_01", "run_02", 9)), (SELECT_BY_END, ("000001", 9))]
)
def test_a_million_ids_are_not_scanned(
    tmp_path: Path, engine: str, statement: str, values: tuple[str | int, ...]
) -> None:
    connection = shown(tmp_path, History())
    if engine == "postgres":
        list(connection.execute("SET enable_seqscan = off"))
        list(connection.execute("SET enable_bitmapscan = off"))
    explain = "EXPLAIN QUERY PLAN" if engine == "sqlite" else "EXPLAIN"
    plan = str(list(connection.execute(f"{explain} {statement}", values)))
    assert "SORT" not in plan.upper()
    assert "TEMP" not in plan.upper()
    assert ("SEARCH record_id USING" if engine == "sqlite" else "Index Cond") in plan
