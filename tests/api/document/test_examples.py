"""Examples in the document: valid, short, and one for each body and answer that a recording reaches."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from athena_api.document.examples import EXAMPLES
from athena_api.document.openapi import document
from athena_api.operations import OPERATIONS

SPEC: Any = document(OPERATIONS, "1.2.3")
WITHOUT = {
    *("DeadLetterAnswer", "DecidedDeadLetterAnswer", "NoteBody"),  # nothing of the scenario fails for good
    *("MessageAnswer", "MessageBody"),  # needs a persona
    *("PersonaRunBody", "PersonaRunDetailsAnswer", "PersonaRunOutputAnswer"),  # needs a persona and a repository
    "AgentListAnswer",  # needs a file of agents
    "EvidenceAnswer",  # the mock provider attaches none
    *("NoteTextAnswer", "ReadMemoryBody"),  # needs a note in the workspace
    "ResumeBody",  # needs a run that its budget has paused
}
"""Components without an example, and why."""


def components() -> Iterator[str]:
    for path in SPEC["paths"].values():
        for operation in path.values():
            for part in (operation.get("requestBody"), *map(operation["responses"].get, ("200", "202"))):
                content = (part or {}).get("content", {}).get("application/json")
                if content is not None:
                    yield content["schema"]["$ref"].rpartition("/")[2]


def test_each_body_and_answer_has_an_example() -> None:
    assert set(components()) == EXAMPLES.keys() | WITHOUT
    assert not EXAMPLES.keys() & WITHOUT


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid(name: str) -> None:
    schemas = {"components": {"schemas": SPEC["components"]["schemas"]}}
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{name}", **schemas})
    assert [str(error) for error in validator.iter_errors(EXAMPLES[name])] == []


def test_examples_are_in_the_document_and_short() -> None:
    schemas = SPEC["components"]["schemas"]
    assert all(schemas[name]["examples"] == [example] for name, example in EXAMPLES.items())
    assert len(json.dumps(EXAMPLES)) <= 32_500
