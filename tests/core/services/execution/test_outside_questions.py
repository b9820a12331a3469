"""The forms of outside agents, as people see them."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from athena_core.agents.acp_messages import FormQuestion
from athena_core.mask import Mask
from athena_core.services.execution.mcp.forms import ShownQuestion, shown_question
from athena_core.services.execution.outside.questions import shown_form
from athena_core.tools.ask_user import form_problems

CLAUDE = {
    "type": "object",
    "properties": {
        "question_0": {
            "type": "string",
            "title": "Color",
            "oneOf": [
                {"const": "red", "title": "red", "description": "warm"},
                {"const": "blue", "title": "blue", "description": "cold"},
            ],
        },
        "question_0_custom": {"type": "string", "title": "Other", "description": "Type your own answer."},
    },
}
CODEX = {
    "type": "object",
    "properties": {
        "color": {
            "title": "Which color?",
            "description": "Color",
            "_meta": {"codex": {"isOther": True}},
            "type": "string",
            "oneOf": [{"const": "red", "title": "red"}, {"const": "None of the above", "description": "See the note"}],
        },
        "color_note": {"type": "string", "title": "Additional answer or note"},
    },
    "required": ["color"],
}
"""Forms that Claude and Codex sent."""
MANY = {
    "type": "object",
    "properties": {
        "tests": {
            "type": "array",
            "title": "Which tests?",
            "items": {"anyOf": [{"const": "unit", "title": "Unit tests"}, {"const": "all"}]},
        }
    },
    "required": ["tests"],
}


SALT = "0f" * 16
LONG = {"type": "string", "description": "x" * 999}


def shown(schema: Any, message: str = "Which one?") -> ShownQuestion | None:
    return shown_question(message, schema, Mask(("a-secret-of-the-plane",)), SALT)


def fields_of(schema: Any) -> dict[str, Any]:
    found = shown(schema)
    assert found is not None
    fields: dict[str, Any] = msgspec.json.decode(found.form)["properties"]
    return fields


def test_the_choices_of_a_field_are_shown_with_their_words() -> None:
    assert fields_of(CLAUDE)["question_0"] == {
        "type": "string",
        "title": "Color",
        "enum": ["red", "blue"],
        "description": "red: warm; blue: cold",
    }
    assert fields_of(CODEX)["color"] == {
        "type": "string",
        "title": "Which color?",
        "enum": ["red", "None of the above"],
        "description": "Color\nNone of the above: See the note",
    }


def test_values_that_fit_the_shown_form_are_the_content_of_the_agents_form() -> None:
    found = shown(CODEX)
    assert found is not None
    assert form_problems(found.form, {"color": "red", "color_note": "because"}) == ()
    assert form_problems(found.form, {"color_note": "because"}) != ()
    assert found.content({"color": "red", "color_note": "because"}) == {"color": "red", "color_note": "because"}


def test_a_list_is_shown_as_one_yes_or_no_for_each_choice() -> None:
    found = shown(MANY)
    assert found is not None
    assert msgspec.json.decode(found.form)["properties"] == {
        "tests_1": {"type": "boolean", "title": "unit: Unit tests", "description": "Which tests?"},
        "tests_2": {"type": "boolean", "title": "all", "description": "Which tests?"},
    }
    assert form_problems(found.form, {"tests_1": False, "tests_2": True}) == ()
    assert found.content({"tests_1": False, "tests_2": True}) == {"tests": ["all"]}
    assert found.content({}) == {"tests": []}


def test_secrets_are_not_shown() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "title": "a-secret-of-the-plane"}}}
    found = shown(schema, "Is it a-secret-of-the-plane?\x00")
    assert found is not None
    assert "a-secret-of-the-plane" not in found.title + found.form + found.arguments
    assert "\x00" not in found.title


TOKEN = f"ghp_{'a1' * 18}"
CHOOSE = {
    "type": "object",
    "properties": {"url": {"type": "string", "enum": [f"a {TOKEN}", f"b {TOKEN}"], "default": f"a {TOKEN}"}},
    "required": ["url"],
}


def test_a_hidden_choice_is_answered_as_the_server_gave_it() -> None:
    found = shown(CHOOSE)
    assert found is not None
    assert TOKEN not in found.title + found.form + found.arguments
    assert TOKEN in found.exact
    assert len(found.hidden) == 3, "both choices, and the default"
    field = msgspec.json.decode(found.form)["properties"]["url"]
    assert "default" not in field
    assert form_problems(found.form, {"url": field["enum"][1]}) == ()
    assert found.content({"url": field["enum"][1]}) == {"url": f"b {TOKEN}"}
    again = shown_question("Which one?", CHOOSE, Mask(), "1e" * 16)
    assert again is not None
    assert again.sha256("t") != found.sha256("t")


def test_a_cut_question_says_how_much_is_cut_and_is_another_one() -> None:
    one, other = (shown(CLAUDE, "x" * 4_000 + end) for end in ("yes", "no!"))
    assert one is not None
    assert other is not None
    assert one.title.startswith("x" * 4_000 + " [cut: 3 characters, sha256 ")
    assert [span.chars for span in one.hidden] == [3]
    assert one.exact != other.exact
    assert one.sha256("ask_user") != other.sha256("ask_user")


def test_a_long_description_is_masked_before_it_is_cut() -> None:
    words = "x" * 980 + " " + TOKEN
    found = shown({"type": "object", "properties": {"a": {"type": "string", "description": words}}})
    assert found is not None
    assert not any(TOKEN[:length] in found.form for length in range(6, len(TOKEN)))
    assert words in found.exact


def test_a_question_without_words_has_some() -> None:
    found = shown(CLAUDE, "")
    assert found is not None
    assert found.title == "An answer is needed."


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": 1}},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": -1}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"enum": ["b"]}}, "a_1": {"type": "string"}}},
        {"type": "object", "properties": {f"field {number}": {"type": "string"} for number in range(33)}},
        {"type": "object", "properties": {f"{number}": LONG for number in range(20)}},
    ],
)
def test_a_form_that_people_cannot_be_shown_is_none(schema: Any) -> None:
    assert shown(schema) is None


def test_an_address_is_not_shown() -> None:
    question = FormQuestion(session_id="s", message="Which one?", requested_schema=CLAUDE)
    assert shown_form(question, Mask(), SALT) is not None
    assert shown_form(replace(question, mode="url"), Mask(), SALT) is None
