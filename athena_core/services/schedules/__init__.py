"""Schedules: which ones are due, and the outcome of each slot.

What lives here: the service of schedules, the schedules that are due, the reactor. What may not: parsing of triggers
(``athena_core.definitions``), decisions about slots (the domain). Read first: ``schedules.py``.
"""
