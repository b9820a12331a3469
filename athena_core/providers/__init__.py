"""Model providers behind one contract: sources of model output.

What lives here: the contract and ``complete`` (``provider.py``), the providers ``mock``, ``openai``, ``anthropic``,
``http`` and ``local-exec``, and their table (``registry.py``). What may not: runs, sessions, retries, budgets, events;
the caller decides how often and how long to call. Only ``connection.py`` imports httpx2. Read first: ``provider.py``,
then ``mock.py``, then ``openai.py``.
"""
