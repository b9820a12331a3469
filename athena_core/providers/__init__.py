"""Model providers: whoever writes the next words of a conversation, behind one contract.

What lives here: the contract and ``complete`` (``provider.py``), the providers ``mock``, ``openai``, ``anthropic``,
``http`` and ``local-exec``, and the table of them (``registry.py``). What may not: runs, sessions, retries, budgets,
events; whoever calls decides how often and how long. This is the door of httpx2 (``connection.py``). Read first:
``provider.py``, then ``mock.py``, then ``openai.py``.
"""
