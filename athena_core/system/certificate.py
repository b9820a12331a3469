"""The TLS certificate of a server: two PEM files, checked when they are read, and read again while it serves."""

import os
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import NamedTuple, NoReturn

from athena_core.clock import iso
from athena_core.errors import ConfigError
from athena_core.system.private_file import open_regular

CERT_VARIABLE = "ATHENA_TLS_CERT_FILE"
KEY_VARIABLE = "ATHENA_TLS_KEY_FILE"
PEM_BYTES_MAX = 1 << 20
EXPIRES_SOON_MS = 14 * 86_400_000
"""A certificate that is valid for less than this is worth a warning."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Cipher suites of TLS 1.2: forward secrecy and authenticated encryption. TLS 1.3 has no others."""
PROTOCOLS = ("http/1.1",)
BEGIN = b"-----BEGIN CERTIFICATE-----"
END = b"-----END CERTIFICATE-----"
VERSION_TAG = 0xA0
UTC_TIME_TAG = 0x17
LONG_LENGTH = 0x80


class LoadedPair(NamedTuple):
    """A certificate with its key, ready to serve. Times are in milliseconds since 1970 UTC."""

    context: ssl.SSLContext
    not_before: int
    not_after: int


class Certificate:
    """The certificate in use. ``reload`` replaces it; connections that are open keep the old one."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Read both files. Raise ConfigError."""
        self._files = (cert_file, key_file)
        self._lock = Lock()
        self.current = load(cert_file, key_file)

    def warning(self, now: int, *, soon_ms: int = EXPIRES_SOON_MS) -> str | None:
        """Return a warning if the certificate has expired, or expires within ``soon_ms``; None otherwise."""
        path, expiry = self._files[0], self.current.not_after
        if now >= expiry:
            return f"the certificate {path} expired on {iso(expiry)[:10]}. Renew it, and send SIGHUP."
        if now >= expiry - soon_ms:
            return f"the certificate {path} expires on {iso(expiry)[:10]}. Renew it, and send SIGHUP."
        if now < self.current.not_before:
            return f"the certificate {path} is valid from {iso(self.current.not_before)[:10]}. Check the clock."
        return None

    def reload(self, now: int) -> None:
        """Read both files again. Raise ConfigError and keep the old pair if the new one is bad or has expired."""
        with self._lock:
            found = load(*self._files)
            if found.not_after <= now < self.current.not_after:
                raise ConfigError(f"{CERT_VARIABLE}: {self._files[0]} has expired. Renew the certificate.")
            self.current = found


def load(cert_file: Path, key_file: Path) -> LoadedPair:
    """Read a certificate and its key. Raise ConfigError with the variable, the path and the remedy."""
    cert, leaf = _open_cert(cert_file)
    with os.fdopen(cert, "rb"), os.fdopen(_open_key(key_file), "rb") as key:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols(list(PROTOCOLS))

        def passphrase() -> NoReturn:
            """Refuse. OpenSSL would ask on the terminal."""
            raise ConfigError(
                f"{KEY_VARIABLE}: {key_file} is encrypted. Remove its passphrase: openssl pkey -in OLD -out NEW."
            )

        try:
            # the descriptors, because the paths may name other files by now
            context.load_cert_chain(f"/proc/self/fd/{cert}", f"/proc/self/fd/{key.fileno()}", passphrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ConfigError(f"{KEY_VARIABLE}: {key_file} is not the key of {cert_file}.") from None
            refused = f"{CERT_VARIABLE}: OpenSSL refuses {cert_file} with {key_file}: {_words(error)}."
            raise ConfigError(refused) from None
        except OSError as error:
            raise ConfigError(f"{CERT_VARIABLE}: {cert_file} or {key_file} cannot be read: {error.strerror}") from None
    try:
        return LoadedPair(context, *validity_of(leaf))
    except (IndexError, ValueError):
        raise ConfigError(f"{CERT_VARIABLE}: {cert_file} has no readable dates.") from None


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "not a certificate and key in PEM").replace("_", " ").lower()


def _open(variable: str, path: Path) -> tuple[int, os.stat_result]:
    """Open a regular file of bounded size, and return its descriptor and status. Raise ConfigError."""
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be read: {error.strerror}") from None
    status = os.fstat(descriptor)
    if status.st_size > PEM_BYTES_MAX:
        os.close(descriptor)
        raise ConfigError(f"{variable}: {path} is larger than {PEM_BYTES_MAX} bytes.")
    return descriptor, status


def _open_cert(path: Path) -> tuple[int, bytes]:
    """Open the certificate file. Return its descriptor, and the first certificate as DER. Raise ConfigError."""
    descriptor, _ = _open(CERT_VARIABLE, path)
    try:
        content = os.pread(descriptor, PEM_BYTES_MAX, 0)
        begin, end = content.find(BEGIN), content.find(END)
        leaf = ssl.PEM_cert_to_DER_cert(content[begin : end + len(END)].decode("ascii"))
    except (OSError, ValueError):
        os.close(descriptor)
        raise ConfigError(f"{CERT_VARIABLE}: {path} has no certificate in PEM.") from None
    return descriptor, leaf


def _open_key(path: Path) -> int:
    """Open the key file, which other users may neither read nor write. Raise ConfigError."""
    descriptor, status = _open(KEY_VARIABLE, path)
    mode = stat.S_IMODE(status.st_mode)
    wrong = None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        wrong = f"is open to other users (mode {mode:04o}). Run chmod 600, or 640 for a group: {path}"
    elif status.st_uid not in {0, os.geteuid()}:
        wrong = f"belongs to another user ({status.st_uid}). Make this user or root its owner."
    elif b"PRIVATE KEY-----" not in os.pread(descriptor, PEM_BYTES_MAX, 0):
        wrong = "has no private key in PEM."
    if wrong is not None:
        os.close(descriptor)
        raise ConfigError(f"{KEY_VARIABLE}: {path} {wrong}")
    return descriptor


def validity_of(certificate: bytes) -> tuple[int, int]:
    """Return the first and last moment of a certificate (DER), in milliseconds since 1970 UTC.

    Raise ValueError or IndexError if it is malformed. The standard library decodes only certificates of peers.
    """
    _, at, _ = _element(certificate, 0)
    _, at, _ = _element(certificate, at)
    tag, _, end = _element(certificate, at)
    at = end if tag == VERSION_TAG else at
    for _ in ("serial number", "signature algorithm", "issuer"):
        _, _, at = _element(certificate, at)
    _, at, _ = _element(certificate, at)
    before, start, at = _element(certificate, at)
    after, begin, end = _element(certificate, at)
    return _time(before, certificate[start:at]), _time(after, certificate[begin:end])


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Return an element's tag, and the offsets of its content's begin and end."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & LONG_LENGTH:
        count = length & ~LONG_LENGTH
        length, at = int.from_bytes(data[at : at + count]), at + count
    return tag, at, at + length


def _time(tag: int, text: bytes) -> int:
    digits = text.decode("ascii")
    if tag == UTC_TIME_TAG:
        digits = ("19" if digits >= "50" else "20") + digits
    moment = datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
