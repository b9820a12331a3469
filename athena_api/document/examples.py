"""Examples of bodies and answers in the API document, recorded from a real server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

FILE = Path(__file__).with_name("examples.json")
EXAMPLES: Mapping[str, Any] = msgspec.json.decode(FILE.read_bytes()) if FILE.exists() else {}
"""An example of each body and answer, by the name of its component."""
