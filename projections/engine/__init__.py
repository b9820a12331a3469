"""The machinery of read models: folding, generations, reading, replaying.

What lives here: projections and the projector, generations of views and who updates them, replay, pages and
cursors. What may not: read models, events of the domain. Read first: ``projection.py``, then ``projector.py``.
"""
