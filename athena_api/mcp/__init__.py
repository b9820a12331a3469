"""Athena as an MCP server at ``/mcp``: the operations, callers and limits of the API, for programs that call tools.

What lives here: the door, the requests to operations, and the tools, resources and tasks that are made of them. What
may not: an operation, a right, or anything of the protocol itself (``athena_core/mcp``). Read first: ``door.py``, then
``dispatch.py``.
"""
