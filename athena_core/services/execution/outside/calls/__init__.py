"""The calls of outside agents: their own as events, and those that they make at the MCP endpoint of their run.

What lives here: the records of an agent's own calls (``call_records.py``), the calls at the endpoint and the agent's
reports of them (``endpoint_calls.py``), and the names of Athena's tools there (``offered_tools.py``). What may not: the
protocol, the recorder. Read first: ``endpoint_calls.py``.
"""
