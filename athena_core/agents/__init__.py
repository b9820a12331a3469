"""Outside agents: programs that Athena drives over their standard input and output.

What lives here: the Agent Client Protocol (``acp.py`` and its messages) over ``rpc/peer.py``, and the agents that the
operator registered (``known.py``). What may not: runs, events, money, decisions about permissions. The caller starts
the process and answers the agent's questions. Read first: ``acp.py``.
"""
