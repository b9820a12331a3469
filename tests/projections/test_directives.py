"""Directives and harness profiles."""

from pathlib import Path

import msgspec

from athena_core.clock import iso
from projections.directives import directive_by_id, list_directives
from projections.profiles import list_profiles, profile_by_id
from tests.projections.history import BEGINNING, SPEC, History
from tests.projections.support import shown


def test_a_directive_is_shown_as_it_was_written(tmp_path: Path) -> None:
    history = History()
    directive_id = history.directive("do it")
    shadow = history.directive("do that", shadow=True)
    connection = shown(tmp_path, history)
    assert msgspec.to_builtins(directive_by_id(connection, directive_id)) == {
        "id": directive_id,
        "input": "do it",
        "contextRefs": ("file:a",),
        "metadata": {"k": "v"},
        "createdAt": iso(BEGINNING),
    }
    directive = directive_by_id(connection, shadow)
    assert directive is not None
    assert directive.shadow is True
    assert directive_by_id(connection, "dir_nobody") is None


def test_a_profile_is_shown_as_it_was_written(tmp_path: Path) -> None:
    history = History()
    profile_id = history.profile()
    connection = shown(tmp_path, history)
    expected = msgspec.to_builtins(SPEC) | {"id": profile_id, "createdAt": iso(BEGINNING)}
    assert msgspec.to_builtins(profile_by_id(connection, profile_id)) == expected
    assert profile_by_id(connection, "hp_nobody") is None


def test_both_are_listed_newest_first(tmp_path: Path) -> None:
    history = History()
    directives = [history.directive(str(number)) for number in range(5)]  # all at the same moment
    profiles = [history.profile() for _ in range(3)]
    connection = shown(tmp_path, history)
    first = list_directives(connection, cursor=None, limit=3)
    second = list_directives(connection, cursor=first.next_cursor, limit=3)
    assert [directive.id for directive in first.items + second.items] == directives[::-1]
    assert second.next_cursor is None
    page = list_profiles(connection, cursor=None, limit=3)
    assert ([profile.id for profile in page.items], page.next_cursor) == (profiles[::-1], None)


def test_redaction_erases_a_directive(tmp_path: Path) -> None:
    history = History()
    directive_id = history.directive("a secret")
    history.redact(history.head())
    assert msgspec.to_builtins(directive_by_id(shown(tmp_path, history), directive_id)) == {
        "id": directive_id,
        "input": None,
        "createdAt": iso(BEGINNING),
        "redacted": True,
    }
