"""The real Codex under Athena: the whole scenario table, with and without a sandbox."""

import pytest

from tests.agents.table import check, red
from tests.support.programs import lack
from tests.support.real_agents import REAL_AGENTS


@pytest.mark.heavy
@pytest.mark.skipif(not REAL_AGENTS["codex"].installed, reason=lack("Codex", remedy="make .agents/codex/.ready"))
def test_codex_passes_the_whole_table() -> None:
    found = check("codex")
    assert [(row["key"], row["boxed"], row["detail"]) for row in red(found, required=True)] == []
    assert found["ok"]
    tried = {(row["key"], row["boxed"]) for row in found["rows"] if row["result"] != "not tried"}
    assert {("endpoint", False), ("endpoint-asks", True)} <= tried - {
        (row["key"], row["boxed"]) for row in red(found, required=False)
    }
    assert {("run", False), ("athena-parked", False), ("killed-working", True), ("network", True)} <= tried
    (asks,) = [row for row in found["rows"] if row["key"] == "asks" and row["boxed"]]
    assert asks["result"] == "differs" and "asks for no permission in the mode agent-full-access" in asks["detail"]
