"""Descriptions of the fields and parameters of the API document.

What lives here: one sentence for each JSON name, by the nouns of the glossary. A key is a name, or a component (or an
operation) and a name where the meaning differs. What may not: types, limits that a schema shows. Read first:
``../descriptions.py``.
"""
