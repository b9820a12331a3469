"""The log in a database of PostgreSQL (psycopg 3), which is not installed everywhere: ``engine.py`` loads it by need.

What lives here: sessions, the schema, readers, the store of the writer, notifications, locks of leaders, the
generations of views. What may not: SQLite, the writer, rules of the domain. Read first: ``store.py``, then
``session.py``.
"""
