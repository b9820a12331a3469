"""The mask: it hides secrets, however they are split, leaves other text unchanged, and is fast on any text."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_core.mask import HELD_CHARS_MAX, HIDDEN, LEARNED_MAX, MARKS, SECRET_PATTERNS, Mask, StreamMask
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


def stream_through(mask: Mask, text: str, size: int) -> Iterator[str]:
    stream = StreamMask(mask)
    for start in range(0, len(text), size):
        yield stream.more(text[start : start + size])
    yield stream.rest()


@pytest.mark.parametrize("secret", SECRETS)
def test_text_that_looks_like_a_secret_is_hidden(secret: str) -> None:
    mask = Mask()
    for text in ("{}", "key={},", '"{}"', "a: {}\n", "({})"):
        assert mask.hide(text.format(secret)) == text.format("***")
    assert Mask(shapes=False).hide(secret) == secret


def test_the_prefix_of_every_pattern_is_a_mark() -> None:
    assert [shape.begins for shape in SECRET_PATTERNS if not MARKS.search(f"a {shape.begins}b")] == []


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


ODD = 'p/w+d?&=%"\\ ~1{'


@pytest.mark.parametrize("secret", ["a-learned-s3cret", ODD, "AAAAAAAA", "x" * 4_096])
def test_a_learned_secret_is_hidden_as_it_is_echoed(secret: str) -> None:
    mask = Mask(shapes=False)
    mask.learn("a", secret)
    spelt = [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        re.sub("%..", lambda escape: escape[0].lower(), quote(secret)),
    ]
    spelt += [json.dumps(secret)[1:-1], json.dumps(secret)[1:-1].replace("/", "\\/")]
    for text in spelt:
        assert mask.hide(f"<{text}>") == f"<{HIDDEN}>"
        assert mask.holds(text.encode())
        assert "".join(stream_through(mask, f"<{text}>", 3)) == f"<{HIDDEN}>"
    for before in ("", "u", "u:", "Bearer ", "user:"):
        for after in ("", ":", ":x", ":xy"):
            encoded = base64.b64encode(f"{before}{secret}{after}".encode())
            for spelling in (encoded, base64.urlsafe_b64encode(f"{before}{secret}{after}".encode())):
                hidden = mask.hide(spelling.decode())
                assert HIDDEN in hidden
                assert len(hidden.replace(HIDDEN, "")) <= len(encoded) - len(secret)


def test_a_learned_secret_of_basic_hides_user_and_password() -> None:
    mask = Mask(shapes=False)
    mask.learn("a", base64.b64encode(b"robot:a-good-password").decode())
    assert mask.hide("robot:a-good-password, a-good-password") == f"{HIDDEN}, {HIDDEN}"
    mask.learn("b", "no+base64/")
    assert mask.hide("robot") == "robot"


def test_secrets_that_an_owner_had_long_ago_are_forgotten_and_given_keys_never() -> None:
    mask = Mask([KEY], shapes=False)
    mask.learn("b", "s3cret-of-b")
    for number in (*range(LEARNED_MAX), 0):
        mask.learn("a", f"s3cret-number-{number}")
        mask.learn("a", f"s3cret-number-{number}")
    mask.learn("a", "s3cret-number-last")
    shown = [number for number in range(LEARNED_MAX) if mask.hide(f"s3cret-number-{number}") != HIDDEN]
    assert shown == [1]
    assert mask.hide(f"{KEY} s3cret-of-b s3cret-number-last") == f"{HIDDEN} {HIDDEN} {HIDDEN}"


def test_functions_and_streams_that_were_taken_before_hide_secrets_learned_later() -> None:
    mask = Mask()
    hide, stream = mask.hide, StreamMask(mask)
    assert stream.more("a-learned-s3cret a-le") == "a-learned-s3cret a-le"
    mask.learn("a", "b-learned-s3cret")
    assert hide("b-learned-s3cret") == HIDDEN
    assert stream.more(" b-learned-s3") + stream.more("cret") + stream.rest() == f" {HIDDEN}"
    assert mask.suspects(b'"b-learned-s3cret"')


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
        in_utf16 = MASK.hide_cut("\ufffd".join(f"{text} {text[:cut]}"))
        assert told(in_utf16.replace("\ufffd", "").encode()) is None
    assert MASK.hide_part("no secret", 3, 6) == "sec"


def test_a_secret_of_several_lines_leaves_as_many() -> None:
    block = next(secret for secret in SECRETS if "\n" in secret)
    assert MASK.hide(f"a\n{block}\nb", lines=True).split("\n") == ["a", "***", *[""] * block.count("\n"), "b"]


def test_without_shapes_and_keys_nothing_is_hidden() -> None:
    mask = Mask(shapes=False)
    held = StreamMask(mask)
    assert held.more("abc") + held.rest() == mask.hide("abc") == mask.hide_part("abc", 0, 3) == "abc"
