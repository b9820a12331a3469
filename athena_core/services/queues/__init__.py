"""Queues, messages between personas, dead letters, and redrives of dead letters.

What lives here: queues and the drainer that processes them; messages, which wait in queues; dead letters, which leave
them; redrives. What may not: rules of a queue (they are in the domain), execution of runs. Read first: ``queues.py``,
then ``drainer.py``.
"""
