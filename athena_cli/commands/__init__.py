"""The commands with code of their own, a module for each noun.

What lives here: what a command takes, and how its answer is shown. What may not: how a plane is reached (``client``),
what a terminal shows (``render``). Read first: ``command_tree.py``, then ``runs.py``.
"""
