"""Runs at work: the executor of this process and the agent that it drives.

What lives here: the runner, the agent, calls of models, verification, live text, which executors live. What may
not: admission, answers to clients. Read first: ``agent.py``, then ``runner.py``.
"""
