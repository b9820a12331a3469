"""The HTTP API in front of the core and the projections.

What lives here: the table of operations and everything that is computed from it, identity, limits, streams. What may
not: rules (they are in ``athena_core.domain``), read models. Read first: ``endpoint/operation.py``, then
``operations/directives.py`` and ``wiring.py``.
"""
