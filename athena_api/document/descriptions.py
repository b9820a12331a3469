"""Descriptions of fields, parameters and tags in the API document."""

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {}
"""The description of a field by its JSON name, or of one field of one type, as ``Run.status``. The longer name wins."""

TIMES: frozenset[str] = frozenset()
"""Names of text fields that are times though they do not end in ``At``."""

TAGS: Mapping[str, str] = {}
"""The description of each group of operations."""
