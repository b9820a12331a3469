"""Queues, messages between personas, dead letters and what sends them again.

What lives here: one service for each of these, the drainer. What may not: execution of runs. Read first:
``queues.py``, then ``drainer.py``.
"""
