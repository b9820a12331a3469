"""Who may ask for what, and how often.

What lives here: authorization, limits of rates, limits of recorded refusals. What may not: identification (it is in
``athena_api.edge``). Read first: ``access.py``.
"""
