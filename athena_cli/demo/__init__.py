"""The demo: a temporary plane with a past, scripted models, and a fleet that keeps working.

What lives here: the process and terminal of `athena demo`, its history, its script, and the driver of its fleet. What
may not: code that another command or the server needs. Read first: ``process.py``, then ``fleet.py``.
"""
