"""Erasure: text leaves the log, and every place that it was copied to.

What lives here: the registry of places that keep text and what empties each, redaction. What may not: which fields hold
text (the events say so). Read first: ``redaction.py``, then ``erasure.py``.
"""
