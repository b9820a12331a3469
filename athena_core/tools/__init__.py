"""Tools that an agent may call, as the harness profile of its run allows.

What lives here: the contract (``tool.py``), the tools ``memory``, ``files``, ``shell``, ``http`` and ``evidence``, the
``toolbox.py`` with all of them, and the ``workspace.py`` that they work in. What may not: runs, sessions, events,
budgets; the caller records the intent before a call and the result after it. ``http.py`` imports httpx2. Read first:
``tool.py``, then ``toolbox.py``.
"""
