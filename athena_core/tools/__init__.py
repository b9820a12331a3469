"""Tools: what an agent may do beside talking, each gated by its run's harness profile.

What lives here: the contract (``tool.py``), the tools ``memory``, ``files``, ``shell``, ``http`` and ``evidence``, the
``toolbox.py`` that holds them, and the ``workspace.py`` in which they work. What may not: runs, sessions, events,
budgets; whoever calls records the intent before and the result after. ``http.py`` is a door of httpx2. Read first:
``tool.py``, then ``toolbox.py``.
"""
