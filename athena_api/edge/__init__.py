"""Between the socket and the table of operations.

What lives here: the protocol, replies, identity, browsers, limits of requests, the access log. What may not: what
an operation does. Read first: ``protocol.py``, then ``request_filter.py``.
"""
