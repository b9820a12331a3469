"""Runs from a client's point of view: starting one, waiting for its end, cancelling it.

What lives here: checked requests (``prepared``), admission and its refusals, the service of runs, waiting for them,
their results. What may not: calls of models, the order of schedules and queues. Read first: ``prepared.py``, then
``admission.py``.
"""
