"""Runs as clients see them: asking for one, waiting for its end, cancelling it.

What lives here: admission, the service of runs. What may not: talking to models, the order of schedules and queues.
Read first: ``admission.py``, then ``runs.py``.
"""
