"""The engine of the read models: folding the log into rows, keeping generations of views, reading and replaying them.

What lives here: the declaration of a read model (``projection``), what folds it (``projector``, ``generation``,
``updater``, ``replay``), what serves it (``views``), and what lists share (``page``, ``cursor``, ``ids``). What may
not: read models, events of the domain. Read first: ``projection.py``, then ``projector.py``, then ``views.py``.
"""
