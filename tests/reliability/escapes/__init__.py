"""The escapes: attacks that a box must deny, and the program that is attacked.

What lives here: attacks by their kind, bombs, the program that runs them all in a box, and the victim. They use only
the standard library, except the victim. What may not: tests. Read first: ``attack.py``.
"""
