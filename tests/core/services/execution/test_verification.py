"""Verification: the evidence that satisfies each kind of policy, and what judging attaches."""

import base64
import hashlib
import json
from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.definitions.profile import VerificationPolicy
from athena_core.domain.run import EvidenceAttached, TranscriptAppended
from athena_core.event import Event
from athena_core.mask import Mask
from athena_core.services.execution.verification import VerificationResult, evidence_of, judge, to_evidence
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ToolEvidence, ToolResult
from tests.support.canaries import SECRETS
from tests.support.events.run import SPEC

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def policy(kind: str, policy_id: str = "p", label: str = "log", **fields: Any) -> VerificationPolicy:
    return VerificationPolicy(id=policy_id, kind=kind, label=label, **fields)  # type: ignore[arg-type]


def evidence(content: str = "green", kind: str = "text", label: str = "log", *, workspace: bool = False) -> Event:
    shown = ToolEvidence(label=label, type=kind, content=content, workspace=workspace)  # type: ignore[arg-type]
    return to_evidence(CountingIds(), shown, "tool", {"log"})


CHANGE = TranscriptAppended(role="tool", kind="tool-result", chars=1, changed=True, content="written")
LOOK = TranscriptAppended(role="tool", kind="tool-result", chars=1, content="seen")


class Commands:
    """A shell that gives every command the same answer and records it."""

    def __init__(self, result: ToolResult | None = None) -> None:
        self.result = result
        self.asked: list[tuple[tuple[str, ...], str]] = []

    async def __call__(self, argv: tuple[str, ...], label: str) -> ToolResult:
        self.asked.append((argv, label))
        if self.result is None:
            raise ToolRefused("no")
        return self.result


async def verdict(
    *policies: VerificationPolicy, output: str = "", events: tuple[Event, ...] = (), commands: Commands | None = None
) -> VerificationResult:
    profile = replace(SPEC, verification_policies=policies or None)
    return await judge(profile, output, evidence_of(events), commands or Commands(), CountingIds(), Mask())


# Evidence


def test_evidence_is_hashed_with_a_salt_that_is_erased_with_it() -> None:
    shown = ToolEvidence(label="log", type="text", content="grün", exit_code=3)
    event = to_evidence(CountingIds(), shown, "tool", (), tool_call_id="c")
    assert event.content_salt
    salted = bytes.fromhex(event.content_salt) + "grün".encode()
    assert event.sha256 == hashlib.sha256(salted).hexdigest()
    assert (event.size_bytes, event.exit_code, event.tool_call_id, event.source) == (5, 3, "c", "tool")


def test_binary_evidence_is_measured_and_hashed_as_bytes() -> None:
    shown = ToolEvidence(label="log", type="binary", content=base64.b64encode(b"\0\1").decode())
    event = to_evidence(CountingIds(), shown, "model", ())
    assert event.content_salt
    assert event.size_bytes == 2
    assert event.sha256 == hashlib.sha256(bytes.fromhex(event.content_salt) + b"\0\1").hexdigest()


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("json", "{"),
        ("json", "[" * 65 + "]" * 65),
        ("json", "[" * 3_000 + "]" * 3_000),
        ("binary", "§"),
        ("binary", "a"),
    ],
)
def test_evidence_that_is_not_what_it_claims_to_be_is_text(kind: str, content: str) -> None:
    event = to_evidence(CountingIds(), ToolEvidence(label="log", type=kind, content=content), "model", ())  # type: ignore[arg-type]
    assert (event.evidence_type, event.content) == ("text", content)


def test_only_labels_that_the_profile_names_are_public() -> None:
    named, free = evidence(label="log"), evidence(label="what I found at alice@example.org")
    assert isinstance(named, EvidenceAttached)
    assert isinstance(free, EvidenceAttached)
    assert (named.label, named.free_label) == ("log", None)
    assert (free.label, free.free_label) == (None, "what I found at alice@example.org")


def test_evidence_of_the_workspace_is_stale_after_a_change() -> None:
    old, words, new = evidence(workspace=True), evidence("words"), evidence("new", workspace=True)
    assert [one.stale for one in evidence_of((old, words, CHANGE, new, LOOK))] == [True, False, False]


# Policies


async def test_without_policies_a_run_passes() -> None:
    assert (await verdict()).status == "passed"


@pytest.mark.parametrize("kind", [None, "text"])
async def test_required_evidence_is_found_by_label_and_type(kind: str | None) -> None:
    found = await verdict(policy("require-evidence", evidence_type=kind), events=(evidence(),))
    assert found == VerificationResult()


@pytest.mark.parametrize(
    ("events", "reason", "message"),
    [
        ((), None, "no evidence with the label 'log' was attached"),
        ((evidence(label="Log"),), None, "no evidence with the label 'log' was attached"),
        ((evidence("{}", "json"),), "type", "the evidence with the label 'log' was attached as json, not as text"),
        ((evidence("{}", "json"), evidence("YQ==", "binary")), "type", "attached as json and binary, not as text"),
        ((evidence(""),), "empty", "the evidence with the label 'log' is empty"),
        ((evidence(" \n"),), "empty", "the evidence with the label 'log' is empty"),
        ((evidence(workspace=True), CHANGE), "stale", "changed after the evidence 'log' was attached"),
        ((evidence(workspace=True), CHANGE, evidence("")), "stale", "changed after the evidence 'log' was attached"),
    ],
)
async def test_evidence_of_another_type_missing_empty_and_stale_evidence_does_not_count(
    events: tuple[Event, ...], reason: str | None, message: str
) -> None:
    (failure,) = (await verdict(policy("require-evidence", evidence_type="text"), events=events)).failures
    assert (failure.policy_id, failure.kind) == ("p", "require-evidence")
    assert failure.details == {"label": "log", "evidenceType": "text"} | ({"reason": reason} if reason else {})
    assert failure.message.endswith(message)


