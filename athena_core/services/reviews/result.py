"""The result of a review: parse the model's answer, build the result, render it, write its files."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.domain import run
from athena_core.domain.review import FOLDER, PersonaArtifacts, PersonaRunStarted
from athena_core.enums import EvidenceType, MergeGate, PersonaStdout
from athena_core.event import Event, Recorded, Value, says
from athena_core.mask import Mask
from athena_core.outside_text import HiddenSpan
from athena_core.services.runs.results import cancel_note, run_error
from athena_core.system import private_file
from athena_core.text import escape_json
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.workspace import Workspace, parts_of
from athena_core.values import ContextMeta, Usage

FINDINGS_MAX = 500
FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n(.*?)\n\s*```\s*$", re.DOTALL)
MANIFESTS = {
    "package.json": "npm",
    "pyproject.toml": "python",
    "requirements.txt": "python",
    "setup.py": "python",
    "Cargo.toml": "rust",
    "go.mod": "go",
    "pom.xml": "java",
    "build.gradle": "java",
    "Gemfile": "ruby",
    "composer.json": "php",
}


ContextFileKind: TypeAlias = Literal["prompt", "skill", "doc", "workspace-doc", "changed", "diff"]


class Finding(Value):
    """A finding of a review; P1 forbids a merge."""

    priority: Annotated[Literal["P1", "P2", "P3"], says("P1 forbids the merge.")]
    confidence: Annotated[float, says("Confidence, 0 to 1.")]
    title: Annotated[str, says("Title of the finding.")]
    message: str
    suggestion: Annotated[str | None, says("Suggested change; absent without one.")] = None
    file: Annotated[str | None, says("File of the finding; absent without one.")] = None
    line: Annotated[int | None, says("Line of the finding; absent without one.")] = None


class DependencyInspection(Value):
    """The changes of dependencies."""

    status: Literal["ok", "skipped"]
    detected_ecosystem: Annotated[str | None, says("Package ecosystem; absent if unknown.")] = None
    notes: Annotated[str | None, says("Remarks.")] = None
    added_imports: Annotated[tuple[str, ...] | None, says("Imports that were added.")] = None
    changed_manifests: Annotated[tuple[str, ...] | None, says("Manifests that changed.")] = None


class ReviewAnswer(Value):
    """The answer that a model must give."""

    schema_version: Literal[1]
    merge_gate: MergeGate
    report_markdown: str
    findings: Annotated[tuple[Finding, ...], msgspec.Meta(max_length=FINDINGS_MAX)]
    dependency_inspection: DependencyInspection | None = None


class ContextFile(Value):
    """A file that the persona was shown."""

    path: str
    kind: Annotated[ContextFileKind, says("Why the persona was shown it.")]
    chars: int
    sha256: str
    truncated: bool


class FileSnapshot(Value):
    """A changed file as it is at the head commit."""

    path: str
    content: Annotated[str, says("Text of the file.")]
    truncated: bool


class EvidenceFile(Value):
    """A file of the review that serves as evidence."""

    id: str
    label: str
    sha256: str
    artifact_path: Annotated[str, says("Path of the file.")]
    type: Annotated[EvidenceType, says("Type of the content.")]
    size_bytes: int
    created_at: str


class PreparedReview(Value):
    """The content prepared for the model.

    ``hidden`` are the first parts of the diff that it hides, and ``not_seen`` says all that it does not show.
    """

    prompt: str
    context: tuple[ContextFile, ...]
    snapshots: tuple[FileSnapshot, ...]
    changed: tuple[str, ...]
    diff_sha256: str
    diff_bytes: int
    hidden: tuple[HiddenSpan, ...] = ()
    not_seen: tuple[str, ...] = ()


class ReviewError(Value):
    """The reason why a review failed."""

    message: str


class ReviewResult(Value):
    """The result of a persona run.

    ``not_seen`` are the parts of the change that the persona was not shown, such as closed files. With any of them the
    merge gate is ``fail``, because a review approves only what it read. ``hidden`` are masked parts.
    """

    schema_version: int
    run_id: str
    persona_name: str
    session_id: str
    status: Literal["ok", "failed"]
    started_at: Annotated[str, says("When it started.")]
    finished_at: Annotated[str, says("When it ended.")]
    findings: tuple[Finding, ...]
    merge_gate: MergeGate
    report_markdown: str
    repo_path: str
    head_ref: str
    base_ref: str
    base_ref_resolved_from: Literal["flag", "main", "origin-head"]
    artifacts: PersonaArtifacts
    context_manifest: Annotated[tuple[ContextFile, ...], says("Files that the persona was shown.")]
    referenced_file_meta: Annotated[tuple[ContextFile, ...], says("Changed files that the persona was shown.")]
    referenced_file_snapshots: Annotated[tuple[FileSnapshot, ...], says("Contents of those files.")]
    evidence_manifest: Annotated[tuple[EvidenceFile, ...], says("Files that serve as evidence.")]
    dependency_inspection: DependencyInspection
    model_output_raw: Annotated[str, says("Text of the model.")]
    parse_retry_attempted: Annotated[bool, says("True if the model was asked once more.")]
    model_output_parsed: Annotated[ReviewAnswer | None, says("Answer of the model; absent if it is not valid.")] = None
    parse_error: Annotated[str | None, says("Why the answer is not valid; absent if it is.")] = None
    repair_run_id: str | None = None
    usage: Usage | None = None
    context_meta: ContextMeta | None = None
    error: Annotated[ReviewError | None, says("Why it failed; absent otherwise.")] = None
    hidden: Annotated[
        tuple[HiddenSpan, ...] | None, says("The first 100 masked parts of the diff; absent if there are none.")
    ] = None
    not_seen: Annotated[
        tuple[str, ...] | None,
        says("Parts of the change that were not shown, so that the gate is `fail`; absent if all was."),
    ] = None


class ReviewReply(NamedTuple):
    """The reply of a review's model: its text, the problem with it, and the parsed answer.

    Problem and answer are None if the model's run itself failed.
    """

    text: str
    problem: str | None
    answer: ReviewAnswer | None


# Building


def build_result(
    key: str,
    began: Recorded[Event],
    last: Sequence[Recorded[Event]],
    earlier: Sequence[Recorded[Event]],
    repair_run_id: str | None,
    reply: ReviewReply,
) -> ReviewResult:
    """Return the result of a review, built from recorded events only.

    ``last`` are the events of the model's last run. ``earlier`` are the events of the run that it repairs.
    """
    started = began.event
    assert isinstance(started, PersonaRunStarted)
    shown = None if started.prepared is None else msgspec.json.decode(started.prepared, type=PreparedReview)
    ended = next((recorded for recorded in last if recorded.type in run.ENDING_TYPES), last[-1])
    done = ended.event if isinstance(ended.event, run.RunCompleted) else None
    message = _failure(repair_run_id or key, reply, ended.event, last)
    artifacts = artifacts_of(key, started)
    context = shown.context if shown else ()
    answer = reply.answer
    not_seen = shown.not_seen if shown else ()
    return ReviewResult(
        schema_version=1,
        run_id=key,
        persona_name=started.persona_name,
        session_id=began.session_id or "",
        status="ok" if answer else "failed",
        started_at=iso(began.at),
        finished_at=iso(ended.at),
        findings=answer.findings if answer else (),
        merge_gate=merge_gate(answer) if answer and not not_seen else "fail",
        report_markdown=_report(answer, not_seen) if answer else f"# The review failed\n\n{message}\n",
        hidden=(shown.hidden if shown else ()) or None,
        not_seen=not_seen or None,
        repo_path=started.repo_path,
        head_ref=started.head_ref,
        base_ref=started.base_ref,
        base_ref_resolved_from=started.base_ref_resolved_from,
        artifacts=artifacts,
        context_manifest=context,
        referenced_file_meta=tuple(file for file in context if file.kind == "changed"),
        referenced_file_snapshots=shown.snapshots if shown else (),
        evidence_manifest=(_diff_evidence(shown, artifacts, iso(began.at)),) if shown else (),
        dependency_inspection=inspect_dependencies(
            shown.changed if shown else (), answer.dependency_inspection if answer else None
        ),
        model_output_raw=reply.text,
        model_output_parsed=answer,
        parse_retry_attempted=repair_run_id is not None,
        parse_error=reply.problem,
        repair_run_id=repair_run_id,
        usage=_usage(done, earlier),
        context_meta=done.context_meta if done else None,
        error=None if message is None else ReviewError(message=message),
    )


def _failure(run_id: str, reply: ReviewReply, ended: Event, last: Sequence[Recorded[Event]]) -> str | None:
    """Return why a review failed, None if its model answered."""
    if reply.problem is not None:
        return f"the answer of the model could not be read: {reply.problem}"
    if reply.answer is not None:
        return None
    return run_error(run_id, ended, cancel_note(recorded.event for recorded in last)).message


def _report(answer: ReviewAnswer, not_seen: Sequence[str]) -> str:
    """Return the report of the model. If the persona was not shown all of the change, add that."""
    if not not_seen:
        return answer.report_markdown
    return (
        f"{answer.report_markdown.rstrip()}\n\n---\n\nThe merge gate is closed, because the review did not see:"
        f" {'; '.join(not_seen)}. Let a person look at these, or exclude the files in `review.excludeGlobs`.\n"
    )


def _diff_evidence(shown: PreparedReview, artifacts: PersonaArtifacts, created_at: str) -> EvidenceFile:
    return EvidenceFile(
        id="diff",
        label="What changed",
        sha256=shown.diff_sha256,
        artifact_path=f"{artifacts.audit_dir}/diff.patch",
        type="text",
        size_bytes=shown.diff_bytes,
        created_at=created_at,
    )


def _usage(done: run.RunCompleted | None, earlier: Sequence[Recorded[Event]]) -> Usage | None:
    """Return the total usage of the model's runs."""
    usage = done.usage if done else None
    for recorded in earlier:
        if isinstance(recorded.event, run.RunCompleted) and recorded.event.usage is not None:
            usage = recorded.event.usage if usage is None else recorded.event.usage.plus(usage)
    return usage


