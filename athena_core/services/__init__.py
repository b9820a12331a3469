"""The shell around the deciders: transactions over several streams, running runs, following the log.

What lives here: services that join deciders, in wings on four floors (a contract of import-linter lists them), and what
the wings share (``waiters``, ``states``, ``reactors``). What may not: rules that a pure function could hold, HTTP. Read
first: ``catalog.py``, then ``runs/runs.py``, then ``reactors.py``.
"""
