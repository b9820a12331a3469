"""Erasure: removes text from the log, and from every place that it was copied to.

What lives here: the registry of places that keep text with their erasers, and redaction. What may not: which fields
hold text (the events declare it). Read first: ``redaction.py``, then ``erasure.py``.
"""
