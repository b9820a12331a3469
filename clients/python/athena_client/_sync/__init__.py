# Generated from ../_async/__init__.py by `python -m docs.generate`; do not edit.
"""The synchronous half of the client, from which the synchronous half is generated.

What lives here: everything of the client that does input or output, or waits.
What may not: rules of the wire format (``athena_client.wire``), types of the API (``athena_client.models``).
Read first: ``core.py``.
"""
