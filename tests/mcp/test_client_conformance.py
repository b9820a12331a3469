"""The conformance suite of MCP and the client half of Athena, which passes each scenario but for the list here."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.conformance import INSTALLED, NODE, SUITE
from tests.support.process import ROOT

pytestmark = [pytest.mark.heavy, INSTALLED]

SCENARIOS = (
    "initialize",
    "tools_call",
    "elicitation-sep1034-client-defaults",
    "sse-retry",
    "request-metadata",
    "sep-2322-client-request-state",
    "http-standard-headers",
    "http-custom-headers",
    "http-invalid-tool-headers",
    "json-schema-ref-no-deref",
    "json-schema-2020-12-preservation",
)
"""All scenarios for clients but those about OAuth, which Athena leaves to credentials, and about skills."""
EXPECTED = {"json-schema-2020-12-preservation": "a schema with $anchor leaves its tool out: it cannot be checked"}
"""Scenarios that the client does not pass, with the reasons."""
SECONDS = 120


def passes(scenario: str) -> bool:
    """Return True if a scenario passes. Its output is shown if the test fails."""
    client = f"{sys.executable} -m tests.mcp.conforming_client"
    command = [str(NODE), str(SUITE), "client", "--command", client, "--scenario", scenario]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        print(done.stdout[-5_000:], done.stderr[-2_000:])  # noqa: T201 - shown when the test fails
    return done.returncode == 0


def test_the_client_passes_the_suite() -> None:
    with ThreadPoolExecutor(4) as pool:
        failed = [name for name, passed in zip(SCENARIOS, pool.map(passes, SCENARIOS), strict=True) if not passed]
    assert set(failed) == set(EXPECTED)
