"""Asks as forms: what a client shows to its user, and the answer that the form gives."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from athena_api.mcp.dispatch import Dispatch, DispatchedAnswer
from athena_core.mcp.served import Elicitation, ElicitationAnswer
from athena_core.mcp.tool_names import SEPARATOR

OPTION = "optionId"
NOTE = "note"
REFUSING = "reject_once"
"""The kind of an option that refuses."""

Ask = Mapping[str, Any]
"""An ask as the API answers it."""


async def answerable_asks(dispatch: Dispatch, run_id: str) -> list[Ask]:
    """Return the open asks of a run that the caller may answer, with their whole texts."""
    listed = await dispatch.request("GET", "/asks", query={"runId": run_id, "answerable": "true"})
    asks = []
    for item in listed.data["items"] if listed.ok else ():
        if not item.get("truncated"):
            asks.append(item)
        elif (whole := await dispatch.request("GET", "/asks/:askId", {"askId": item["id"]})).ok:
            asks.append(whole.data)
    return asks


def forms_of(asks: Iterable[Ask]) -> dict[str, Elicitation]:
    """Return the forms of asks, by the key that comes back with an answer: the id of the ask and its hash."""
    return {f"{ask['id']}.{ask['subjectHash']}": form_of(ask) for ask in asks}


def form_of(ask: Ask) -> Elicitation:
    """Return the form of an ask: its own fields, or a choice of its options."""
    lines = [*_origin(ask), ask["question"]]
    for name in ("toolName", "arguments", "subject"):
        if ask.get(name):
            lines.append(f"{name}: {ask[name]}")
    if ask.get("hidden"):
        lines.append(f"A part is hidden. Read GET /asks/{ask['id']}?exact=true before you allow it.")
    if ask.get("form") is not None:
        return Elicitation("\n".join(lines), ask["form"])
    options = ask["options"]
    titled = [{"const": option["id"], "title": option.get("name") or option["id"]} for option in options]
    schema = {
        "type": "object",
        "properties": {
            OPTION: {"type": "string", "title": "Your answer", "oneOf": titled},
            NOTE: {"type": "string", "title": "Note (optional)"},
        },
        "required": [OPTION],
    }
    return Elicitation("\n".join(lines), schema)


def _origin(ask: Ask) -> Iterator[str]:
    """Yield who asks, if that is an MCP server, which may ask for more than it should know."""
    server, found, _ = str(ask.get("toolName", "")).partition(SEPARATOR)
    if found and ask.get("origin") == "mcp" and ask["kind"] != "tool-permission":
        yield f"Asked by the MCP server {server}:"


async def answer_ask_by_form(dispatch: Dispatch, key: str, answer: ElicitationAnswer) -> DispatchedAnswer | None:
    """Answer the ask of a form as the caller, who needs the right to. Return None if nothing was decided.

    A form that was closed decides nothing. One that was declined chooses the option that refuses.
    """
    ask_id, _, subject_hash = key.partition(".")
    if answer.action == "cancel" or not ask_id:
        return None
    found = await dispatch.request("GET", "/asks/:askId", {"askId": ask_id})
    if not found.ok or found.data["status"] != "open":
        return found
    body: dict[str, Any] = {"subjectHash": subject_hash}
    content = dict(answer.content or {})
    if answer.action == "decline":
        refusing = [option["id"] for option in found.data["options"] if option["kind"] == REFUSING]
        if not refusing:
            return None
        body["optionId"] = refusing[0]
    elif found.data.get("form") is not None:
        body["values"] = content
    else:
        body["optionId"] = content.get(OPTION)
        if content.get(NOTE):
            body["note"] = content[NOTE]
    return await dispatch.request("POST", "/asks/:askId/answer", {"askId": ask_id}, body=body)
