"""The log and the views in a database of PostgreSQL; the door of psycopg.

What lives here: the store, its readers, sessions and notifications, the schemas of the views. What may not: rules
of the domain, what both stores share (it is in the folder above). Read first: ``store.py``, then ``views.py``.
"""
