"""The output of commands on a terminal.

What lives here: values as people read them, the columns of each list (``columns.py``), the views of single records,
tables, events and timelines as text. What may not: requests, and writing to a standard stream, which is left to
``athena_cli.render``. Read first: ``columns.py``, then ``tables.py``.
"""
