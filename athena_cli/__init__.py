"""The command line: a client of the table of operations.

What lives here: commands, the transports (HTTP or in-process), and terminal output. Only this package imports
cyclopts and rich, and httpx2 as a client. What may not: rules, routes, SQL. Read first: ``command_tree.py``, then
``client.py`` and ``transport.py``. Modules that need more than cyclopts are imported when a command runs, because help
must stay fast.
"""
