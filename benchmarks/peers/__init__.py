"""The peers: other programs that accept and store work, measured beside Athena in the same rounds on one machine.

What lives here: the installation of each peer (``install``), its process (``program``), and its load (the module of its
name). What may not: anything that CI runs; figures, which are in ``docs/why/performance.md`` with their date. Read
first: ``__main__.py``.
"""
