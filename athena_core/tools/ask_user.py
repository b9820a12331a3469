"""The tool ask_user: asks a person a question, with options to choose from or a form to fill in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from athena_core.enums import RunAskKind
from athena_core.schema import Schema
from athena_core.text import clean
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import BadArguments, ToolContext, ToolResult, parameters
from athena_core.values import ToolSpec

QUESTION_CHARS_MAX = 4_000
OPTIONS_MAX = 16
OPTION_CHARS_MAX = 200
FORM_FIELDS_MAX = 32
FORM_BYTES_MAX = 16_384
VALUES_BYTES_MAX = 65_536

NAME = {"type": "string", "minLength": 1, "maxLength": OPTION_CHARS_MAX}
FIELD = {
    "type": "object",
    "properties": {
        "type": {"enum": ["string", "number", "integer", "boolean"]},
        "title": NAME,
        "description": {"type": "string", "maxLength": 1_000},
        "enum": {"type": "array", "items": NAME, "minItems": 1, "maxItems": 64, "uniqueItems": True},
        "minLength": {"type": "integer", "minimum": 0},
        "maxLength": {"type": "integer", "minimum": 0},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "format": {"enum": ["email", "uri", "date", "date-time"]},
        "default": {"type": ["string", "number", "boolean"]},
    },
    "required": ["type"],
    "additionalProperties": False,
}
FORM = {
    "type": "object",
    "description": "A form instead of options: a JSON Schema of an object with plain fields.",
    "properties": {
        "type": {"const": "object"},
        "properties": {
            "type": "object",
            "propertyNames": {"minLength": 1, "maxLength": OPTION_CHARS_MAX},
            "additionalProperties": FIELD,
            "minProperties": 1,
            "maxProperties": FORM_FIELDS_MAX,
        },
        "required": {"type": "array", "items": {"type": "string"}, "maxItems": FORM_FIELDS_MAX},
    },
    "required": ["type", "properties"],
    "additionalProperties": False,
}
ANSWER = {
    "type": "object",
    "properties": {"answer": {"type": "string", "title": "Answer"}},
    "required": ["answer"],
}
"""The form of a question without options and without a form."""

SPEC = ToolSpec(
    name="ask_user",
    description=(
        "Ask a person and wait for the answer, which may take hours. Ask only for what you cannot find out yourself. "
        "Give options to choose one from, or a form for values, or neither for an answer in words."
    ),
    parameters=parameters(
        "question",
        question={"type": "string", "minLength": 1, "maxLength": QUESTION_CHARS_MAX},
        options={"type": "array", "items": NAME, "minItems": 2, "maxItems": OPTIONS_MAX, "uniqueItems": True},
        form=FORM,
    ),
)


class Question(NamedTuple):
    """A question to a person: the names of its options (of a choice), or its form as JSON Schema (of a question)."""

    kind: RunAskKind
    title: str
    options: tuple[str, ...]
    form: str | None


class AskUserTool:
    """A tool whose result is the answer of a person. The agent asks; the tool itself is never called."""

    spec = SPEC

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True: a question changes nothing."""
        return True

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Raise ToolRefused."""
        raise ToolRefused("No person can be asked here. Continue without an answer.")


def question_of(arguments: Mapping[str, Any]) -> Question:
    """Return the question of a call whose arguments match the schema. Raise BadArguments."""
    title = clean(arguments["question"])
    options: list[str] | None = arguments.get("options")
    form: dict[str, Any] | None = arguments.get("form")
    if options is not None:
        if form is not None:
            raise BadArguments("ask_user takes options or a form, not both. Leave one out.")
        return Question("choice", title, tuple(map(clean, options)), None)
    if form is None:
        form = dict(ANSWER)
    unknown = set(form.get("required", ())) - form["properties"].keys()
    if unknown:
        raise BadArguments(f"The form requires {', '.join(sorted(unknown))}, which it has no field for.")
    text = msgspec.json.encode(form).decode()  # people see the fields in the order of the model
    if len(text.encode()) > FORM_BYTES_MAX:
        raise BadArguments(f"The form is larger than {FORM_BYTES_MAX} bytes. Ask for less.")
    return Question("question", title, (), clean(text))


def form_problems(form: str, values: object) -> tuple[str, ...]:
    """Return why values do not fill in a form; none if they do. Other members than its fields are not taken."""
    schema = {**msgspec.json.decode(form), "additionalProperties": False}
    return Schema(schema).problems(values)
