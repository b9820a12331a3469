"""Runs as clients see them: asking for one, waiting for its end, cancelling it.

What lives here: checked requests (``prepared``), admission and its refusals, the service of runs, waiting for them,
their results. What may not: talking to models, the order of schedules and queues. Read first: ``prepared.py``, then
``admission.py``.
"""
