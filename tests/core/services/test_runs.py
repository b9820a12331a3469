"""Waiting for a run: what a caller is told when the log cannot take the withdrawal."""

from pathlib import Path

import pytest

from athena_api.app import wire
from athena_core.clock import FixedClock, SystemIds
from athena_core.errors import OutcomeUnknown
from athena_core.event import Meta
from athena_core.services.runs import Waiting
from athena_core.settings import load


async def test_a_run_that_could_not_be_withdrawn_is_not_called_undone(tmp_path: Path) -> None:
    settings = load({"ATHENA_STATE_DIR": str(tmp_path / "state"), "ATHENA_SESSION_WAIT_MS": "1"}, tmp_path)
    parts = wire(settings, FixedClock(), SystemIds())
    parts.log.close()  # from now on it refuses: nothing was written
    meta = Meta(actor="alice", correlation="trace")
    with pytest.raises(OutcomeUnknown, match="run_1 still waits"):
        await parts.runs._see_through("run_1", Waiting({}, "run_1"), meta, None)
    parts.close()
