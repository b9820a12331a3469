"""Erasing a text everywhere it was copied to.

What lives here: the registry of copies, redaction. What may not: which fields hold text (the events say so). Read
first: ``erasure.py``, then ``redaction.py``.
"""
