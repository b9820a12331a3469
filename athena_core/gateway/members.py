"""The members of a JSON object as bytes: where each value stands, and refusal of what parsers read differently."""

import re

import msgspec

MEMBERS_MAX = 1_000
"""Maximum number of members. The APIs of models have about thirty."""
KEY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
AFTER = re.compile(rb"[ \t\r\n]*[,}]")
OPENING = re.compile(rb"[ \t\r\n]*\{")
ABSENT = frozenset({b"", b"null", b"false"})


class MalformedMembers(Exception):
    """Bytes that are no JSON object, or one that two parsers may read differently."""


class Members:
    """The members of an object. ``places`` are the slices of the body that hold the values, by name."""

    def __init__(self, body: bytes) -> None:
        """Parse the first level of an object. Raise MalformedMembers.

        A name may stand there once, in one spelling of capitals: some parsers take the first, some the last, and some
        do not distinguish capitals.
        """
        try:
            values = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MalformedMembers("The body is not a JSON object. Send one.") from None
        if len(values) > MEMBERS_MAX:
            raise MalformedMembers(f"The body has more than {MEMBERS_MAX} members. Send fewer.")
        self.body = body
        self.places: dict[str, slice] = {}
        opening = OPENING.match(body)
        end = opening.end() if opening else 0
        seen = set[str]()
        while key := KEY.match(body, end):
            name = msgspec.json.decode(key[1], type=str)
            value = bytes(values.get(name, b"\0"))
            place = slice(key.end(), key.end() + len(value))
            after = AFTER.match(body, place.stop)
            if name.casefold() in seen or not body.startswith(value, place.start) or after is None:
                raise MalformedMembers(f"The member {name[:40]!r} stands twice in the body. Send it once.")
            seen.add(name.casefold())
            self.places[name] = place
            end = after.end()
        if len(seen) != len(values):
            raise MalformedMembers("The body is not a JSON object. Send one.")

    def value(self, name: str) -> object:
        """Return a decoded value; None if it is absent or nested too deeply."""
        try:
            return msgspec.json.decode(self.body[self.places[name]]) if name in self.places else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def raw(self, name: str) -> bytes:
        """Return the bytes of a value; empty if it is absent."""
        return self.body[self.places[name]] if name in self.places else b""

    def replaced(self, name: str, value: object) -> bytes:
        """Return the body with another value of a member. All other bytes stay."""
        place = self.places[name]
        return self.body[: place.start] + msgspec.json.encode(value) + self.body[place.stop :]

    def put(self, name: str, value: object) -> bytes:
        """Return the body with a value of a member, which comes first if it is new. All other bytes stay."""
        if name in self.places:
            return self.replaced(name, value)
        opening = OPENING.match(self.body)
        end = opening.end() if opening else 0
        member = msgspec.json.encode({name: value})[1:-1] + (b"," if self.places else b"")
        return self.body[:end] + member + self.body[end:]


def is_absent(raw: bytes) -> bool:
    """Return True if the bytes of a value say that there is none."""
    return raw in ABSENT


def plain_name(name: str) -> str:
    """Return the name of a member in the one form of all its spellings."""
    return name.replace("_", "").casefold()
