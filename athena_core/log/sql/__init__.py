"""The SQL that both databases understand.

What lives here: the statements that agree but for the mark of a value, and the reads that need no others. What may not:
a driver, a connection, a statement for one database only. Read first: ``statements.py``.
"""
