"""The peers: other programs that accept work and keep it, measured beside Athena in the same rounds on one machine.

What lives here: how each is installed (``install``), started (``program``) and asked (the module of its name). What may
not: anything that CI runs; figures, which are in ``docs/performance.md`` with their date. Read first: ``__main__.py``.
"""
