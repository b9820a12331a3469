"""A store whose commits fail when a test says so."""

from collections.abc import Callable, Sequence

import pytest

from athena_core.log.port import Store
from athena_core.protocols import Row


def fail_inserts(store: Store, next_error: Callable[[], Exception | None], patch: pytest.MonkeyPatch) -> None:
    """Raise the next error, if there is one, before rows are written."""
    insert = store.insert

    def insert_or_fail(rows: Sequence[Row]) -> None:
        if error := next_error():
            raise error
        insert(rows)

    patch.setattr(store, "insert", insert_or_fail)


def refused(store: Store, failing: Callable[[], bool], patch: pytest.MonkeyPatch) -> None:
    """Fail as a full disk does, when rows are written."""
    fail_inserts(store, lambda: store.full[0]("the disk is full") if failing() else None, patch)
