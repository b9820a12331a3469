"""The log in a PostgreSQL database (psycopg 3). ``engine.py`` imports it only if needed: the driver is optional.

What lives here: sessions, the schema, readers, the store of the writer, notifications, leader locks, the generations
of views. What may not: SQLite, the writer, rules of the domain. Read first: ``store.py``, then
``session.py``.
"""
