"""Questions of servers to a person: flat forms within limits."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw

from athena_core.mcp.client.messages import ElicitationParams
from athena_core.mcp.client.visible_schema import visible_schema
from athena_core.rpc.peer import INVALID_PARAMS, PARSE_ERRORS, RequestFailed
from athena_core.text import visible

QUESTIONS_MAX = 8
"""Maximum number of questions in one call."""
FIELDS_MAX = 32
FORM_BYTES_MAX = 65_536
SCALARS: Final = frozenset({"string", "number", "integer", "boolean"})


class McpQuestion(NamedTuple):
    """A question for the person: what the server says, and the form as a flat JSON schema of an object. Mask both."""

    message: str
    requested_schema: dict[str, Any]

    def with_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values of the form, with the default of each field that was left out."""
        fields = self.requested_schema["properties"]
        return {name: field["default"] for name, field in fields.items() if "default" in field} | values


Ask: TypeAlias = Callable[[McpQuestion], Awaitable[dict[str, Any] | None]]
"""Asks a person. It returns the values of the form, or None for a refusal. An exception ends the call."""


def question_of(params: Raw) -> McpQuestion:
    """Return the question of an elicitation. Raise RequestFailed."""
    if len(params) > FORM_BYTES_MAX:
        raise RequestFailed(INVALID_PARAMS, f"A question may have {FORM_BYTES_MAX} bytes.")
    try:
        asked = msgspec.json.decode(params, type=ElicitationParams)
    except PARSE_ERRORS:
        raise RequestFailed(INVALID_PARAMS, "The question has another shape than the protocol.") from None
    schema = asked.requested_schema
    if asked.mode != "form" or schema is None:
        raise RequestFailed(INVALID_PARAMS, "Only forms are shown.")
    check_form(schema)
    try:
        return McpQuestion(visible(asked.message), visible_schema(schema))
    except ValueError as error:
        raise RequestFailed(INVALID_PARAMS, f"The form has {error}.") from None


def check_form(schema: dict[str, Any]) -> None:
    """Raise RequestFailed unless the schema is a flat form."""
    fields = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, dict):
        raise RequestFailed(INVALID_PARAMS, "requestedSchema must be the schema of an object.")
    if len(fields) > FIELDS_MAX:
        raise RequestFailed(INVALID_PARAMS, f"A form may have {FIELDS_MAX} fields.")
    for field in fields.values():
        kind = field.get("type") if isinstance(field, dict) else None
        flat = isinstance(kind, str) and (kind in SCALARS or (kind == "array" and _chooses(field)))
        if not flat:
            raise RequestFailed(INVALID_PARAMS, "A form is flat: its fields are texts, numbers, booleans and choices.")


def _chooses(field: dict[str, Any]) -> bool:
    items = field.get("items")
    return isinstance(items, dict) and (items.get("type") == "string" or "anyOf" in items)
