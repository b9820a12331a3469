"""Sample events of a review."""

from athena_core.domain import review as persona

STARTED = persona.PersonaRunStarted(
    persona_name="critic",
    repo_path="library",
    head_ref="good",
    base_ref="main",
    base_ref_resolved_from="main",
    head_commit="a" * 40,
    base_commit="b" * 40,
    files=1,
    requested_by="ada",
    stdout="summary",
)
REPAIR = persona.PersonaRunRepairRequested(persona_name="critic", repair_run_id="run_2", problem="no JSON")
COMPLETED = persona.PersonaRunCompleted(
    persona_name="critic",
    status="ok",
    merge_gate="pass",
    p1=0,
    p2=0,
    p3=1,
    repaired=False,
    artifacts=persona.PersonaArtifacts(audit_dir="d", result_json_path="j", report_markdown_path="m"),
)
FAILED = persona.PersonaRunFailed(persona_name="critic", repo_path="library", head_ref="good", error_text="not clean")
