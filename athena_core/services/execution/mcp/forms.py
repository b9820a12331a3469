"""Forms for people: a question of an agent or an MCP server becomes the form of an ask, and the values its answer."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.outside_text import HiddenSpan, OutsideText
from athena_core.schema import Schema, SchemaRefused
from athena_core.text import clean
from athena_core.tools.approval import call_sha256, question_sha256
from athena_core.tools.ask_user import FIELD, FORM, FORM_BYTES_MAX, QUESTION_CHARS_MAX

OPTIONS = (run.AskOption(id="answer", kind="allow_once"), run.AskOption(id="decline", kind="reject_once"))
OPTION_NAMES = ("Answer", "Decline")
ANY_QUESTION = "An answer is needed."
TEXT_CHARS_MAX = 1_000
"""Maximum length of the description of a field."""
NAME_CHARS_MAX = 200
EXACT_CHARS_MAX = 100_000
"""Maximum length of a question with its form, in JSON."""
LIMITS = {"title": NAME_CHARS_MAX, "description": TEXT_CHARS_MAX}
"""The words about a field, which are cut when they are shown."""

Lists: TypeAlias = Mapping[str, Mapping[str, str]]
Form: TypeAlias = dict[str, dict[str, Any]]
Fields: TypeAlias = Mapping[str, tuple[str, Mapping[str, str]]]
Say: TypeAlias = Callable[[str, int | None], str]
"""Returns a form of a text from outside, cut to a length if it is shown."""


class ShownQuestion(NamedTuple):
    """A question as people see it: its words, and its form as JSON Schema with plain fields.

    ``exact`` is the question with all its parts, in canonical JSON. ``hidden`` are the parts that people do not see.

    A list of the given form is shown as one yes or no for each of its choices: ``lists`` has the choices by field.
    ``fields`` has the given name of each shown one, with the given choice of each shown one.
    """

    title: str
    form: str
    lists: Lists
    fields: Fields
    exact: str
    salt: str
    hidden: tuple[HiddenSpan, ...] = ()
    secrets: tuple[str, ...] = ()

    @property
    def arguments(self) -> str:
        """The shown question as the arguments of a call, in canonical JSON."""
        return _arguments(self.title, msgspec.json.decode(self.form))

    def sha256(self, tool: str) -> str:
        """Return the hash of the exact question. ``tool`` is the tool that asks."""
        if self.hidden:
            return call_sha256(self.salt, tool, self.exact, self.secrets)
        return question_sha256(self.salt, self.title, (), self.form, self.secrets)

    def is_of(self, ask: run.RunAsked) -> bool:
        """Return True if an ask is about exactly this question."""
        if self.hidden or ask.hidden:
            same = ask.exact == self.exact
        else:
            same = (ask.title, ask.form) == (self.title, self.form)
        return same and (ask.secrets or ()) == self.secrets

    def content(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the shown form as values of the given form."""
        given: dict[str, Any] = {}
        for shown, value in values.items():
            field, choices = self.fields.get(shown, (shown, {}))
            given[field] = choices.get(value, value) if isinstance(value, str) else value
        listed = {field for choices in self.lists.values() for field in choices}
        found = {name: value for name, value in given.items() if name not in listed}
        for name, choices in self.lists.items():
            found[name] = [choice for field, choice in choices.items() if given.get(field) is True]
        return found


def shown_question(message: str, schema: Mapping[str, Any], mask: Mask, salt: str) -> ShownQuestion | None:
    """Return a question as people see it, None if people cannot be shown its form, a JSON Schema.

    ``salt`` is hexadecimal.
    """
    plain = _plain_form(schema)
    if plain is None:
        return None
    given, required, lists = plain
    hidden: list[HiddenSpan] = []
    secrets: list[str] = []

    def exact(text: str, chars_max: int | None = None) -> str:
        return OutsideText(text).decided(mask, salt).exact

    def shown(text: str, chars_max: int | None = None) -> str:
        decided = OutsideText(text).decided(mask, salt, chars_max)
        hidden.extend(decided.hidden)
        secrets.extend(decided.secrets)
        return decided.shown

    words = clean(message).strip() or ANY_QUESTION
    title = shown(words, QUESTION_CHARS_MAX)
    fields, form = _said(given, required, shown)
    whole = _arguments(exact(words), _said(given, required, exact)[1])
    text = clean(msgspec.json.encode(form).decode())
    if len(fields) < len(given) or len(text.encode()) > FORM_BYTES_MAX or len(whole) > EXACT_CHARS_MAX:
        return None
    return ShownQuestion(title, text, lists, fields, whole, salt, tuple(hidden), tuple(secrets))


def _arguments(title: str, form: object) -> str:
    return msgspec.json.encode({"question": title, "form": form}, order="deterministic").decode()


def _said(given: Form, required: list[str], say: Say) -> tuple[Fields, object]:
    """Return a form in which ``say`` made each text, and the given name and choices of each of its fields."""
    fields: dict[str, tuple[str, Mapping[str, str]]] = {}
    properties: Form = {}
    for name, field in given.items():
        said, choices = dict(field), {say(choice, None): choice for choice in field.get("enum", ())}
        for member in LIMITS.keys() & field.keys():
            said[member] = say(field[member], LIMITS[member])
        if choices:
            said["enum"] = list(choices)
        default = field.get("default")
        if isinstance(default, str) and say(default, None) != default:
            del said["default"]  # a mark is not a value
        shown = say(name, None)
        fields[shown], properties[shown] = (name, choices), said
    names = {name: shown for shown, (name, _) in fields.items()}
    wanted = [names[name] for name in required if name in names]
    return fields, {"type": "object", "properties": properties, **({"required": wanted} if wanted else {})}


def _plain_form(schema: Mapping[str, Any]) -> tuple[Form, list[str], Lists] | None:
    """Return the plain fields of a form, the names of required ones, and its lists; None if it has no such form."""
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
            label = _text("title", f"{choice}: {words}" if words else choice)
            fields[field] = {"type": "boolean", **label, **_text("description", given.get("title"))}
        if given.get("type") != "array":
            fields[name] = _field(given)
    required = schema.get("required")
    kept = [name for name in required if name in fields] if isinstance(required, list) else []
    wordless = {
        name: {member: value for member, value in field.items() if member not in LIMITS}
        for name, field in fields.items()
    }
    try:
        fits = not Schema(FORM).problems({"type": "object", "properties": wordless})
    except SchemaRefused:
        fits = False
    return (fields, kept, lists) if fits else None


def _field(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain field of a form that is most like a given one. Members that forms do not have are left out."""
    known: Mapping[str, Any] = FIELD["properties"]  # type: ignore[assignment]
    field = {name: value for name, value in given.items() if name in known and name not in {"title", "description"}}
    field |= _text("title", given.get("title"))
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


def _text(name: str, value: object) -> dict[str, str]:
    text = clean(value).strip() if isinstance(value, str) else ""
    return {name: text} if text else {}