@pytest.mark.parametrize(("kind", "content"), [("json", "null"), ("binary", ""), ("text", "\t")])
async def test_null_and_nothing_are_empty(kind: str, content: str) -> None:
    assert (await verdict(policy("require-evidence"), events=(evidence(content, kind),))).failures


async def test_evidence_whose_content_was_erased_still_counts() -> None:
    event = evidence()
    assert isinstance(event, EvidenceAttached)
    assert not (await verdict(policy("require-evidence"), events=(replace(event, content=None),))).failures


async def test_a_command_passes_with_exit_code_0_and_leaves_its_output() -> None:
    shown = ToolEvidence(label="log", type="text", content="ok", workspace=True, exit_code=0)
    commands = Commands(ToolResult(content="ok", changed=True, shown=shown))
    found = await verdict(policy("command", command=("make", "test")), commands=commands)
    assert commands.asked == [(("make", "test"), "log")]
    assert found.status == "passed"
    (event,) = found.evidence
    assert (event.label, event.source, event.policy_id, event.exit_code, event.content) == (
        "log",
        "verifier",
        "p",
        0,
        "ok",
    )


@pytest.mark.parametrize(
    ("code", "details"), [(2, {"exitCode": "2"}), (-9, {"exitCode": "-9"}), (None, {}), (0, {"exitCode": "0"})]
)
async def test_a_command_that_fails_leaves_evidence_too(code: int | None, details: dict[str, str]) -> None:
    shown = (
        None if code is None else ToolEvidence(label="log", type="text", content="bad", workspace=True, exit_code=code)
    )
    commands = Commands(ToolResult(content="bad", is_error=True, shown=shown))
    found = await verdict(policy("command", command=("make", "a b")), commands=commands)
    (failure,) = found.failures
    assert failure.details == {"label": "log", "command": "make 'a b'"} | details
    assert "bad" not in failure.message
    assert [(event.content, event.exit_code, event.workspace) for event in found.evidence] == [("bad", code, True)]


async def test_a_command_that_is_refused_fails_without_evidence() -> None:
    found = await verdict(policy("command", command=("rm",)))
    assert found.evidence == ()
    assert "toolPolicies.shell" in found.failures[0].message


@pytest.mark.parametrize(
    "output", ['{"n": 1}', ' \n{"n":1}\n', '```json\n{"n":1}\n```', '```\n{"n": 1}```', '{"n":1,"more":[null]}']
)
async def test_json_that_fits_is_attached(output: str) -> None:
    found = await verdict(policy("json-schema", schema=SCHEMA), output=output)
    assert found.failures == ()
    (event,) = found.evidence
    assert (event.evidence_type, event.source, event.policy_id) == ("json", "model", "p")
    assert event.content in {'{"n":1}', '{"n":1,"more":[null]}'}


@pytest.mark.parametrize("output", ["", "sure!", '{"n":1', 'Here: {"n":1}', '{"n":NaN}', "[" * 3_000])
async def test_invalid_json_fails(output: str) -> None:
    found = await verdict(policy("json-schema", schema=SCHEMA), output=output)
    assert found.evidence == ()
    assert "is not JSON" in found.failures[0].message


async def test_json_that_does_not_fit_fails_with_the_faults_as_evidence() -> None:
    found = await verdict(policy("json-schema", schema=SCHEMA), output='{"n":"secret"}')
    (failure,), (event,) = found.failures, found.evidence
    assert failure.details == {"label": "log", "problems": "1"}
    assert (event.evidence_type, event.source) == ("text", "verifier")
    assert event.content is not None
    assert event.content.startswith("/n: ")


async def test_an_output_has_to_contain_a_text_exactly() -> None:
    wanted = policy("contains", contains="DONE.")
    found = await verdict(wanted, output="x" * 500 + "DONE." + "y" * 500)
    assert found.failures == ()
    assert [event.content for event in found.evidence] == ["x" * 200 + "DONE." + "y" * 200]
    missed = await verdict(wanted, output="done.")
    assert missed.evidence == ()
    assert [failure.details for failure in missed.failures] == [{"label": "log"}]


async def test_judging_attaches_evidence_and_failures_keep_the_order_of_policies() -> None:
    policies = (
        policy("require-evidence", "first", "answer", evidence_type="json"),
        policy("contains", "second", "word", contains="missing"),
        policy("json-schema", "third", "answer", schema=SCHEMA),
        policy("require-evidence", "fourth", "word"),
    )
    found = await verdict(*policies, output='{"n":1}')
    assert [failure.policy_id for failure in found.failures] == ["second", "fourth"]


async def test_evidence_of_an_answer_is_masked_once_its_escapes_are_read() -> None:
    answer = json.dumps({"key": SECRETS[0]}).replace("-", "\\u002d")
    policy = VerificationPolicy(id="p", kind="json-schema", label="L", schema={"type": "object"})
    found = await verdict(policy, output=answer)
    assert [event.content for event in found.evidence] == ['{"key":"***"}']
