"""The command line: a client of the table of operations.

What lives here: commands, the transports that reach a plane over HTTP or in this process, what a terminal shows; the
door of cyclopts, rich and (for clients) httpx2. What may not: rules, routes, SQL. Read first: ``command_tree.py``, then
``client.py`` and ``transport.py``. Modules that need more than cyclopts are imported when a command runs, so that help
stays quick.
"""
