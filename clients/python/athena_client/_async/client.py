"""The client: one method for each operation, and what people want from them."""

from athena_client._async.core import AsyncCore


class AsyncAthena(AsyncCore):
    """A client of a control plane."""
