"""The edge: between the socket and the table of operations.

What lives here: the protocol, replies, identity, browsers, limits of requests, the access log. What may not: the work
of an operation. Read first: ``protocol.py``, then ``request_filter.py``.
"""
