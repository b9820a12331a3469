"""Proofs and accounts of a log: verification, bundles, anchors, the explanation of a run, policy simulation.

What lives here: the verification (``verify`` with ``rules``, ``side_tables``, ``witnesses``, ``pages`` and ``ranges``),
bundles, anchors, the explanation of a run (``explain``), and the simulation of a policy (``simulate``, which reads with
``recorded_requests`` and replays with ``simulator``). What may not: writing, except the anchors of other logs. Read
first: ``verify.py``, then ``rule.py``.
"""
