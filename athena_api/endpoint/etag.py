"""Entity tags: the version of a record or document as a header, and conditions that name one."""

from collections.abc import Callable

ANY = "*"


def etag(version: int) -> tuple[str, str]:
    """Return the header of an answer that shows this version (0: there is none yet)."""
    return "etag", f'"{version}"'


def expectation(if_match: str | None) -> Callable[[int], bool] | None:
    """Return the check of the version in force that ``If-Match`` asks for: one of its tags, or ``*`` for any version.

    A weak tag matches nothing, as the comparison is the strong one; neither does what is no tag.
    """
    if if_match is None:
        return None
    tags = {tag.strip() for tag in if_match.split(",")}
    return lambda version: etag(version)[1] in tags or (ANY in tags and version > 0)


def unchanged(if_none_match: str | None, tag: str) -> bool:
    """Return True if a copy that ``If-None-Match`` names is the current one; the comparison is the weak one."""
    tags = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    return tag in tags or ANY in tags
