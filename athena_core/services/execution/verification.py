"""The verification of a run's answer and evidence against its profile's policies."""

import base64
import binascii
import hashlib
import shlex
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.definitions.profile import HarnessSpec, VerificationPolicy
from athena_core.domain.run import EvidenceAttached, TranscriptAppended
from athena_core.enums import EvidenceSource, EvidenceType, VerificationStatus
from athena_core.event import Event, Value
from athena_core.log.codec import SALT_BYTES
from athena_core.mask import Mask
from athena_core.schema import problems
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ToolEvidence, ToolResult
from athena_core.values import VerificationFailure

EXCERPT_CHARS = 200
"""Characters of output shown on each side of a text that it had to contain."""

CommandRunner = Callable[[tuple[str, ...], str], Awaitable[ToolResult]]
"""Runs an argv with the tool ``shell`` under the run's profile, as evidence with a label. Raises ToolRefused."""


class AttachedEvidence(Value):
    """Evidence of a run, and whether the workspace was changed since."""

    event: EvidenceAttached
    stale: bool = False


class VerificationResult(Value):
    """The policies that the run did not meet, and the evidence that checking them produced."""

    failures: tuple[VerificationFailure, ...] = ()
    evidence: tuple[EvidenceAttached, ...] = ()

    @property
    def status(self) -> VerificationStatus:
        """The verdict in a word."""
        return "verification-failed" if self.failures else "passed"


# Evidence


def evidence_of(events: Iterable[Event]) -> tuple[AttachedEvidence, ...]:
    """Return the evidence among a run's events; evidence about the workspace is stale after a later change there."""
    evidence: list[EvidenceAttached] = []
    changed = 0
    for event in events:
        match event:
            case EvidenceAttached():
                evidence.append(event)
            case TranscriptAppended(changed=True):
                changed = len(evidence)
    return tuple(
        AttachedEvidence(event=event, stale=event.workspace and number < changed)
        for number, event in enumerate(evidence)
    )


def policy_labels(profile: HarnessSpec) -> frozenset[str]:
    """Return the labels that the policies of a profile name."""
    return frozenset(policy.label for policy in profile.verification_policies or ())


def masked(shown: ToolEvidence, mask: Mask) -> ToolEvidence:
    return replace(shown, label=mask.hide(shown.label), content=mask.hide(shown.content))


def to_evidence(
    ids: Ids,
    shown: ToolEvidence,
    source: EvidenceSource,
    labels: Collection[str],
    *,
    tool_call_id: str | None = None,
    policy_id: str | None = None,
) -> EvidenceAttached:
    """Return the event for some evidence; its label is public if it is one of the profile's ``labels``.

    Content that does not match its claimed type is kept as text. The hash covers a fresh salt and the content: the
    decoded bytes of base64, otherwise the UTF-8 text.
    """
    kind, content = shown.type, shown.content
    try:
        raw = base64.b64decode(content, validate=True) if kind == "binary" else content.encode()
        if kind == "json" and problems({}, msgspec.json.decode(raw)):  # nested too deeply
            kind = "text"
    except (binascii.Error, ValueError, RecursionError):
        kind, raw = "text", content.encode()
    salt = ids.salt(SALT_BYTES)
    return EvidenceAttached(
        evidence_id=ids.new("evd"),
        label=shown.label if shown.label in labels else None,
        free_label=None if shown.label in labels else shown.label,
        evidence_type=kind,
        size_bytes=len(raw),
        sha256=hashlib.sha256(salt + raw).hexdigest(),
        source=source,
        workspace=shown.workspace,
        tool_call_id=tool_call_id,
        policy_id=policy_id,
        exit_code=shown.exit_code,
        content=content,
        content_salt=salt.hex(),
    )


def _is_empty(event: EvidenceAttached) -> bool:
    """Return True if it shows nothing: no bytes, blank text, JSON null. Of erased evidence only the size is known."""
    content = event.content
    blank = content is not None and (not content.strip() or (event.evidence_type == "json" and content == "null"))
    return event.size_bytes == 0 or blank


# Checking


