"""Proof of a log: what shows that its history is whole and obeys the rules.

What lives here: the verification and its rules. What may not: writing. Read first: ``verify.py``, then ``rule.py``.
"""
