"""Questions of an agent to a person."""

import msgspec
import pytest

from athena_core.tools.ask_user import FORM_FIELDS_MAX, form_problems, question_of
from athena_core.tools.tool import BadArguments
from athena_core.tools.toolbox import toolbox

TOOLS = toolbox()
FORM = {
    "type": "object",
    "properties": {"branch": {"type": "string", "enum": ["main", "next"]}, "times": {"type": "integer", "minimum": 1}},
    "required": ["branch"],
}


def read(**arguments: object) -> dict[str, object]:
    _, parsed = TOOLS.read("ask_user", msgspec.json.encode(arguments).decode(), ("ask_user",))
    return dict(parsed)


def test_a_question_has_options_or_a_form_or_takes_words() -> None:
    choice = question_of(read(question="Which?", options=["a", "b"]))
    assert (choice.kind, choice.options, choice.form) == ("choice", ("a", "b"), None)
    plain = question_of(read(question="Why?"))
    assert plain.kind == "question"
    assert plain.form is not None
    assert not form_problems(plain.form, {"answer": "because"})
    assert form_problems(plain.form, {"answer": 1})


def test_values_must_fill_in_the_form_and_nothing_else() -> None:
    form = question_of(read(question="Which?", form=FORM)).form
    assert form is not None
    assert msgspec.json.decode(form) == FORM
    assert not form_problems(form, {"branch": "main", "times": 2})
    wrongs: tuple[object, ...] = (
        {},
        {"branch": "dev"},
        {"branch": "main", "times": 0},
        {"branch": "main", "more": 1},
        [],
        None,
    )
    for wrong in wrongs:
        assert form_problems(form, wrong)


@pytest.mark.parametrize(
    "form",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(FORM_FIELDS_MAX + 1)}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "array", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"type": "string", "description": "x" * 900}} | {
            f"f{n}": {"type": "string", "description": "x" * 900} for n in range(20)}},
    ],
)  # fmt: skip
def test_a_form_outside_of_the_subset_is_refused(form: dict[str, object]) -> None:
    with pytest.raises(BadArguments):
        question_of(read(question="Which?", form=form))


def test_a_question_takes_options_or_a_form() -> None:
    with pytest.raises(BadArguments, match="not both"):
        question_of(read(question="Which?", options=["a", "b"], form=FORM))


def test_the_fields_of_a_form_keep_their_order() -> None:
    fields = {name: {"type": "string"} for name in ("when", "guests", "place")}
    form = question_of(read(question="What?", form={"type": "object", "properties": fields})).form
    assert form is not None
    assert list(msgspec.json.decode(form)["properties"]) == ["when", "guests", "place"]
