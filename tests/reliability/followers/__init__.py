"""Programs that a test runs against a server which is stopped and killed again and again.

What lives here: followers, which print the id of each event on a line, and starters, which start marked runs and print
the mark and the id of each run. Each takes the server's URL first and goes on until it is killed.
What may not: tests. Read first: ``../test_clients.py``.
"""
