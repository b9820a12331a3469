"""The parts of generated Python: names, docstrings, types and records, from JSON schemas."""

import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping, Set
from typing import Any

from athena_api.document.schemas import NULL, SCHEMAS, Json

WIDTH = 120
HEAD = '"""{about}.\n\nGenerated from {source} by `python -m docs.generate`; do not edit.\n"""\n'


def imported(text: str) -> str:
    """Return Python source without the names that it imports and never uses."""
    rest = re.sub(r"^from .*", "", text, flags=re.MULTILINE)

    def used(found: re.Match[str]) -> str:
        names = [name for name in found[2].split(", ") if re.search(rf"\b{name}\b", rest)]
        return f"{found[1]}{', '.join(names)}\n" if names else ""

    return re.sub(r"^(from (?!__future__)\w[\w.]* import )([\w, ]+)\n", used, text, flags=re.MULTILINE)


# Names and prose


def snake(name: str) -> str:
    """Return a JSON name or operation id as a Python name."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("-", "_").replace(".", "_")).lower()
    return f"{words}_" if keyword.iskeyword(words) else words


def camel(name: str) -> str:
    """Return the JSON name that msgspec gives to a field by ``rename="camel"``."""
    first, *words = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in words)


def pascal(name: str) -> str:
    """Return the name of a class: ``run.step-failed`` becomes RunStepFailed."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    return "".join(word.capitalize() if word.isupper() else word[:1].upper() + word[1:] for word in words)


def prose(text: str, indent: int) -> str:
    """Return Markdown as the lines of a docstring: wrapped, with Python names of fields."""
    paragraphs = in_python(text).strip().split("\n\n")
    filled = [textwrap.fill(" ".join(part.split()), WIDTH - indent, break_long_words=False) for part in paragraphs]
    return textwrap.indent("\n\n".join(filled), " " * indent).strip()


def in_python(text: str) -> str:
    """Return a text with the names of fields and operations as in Python, safe inside of a docstring."""
    text = text.replace("`Prefer: respond-async` is sent", "`respond_async` is True")
    named = re.sub(r"(?<=`)[a-z]+([A-Z][a-z0-9]*)+(?=`)", lambda found: snake(found[0]), text)
    return named.replace("\\", "\\\\").replace('"""', "'''")


def docstring(text: str, indent: int) -> str:
    """Return a docstring on lines of its own: one line for the summary, then the rest."""
    summary, rest = split(text, WIDTH - indent - 6)
    pad = " " * indent
    if not rest:
        return f'{pad}"""{prose(summary, indent)}"""\n'
    return f'{pad}"""{prose(summary, indent)}\n\n{pad}{prose(rest, indent)}\n{pad}"""\n'


