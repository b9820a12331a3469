"""Queues, messages between personas, dead letters and what sends them again.

What lives here: the queues and the drainer that works them off, messages, which wait in queues, dead letters, which
leave them, and redrives. What may not: rules of a queue (they are in the domain), execution of runs. Read first:
``queues.py``, then ``drainer.py``.
"""
