"""The words of the command line: names, examples, and the sentences of errors.

What lives here: tables of words, and functions that turn errors into sentences. What
may not: requests and output. Read first: ``names.py``.
"""
