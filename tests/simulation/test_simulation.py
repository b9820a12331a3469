"""Histories of each simulated world with fixed seeds, and planted bugs that they must find."""

import subprocess
import sys

from tests.support.tree import ROOT

CORNERS = {"mcp": 2_000, "agents": 1_000, "gateway": 1_000}


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of the simulator."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
