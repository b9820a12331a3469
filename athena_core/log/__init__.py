"""The append-only log: the door of apsw and eventsourcing.

What lives here: the log and its writer, the recorder, the codec, the chain, the tail of what was just committed. What
may not: rules of the domain, read models. Read first: ``log.py``, then ``sqlite/store.py``.
"""
