# Generated from ../_async/client.py by `python -m docs.generate`; do not edit.
"""The client: one method for each operation, and what people want from them."""

from athena_client._sync.core import Core


class Athena(Core):
    """A client of a control plane."""
