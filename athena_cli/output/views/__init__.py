"""The views of single records, by the kind of record.

What lives here: the parts of a view (``view.py``), the views of runs and of the fleet, and the table of all views.
"""
