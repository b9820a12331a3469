"""The mask: it hides secrets, however they are split, leaves other text unchanged, and is fast on any text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.providers.mask import HELD_CHARS_MAX, Mask, StreamMask
from tests.support.canaries import SECRETS, told

KEY, LONGER = "sk-canary", "sk-canary-longer"
MASK = Mask([KEY, LONGER, "short", ""])

INNOCENT = (
    "task-12345678901234567890",
    "risk-management-for-the-year-2026",
    "sk-learn-is-no-key-but-a-library",
    "sk-1",
    "the pypi-name of a package",
    "the bearer of good news, Bearer of 12 gifts",
    "AKIA",
    "eyJ, eyJhbGciOiJIUzI1NiJ9.eyJ0.x",
    "ghp_short",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "run_01JABCDEFGHJKMNPQRSTVWXYZ0",
    "2026-01-31T12:00:00Z",
    "5d41402abc4b2a76b9719d911017c592" * 2,
)


@pytest.mark.parametrize("secret", SECRETS)
def test_text_that_looks_like_a_secret_is_hidden(secret: str) -> None:
    mask = Mask()
    for text in ("{}", "key={},", '"{}"', "a: {}\n", "({})"):
        assert mask.hide(text.format(secret)) == text.format("***")
    assert Mask(shapes=False).hide(secret) == secret


@pytest.mark.parametrize("text", INNOCENT)
def test_text_that_only_resembles_a_secret_stays(text: str) -> None:
    assert Mask().hide(text) == text
    assert pieces(text, [3]) == text


def test_a_key_block_without_an_end_is_hidden_while_it_looks_like_one() -> None:
    text = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk5GkMA\nis what it said"
    assert Mask().hide(text) == "***\nis what it said"
    assert Mask().hide("what is -----BEGIN PRIVATE KEY----- for?") == "what is *** for?"


def test_keys_are_hidden_the_longest_first_and_short_ones_stay() -> None:
    assert MASK.hide(f"a {LONGER}{KEY} short") == "a ****** short"


def test_json_is_masked_in_its_texts_and_names_and_nowhere_else() -> None:
    secret = SECRETS[0]
    value = {"a": [f"x {secret}", 1, None, True, 1.5], secret: {"b": "c"}}
    assert MASK.hide_in(value) == {"a": ["x ***", 1, None, True, 1.5], "***": {"b": "c"}}


@pytest.mark.parametrize("secret", [*SECRETS, KEY, 'odd"key\\with/signs'])
@pytest.mark.parametrize("escape", [False, True])
def test_json_that_holds_a_secret_is_suspected_however_it_is_written(secret: str, escape: bool) -> None:
    raw = "".join(f"\\u{ord(letter):04x}" for letter in secret) if escape else json.dumps(secret)[1:-1]
    mask = Mask([KEY, 'odd"key\\with/signs'])
    assert mask.suspects(f'{{"input":"{raw}"}}'.encode())
    assert not mask.suspects(b'{"input":"hello"}')


def pieces(text: str, sizes: list[int]) -> str:
    held, shown, at, turn = StreamMask(MASK), "", 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        shown += held.more(text[at : at + size])
        at += size
        turn += 1
    return shown + held.rest()


PARTS = [*SECRETS, KEY, LONGER, *INNOCENT, "sk-", "sk-can", "ary", "ks", "-----BEGIN ", "-----END ", "PRIVATE KEY-----"]


@given(
    st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=5)), max_size=9),
    st.lists(st.integers(1, 40), min_size=1, max_size=9),
)
def test_no_cut_shows_a_secret_or_changes_the_rest(parts: list[str], sizes: list[int]) -> None:
    text = " ".join(parts)
    shown = pieces(text, sizes)
    assert shown == MASK.hide(text)
    for secret in (*SECRETS, KEY, LONGER):
        assert secret not in shown


def test_a_secret_without_an_end_is_not_held_back_without_limit() -> None:
    held = StreamMask(MASK)
    assert held.more("sk-" + "a" * (HELD_CHARS_MAX - 3)) == ""
    assert len(held.more("a")) == HELD_CHARS_MAX + 1


@pytest.mark.parametrize(
    "unit", ["sk-", "sk- ", "Bearer ", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-", "PRIVATE KEY"]
)
def test_no_text_makes_it_slow(unit: str) -> None:
    """A pattern that backtracks takes hours here; the time limit of the test ends it."""
    text: Any = unit * (4_000_000 // len(unit))
    assert MASK.hide(text)


URLS = {
    "https://ann:pass-word@host/x": "https://***@host/x",
    "postgresql://athena:s@db/athena": "postgresql://***@db/athena",
    "see http://a:b@c@d.org, and f@g": "see http://***@d.org, and f@g",
    '{"url":"https:\\/\\/ann:pass@host\\/x"}': '{"url":"https:\\/\\/***@host\\/x"}',
    "amqp://:secret@host": "amqp://***@host",
    "https://sk-0123456789abcdefghij:pass@host": "https://***@host",
}


@pytest.mark.parametrize("text", URLS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_a_password_in_a_url_is_hidden_whole_and_in_pieces(text: str, size: int) -> None:
    assert MASK.hide(text) == URLS[text]
    held = StreamMask(MASK)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join([*map(held.more, pieces), held.rest()]) == URLS[text]


@pytest.mark.parametrize(
    "text",
    [
        "https://ann@host/x",
        "git@github.com:org/repo.git",
        "ssh://git@host:22/x",
        "http://localhost:8080/@scope/package",
        "https://host:443?mail=a@b.org",
        "http://[::1]:80/ a@b",
        "http://a:1 b@c",
        '"http://a:1", "b@c"',
        "mailto:a:b@c.org",
    ],
)
def test_a_name_alone_is_not_a_secret(text: str) -> None:
    assert MASK.hide(text) == text
    assert not MASK.holds(text.encode())


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("before", ["\\n", "\\t", "\\u000a", "\\r\\n", "a\\\\n"])
def test_an_escape_of_json_does_not_belong_to_a_word(secret: str, before: str) -> None:
    assert "***" in MASK.hide(f'{{"a":"x{before}{secret}"}}')
    assert told(MASK.hide(f'{{"a":"x{before}{secret}"}}').encode()) is None


@pytest.mark.parametrize("secret", SECRETS)
def test_bytes_tell_that_they_hold_a_secret(secret: str) -> None:
    for encoding in ("utf-8", "utf-16", "utf-16-be", "utf-32"):
        for around in (b"\xff", b"\0\0\0\0", b"\n"):
            assert MASK.holds(around + secret.encode(encoding) + around)
            assert not MASK.holds(around + secret[:3].encode(encoding) + around)
    key = "schlüssel-ohne-form"
    assert Mask([key], shapes=False).holds(b"\xff" + key.encode())
    assert not Mask([key], shapes=False).holds(secret.encode())


@pytest.mark.parametrize("secret", [*SECRETS, "https://ann:canary-of-ann@"])
def test_a_part_of_a_text_shows_no_part_of_a_secret(secret: str) -> None:
    text = f"before {secret} after"
    for cut in range(len(text) + 1):
        assert told((MASK.hide_part(text, 0, cut) + "|" + MASK.hide_part(text, cut, len(text))).encode()) is None
        assert told(MASK.hide_cut(text[:cut]).encode()) is None
    assert MASK.hide_part("no secret", 3, 6) == "sec"


def test_a_secret_of_several_lines_leaves_as_many() -> None:
    block = next(secret for secret in SECRETS if "\n" in secret)
    assert MASK.hide(f"a\n{block}\nb", lines=True).split("\n") == ["a", "***", *[""] * block.count("\n"), "b"]


def test_without_shapes_and_keys_nothing_is_hidden() -> None:
    mask = Mask(shapes=False)
    held = StreamMask(mask)
    assert held.more("abc") + held.rest() == mask.hide("abc") == mask.hide_part("abc", 0, 3) == "abc"
