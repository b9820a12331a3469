"""Examples of bodies and answers in the API document."""

from collections.abc import Mapping
from typing import Any

EXAMPLES: Mapping[str, Mapping[str, Any]] = {}
"""By operation: an example of its ``body``, and of the data of its answers, by status (``200``, ``202``)."""
