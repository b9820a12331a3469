"""The log and the views in files of SQLite; a door of apsw.

What lives here: the store, its readers and its locks. What may not: rules of the domain, what both stores share (it
is in the folder above). Read first: ``store.py``.
"""
