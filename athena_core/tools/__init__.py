"""Tools: what an agent may do beside talking, each gated by its run's harness profile.

What lives here: the contract (``tool.py``), the tools ``memory``, ``files``, ``shell``, ``http`` and ``evidence``. What
may not: runs, sessions, events, budgets; whoever calls records the intent before and the result after. ``http.py`` is
a door of httpx2. Read first: ``tool.py``.
"""
