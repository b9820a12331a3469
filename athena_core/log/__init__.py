"""The append-only log: the door of apsw, psycopg and eventsourcing.

What lives here: the writer and its batches, the state at the head, the codec, the chain, the tail of what was just
committed; in ``sqlite/`` and ``postgres/`` the databases, in ``sql/`` the statements of both, in ``tools/`` what is
done to a whole log. What may not: rules of the domain, read models. Read first: ``writer.py``, then ``port.py``.
"""
