"""The Model Context Protocol in both directions: servers that Athena calls, and Athena as a server.

What lives here: messages, versions, limits, transports of the client, and the answers of a server. What may not: runs,
events, the log, the table of operations. Read first: ``served.py``, then ``serving.py``.
"""
