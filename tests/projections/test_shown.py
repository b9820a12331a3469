"""Every event is shown by a read model, or it is said why not."""

from athena_core.domain import EVENTS
from projections import ALL, NOT_SHOWN


def test_each_event_is_shown_or_excused() -> None:
    handled = {event for projection in ALL for event in projection.events}
    assert handled | NOT_SHOWN.keys() == set(EVENTS)
    assert not handled & NOT_SHOWN.keys()


def test_names_are_used_once() -> None:
    names = [projection.name for projection in ALL]
    tables = [table.name for projection in ALL for table in projection.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
