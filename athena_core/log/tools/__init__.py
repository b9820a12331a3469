"""Tools on a whole log: copies, moves between stores, and the interfaces of eventsourcing.

What lives here: backup and restore, the move between files and databases, the recorder. What may not: writing events
to the plane's log without a decider. Read first: ``backup.py``, then ``move.py``.
"""
