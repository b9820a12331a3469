"""Execution of runs: the executor of this process and the performers that it drives.

What lives here: the progress of a run and the agent that takes its next step (the loop), outside agents (``outside/``),
the runner and its records under a lease, calls of models, verification, live text, the liveness of executors. What may
not: admission, answers to clients. Read first: ``progress.py``, then ``agent.py`` and ``runner.py``.
"""
