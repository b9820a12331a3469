"""MCP servers in a run: they are started at the first call, called under its lease, and ended with it.

What lives here: the servers of one run (``run_mcp.py``), their processes and the shared ones (``servers.py``), their
questions to people (``elicitation.py``, ``forms.py``), and the progress of a call. What may not: the protocol, and
decisions about which tools exist and need approval. Read first: ``run_mcp.py``.
"""
