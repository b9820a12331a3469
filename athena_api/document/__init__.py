"""The OpenAPI document of the table of operations.

What lives here: schemas, responses and parameters of the document, what it says about each field, examples. What may
not: answers to requests, sockets. Read first: ``openapi.py``.
"""
