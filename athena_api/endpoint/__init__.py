"""Handling of one request to one operation: decode it, call its handler, encode the answer.

What lives here: the endpoint, the type of a row of the table, bodies and queries, scopes, entity tags, CSV. What may
not: the work of an operation, sockets. Read first: ``operation.py``, then ``endpoint.py``.
"""
