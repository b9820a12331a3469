"""The TLS certificate: what stops the start, what a renewal replaces, and when it expires."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from athena_core.clock import iso
from athena_core.errors import ConfigError
from athena_core.system.certificate import EXPIRES_SOON_MS, PEM_BYTES_MAX, Certificate, load, validity_of
from tests.support.certificates import MISSING, OPENSSL, Pair, make_pair

pytestmark = pytest.mark.skipif(OPENSSL is None, reason=MISSING)

DAY_MS = 86_400_000


@pytest.fixture
def copy(pair: Pair, tmp_path: Path) -> Pair:
    """A pair that a test may break."""
    copied = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    copied.replace(pair)
    return copied


def refused(pair: Pair) -> str:
    """Return the sentence that stops the start."""
    with pytest.raises(ConfigError) as caught:
        load(*pair)
    assert "\n" not in caught.value.message
    return caught.value.message


def dates(path: Path) -> tuple[str, ...]:
    """Return both dates of a certificate, as openssl reads them."""
    assert OPENSSL is not None
    options = ("-noout", "-dates", "-dateopt", "iso_8601")
    shown = subprocess.run([OPENSSL, "x509", "-in", path, *options], check=True, capture_output=True, text=True).stdout
    return tuple(line.partition("=")[2].replace(" ", "T").replace("Z", ".000Z") for line in shown.splitlines())


@pytest.mark.parametrize("days", [1, 20_000])
def test_the_dates_are_those_that_openssl_reads(tmp_path: Path, days: int) -> None:
    pair = make_pair(tmp_path / "dated", days=days)  # from 2050 on, dates have another form
    found = load(*pair)
    assert (iso(found.not_before), iso(found.not_after)) == dates(pair.cert)


def test_it_serves_tls_of_today_only(pair: Pair) -> None:
    context = load(*pair).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert all("GCM" in one["name"] or "CHACHA20" in one["name"] for one in context.get_ciphers())


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o660, 0o620, 0o777])
def test_a_key_that_others_may_read_or_write_is_refused(copy: Pair, mode: int) -> None:
    copy.key.chmod(mode)
    assert refused(copy) == (
        f"ATHENA_TLS_KEY_FILE: {copy.key} is open to other users (mode {mode:04o}). "
        f"Run chmod 600, or 640 for a group: {copy.key}"
    )


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_group_may_read_the_key(copy: Pair, mode: int) -> None:
    copy.key.chmod(mode)
    load(*copy)


def test_the_key_of_another_user_is_refused(copy: Pair) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(copy.key, 12_345, -1)
    assert "belongs to another user (12345)" in refused(copy)


def test_links_are_followed(copy: Pair, tmp_path: Path) -> None:
    linked = Pair(tmp_path / "live-cert.pem", tmp_path / "live-key.pem")
    for mine, target in zip(linked, copy, strict=True):
        mine.symlink_to(target)
    load(*linked)


def test_one_file_may_hold_both(copy: Pair) -> None:
    copy.key.write_bytes(copy.key.read_bytes() + copy.cert.read_bytes())
    load(copy.key, copy.key)


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        (b"", None, "has no certificate in PEM"),
        (b"nonsense", None, "has no certificate in PEM"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", None, "ATHENA_TLS_CERT_FILE"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None, "OpenSSL refuses"),
        (b"x" * (PEM_BYTES_MAX + 1), None, f"is larger than {PEM_BYTES_MAX} bytes"),
        (None, b"", "has no private key in PEM"),
        (None, b"\xff\xfe", "has no private key in PEM"),
        (None, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "OpenSSL refuses"),
        (None, b"x" * (PEM_BYTES_MAX + 1), f"is larger than {PEM_BYTES_MAX} bytes"),
    ],
)
def test_a_file_of_something_else_is_refused(copy: Pair, cert: bytes | None, key: bytes | None, said: str) -> None:
    for path, content in ((copy.cert, cert), (copy.key, key)):
        if content is not None:
            path.write_bytes(content)
    assert said in refused(copy)


def test_a_path_without_a_regular_file_is_refused_at_once(copy: Pair) -> None:
    for path, variable in ((copy.key, "ATHENA_TLS_KEY_FILE"), (copy.cert, "ATHENA_TLS_CERT_FILE")):
        path.unlink()
        assert refused(copy) == f"{variable}: {path} cannot be read: No such file or directory"
        os.mkfifo(path, 0o600)
        assert refused(copy) == f"{variable}: {path} cannot be read: not a regular file"
        path.unlink()
        path.mkdir(mode=0o700)
        assert refused(copy) == f"{variable}: {path} cannot be read: not a regular file"


def test_the_key_of_another_certificate_is_refused(copy: Pair, tmp_path: Path) -> None:
    other = make_pair(tmp_path / "other")
    other.key.replace(copy.key)
    assert refused(copy) == f"ATHENA_TLS_KEY_FILE: {copy.key} is not the key of {copy.cert}."


def test_an_encrypted_key_is_refused_without_a_question(tmp_path: Path) -> None:
    assert "is encrypted. Remove its passphrase" in refused(make_pair(tmp_path / "locked", "-passout", "pass:secret"))


def test_a_weak_key_is_refused(tmp_path: Path) -> None:
    assert "ee key too small" in refused(make_pair(tmp_path / "weak", key=("-newkey", "rsa:1024")))


def test_a_renewal_replaces_the_pair_and_a_bad_one_does_not(copy: Pair, tmp_path: Path) -> None:
    certificate = Certificate(*copy)
    first = certificate.current
    copy.cert.write_bytes(b"half a fi")
    with pytest.raises(ConfigError):
        certificate.reload(first.not_before)
    assert certificate.current is first
    copy.replace(make_pair(tmp_path / "second", days=60))
    certificate.reload(first.not_before)
    assert certificate.current.not_after > first.not_after


def test_an_expired_renewal_replaces_only_what_has_expired_too(copy: Pair, tmp_path: Path) -> None:
    certificate = Certificate(*copy)
    first = certificate.current
    shorter = make_pair(tmp_path / "shorter", days=1)
    copy.replace(shorter)
    with pytest.raises(ConfigError, match="has expired"):
        certificate.reload(first.not_after - DAY_MS)
    assert certificate.current is first
    certificate.reload(first.not_after)
    assert certificate.current.not_after < first.not_after


def test_its_end_is_announced(copy: Pair) -> None:
    certificate = Certificate(*copy)
    found = certificate.current
    assert certificate.warning(found.not_before) is None
    assert certificate.warning(found.not_after - EXPIRES_SOON_MS - 1) is None
    day = iso(found.not_after)[:10]
    for moment, said in ((found.not_after - EXPIRES_SOON_MS, "expires"), (found.not_after, "expired")):
        warning = certificate.warning(moment)
        assert warning == f"the certificate {copy.cert} {said} on {day}. Renew it, and send SIGHUP."
    assert certificate.warning(found.not_after - 1, soon_ms=0) is None
    assert "is valid from" in (certificate.warning(found.not_before - 1) or "")


@pytest.mark.parametrize("size", range(0, 80, 7))
def test_half_a_certificate_has_no_dates(pair: Pair, size: int) -> None:
    whole = ssl.PEM_cert_to_DER_cert(pair.cert.read_text())
    with pytest.raises((ValueError, IndexError)):
        validity_of(whole[:size])
