"""The client of MCP servers: programs behind standard streams, or servers behind a URL, in both eras of the protocol.

What lives here: messages, two wires, limits and deadlines. What may not: runs, events, secrets, decisions about who may
call which tool. Whatever a server does ends in a ``McpFailure`` in time. Read first: ``client.py``, then ``wire.py``.
"""
