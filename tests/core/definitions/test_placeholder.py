"""Placeholders: names, types, sizes, and single substitution."""

from typing import Any

import pytest

from athena_core.definitions.placeholder import FILLED_CHARS_MAX, fill, malformed_in, names_in
from athena_core.errors import ConfigError


def test_names_are_found_once_each_in_order() -> None:
    text = "{{b}} {{ a }} {{b}} {c} {{1}} {{x-y}} {{}} {{_z9}} {{x-y}} {{{ok}}} {{a: {b}}} {{\n}}"
    assert names_in(text) == ("b", "a", "_z9", "ok")
    assert malformed_in(text) == ("{{1}}", "{{x-y}}", "{{}}")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{{name}}", "Ada"),
        ("hello {{name}}, {{ name }}!", "hello Ada, Ada!"),
        ("{{count}}", 3),
        ("{{list}}", [1, {"a": None}]),
        ("n={{count}} l={{list}} t={{flag}}", 'n=3 l=[1,{"a":null}] t=true'),
        ("{{unknown}} {{name}}", "{{unknown}} Ada"),
        ("{{{{name}}}}", "{{Ada}}"),
        ("{{tricky}}!", "{{name}} %s {0} $x!"),
    ],
)
def test_a_text_is_filled_once_and_types_survive_where_a_placeholder_is_all(text: str, filled: Any) -> None:
    values = {"name": "Ada", "count": 3, "list": [1, {"a": None}], "flag": True, "tricky": "{{name}} %s {0} $x"}
    assert fill(text, values, "params") == filled


def test_a_text_that_would_grow_too_large_is_refused_unfilled() -> None:
    value = "x" * 1000
    assert len(fill("{{a}} " * 900, {"a": value}, "params")) == 900 * 1001
    with pytest.raises(ConfigError, match="params: is too large") as caught:
        fill("{{a}}" * 200_000, {"a": value}, "params")
    assert str(FILLED_CHARS_MAX) in caught.value.details[0].remedy  # type: ignore[index]
