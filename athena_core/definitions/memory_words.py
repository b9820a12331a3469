"""Words of a query for the memory: the telling ones, and the forms under which a passage may contain them."""

import re
from collections.abc import Iterator, Sequence

WORD = re.compile(r"\w+")
WORDS_MAX = 32
"""Number of words of a query that are searched for, the first ones."""

COMMON = frozenset(
    WORD.findall(
        "a about after all am an and any are as at be but by can could did do does for from get give had has have her"
        " him his how i if in into is it its just let like may me more my no not now of on one or our out please say"
        " she should so some tell than that the their them then there these they this to up us was we were what when"
        " where which who why will with would you your"
    )
)
"""Words that say little about the subject of a text."""

MENT = re.compile(r"(?i)(?<=[aeo]y)ment(s?)$")
VOWEL_Y = re.compile(r"(?i)[aeo]y$")


def query_words(query: str) -> Sequence[str]:
    """Return the distinct telling words of a query; all of its words if none is telling.

    Words are separated by whitespace, so one may contain punctuation (``v1.2``).
    """
    parts = [part for part in query.split() if WORD.search(part)]
    telling = [part for part in parts if not all(word.casefold() in COMMON for word in WORD.findall(part))]
    return list(dict.fromkeys(part.casefold() for part in telling or parts))[:WORDS_MAX]


def forms(word: str) -> Iterator[str]:
    """Yield a word, and a form whose stem differs because of its ``y``: ``deploy`` and ``deployment``."""
    yield word
    if MENT.search(word):
        yield MENT.sub("", word)
    elif VOWEL_Y.search(word):
        yield f"{word}ment"
