"""Compression of answers: gzip, for reads of a size at which it pays."""

import functools
import struct
import zlib

from msgspec.structs import replace

from athena_api.edge.exchange import PIECE_BYTES
from athena_api.edge.fields import accepted
from athena_api.endpoint.etag import MARK
from athena_api.endpoint.operation import Reply
from athena_api.fair_threads import PAYER
from athena_api.plane import ControlPlane

BYTES_MIN, BYTES_MAX = 4 << 10, 4 << 20
"""The sizes that are compressed, in bytes. A shorter answer gains nothing. A MiB takes up to 30 ms of CPU time."""
LEVEL = 4
PACKING, PACKING_MS = "gzip", 10
"""The name and the price, in milliseconds of CPU time, of the work in a thread."""
PADDING_MAX = 64
"""The most bytes of a random length in the head. They blur the few bytes by which a right guess is shorter (BREACH)."""
GZIP_HEAD = b"\x1f\x8b\x08\x08\0\0\0\0\0\xff"
"""A gzip member with a name, without a time."""
VARY = ("vary", "accept-encoding")


@functools.lru_cache(64)
def accepts_gzip(field: bytes) -> bool:
    """Return True if ``Accept-Encoding`` allows gzip."""
    encodings = accepted(field.decode("latin-1"))
    return encodings.get("gzip", encodings.get("*", False))


def gzip(body: bytes, fraction: float) -> bytes:
    """Return the body as a gzip member. The random ``fraction``, below 1, sets the length of its name."""
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    name = b"-" * int(fraction * PADDING_MAX) + b"\0"
    end = struct.pack("<LL", zlib.crc32(body), len(body))
    return b"".join((GZIP_HEAD, name, deflate.compress(body), deflate.flush(), end))


async def compressed(plane: ControlPlane, reply: Reply, *, wanted: bool) -> Reply:
    """Return the answer compressed, if that is ``wanted``. Its ``data`` are its body.

    A large one is compressed in a thread, for which the caller pays. Its ETag names these bytes. Raise ShareLimit.
    """
    body: bytes = reply.data
    if reply.status == 304:
        return replace(reply, headers=(*reply.headers, VARY))
    if reply.status != 200 or not BYTES_MIN < len(body) <= BYTES_MAX:
        return reply
    if not wanted:
        return replace(reply, headers=(*reply.headers, VARY))
    pack = functools.partial(gzip, body, plane.ids.fraction())
    if len(body) <= PIECE_BYTES:
        packed = pack()
    else:
        held = plane.answers_in_flight.hold(len(body))
        try:
            packed = await plane.read_threads.run(PAYER.get()._replace(operation=PACKING, price_ms=PACKING_MS), pack)
        finally:
            plane.answers_in_flight.release(held)
    headers = tuple((name, f'{value[:-1]}{MARK}"' if name == "etag" else value) for name, value in reply.headers)
    return replace(reply, data=packed, headers=(*headers, VARY, ("content-encoding", "gzip")))