# Parsing


def parse_answer(output: str, mask: Mask) -> ReviewAnswer:
    """Parse the JSON object in a model's output, and mask secrets that JSON escapes may have hidden.

    Raise ValueError with the problem.
    """
    fenced = FENCE.match(output)
    text = fenced[1] if fenced else output
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("it contains no JSON object")
    try:
        answer = msgspec.convert(mask.hide_in(msgspec.json.decode(text[start : end + 1])), ReviewAnswer)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error) or "it is nested too deeply") from None
    findings = tuple(replace(finding, confidence=min(max(finding.confidence, 0.0), 1.0)) for finding in answer.findings)
    return replace(answer, findings=findings)


def merge_gate(answer: ReviewAnswer) -> MergeGate:
    """Return whether the change may be merged: never with a P1."""
    return "fail" if any(finding.priority == "P1" for finding in answer.findings) else answer.merge_gate


def inspect_dependencies(changed: Sequence[str], inspected: DependencyInspection | None) -> DependencyInspection:
    """Return the model's inspection of dependencies, with the changed manifests."""
    manifests = tuple(path for path in changed if path.rpartition("/")[2] in MANIFESTS)
    if inspected is not None:
        return replace(inspected, changed_manifests=inspected.changed_manifests or manifests or None)
    if not manifests:
        return DependencyInspection(status="skipped", notes="no dependency manifest changed")
    ecosystem = MANIFESTS[manifests[0].rpartition("/")[2]]
    return DependencyInspection(status="ok", detected_ecosystem=ecosystem, changed_manifests=manifests)


