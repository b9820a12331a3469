"""Access to the operating system, without knowledge of runs.

What lives here: processes and their end, private files, the watchdog of the event loop, tuning of the garbage
collector, failures of loops. What may not: the log, rules of the domain. Read first: ``process.py``, then
``problems.py``.
"""
