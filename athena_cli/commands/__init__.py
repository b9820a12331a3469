"""Hand-written commands, one module per noun.

What lives here: the parameters of a command, and the shape of its output. What may not: connections (``client``),
terminal output (``render``). Read first: ``command_tree.py``, then ``runs.py``.
"""
