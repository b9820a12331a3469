"""The members of requests that refer to state at a vendor, which another customer of the key may own, at any depth.

A member counts where its API reads it as a reference, and by its presence: a parser may read a value that ours cannot.
The schemas of tools, and what they are called with and answer, may have members of any name.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from athena_core.gateway.members import MalformedMembers, Members, is_absent, plain_name

OBJECTS_MAX = 50_000
DEPTH_MAX = 10
"""Maximum number of objects in which references are looked for, and how deep they may lie."""


class Place(NamedTuple):
    """An object in a request: the references that it may hold, and the members in which further objects stand.

    Names are plain. ``items`` means that an object with an id and without contents is a reference.
    """

    names: frozenset[str]
    inner: Mapping[str, "Place"]
    items: bool = False


Inner: TypeAlias = dict[str, Place]


def _place(*names: str, items: bool = False, **inner: Place) -> Place:
    found = {plain_name(name): place for name, place in inner.items()}
    return Place(frozenset(map(plain_name, names)), found, items)


def _within(place: Place, inner: Inner, *names: str) -> Place:
    """Return a place that also stands in members of itself."""
    inner.update(dict.fromkeys(names, place))
    return place


EMPTY_ITEM = frozenset({"id", "type", "status", "summary"})
FILE = _place("file_id", "file_ids", "container_id")
SKILLS = _place("skill_id")

_tool_inner: Inner = {
    "inputimagemask": FILE,
    "environment": _place("container_id", "file_ids", skills=SKILLS),
}
TOOL = _within(
    Place(frozenset({"vectorstoreids", "container", "containerid", "fileid", "fileids"}), _tool_inner),
    _tool_inner,
    "tools",
)
RESPONSES = _place(
    "background",
    "conversation",
    "previous_response_id",
    "prompt",
    input=_place(items=True, content=FILE, output=FILE, tools=TOOL),
    tools=TOOL,
)
CHAT = _place(
    "conversation",
    "previous_response_id",
    messages=_place(content=_place("file_id", file=FILE), audio=_place("id")),
    tools=TOOL,
)

_block_inner: Inner = {}
BLOCK = _within(Place(frozenset({"fileid"}), _block_inner), _block_inner, "source", "content")
ANTHROPIC = _place("container", messages=_place(content=BLOCK), system=BLOCK)

_part_inner: Inner = {}
_part = Place(frozenset({"filedata"}), _part_inner)
_part_inner["functionresponse"] = _place(parts=_part)
CONTENT = _place(parts=_part)
GEMINI = _place(
    "cachedContent",
    contents=CONTENT,
    systemInstruction=CONTENT,
    tools=_place("fileSearch", "retrieval"),
)


def find_reference(members: Members, place: Place) -> str | None:
    """Return the path of a reference in a request, None if there is none. Raise MalformedMembers."""
    waiting, seen = [(members, place, "", 1)], 0
    while waiting:
        found, place, path, depth = waiting.pop()
        given = {plain_name(name): name for name in found.places if not is_absent(found.raw(name))}
        for plain, name in given.items():
            if plain in place.names:
                return path + name
            inner = place.inner.get(plain)
            for raw in _objects(found.raw(name)) if inner else ():
                seen += 1
                if seen > OBJECTS_MAX or depth >= DEPTH_MAX:
                    raise MalformedMembers("The body has too many parts, or they are nested too deeply. Send fewer.")
                waiting.append((Members(raw), inner or place, f"{path}{name}.", depth + 1))
        if place.items and "id" in given:
            kind = found.value(given["type"]) if "type" in given else None
            if kind == "item_reference" or EMPTY_ITEM.issuperset(given):
                return f"{path}id of an item without contents"
    return None


def _objects(raw: bytes) -> Iterator[bytes]:
    """Yield the JSON objects in a value: itself, or those in a list."""
    if raw.startswith(b"{"):
        yield raw
    elif raw.startswith(b"["):
        try:
            values = msgspec.json.decode(raw, type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise MalformedMembers("The body is not a JSON object. Send one.") from None
        for value in values:
            yield from _objects(bytes(value))
