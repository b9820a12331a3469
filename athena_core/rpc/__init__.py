"""JSON-RPC 2.0 over lines: the conversation with a program over its standard input and output.

What lives here: one peer for outside agents and MCP servers. What may not: the methods of either protocol. Read first:
``peer.py``.
"""
