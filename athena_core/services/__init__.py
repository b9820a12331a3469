"""The services around the deciders: transactions over several streams, execution of runs, following the log.

What lives here: services that join deciders, in folders on four layers (a contract of import-linter lists them), and
their shared parts (``waiters``, ``states``, ``reactors``). What may not: rules that a pure function could hold, HTTP.
Read first: ``catalog.py``, then ``runs/runs.py``, then ``reactors.py``.
"""
