"""Proof of a log: that its history is whole and obeys the rules, why a run is where it is, what another policy does.

What lives here: the verification (``verify`` with ``rules``, ``side_tables``, ``witnesses``, ``pages`` and ``ranges``),
bundles, anchors, the explanation of a run (``explain``), and the simulation of a policy (``simulate``, which reads with
``recorded_requests`` and repeats with ``simulator``). What may not: writing, but for the anchors of other logs. Read
first: ``verify.py``, then ``rule.py``.
"""
