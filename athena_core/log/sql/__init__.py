"""The SQL that both databases understand.

What lives here: statements that differ only in their placeholders, and reads that use only these statements. What may
not: a driver, a connection, a statement for one database only. Read first: ``statements.py``.
"""
