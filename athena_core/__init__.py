"""The domain, the log and the services of Athena, without HTTP.

What lives here: events and deciders (``domain``), the append-only log (``log``), the shell around them
(``services``), model providers (``providers``). What may not: status codes, routes, read models, terminals.
Read first: ``event.py``, then ``domain/directive.py`` (the smallest room), then ``log/writer.py``.
"""

__version__ = "0.3.0"
