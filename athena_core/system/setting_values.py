"""Parsers of the values of settings: each takes the text of a variable, and raises ValueError with what it expects."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args
from urllib.parse import urlsplit

from athena_core.enums import AuthzMode

HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
ORIGIN = re.compile(r"https?://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")
SIZE_MAX = 2**50


def parse_path(text: str) -> Path:
    """Return an absolute path; ``~`` is a home directory."""
    return Path(text).expanduser().absolute()


def parse_path_or_none(text: str) -> Path | None:
    """Return an absolute path, None for no text."""
    return parse_path(text) if text else None


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return names and addresses of hosts, comma-separated."""
    names = parse_names(text.lower())
    for name in names:
        if not HOST.fullmatch(name):
            raise ValueError("expected names or addresses without ports, separated by commas")
    return tuple(name.strip("[]") for name in names)


def parse_origins(text: str) -> tuple[str, ...]:
    """Return origins of web pages, comma-separated."""
    names = parse_names(text)
    for name in names:
        if not ORIGIN.fullmatch(name):
            raise ValueError("expected origins such as https://console.example.org, separated by commas")
    return names


def parse_count(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**31:
        raise ValueError("expected a whole number above 0")
    return int(text)


def parse_count_to(most: int) -> Callable[[str], int]:
    """Return the parser of a count with a ceiling, above which stored values could not be read again."""

    def parse(text: str) -> int:
        if parse_count(text) > most:
            raise ValueError(f"expected a whole number from 1 to {most}")
        return parse_count(text)

    return parse


def parse_between(least: int, most: int) -> Callable[[str], int]:
    """Return the parser of a whole number between two."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return parse


def parse_count_or_none(text: str) -> int:
    """Return a whole number; 0 means without a limit."""
    if text == "0":
        return 0
    try:
        return parse_count(text)
    except ValueError:
        raise ValueError("expected a whole number") from None


def parse_size(text: str) -> int:
    """Return a number of bytes above 0, up to 1 PiB."""
    return parse_between(1, SIZE_MAX)(text)


def parse_switch(text: str) -> bool:
    word = text.lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError("expected true or false")


def parse_only_true(text: str) -> bool:
    """Return a switch that only says true."""
    if not parse_switch(text):
        raise ValueError("expected true: use sandbox.mode preferred in the profiles instead")
    return True


def parse_words(text: str) -> tuple[str, ...]:
    """Return words, separated by spaces."""
    return tuple(text.split())


def parse_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if len(set(names)) < len(names) or "" in names:
        raise ValueError("expected unique names, separated by commas")
    return names


def parse_patterns(text: str) -> tuple[str, ...]:
    """Return names and paths with wildcards, comma-separated."""
    names = parse_names(text)
    for name in names:
        if not name.strip("/") or any(part in {".", "..", "**"} for part in name.split("/")):
            raise ValueError("expected names or paths inside the workspace, separated by commas; * and ? are allowed")
    return names


def parse_key(text: str) -> str:
    """Return a key of visible ASCII characters."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected visible ASCII characters without spaces")
    return text


def parse_one_of(*choices: str) -> Callable[[str], str]:
    """Return the parser of one of some words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse


def parse_mode(text: str) -> AuthzMode:
    """Return a mode of access control."""
    joined = {"softenforce": "soft-enforce"}
    word = text.lower().replace("_", "-")
    return cast(AuthzMode, parse_one_of(*get_args(AuthzMode))(joined.get(word, word)))


def parse_url(text: str) -> str:
    """Return a URL without its last slash."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:  # .port raises if too high
        raise ValueError("expected a URL that starts with http:// or https://")
    return text.rstrip("/")


def parse_database_or_none(text: str) -> str | None:
    """Return the URL of a database, None for no text."""
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected a URL that starts with postgresql://")
    return text or None


def parse_url_or_none(text: str) -> str:
    """Return a URL, or no text."""
    return text and parse_url(text)