def artifacts_of(run_id: str, started: PersonaRunStarted) -> PersonaArtifacts:
    """Return the paths of a review's files."""
    place = f".athena/{FOLDER}/{run_id}"
    return PersonaArtifacts(
        audit_dir=place,
        result_json_path=f"{place}/result.json",
        report_markdown_path=f"{place}/report.md",
        out_json_path=started.out_json_path,
        out_markdown_path=started.out_markdown_path,
    )


# Rendering


def rendered(result: Any, form: PersonaStdout) -> str:
    """Return a result as a terminal shows it; ``result`` is its decoded JSON."""
    match form:
        case "none":
            return ""
        case "json":
            return escape_json(msgspec.json.format(msgspec.json.encode(result), indent=2)).decode()
        case "md":
            return str(result["reportMarkdown"])
        case "summary":
            lines = {
                "name": result["personaName"],
                "runId": result["runId"],
                "status": result["status"],
                "compare": f"{result['baseRef']}..{result['headRef']}",
                "evidence": len(result["evidenceManifest"]),
                "result": result["artifacts"]["resultJsonPath"],
                "report": result["artifacts"]["reportMarkdownPath"],
            }
            return "\n".join(f"{name}: {value}" for name, value in lines.items())


# Files


class ReviewFiles:
    """The files of reviews: one folder each in the state directory, and copies where the request wants them."""

    def __init__(self, state_dir: Path, workspace: Workspace) -> None:
        self._folders = state_dir / FOLDER
        self._workspace = workspace

    def write(self, run_id: str, files: Mapping[str, str]) -> None:
        """Write files into the folder of a review."""
        folder = self._folders / run_id
        private_file.make_directory(folder, folder.parents[1])
        for name, text in files.items():
            private_file.write(folder / name, text.encode("utf-8", "replace"))

    def remove(self, run_id: str) -> None:
        """Remove the folder of a review that did not begin."""
        shutil.rmtree(self._folders / run_id, ignore_errors=True)

    def write_result(self, result: ReviewResult) -> ReviewResult:
        """Write the files of a result and return it. A result that cannot be written into the workspace fails."""
        artifacts = result.artifacts
        try:
            if artifacts.out_markdown_path is not None:
                self._write_out(artifacts.out_markdown_path, result.report_markdown)
            if artifacts.out_json_path is not None:
                self._write_out(artifacts.out_json_path, _pretty(result))
        except (OSError, ToolRefused) as error:
            alone = replace(artifacts, out_json_path=None, out_markdown_path=None)
            failure = ReviewError(message=f"the report could not be written into the workspace: {error}")
            result = replace(result, status="failed", artifacts=alone, error=failure)
        self.write(result.run_id, {"report.md": result.report_markdown, "result.json": _pretty(result)})
        return result

    def _write_out(self, path: str, text: str) -> None:
        self._workspace.write(parts_of(path), text.encode(errors="replace"))


def _pretty(result: ReviewResult) -> str:
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n"
