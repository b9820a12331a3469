"""The views of single records, by the kind of record.

What lives here: the parts of a view, the views of runs and of the fleet, and the table of all views. What may not:
columns of lists, which are in ``output``. Read first: ``view.py``, then ``record_views.py``.
"""
