"""Credentials: secrets that requests carry to named hosts, and that models never get.

What lives here: the credentials file, the sources of secrets, and the places of a secret in a request.
What may not: connections and requests; the tools send them. No error or log line quotes a secret.
Read first: ``credentials.py``.
"""
