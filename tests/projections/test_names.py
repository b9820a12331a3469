"""Names of read models and of their tables."""

from projections import ALL


def test_names_are_used_once() -> None:
    names = [projection.name for projection in ALL]
    tables = [table.name for projection in ALL for table in projection.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
