"""What is done to a whole log: copies, and moves between stores.

What lives here: backup and restore, the move between files and databases. What may not: writing events that no
decider decided. Read first: ``backup.py``, then ``move.py``.
"""
