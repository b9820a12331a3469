"""Credentials: secrets that requests carry to named hosts, and that models never get.

The credentials file names them. ``Credentials`` reads it, and returns a secret to the code that sends a request.
"""
