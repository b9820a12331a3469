"""Envelopes: their bytes, the status of every family, messages that cannot break a line."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.edge.replies import MESSAGE_CHARS_MAX, STATUS, failure, status_of, success
from athena_core import errors
from athena_core.errors import AthenaError, ConfigError, Fault
from athena_core.event import Value


class Sample(Value):
    run_id: str
    note: str | None = None


class Odd(AthenaError):
    """An error with details of any kind."""

    code = "ODD"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (None, b"null"),
        (Sample(run_id="r"), b'{"runId":"r"}'),
        ([Sample(run_id="r", note="n")], b'[{"runId":"r","note":"n"}]'),
        (b'{"a":1}', b'{"a":1}'),
        (msgspec.Raw(b'{"a":1}'), b'{"a":1}'),
        ("é", b'"\xc3\xa9"'),
    ],
)
def test_a_success_is_an_envelope(data: object, body: bytes) -> None:
    assert success(data) == b'{"ok":true,"data":' + body + b"}"


def test_a_failure_is_an_envelope() -> None:
    error = ConfigError("a.b: is required", Fault(field="b", reason="is required", remedy="a string"))
    assert failure(error, "trace") == (
        b'{"ok":false,"error":{"code":"CONFIG_ERROR","message":"a.b: is required","retryable":false,"traceId":"trace",'
        b'"details":[{"field":"b","reason":"is required","remedy":"a string"}]}}'
    )


def test_a_failure_without_details_has_none() -> None:
    assert failure(errors.ProviderError("no answer"), "trace") == (
        b'{"ok":false,"error":{"code":"PROVIDER_ERROR","message":"no answer","retryable":true,"retryWith":"new-key",'
        b'"traceId":"trace"}}'
    )
    assert b'"retryable":true,"retryWith":"same-key",' in failure(errors.Overloaded("busy"), "trace")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ConfigError, 400),
        (errors.IdentityMissing, 401),
        (errors.AuthzDeniedError, 403),
        (errors.UnknownRoute, 404),
        (errors.RunTimeout, 408),
        (errors.CursorForeign, 409),
        (errors.Gone, 410),
        (errors.PayloadTooLarge, 413),
        (errors.IdempotencyMismatch, 422),
        (errors.ConcurrencyLimitExceeded, 429),
        (errors.RunCrashedError, 502),
        (errors.OutcomeUnknown, 503),
        (errors.StoreFull, 507),
        (errors.InternalError, 500),
    ],
)
def test_a_family_has_a_status(error: type[AthenaError], status: int) -> None:
    assert status_of(error) == status
    assert status_of(Odd.__new__(error)) == status


def test_every_family_has_a_status() -> None:
    families = set(AthenaError.__subclasses__()) - {Odd}
    assert {family for family in families if "code" not in vars(family)} == STATUS.keys() - {AthenaError}


def test_messages_stay_on_one_line_and_are_cut() -> None:
    error = Odd("a\r\n\x1b[31m\x9b\u2028\ud800b" + "c" * 2000, {"k\n": ["v\0", 1, None, {"d": "x" * 2000}]})
    body = msgspec.json.decode(failure(error, "trace"))["error"]
    assert body["message"].startswith("a   [31m   bccc")
    assert len(body["message"]) == MESSAGE_CHARS_MAX
    assert body["details"] == {"k ": ["v ", 1, None, {"d": "x" * MESSAGE_CHARS_MAX}]}


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_any_message_can_be_answered(message: str, detail: str) -> None:
    body = msgspec.json.decode(failure(ConfigError(message, Fault(field=detail, reason=detail)), "trace"))
    text = body["error"]["message"]
    assert len(text) == min(len(message), MESSAGE_CHARS_MAX)
    assert len(text.splitlines()) <= 1
