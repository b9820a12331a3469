"""Workflows: their definitions, their runs, and the steps of runs.

What lives here: the service of workflows, the stepper that starts ready steps, the inputs of steps. What may not: rules
of a step (they are in the domain). Read first: ``workflows.py``, then ``stepper.py``.
"""
