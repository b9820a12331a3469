"""The log in files of SQLite (apsw).

What lives here: connections with their safety settings, the schema, readers, the store of the writer, locks between
processes, the databases of views. What may not: PostgreSQL, the writer, rules of the domain. Read first: ``store.py``,
then ``reader.py``.
"""