def split(text: str, room: int) -> tuple[str, str]:
    """Return the first sentence, if it fits on a line, and the rest."""
    first, _, rest = text.strip().partition("\n\n")
    first = " ".join(first.split())
    if len(first) <= room:
        return first, rest
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z`])", first)
    head, tail = sentences[0], " ".join(sentences[1:])
    if len(head) > room:
        parts = re.split(r"(?<=[:;]) ", head, maxsplit=1)
        head, tail = parts[0].rstrip(":;") + ".", " ".join([*(part[:1].upper() + part[1:] for part in parts[1:]), tail])
    return head, "\n\n".join(filter(None, (tail.strip(), rest)))


# Types


class Scope:
    """The types of one module: how schemas are spelled there, and the aliases that they need.

    ``elsewhere`` are the components that another module defines; ``prefix`` goes before their names. In parameters
    (``exact``) an enumeration is its values. Otherwise it is an alias for its values and any other string, and a union
    of records includes records of a newer server.
    """

    def __init__(
        self,
        components: Mapping[str, Json],
        prefix: str = "",
        elsewhere: Set[str] = frozenset(),
        *,
        exact: bool = False,
    ) -> None:
        self.components = components
        self.prefix = prefix
        self.elsewhere = elsewhere
        self.exact = exact
        self.aliases: dict[str, str] = {}
        self.variants: dict[str, str] = {}

    def _place(self, name: str) -> str:
        return self.prefix + name if self.exact or name in self.elsewhere else name

    def of(self, schema: Json, name: str) -> str:
        """Return a schema as a type. ``name`` names an enumeration or a union in it."""
        schema = without_null(schema)
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix(SCHEMAS)
            schema = self.components[name]
            if is_class(schema):
                return self._place(name)
        if values := enumeration(schema):
            if not isinstance(values[0], str):
                return type(values[0]).__name__
            if self.exact or "const" in schema:
                return literal(values)
            if name in self.elsewhere:
                return self._place(name)
            self.aliases.setdefault(name, literal(values))
            return name
        if found := tagged(schema, self.components):
            self.variants.setdefault(name, quoted(" | ".join([*found[1].values(), "dict[str, Any]"])))
            return self._place(name)
        if parts := options(schema):
            return " | ".join(dict.fromkeys(self.of(part, name) for part in parts))
        match schema.get("type"):
            case "array":
                items = schema.get("items", {})
                kind = self.of(items, name)
                return f"list[{kind} | None]" if nullable(items) and kind != "Any" else f"list[{kind}]"
            case "object" | None if "properties" in schema or "additionalProperties" in schema:
                values_of = schema.get("additionalProperties")
                return f"dict[str, {self.of(values_of, name) if isinstance(values_of, dict) and values_of else 'Any'}]"
            case "object":
                return "dict[str, Any]"
            case "string":
                return "datetime" if schema.get("format") == "date-time" else "str"
            case "integer":
                return "int"
            case "number":
                return "float"
            case "boolean":
                return "bool"
        return "Any"


def without_null(schema: Json) -> Json:
    """Return the schema without its alternative null."""
    kind = schema.get("type")
    if isinstance(kind, list):
        rest = [one for one in kind if one != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}
    for union in ("anyOf", "oneOf"):
        if union in schema:
            parts = [part for part in schema[union] if part != NULL]
            if len(parts) == 1:
                return without_null(parts[0])
            if len(parts) < len(schema[union]):
                return {**schema, union: parts}
    return schema


def nullable(schema: Json) -> bool:
    """Return True if a schema accepts null."""
    return "null" in as_list(schema.get("type")) or NULL in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def as_list(value: Any) -> list[Any]:
    """Return a value as a list."""
    return value if isinstance(value, list) else [value]


def options(schema: Json) -> list[Json]:
    """Return the alternatives of a union."""
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def enumeration(schema: Json) -> tuple[Any, ...]:
    """Return the values of an enumeration."""
    return tuple(value for value in schema.get("enum", [schema.get("const")]) if value is not None)


def is_class(schema: Json) -> bool:
    """Return True if a component is a record."""
    return "properties" in schema


# Records


def literal(values: Iterable[str]) -> str:
    """Return strings as a Literal type."""
    return f"Literal[{', '.join(quoted(value) for value in values)}]"


def quoted(value: object) -> str:
    """Return a JSON value as Python source."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def record(name: str, schema: Json, scope: Scope, base: str = "Model") -> str:
    """Return the class of a record. Required fields come first; the others have a default."""
    required = set(schema.get("required", ()))
    lines, variants = [], []
    about = schema.get("description") or f"{name}."
    for field, part in schema["properties"].items():
        lines.append(member(name, field, part, scope, required=field in required))
        if kinds := tagged(part, scope.components):
            variants.append((snake(field), *kinds))
    text = f"class {name}({base}, frozen=True, kw_only=True):\n{docstring(sentence(about), 4)}\n" + "".join(lines)
    if variants:
        text += "\n    def __post_init__(self) -> None:\n"
        for field, tag, kinds_by_tag in variants:
            pairs = ", ".join(f"{quoted(key)}: {kind}" for key, kind in kinds_by_tag.items())
            text += f'        value = _variant(self.{field}, "{tag}", {{{pairs}}})\n'
            text += f'        msgspec.structs.force_setattr(self, "{field}", value)\n'
    return text


def sentence(text: str) -> str:
    """Return a text that ends with a full stop."""
    return text if text.rstrip().endswith((".", "!", "?")) else text.rstrip() + "."


def member(owner: str, field: str, schema: Json, scope: Scope, *, required: bool) -> str:
    """Return a field with its docstring."""
    name = snake(field)
    kind = scope.of(schema, owner + pascal(field))
    default = ""
    if required:
        kind += " | None" if nullable(schema) and kind != "Any" else ""
    elif isinstance(schema.get("default"), bool | int | float | str):
        default = quoted(schema["default"])
    else:
        kind += " | None" if kind != "Any" else ""
        default = "None"
    value = default
    if camel(name) != field:
        value = f'msgspec.field(name="{field}"{f", default={default}" if default else ""})'
    about = schema.get("description")
    line = f"    {name}: {kind}{f' = {value}' if value else ''}\n"
    return line + (field_docstring(sentence(about)) if about else "")


def field_docstring(text: str) -> str:
    """Return the docstring of a field."""
    whole = prose(text, 4)
    closing = "\n    " if "\n" in whole else ""
    return f'    """{whole}{closing}"""\n'


def tagged(schema: Json, components: Mapping[str, Json]) -> tuple[str, dict[str, str]] | None:
    """Return the tag of a union of records, and the record for each of its values."""
    schema = without_null(schema)
    if "$ref" in schema:
        schema = components[str(schema["$ref"]).removeprefix(SCHEMAS)]
    found = schema.get("discriminator")
    if not found:
        return None
    kinds = {key: str(target).removeprefix(SCHEMAS) for key, target in found["mapping"].items()}
    return found["propertyName"], kinds


def aliases(scope: Scope) -> str:
    """Return the aliases: values and records that are known for type checkers, any others when a program runs."""
    known = dict(sorted({**scope.aliases, **scope.variants}.items()))
    typed = "".join(
        f"    {name}: TypeAlias = {kind}{' | str' if name in scope.aliases else ''}\n" for name, kind in known.items()
    )
    plain = "".join(f"    {name} = {'str' if name in scope.aliases else 'Any'}\n" for name in known)
    return f"if TYPE_CHECKING:\n{typed}else:  # a newer server may send others\n{plain}\n" if known else ""