async def judge(
    profile: HarnessSpec,
    output: str,
    evidence: Sequence[AttachedEvidence],
    run_command: CommandRunner,
    ids: Ids,
    mask: Mask,
) -> VerificationResult:
    """Check a run's output and evidence against its profile's policies.

    ``command``, ``json-schema`` and ``contains`` are checked first, then ``require-evidence``, which includes the
    evidence of those checks. Failures are in the order of the policies, and quote neither output nor contents.
    """
    policies = profile.verification_policies or ()
    failed: dict[str, VerificationFailure | None] = {policy.id: None for policy in policies}
    fresh: list[EvidenceAttached] = []
    for policy in policies:
        if policy.kind == "require-evidence":
            continue
        shown: ToolEvidence | None
        source: EvidenceSource = "model"
        if policy.command is not None:
            source = "verifier"
            shown, failed[policy.id] = await _check_command(policy, policy.command, run_command)
        elif policy.schema is not None:
            shown, failed[policy.id] = _check_schema(policy, policy.schema, output)
            source = "verifier" if failed[policy.id] else "model"
        else:
            shown, failed[policy.id] = _check_text(policy, policy.contains or "", output)
        if shown is not None:
            fresh.append(to_evidence(ids, masked(shown, mask), source, {policy.label}, policy_id=policy.id))
    everything = [*evidence, *(AttachedEvidence(event=event) for event in fresh)]
    for policy in policies:
        if policy.kind == "require-evidence":
            failed[policy.id] = _check_evidence(policy, everything)
    return VerificationResult(failures=tuple(filter(None, failed.values())), evidence=tuple(fresh))


CheckResult = tuple[ToolEvidence | None, VerificationFailure | None]


async def _check_command(policy: VerificationPolicy, argv: tuple[str, ...], run_command: CommandRunner) -> CheckResult:
    """Run the command, which must exit with 0; its output is evidence either way."""
    details = {"command": shlex.join(argv)}
    try:
        result = await run_command(argv, policy.label)
    except ToolRefused:
        return None, _failure(policy, "the command is not allowed by toolPolicies.shell", details)
    shown = result.shown or ToolEvidence(label=policy.label, type="text", content=result.content, workspace=True)
    code = shown.exit_code
    if code == 0 and not result.is_error:
        return shown, None
    message = "the command did not finish"
    if code is not None:
        message, details = f"the command ended with exit code {code}", details | {"exitCode": str(code)}
    return shown, _failure(policy, message, details)


def _check_schema(policy: VerificationPolicy, schema: dict[str, Any], output: str) -> CheckResult:
    """Check that the output is JSON that matches the schema; mismatches are evidence too."""
    try:
        value = msgspec.json.decode(_unfenced(output))
    except (ValueError, RecursionError) as error:
        return None, _failure(policy, f"the output is not JSON: {error}")
    faults = problems(schema, value)
    if not faults:
        return _shown(policy, "json", msgspec.json.encode(value).decode()), None
    failure = _failure(policy, "the output does not match the schema", {"problems": str(len(faults))})
    return _shown(policy, "text", "\n".join(faults)), failure


def _unfenced(output: str) -> str:
    """Return the output without the code fence that models like to put around JSON."""
    text = output.strip()
    first, _, rest = text.partition("\n")
    if first.strip() in {"```", "```json"} and rest.endswith("```"):
        return rest.removesuffix("```")
    return text


def _check_text(policy: VerificationPolicy, wanted: str, output: str) -> CheckResult:
    """Check that the output contains a text, character by character."""
    place = output.find(wanted)
    if place < 0:
        return None, _failure(policy, "the output does not contain the text that the policy names")
    excerpt = output[max(place - EXCERPT_CHARS, 0) : place + len(wanted) + EXCERPT_CHARS]
    return _shown(policy, "text", excerpt), None


def _check_evidence(policy: VerificationPolicy, evidence: Sequence[AttachedEvidence]) -> VerificationFailure | None:
    """Check that there is evidence with the label (and type) that is neither stale nor empty."""
    labelled = [item for item in evidence if item.event.label == policy.label]
    named = [item for item in labelled if policy.evidence_type in {None, item.event.evidence_type}]
    if any(not item.stale and not _is_empty(item.event) for item in named):
        return None
    details: dict[str, str] = {"evidenceType": policy.evidence_type} if policy.evidence_type else {}
    if not labelled:
        return _failure(policy, f"no evidence with the label {policy.label!r} was attached", details)
    if not named:
        types = " and ".join(dict.fromkeys(item.event.evidence_type for item in labelled))
        message = f"the evidence with the label {policy.label!r} was attached as {types}, not as {policy.evidence_type}"
        return _failure(policy, message, details | {"reason": "type"})
    if all(_is_empty(item.event) for item in named):
        message, reason = f"the evidence with the label {policy.label!r} is empty", "empty"
    else:
        message, reason = f"the workspace was changed after the evidence {policy.label!r} was attached", "stale"
    return _failure(policy, message, details | {"reason": reason})


def _shown(policy: VerificationPolicy, kind: EvidenceType, content: str) -> ToolEvidence:
    return ToolEvidence(label=policy.label, type=kind, content=content)


def _failure(policy: VerificationPolicy, message: str, details: dict[str, str] | None = None) -> VerificationFailure:
    return VerificationFailure(
        policy_id=policy.id, kind=policy.kind, message=message, details={"label": policy.label} | (details or {})
    )
