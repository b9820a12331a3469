"""Asks as forms of a client: options, fields, and who asks."""

from typing import Any

from athena_api.mcp.asks import form_of, forms_of

ASK: dict[str, Any] = {
    "id": "ask_1",
    "kind": "tool-permission",
    "question": "May shell run?",
    "subjectHash": "hash",
    "toolName": "shell",
    "arguments": '{"command":["ls"]}',
    "options": [
        {"id": "allow", "kind": "allow_once", "name": "Allow"},
        {"id": "deny", "kind": "reject_once"},
    ],
}


def test_a_permission_is_a_choice_with_what_it_is_about() -> None:
    form = form_of(ASK)
    assert form.message.splitlines() == ["May shell run?", "toolName: shell", 'arguments: {"command":["ls"]}']
    option = form.schema["properties"]["optionId"]
    assert option["oneOf"] == [{"const": "allow", "title": "Allow"}, {"const": "deny", "title": "deny"}]
    assert form.schema["required"] == ["optionId"]
    assert forms_of([ASK]) == {"ask_1.hash": form}


def test_a_question_shows_its_own_fields() -> None:
    fields = {"type": "object", "properties": {"branch": {"type": "string"}}}
    assert form_of({**ASK, "kind": "question", "form": fields, "options": []}).schema == fields


def test_a_question_of_a_server_says_who_asks() -> None:
    asked = {**ASK, "kind": "question", "origin": "mcp", "toolName": "git__commit", "form": {"type": "object"}}
    assert form_of(asked).message.startswith("Asked by the MCP server git:\n")
    assert not form_of({**asked, "toolName": "ask_user"}).message.startswith("Asked by")
    assert not form_of({**asked, "kind": "tool-permission"}).message.startswith("Asked by")
