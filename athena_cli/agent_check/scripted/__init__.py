"""A model that follows a script, in the wire and with the tools of the agent that asks it.

What lives here: scripts, the wires, the tools of agents, and a server. What may not: the rows of the check. Read first:
``model.py``.
"""
