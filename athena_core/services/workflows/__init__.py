"""Workflows: definitions, runs of them, and the steps between.

What lives here: the service of workflows, the stepper that starts what is ready. What may not: rules of a step
(they are in the domain). Read first: ``workflows.py``, then ``stepper.py``.
"""
