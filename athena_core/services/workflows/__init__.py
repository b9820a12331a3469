"""Workflows: definitions, runs of them, and their steps.

What lives here: the service of workflows, the stepper that starts what is ready, the inputs of steps. What may not:
rules of a step (they are in the domain). Read first: ``workflows.py``, then ``stepper.py``.
"""
