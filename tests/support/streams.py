"""Byte streams of a client: requests that are well formed, almost, or not at all, cut in any place."""

from typing import NamedTuple

from hypothesis import strategies as st

METHODS = (
    b"GET",
    b"GET",
    b"POST",
    b"POST",
    b"HEAD",
    b"OPTIONS",
    b"PUT",
    b"DELETE",
    b"BREW",
    b"get",
    b"CONNECT",
    b"G ET",
)
TARGETS = (
    b"/x",
    b"/chunked",
    b"/early",
    b"/x?a=b&c",
    b"/%41%2fb?",
    b"*",
    b"http://h/x?y",
    b"/x#f",
    b"//h/x",
    b"x",
    b"",
    b"/\xff",
)
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1", b"http/1.1", b"")
FIELDS = (
    b"host: h", b"Host: H", b"connection: close", b"connection: keep-alive", b"Connection: Upgrade", b"upgrade: h2c",
    b"upgrade: websocket", b"expect: 100-continue", b"Expect: other", b"x: y", b"x:y", b"x :y", b" x: y", b"x: \xe9",
    b"x: a\x00b", b"x: a\tb", b"x\x01: y", b": y", b"x", b"x: " + b"y" * 300, b"content-length: 0",
    b"content-length: 3", b"content-length: +3", b"content-length: 3, 3", b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked", b"transfer-encoding: chunked, gzip", b"Transfer-Encoding: xchunked",
)  # fmt: skip
BODIES = (
    b"", b"", b"abc", b"abcdef", b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3;e=1\r\nabc\r\n0\r\nt: u\r\n\r\n",
    b"3\nabc\n0\n\n", b"3\r\nabcd\r\n0\r\n\r\n", b"g\r\n", b"ffffffffffffffffff\r\n", b"\r\n\r\n", b"\x00",
)  # fmt: skip
ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")


class ByteStream(NamedTuple):
    """The bytes of a connection, and the places where they are cut."""

    data: bytes
    cuts: tuple[int, ...]

    @property
    def pieces(self) -> list[bytes]:
        places = [0, *sorted({cut % (len(self.data) + 1) for cut in self.cuts}), len(self.data)]
        return [self.data[begin:end] for begin, end in zip(places, places[1:], strict=False) if begin < end]


def requests() -> st.SearchStrategy[bytes]:
    """Well-formed requests with a body that matches, and any mixture of lines."""
    whole = st.builds(
        lambda method, target, body: (
            b"%b %b HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (method, target, len(body), body)
        ),
        st.sampled_from(METHODS[:6]),
        st.sampled_from(TARGETS[:5]),
        st.binary(max_size=20),
    )
    mixed = st.builds(
        lambda method, target, version, fields, end, body: (
            b"%b %b %b%b%b%b%b" % (method, target, version, end, b"".join(field + end for field in fields), end, body)
        ),
        st.sampled_from(METHODS),
        st.sampled_from(TARGETS),
        st.sampled_from(VERSIONS),
        st.lists(st.sampled_from(FIELDS), max_size=5),
        st.sampled_from(ENDS),
        st.sampled_from(BODIES),
    )
    return st.one_of(whole, whole, mixed)


def byte_streams() -> st.SearchStrategy[ByteStream]:
    """Some requests in a row, sometimes with a byte changed, cut anywhere."""
    rows = st.lists(requests(), min_size=1, max_size=4).map(b"".join)
    changed = st.builds(
        lambda data, place, byte: data[: place % len(data)] + byte + data[place % len(data) + 1 :],
        rows,
        st.integers(0, 2_000),
        st.binary(min_size=1, max_size=1),
    )
    cuts = st.lists(st.integers(0, 2_000), max_size=6).map(tuple)
    return st.builds(ByteStream, st.one_of(rows, rows, changed), cuts)
