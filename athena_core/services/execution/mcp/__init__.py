"""MCP servers in a run.

``run_mcp`` starts the servers of a run and calls their tools, ``elicitation`` asks people what a server wants to know
during a call, ``forms`` shows people a form, ``shared`` keeps the servers that all runs of this executor use,
``call_progress`` shows how far a call is.
"""
