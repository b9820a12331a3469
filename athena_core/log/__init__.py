"""The append-only log: the door of apsw, psycopg and eventsourcing.

What lives here: the writer and its batches, the state at the head, the codec, the hash chain, the tail that delivers
new rows. ``sqlite/`` and ``postgres/`` hold the databases, ``sql/`` their common statements, ``tools/`` the operations
on a whole log. What may not: rules of the domain, read models. Read first: ``writer.py``, then ``port.py``.
"""
