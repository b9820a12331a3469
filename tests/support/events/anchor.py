"""Sample events of an anchor."""

from athena_core.domain.anchor import (
    AnchorBody,
    AnchorConflicted,
    AnchorKept,
)

ANCHOR = AnchorBody(log_id="ab" * 8, position=7, chain="cd" * 32, at="2026-01-01T00:00:00.000Z")
KEPT = AnchorKept(log_id="ab" * 8, position=7, chain="cd" * 32, at=ANCHOR.at, sender="ada")
CONFLICTED = AnchorConflicted(log_id="ab" * 8, position=7, chain="ef" * 32, kept="cd" * 32, sender="bob")
