"""The engine of the read models: fold the log into rows, keep generations of views, read and replay them.

What lives here: the declaration of a read model (``projection``), its updates (``projector``, ``generation``,
``updater``, ``replay``), its reads (``views``), and shared parts of lists (``page``, ``cursor``, ``ids``). What may
not: read models, events of the domain. Read first: ``projection.py``, then ``projector.py``, then ``views.py``.
"""
