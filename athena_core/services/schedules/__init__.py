"""Schedules: what is due, and the alarm that says when; the door of APScheduler.

What lives here: the service of schedules, the timer. What may not: how a trigger is read (it is in
``athena_core.definitions``). Read first: ``schedules.py``.
"""
