"""MCP servers of the operator, as the log knows them: what they listed, and what an operator accepted.

What lives here: the catalogue (``catalogue.py``). What may not: runs and their asks. Read first: ``catalogue.py``.
"""
