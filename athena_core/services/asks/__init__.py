"""Asks: the questions of runs to people, their answers, and the permissions that people gave for good.

What lives here: what a run must ask for, who may answer, the transaction of an answer, expiry, and permission rules.
What may not: the execution of runs. Read first: ``answers.py``.
"""
