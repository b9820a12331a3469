"""Schedules: what is due, and what becomes of each slot; the door of APScheduler.

What lives here: the service of schedules, the schedules that are due, the timer. What may not: how a trigger is read
(it is in ``athena_core.definitions``), what a slot does (it is in the domain). Read first: ``schedules.py``.
"""
