"""The parts of the sandbox that run beside or in it: few imports, because each boxed command starts them.

What lives here: the descriptors, limits and system calls of a box, and the relay. What may not: what a box contains
(``sandbox.py``). Read first: ``launch.py``.
"""
