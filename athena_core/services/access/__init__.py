"""Access control: which identity may call which operation, and how often.

What lives here: authorization by role and scope, rate limits, limits of recorded refusals. What may not: identification
(it is in ``athena_api.edge``), limits of runs (they are in ``runs``). Read first: ``access.py``.
"""
