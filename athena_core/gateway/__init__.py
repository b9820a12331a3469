"""The model gateway: the endpoint at which one outside agent asks models, with the key, prices and budget of Athena.

What lives here: the APIs that agents speak (``wires.py``, ``answers.py``), requests byte by byte (``exchange.py``), the
servers of the vendors (``upstream.py``) and the endpoint (``gateway.py``). What may not: runs, events, translation from
one API to another. A ledger of the caller reserves and records money. Read first: ``gateway.py``, then ``wires.py``.
"""
