"""Tests of the tool evidence."""

import pytest

from athena_core.tools.tool import ToolEvidence
from tests.core.tools.bench import Workbench


@pytest.mark.parametrize(
    ("kind", "content"), [("text", "all 7 tests passed"), ("json", '{"passed": 7}'), ("binary", "AAEC/w==")]
)
async def test_the_evidence_of_a_model_is_attached_unchanged(workbench: Workbench, kind: str, content: str) -> None:
    result = await workbench.call(workbench.bench(), "evidence", label="tests", type=kind, content=content)
    assert (result.content, result.is_error, result.changed) == ("Attached as 'tests'.", False, False)
    assert result.shown == ToolEvidence(label="tests", type=kind, content=content, workspace=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [("json", "{passed: 7}", "not JSON"), ("json", "[" * 10_000, "not JSON"), ("json", "NaN", "not JSON")]
    + [("binary", "not base64!", "not base64"), ("binary", "ä", "not base64"), ("binary", "AAA", "not base64")],
)
async def test_a_content_that_is_not_of_its_type_is_refused(
    workbench: Workbench, kind: str, content: str, told: str
) -> None:
    assert told in await workbench.refusal(workbench.bench(), "evidence", label="tests", type=kind, content=content)


async def test_characters_that_cannot_be_stored_are_replaced(workbench: Workbench) -> None:
    result = await workbench.call(workbench.bench(), "evidence", label="a\0", type="text", content="b\0")
    assert result.shown is not None
    assert (result.shown.label, result.shown.content) == ("a\ufffd", "b\ufffd")
