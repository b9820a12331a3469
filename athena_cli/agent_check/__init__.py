"""The check of an outside agent: what this version of it does, and whether Athena can run it.

What lives here: a scripted model for all wires, an interview with the agent, and runs of a private server that use it.
What may not: rules of runs, which are checked as they are. Read first: ``rows.py``, then ``session.py``.
"""
