"""The shell around the deciders: transactions over several streams, running runs, following the log.

What lives here: services that join deciders, the executor, authorization. What may not: rules that a pure function
could hold, HTTP. Read first: ``catalog.py``, then ``runs/runs.py``.
"""
