"""Tests of the toolbox: the tools of a run, and the calls that a model writes."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from athena_core.definitions.profile import HarnessSpec
from athena_core.domain.profile import normalise_profile
from athena_core.schema import check
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import BadArguments, UnknownTool
from athena_core.tools.toolbox import ARGUMENTS_BYTES_MAX, toolbox

TOOLS = toolbox()
ALL = ("memory", "files", "shell", "http", "evidence", "ask_user")


def test_a_profile_gets_the_tools_that_it_names_and_that_exist_in_its_order() -> None:
    assert [spec.name for spec in TOOLS.specs(("shell", "echo", "files", "shell"))] == ["shell", "files"]
    assert TOOLS.names == set(ALL)


def test_every_tool_has_a_schema_that_may_be_used_and_takes_nothing_it_does_not_name() -> None:
    for spec in TOOLS.specs(ALL):
        assert check(spec.parameters) is None
        assert spec.parameters["additionalProperties"] is False
        assert spec.description


def test_every_tool_but_evidence_and_ask_user_can_attach_its_result_as_evidence() -> None:
    without = [spec.name for spec in TOOLS.specs(ALL) if "evidence" not in spec.parameters["properties"]]
    assert without == ["evidence", "ask_user"]


@pytest.mark.parametrize("names", [(), ("files",), ("sh ell",), ("SHELL",)])
def test_a_tool_that_the_profile_does_not_name_does_not_exist(names: tuple[str, ...]) -> None:
    with pytest.raises(UnknownTool, match="no tool 'shell'.*config.tools"):
        TOOLS.read("shell", '{"command": ["true"]}', names)


def test_an_unknown_tool_does_not_exist_though_the_profile_names_it() -> None:
    with pytest.raises(UnknownTool):
        TOOLS.read("echo", "{}", ("echo",))


def test_a_long_name_is_cut_in_the_refusal() -> None:
    with pytest.raises(UnknownTool) as caught:
        TOOLS.read("x" * 1_000_000, "{}", ALL)
    assert len(str(caught.value)) < 400


def test_arguments_come_from_json_text() -> None:
    tool, arguments = TOOLS.read("files", ' {"action": "read", "path": "a"}\n', ALL)
    assert tool.spec.name == "files"
    assert arguments == {"action": "read", "path": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "",  # an object lacks its action
        "{",
        "null",
        "[]",
        '"list"',
        "{'action': 'list'}",
        '{"action": "list"} {}',
        '{"action": NaN}',
        '{"action": "format"}',
        '{"action": ["list"]}',
        '{"action": "list", "sudo": true}',
        '{"action": "read", "path": "a", "from_line": 0}',
        '{"action": "read", "path": "a", "from_line": 1e999}',
        '{"action": "read", "path": "a", "lines": 10000000000000000000000000000000}',
        '{"action": "read", "path": null}',
        '{"action": "list", "evidence": ""}',
        json.dumps({"action": "list", "evidence": "x" * 1_001}),
        '{"action": "list", "path": "\\ud800"}',
        '{"action": "list", "path": "\ud800"}',
        "[" * 100_000,
        '{"action": ' + "[" * 90 + "]" * 90 + "}",
        '{"action": "list", "path": "' + "x" * ARGUMENTS_BYTES_MAX + '"}',
    ],
)
def test_arguments_that_are_no_json_object_of_the_schema_are_refused_shortly(text: str) -> None:
    with pytest.raises(BadArguments, match="The arguments of files") as caught:
        TOOLS.read("files", text, ALL)
    assert len(str(caught.value)) < 3_000
    assert isinstance(caught.value, ToolRefused)


def test_an_answer_as_large_as_a_model_may_give_can_be_written() -> None:
    text = json.dumps({"action": "write", "path": "a", "content": "ü\n" * 500_000}, ensure_ascii=True)
    assert len(TOOLS.read("files", text, ALL)[1]["content"]) == 1_000_000


def test_the_profile_in_the_documentation_is_one_and_names_every_tool() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/tools.md").read_text("utf-8")
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example is not None
    spec = msgspec.json.decode(example[1], type=HarnessSpec)
    assert normalise_profile(spec, frozenset({"openai"}), check).tool_policies == spec.tool_policies
    assert set(spec.config.tools) == TOOLS.names
