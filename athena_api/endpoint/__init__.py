"""One request of one operation: decoding it, handling it, shaping the answer.

What lives here: the endpoint, what a row of the table says, bodies and queries, scopes, entity tags, CSV. What may not:
what an operation does, sockets. Read first: ``operation.py``, then ``endpoint.py``.
"""
