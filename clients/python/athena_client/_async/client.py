"""The client: one method for each operation, and what people want from them."""

from athena_client._async.operations import AsyncOperations


class AsyncAthena(AsyncOperations):
    """A client of a control plane."""
