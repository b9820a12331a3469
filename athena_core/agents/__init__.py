"""Outside agents: programs that Athena drives over their standard input and output.

What lives here: JSON-RPC over lines (``peer.py``), the Agent Client Protocol (``acp.py`` and its messages), and the
agents that the operator registered (``known.py``). What may not: runs, events, money, decisions about permissions. The
caller starts the process and answers the agent's questions. Read first: ``peer.py``, then ``acp.py``.
"""
