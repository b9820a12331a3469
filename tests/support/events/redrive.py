"""Sample events of a redrive."""

from athena_core.domain import redrive
from athena_core.enums import RedriveDecision

STARTED = redrive.RedriveStarted(
    redrive_id="rdr_1",
    filter=redrive.RedriveSelection(session_id="s"),
    filter_hash="ab",
    rate_per_second=10,
    total=2,
    until=9,
    requested_by="ada",
)


def advanced(letter: int, result: RedriveDecision = "requeued", code: str | None = None) -> redrive.RedriveAdvanced:
    return redrive.RedriveAdvanced(
        redrive_id="rdr_1", dead_letter_id=f"dlq_{letter}", letter_position=letter, result=result, code=code
    )


def advance(letter: int, result: RedriveDecision = "requeued", code: str | None = None) -> redrive.AdvanceRedrive:
    return redrive.AdvanceRedrive(dead_letter_id=f"dlq_{letter}", letter_position=letter, result=result, code=code)


def completed(requeued: int = 0, skipped: int = 0, failed: int = 0) -> redrive.RedriveCompleted:
    return redrive.RedriveCompleted(
        redrive_id="rdr_1", filter_hash="ab", requeued=requeued, skipped=skipped, failed=failed
    )
