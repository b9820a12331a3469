"""The way of an MCP client from standard streams to ``/mcp``.

What lives here: the bridge between lines and requests. What may not: anything that a server knows better. Read first:
``bridge.py``.
"""
