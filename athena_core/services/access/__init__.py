"""Who may ask for what, and how often.

What lives here: authorization by role and scope, limits of rates, limits of recorded refusals. What may not:
identification (it is in ``athena_api.edge``), limits of runs (they are in ``runs``). Read first: ``access.py``.
"""
