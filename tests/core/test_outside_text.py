"""Text from outside: the exact form loses nothing, and the shown form says what it hides."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.mask import HELD_CHARS_MAX, Mask
from athena_core.outside_text import (
    OutsideText,
    decided_json,
    marked_form,
    span_sha256,
    values_of_form,
    visible_marks,
)
from tests.support.canaries import SECRETS

SALT = "0f" * 16
KEY = "own-key-of-athena"
MASK = Mask({KEY: "ATHENA_OPENAI_API_KEY"})
MARKED = "-----BEGIN PRIVATE KEY-----; echo here; : -----END PRIVATE KEY-----"


def test_it_has_no_string_form() -> None:
    text = OutsideText(KEY)
    assert KEY not in f"{text!r} {text!s}"
    with pytest.raises(TypeError, match="no string form"):
        f"{text}"


@pytest.mark.parametrize("chars_max", range(1, 60))
def test_a_shown_text_is_masked_before_it_is_cut(chars_max: int) -> None:
    text = OutsideText(f"the key {KEY} of the server")
    for shown in (text.shown(MASK, chars_max), text.line(MASK, chars_max)):
        assert not any(KEY[:length] in shown for length in range(4, len(KEY)))
        assert len(shown) <= chars_max


@pytest.mark.parametrize("chars_max", [20, 60, 1_000])
def test_each_part_of_a_long_text_is_shown_without_a_part_of_a_secret(chars_max: int) -> None:
    parts = [KEY[at : at + 4] for at in range(len(KEY) - 3)]
    for offset in range(len(KEY) + 1):
        for around in (chars_max, chars_max + HELD_CHARS_MAX, 4 * chars_max + HELD_CHARS_MAX):
            begins = OutsideText("." * (around - offset) + KEY + "." * 2 * HELD_CHARS_MAX)
            ends = OutsideText("." * 2 * HELD_CHARS_MAX + KEY + "." * (around - offset))
            cut = OutsideText("." * around + KEY[:offset], is_cut=True)
            started = OutsideText("." * 9 + KEY + "." * around, start=9 + offset)
            for shown in (
                begins.shown(MASK, chars_max),
                begins.line(MASK, chars_max),
                ends.tail(MASK, chars_max),
                cut.shown(MASK),
                started.shown(MASK),
            ):
                assert not any(part in shown for part in parts)
            assert len(ends.tail(MASK, chars_max)) <= chars_max
            assert started.exact.startswith(KEY[offset:])


@pytest.mark.parametrize("depth", range(5))
def test_a_private_key_in_a_text_in_a_text_shows_its_marks_only(depth: int) -> None:
    text = "-----BEGIN RSA PRIVATE KEY-----\n" + 3 * "MIIEpAIB/AAKCAQEA75x0\n" + "-----END RSA PRIVATE KEY-----"
    for _ in range(depth):
        text = json.dumps(text).replace("/", "\\/")
    shown = OutsideText(text).decided(MASK, SALT).shown
    assert shown.count("PRIVATE KEY") == 2
    assert not any(part in shown for part in ("MIIE", "AAKC", "75x0"))


@pytest.mark.parametrize("text", [MARKED, f"git push {MARKED}", "https://a:$(date)@host", "https://a:b c@host"])
def test_marks_that_the_author_chose_hide_nothing(text: str) -> None:
    decided = OutsideText(text).decided(MASK, SALT)
    assert (decided.exact, decided.shown, decided.hidden) == (text, text, ())


@pytest.mark.parametrize("secret", SECRETS)
def test_each_hidden_part_has_a_mark_with_its_length_and_hash(secret: str) -> None:
    text = f"before {secret} after"
    decided = OutsideText(text).decided(Mask(), SALT)
    assert decided.exact == text
    assert decided.hidden
    for span in decided.hidden:
        assert f"[hidden: {span.chars} characters, sha256 {span.sha256[:12]}]" in decided.shown
        parts = (text[start : start + span.chars] for start in range(len(text)))
        assert span.sha256 in {span_sha256(SALT, part) for part in parts}


def test_the_hash_of_a_part_is_of_the_salt_and_the_part() -> None:
    assert span_sha256(SALT, "é") == hashlib.sha256(bytes.fromhex(SALT) + "é".encode()).hexdigest()


def test_a_secret_of_athena_is_named_in_both_forms() -> None:
    decided = OutsideText(f"curl -H {KEY}").decided(MASK, SALT)
    assert decided.exact == decided.shown == "curl -H [secret ATHENA_OPENAI_API_KEY]"
    assert decided.secrets == ("ATHENA_OPENAI_API_KEY",)


def test_a_cut_is_marked() -> None:
    decided = OutsideText("a" * 10 + "b" * 90).decided(MASK, SALT, 10)
    assert decided.exact == "a" * 10 + "b" * 90
    assert decided.shown == f"{'a' * 10} [cut: 90 characters, sha256 {span_sha256(SALT, 'b' * 90)[:12]}]"
    assert [span.chars for span in decided.hidden] == [90]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_a_json_value_without_secrets_is_shown_as_it_is(value: Any) -> None:
    decided = decided_json(value, MASK, SALT)
    assert decided.exact == decided.shown
    assert not decided.hidden
    assert msgspec.json.decode(decided.exact) is not NotImplemented


def test_strings_and_member_names_of_a_json_value_are_masked() -> None:
    token = f"ghp_{'a1' * 18}"
    decided = decided_json({"run": [token, KEY], token: 1, f"{KEY}": 2}, MASK, SALT)
    assert token in decided.exact
    assert token not in decided.shown
    assert KEY not in decided.exact + decided.shown
    assert len(decided.hidden) == 2
    assert len(decided.secrets) == 2


def test_names_that_are_shown_alike_keep_their_values() -> None:
    decided = decided_json({"own-key-of-athena": 1, "[secret ATHENA_OPENAI_API_KEY]": 2}, MASK, SALT)
    assert sorted(msgspec.json.decode(decided.shown).values()) == [1, 2]


@pytest.mark.parametrize("hidden", "\u202e\u200b\u2066\u00ad\ufeff\x1b\x00\U000e0041")
def test_characters_that_people_cannot_see_are_marked(hidden: str) -> None:
    assert visible_marks(f"rm{hidden} -rf") == f"rm[U+{ord(hidden):04X}] -rf"


def test_a_form_with_marks_is_answered_with_its_own_names_and_choices() -> None:
    form = {"type": "object", "properties": {"a\u200b": {"type": "string", "title": "x\u202e", "enum": ["\u2066b"]}}}
    shown = marked_form(form)
    field = {"type": "string", "title": "x[U+202E]", "enum": ["[U+2066]b"]}
    assert shown == {"type": "object", "properties": {"a[U+200B]": field}}
    given = values_of_form(msgspec.json.encode(form).decode(), {"a[U+200B]": "[U+2066]b", "other": 1})
    assert given == {"a\u200b": "\u2066b", "other": 1}
