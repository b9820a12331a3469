"""The benchmarks: Athena beside the ceilings of its own design, measured in interleaved rounds on one machine.

What lives here: the ceilings (``apps``, ``loops``), the load (``load``), the measurements (``scenarios``) and the
report (``report``). What may not: anything that the product imports. Read first: ``docs/why/performance.md``, then
``scenarios.py``.
"""
