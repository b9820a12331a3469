"""Forms for people: a question of an agent or an MCP server becomes the form of an ask, and the values its answer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.schema import Schema, SchemaRefused
from athena_core.text import clean
from athena_core.tools.ask_user import FIELD, FORM, FORM_BYTES_MAX, QUESTION_CHARS_MAX

OPTIONS = (run.AskOption(id="answer", kind="allow_once"), run.AskOption(id="decline", kind="reject_once"))
OPTION_NAMES = ("Answer", "Decline")
ANY_QUESTION = "An answer is needed."
TEXT_CHARS_MAX = 1_000
"""Maximum length of the description of a field."""
NAME_CHARS_MAX = 200


class ShownQuestion(NamedTuple):
    """A question as people see it: its words, and its form as JSON Schema with plain fields.

    A list of the given form is shown as one yes or no for each of its choices: ``lists`` has the choices by field.
    """

    title: str
    form: str
    lists: Mapping[str, Mapping[str, str]]

    @property
    def arguments(self) -> str:
        """The question as the arguments of a call, in canonical JSON."""
        value = {"question": self.title, "form": msgspec.Raw(self.form.encode())}
        return msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(value)), order="deterministic").decode()

    def content(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the shown form as values of the given form."""
        shown = {field for choices in self.lists.values() for field in choices}
        found = {name: value for name, value in values.items() if name not in shown}
        for name, choices in self.lists.items():
            found[name] = [choice for field, choice in choices.items() if values.get(field) is True]
        return found


def shown_question(message: str, schema: Mapping[str, Any], mask: Mask) -> ShownQuestion | None:
    """Return a question without secrets, None if people cannot be shown its form, a JSON Schema."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return None
    fields: dict[str, dict[str, Any]] = {}
    lists: dict[str, dict[str, str]] = {}
    for name, given in properties.items():
        if not isinstance(given, dict):
            return None
        choices = _choices(given.get("items")) if given.get("type") == "array" else {}
        for number, (choice, words) in enumerate(choices.items(), 1):
            field = f"{name}_{number}"
            if field in properties:
                return None
            lists.setdefault(name, {})[field] = choice
            label = _text("title", f"{choice}: {words}" if words else choice, NAME_CHARS_MAX)
            fields[field] = {"type": "boolean", **label, **_text("description", given.get("title"))}
        if given.get("type") != "array":
            fields[name] = _field(given)
    required = schema.get("required")
    kept = [name for name in required if name in fields] if isinstance(required, list) else []
    form = mask.hide_in({"type": "object", "properties": fields, **({"required": kept} if kept else {})})
    try:
        fits = not Schema(FORM).problems(form)
    except SchemaRefused:
        fits = False
    text = clean(msgspec.json.encode(form).decode())
    if not fits or len(text.encode()) > FORM_BYTES_MAX:
        return None
    title = mask.hide(clean(message).strip())[:QUESTION_CHARS_MAX] or ANY_QUESTION
    return ShownQuestion(title, text, lists)


def _field(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain field of a form that is most like a given one. Members that forms do not have are left out."""
    known: Mapping[str, Any] = FIELD["properties"]  # type: ignore[assignment]
    field = {name: value for name, value in given.items() if name in known and name not in {"title", "description"}}
    field |= _text("title", given.get("title"), NAME_CHARS_MAX)
    choices = _choices(given)
    if choices:
        field["enum"] = list(choices)
    words = "; ".join(f"{choice}: {words}" for choice, words in choices.items() if words)
    description = _text("description", given.get("description")).get("description", "")
    return field | _text("description", "\n".join(filter(None, (description, words))))


def _choices(given: object) -> dict[str, str]:
    """Return the choices of a field, with the words about each."""
    if not isinstance(given, dict):
        return {}
    found: dict[str, str] = {}
    for choice in [*(given.get("oneOf") or ()), *(given.get("anyOf") or ())]:
        if isinstance(choice, dict) and isinstance(choice.get("const"), str):
            words = (choice.get(name) for name in ("title", "description"))
            said = [word for word in words if isinstance(word, str) and word not in {"", choice["const"]}]
            found[choice["const"]] = ", ".join(said)
    for choice in given.get("enum") or ():
        if isinstance(choice, str):
            found.setdefault(choice, "")
    return found


def _text(name: str, value: object, chars_max: int = TEXT_CHARS_MAX) -> dict[str, str]:
    text = clean(value).strip()[:chars_max] if isinstance(value, str) else ""
    return {name: text} if text else {}
