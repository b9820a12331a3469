"""Streams to clients: the feed and the transcripts.

What lives here: server-sent events, the ring of newest frames, subscriptions. What may not: read models. Read first:
``sse.py``, then ``feed.py``.
"""
