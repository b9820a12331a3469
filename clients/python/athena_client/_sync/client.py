# Generated from ../_async/client.py by `python -m docs.generate`; do not edit.
"""The client: one method for each operation, and what people want from them."""

from athena_client._sync.operations import Operations


class Athena(Operations):
    """A client of a control plane."""
