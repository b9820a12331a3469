"""The output of commands on a terminal.

What lives here: values as people read them (``values.py``), the timeline of a run (``timeline.py``). What may not:
requests, and writing to a standard stream, which is left to ``athena_cli.render``. Read first: ``values.py``.
"""
