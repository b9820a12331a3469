"""Entity tags: the version of a record or document as a header, and conditions on it."""

from collections.abc import Callable

ANY = "*"
MARK = "-gzip"
"""The end of the tag of a compressed answer. The version of the record stands before it."""


def unmarked(tags: str) -> str:
    """Return a field with entity tags as they are without compression."""
    return tags.replace(f'{MARK}"', '"')


def etag(version: int) -> tuple[str, str]:
    """Return the ``ETag`` header for a version (0: nothing is stored yet)."""
    return "etag", f'"{version}"'


def expectation(if_match: str | None) -> Callable[[int], bool] | None:
    """Return a check of the current version against ``If-Match``: one of its tags, or ``*`` for any version.

    The comparison is strong, so a weak tag matches nothing. Neither does a malformed tag.
    """
    if if_match is None:
        return None
    tags = {tag.strip() for tag in if_match.split(",")}
    return lambda version: etag(version)[1] in tags or (ANY in tags and version > 0)


def unchanged(if_none_match: str | None, tag: str) -> bool:
    """Return True if ``If-None-Match`` names the current tag. The comparison is weak."""
    tags = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    return tag in tags or ANY in tags
