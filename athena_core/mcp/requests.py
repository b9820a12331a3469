"""A request to an MCP server over HTTP: its message, and what the header fields must say about it."""

import base64
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from athena_core.mcp.served import ElicitationAnswer, Headers, McpCaller, ServedError
from athena_core.mcp.versions import (
    ASSUMED,
    CAPABILITIES_KEY,
    HANDSHAKES,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MODERN,
    PARSE_ERROR,
    TASKS,
    UNSUPPORTED_VERSION,
    VERSION_KEY,
)

ID_CHARS_MAX: Final = 256
"""Longest id of a request, so that it fits into an idempotency key."""
KEY_HEADER: Final = b"idempotency-key"
SESSION_HEADER: Final = b"mcp-session-id"
VERSION_HEADER: Final = b"mcp-protocol-version"
METHOD_HEADER: Final = b"mcp-method"
NAME_HEADER: Final = b"mcp-name"
ROUTING: Final = (VERSION_HEADER, METHOD_HEADER, NAME_HEADER, SESSION_HEADER, KEY_HEADER)
NAMED: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The parameter that ``Mcp-Name`` repeats, by method."""
ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
SESSION: Final = re.compile(r"(\d{4}-\d\d-\d\d)\.([e-])\.([A-Za-z0-9_-]{16,64})")
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)


class JsonRpcError(msgspec.Struct):
    """The error member of an answer."""

    code: int
    message: str = ""


class ServedMessage(msgspec.Struct):
    """A message of a client: a request, a notification, or the answer to an elicitation."""

    jsonrpc: Any
    id: Any = UNSET
    method: str | UnsetType = UNSET
    params: dict[str, Any] | UnsetType | None = UNSET
    result: Any = UNSET
    error: JsonRpcError | UnsetType | None = UNSET


class McpSession(NamedTuple):
    """A session before 2026-07-28. Its id holds all that there is to know, so no server keeps sessions.

    The id grants nothing: each request carries its own token.
    """

    version: str
    elicitation: bool
    nonce: str

    @property
    def id(self) -> str:
        return f"{self.version}.{'e' if self.elicitation else '-'}.{self.nonce}"

    @classmethod
    def of(cls, text: str) -> "McpSession":
        """Return the session of an id. Raise ServedError with 404, after which a client begins a new session."""
        found = SESSION.fullmatch(text)
        if found is None or found[1] not in HANDSHAKES:
            raise ServedError(INVALID_REQUEST, "This session id is not from here. Initialize again.", status=404)
        return cls(found[1], found[2] == "e", found[3])


class McpRequest(NamedTuple):
    """A request, after the checks of its form."""

    id: str | int
    method: str
    params: dict[str, Any]
    caller: McpCaller
    key: str | None
    """An idempotency key for what the request does; None if the client gave nothing that makes one."""
    session: str
    """The nonce of its session, or an empty string."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """The ``_meta`` of the parameters."""
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}

    def text(self, name: str) -> str:
        """Return a parameter that must be a text. Raise ServedError."""
        value = self.params.get(name)
        if not isinstance(value, str):
            raise ServedError(INVALID_PARAMS, f"params.{name} must be a string.")
        return value

    def answers(self) -> dict[str, ElicitationAnswer]:
        """Return the answers to elicitations. Ignore others, as the protocol demands. Raise ServedError."""
        given = self.params.get("inputResponses") or {}
        if not isinstance(given, dict):
            raise ServedError(INVALID_PARAMS, "params.inputResponses must be an object.")
        answers = {}
        for key, answer in given.items():
            with suppress(msgspec.ValidationError):
                answers[key] = msgspec.convert(answer, ElicitationAnswer)
        return answers


_decode = msgspec.json.Decoder(ServedMessage).decode


def read_message(body: bytes) -> ServedMessage:
    """Return the message of a body. Raise ServedError."""
    try:
        message = _decode(body)
    except msgspec.ValidationError:
        raise invalid_request(
            "The body must be one JSON-RPC request or notification. Batches are not allowed."
        ) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ServedError(PARSE_ERROR, "The body is not valid JSON in UTF-8.", status=400) from None
    if message.jsonrpc != "2.0":
        raise invalid_request('The message must say "jsonrpc": "2.0".')
    if message.method is UNSET and (message.result is UNSET) == (message.error is UNSET):
        raise invalid_request("The message has neither a method nor an answer.")
    return message


def invalid_request(sentence: str) -> ServedError:
    """Return the error for a message of a wrong form."""
    return ServedError(INVALID_REQUEST, sentence, status=400)


def request_of(message: ServedMessage, headers: Headers) -> McpRequest:
    """Return the request of a message. Raise ServedError."""
    fields = fields_of(headers)
    request_id = message.id
    if not is_id(request_id):
        raise invalid_request(f"The id must be a string or an integer of at most {ID_CHARS_MAX} characters.")
    assert isinstance(message.method, str)
    params = message.params if isinstance(message.params, dict) else {}
    meta = params.get("_meta")
    session = None
    if fields.get(VERSION_HEADER) == MODERN or (isinstance(meta, dict) and VERSION_KEY in meta):
        caller = modern_caller(message.method, params, fields)
    else:
        caller, session = handshake_caller(message.method, fields)
    key = fields.get(KEY_HEADER) or key_of(request_id, session)
    return McpRequest(request_id, message.method, params, caller, key, session.nonce if session else "")


def is_id(value: Any) -> bool:
    """Return True for an id that an answer repeats."""
    return isinstance(value, str | int) and not isinstance(value, bool) and len(str(value)) <= ID_CHARS_MAX


def key_of(request_id: str | int, session: McpSession | None) -> str | None:
    """Return an idempotency key from the id of a request, or None.

    Ids often begin again at 1 in each process of a client. So an id is a key only in a session, whose nonce no other
    process has, or if it is a UUID.
    """
    if session is None and not (isinstance(request_id, str) and UUID.fullmatch(request_id)):
        return None
    text = f"{session.nonce if session else ''}:{request_id!r}"
    return "mcp-" + hashlib.sha256(text.encode()).hexdigest()


def fields_of(headers: Headers) -> dict[bytes, str]:
    """Return the header fields that matter here. Raise ServedError for one that is sent twice."""
    fields: dict[bytes, str] = {}
    for name, value in headers:
        if name in ROUTING:
            if name in fields:
                raise ServedError(HEADER_MISMATCH, f"{name.decode()} is sent more than once.", status=400)
            fields[name] = value.decode("latin-1").strip()
    return fields


def handshake_caller(method: str, fields: Mapping[bytes, str]) -> tuple[McpCaller, McpSession | None]:
    """Return the client of a request before 2026-07-28, and its session. Raise ServedError."""
    session = None
    if method != "initialize" and SESSION_HEADER in fields:
        session = McpSession.of(fields[SESSION_HEADER])
    version = fields.get(VERSION_HEADER) or (session.version if session else ASSUMED)
    if version not in HANDSHAKES:
        raise unsupported(version)
    return McpCaller(version, modern=False, elicitation=session is not None and session.elicitation), session


def modern_caller(method: str, params: Mapping[str, Any], fields: Mapping[bytes, str]) -> McpCaller:
    """Return the client of a request of 2026-07-28. Raise ServedError if its header fields and body differ."""
    meta = params.get("_meta")
    if not isinstance(meta, dict):
        raise ServedError(INVALID_PARAMS, f"params._meta must hold {VERSION_KEY} and {CAPABILITIES_KEY}.")
    for name in (VERSION_KEY, CAPABILITIES_KEY):
        if name not in meta:
            raise ServedError(INVALID_PARAMS, f"params._meta lacks {name}.", status=400)
    version, capabilities = meta[VERSION_KEY], meta[CAPABILITIES_KEY]
    check_field(fields.get(VERSION_HEADER), version, "MCP-Protocol-Version", f"params._meta.{VERSION_KEY}")
    check_field(fields.get(METHOD_HEADER), method, "Mcp-Method", "method")
    named = NAMED.get(method)
    if named is not None and isinstance(params.get(named), str):
        check_field(decoded(fields.get(NAME_HEADER)), params[named], "Mcp-Name", f"params.{named}")
    if version != MODERN:
        raise unsupported(str(version))
    if not isinstance(capabilities, dict):
        raise ServedError(INVALID_PARAMS, f"params._meta.{CAPABILITIES_KEY} must be an object.", status=400)
    extensions = capabilities.get("extensions")
    return McpCaller(
        MODERN,
        modern=True,
        elicitation=shows_forms(capabilities),
        tasks=isinstance(extensions, dict) and TASKS in extensions,
    )


def shows_forms(capabilities: Any) -> bool:
    """Return True if the capabilities of a client include forms. An empty object means forms, as in 2025-06-18."""
    found = capabilities.get("elicitation") if isinstance(capabilities, dict) else None
    return isinstance(found, dict) and (not found or "form" in found)


def check_field(sent: str | None, expected: object, header: str, member: str) -> None:
    """Raise ServedError unless a header field repeats a member of the body."""
    if sent is None:
        raise ServedError(HEADER_MISMATCH, f"The header field {header} is missing.", status=400)
    if sent != expected:
        raise ServedError(HEADER_MISMATCH, f"The header field {header} differs from {member}.", status=400)


def decoded(value: str | None) -> str | None:
    """Return the value of a header field that may be encoded in Base64. A damaged one equals nothing."""
    found = ENCODED.fullmatch(value) if value is not None else None
    if found is None:
        return value
    try:
        raw = base64.b64decode(found[1], validate=True)
        return raw.decode() if base64.b64encode(raw).decode() == found[1] else "\ufffd"
    except ValueError:  # not Base64, not ASCII or not UTF-8
        return "\ufffd"


def unsupported(version: str) -> ServedError:
    """Return the error for a version that is not spoken here."""
    data = {"supported": [MODERN], "requested": version}
    return ServedError(UNSUPPORTED_VERSION, "Unsupported protocol version.", data, status=400)
