"""The endpoint: one generic ASGI application for all rows of the table."""

import functools
import re
from collections.abc import Collection, Coroutine, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import replace

from athena_api.answer_cache import Question
from athena_api.edge.access_log import AccessLog
from athena_api.edge.asgi import EXCHANGE, Receive, Scope
from athena_api.edge.exchange import PIECE_BYTES, AnswerPort, KnownHead, fields_of, lines_of, read_body, send_pieces
from athena_api.edge.replies import JSON_TYPE, failure, status_of, success
from athena_api.endpoint.body import InputRules, check_path, clamp_limit, decode_body, decode_query
from athena_api.endpoint.compression import accepts_gzip, compressed
from athena_api.endpoint.etag import unmarked
from athena_api.endpoint.names import looks_up, resolve, takes_text, with_nearest
from athena_api.endpoint.operation import PREFIX, ApiCall, NoBody, Operation, Replayed, Reply
from athena_api.endpoint.past import answer_as_of, as_of
from athena_api.endpoint.router import RouteMatch, Router
from athena_api.endpoint.scope import require_scope
from athena_api.fair_threads import PAYER, Payer
from athena_api.plane import ControlPlane
from athena_api.streams.lines import Lines, prefers_lines
from athena_api.streams.sse import HEADERS as STREAM_HEADERS
from athena_api.streams.sse import SSE, Subscription
from athena_core.decider import Key
from athena_core.errors import (
    AthenaError,
    AuthzDeniedError,
    ConfigError,
    CursorInvalid,
    Fault,
    Halted,
    InternalError,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    StoreDamaged,
)
from athena_core.event import Meta
from athena_core.log.sqlite.shortage import REMEDY, is_shortage
from athena_core.system.watchdog import name_operation
from athena_core.values import INTEGER_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, TAIL_ITEMS_DEFAULT, Identity
from projections.engine.page import INLINE_BYTES_MAX
from projections.engine.views import at_least

REPLAYED = b"idempotency-replayed: true\r\n"
APPLIED = b"preference-applied: respond-async\r\n"
KEY_TEXT = re.compile(r"[\x21-\x7e]+")
SUNSET = "@1771545600"  # the deprecated cancel path was superseded on 2026-02-20

SHORTAGE = "The server ran out of file descriptors or memory."

DECODING, DECODING_MS = "decoding", 10
"""The decoding of a large body, and its declared price: it may take 0.2 s of CPU time for each MiB."""
PAST_MS = 50
"""The least declared price of a read of the past, which folds up to 4,095 events."""

ITEMS_DEFAULT = {"cursor": PAGE_ITEMS_DEFAULT, "full": PAGE_ITEMS_MAX, "tail": TAIL_ITEMS_DEFAULT}
"""Default number of items of a page, by mode of pagination."""

UNASKED: Question = ("", b"", None, False)
"""The question of a command."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Endpoint:
    """The application that decodes and authorizes a request, calls its handler, and answers in the envelope."""

    def __init__(
        self,
        plane: ControlPlane,
        operations: Sequence[Operation[Any, Any]],
        access_log: AccessLog,
        pages: Collection[str] = (),
    ) -> None:
        """Serve the rows of the table. ``pages`` are the paths of pages, for errors about their other methods."""
        self._plane = plane
        self._router = Router(operations, pages)
        self._naming = frozenset(row.id for row in operations if looks_up(row))
        self._access_log = access_log
        self.known_head = KnownHead(plane.reader.head)
        settings = plane.settings
        self._input_rules = InputRules(plane.mask, settings.json_depth_max, settings.reason_chars_max)
        self._key_chars_max = settings.idempotency_key_chars_max

    async def answer(self, scope: Scope, receive: Receive, channel: AnswerPort) -> None:
        """Answer one request below ``/api/v1``."""
        plane = self._plane
        if EXCHANGE not in scope:  # from inside of this process, so no bytes have arrived
            self.known_head.position = None
        match: RouteMatch | None = None
        stream: Subscription | Lines | None = None
        call: ApiCall[Any, Any] | None = None
        begun, held, head = False, 0, scope["method"] == "HEAD"
        try:
            match = self._router.find(scope["method"], scope["path"], scope.get("raw_path"))
            operation = scope["athena.operation"] = match.operation
            name_operation(operation.id)
            subject = (identity := scope["athena.identity"]).subject
            meta = Meta(actor=subject, correlation=scope["athena.trace"], quiet=plane.refusal_limits.exhausted(subject))
            self.limit(subject, operation.id)
            await plane.access.require(identity, operation.id, meta)
            if identity.scope is not None:
                call = await self._call(plane, match, scope, receive, meta)
                await require_scope(plane, operation, call, identity, meta)
            question = _question(scope) if operation.reads or operation.method == "GET" else UNASKED
            reply = self._cached(plane, match, scope, question) if operation.reads else None
            if reply is None:
                call = call or await self._call(plane, match, scope, receive, meta)
                PAYER.set(_payer(subject, operation, call))
                if operation.id in self._naming:
                    await resolve(plane, operation, call)
                call.key = idempotency_key(scope, operation, call, self._key_chars_max)
                begun = True
                answer = self._answer(plane, operation, scope, call, question)
                reply = await (answer if identity.token is None else self._in_time(answer, operation, call, identity))
            headers, status = _headers(reply, operation, call), reply.status
            if (operation.stream or operation.lines) and isinstance(reply.data, Subscription | Lines):
                stream, body = reply.data, b""
                plane.streams.admit(subject)
            else:
                body = _body(reply)
                held = 0 if head else plane.answers_in_flight.hold(len(body)) if len(body) > PIECE_BYTES else 0
            kind = reply.content_type or JSON_TYPE
        except Exception as error:
            stream, kind = None, JSON_TYPE
            status, headers, body = self._refusal(scope, match, with_nearest(error, call), begun=begun)
        if stream is not None:
            fields = [(b"content-type", kind.encode()) if isinstance(stream, Lines) else SSE]
            fields += STREAM_HEADERS + fields_of(headers)
            del call, headers, meta, reply  # free memory: a stream may be open for days, and there may be many
            await channel.send({"type": "http.response.start", "status": status, "headers": fields})
            await self._stream(stream, scope, receive, channel)
            return
        content = b"content-type: %b\r\ncontent-length: %d\r\n" % (kind.encode(), len(body))
        lines = headers if status == 304 else content + headers
        if not held:
            await channel.respond(status, lines, b"" if head else body)
            return
        del call, reply  # free memory: the data may be larger than its body
        try:
            send = channel.respond if held <= INLINE_BYTES_MAX else functools.partial(send_pieces, channel)
            await send(status, lines, body)
        finally:
            plane.answers_in_flight.release(held)

    async def _stream(self, stream: Subscription | Lines, scope: Scope, receive: Receive, channel: AnswerPort) -> None:
        """Send the body of a stream."""
        streams, identity, operation = self._plane.streams, scope["athena.identity"], scope["athena.operation"].id
        if scope["method"] == "HEAD":
            await channel.send({"type": "http.response.body", "body": b""})
        elif isinstance(stream, Lines):
            failed = functools.partial(self._last_line, scope["athena.trace"])
            await streams.serve_lines(stream, receive, channel.send, identity, operation, failed)
        else:
            scope["headers"].clear()
            await streams.serve(stream, receive, channel, identity, operation)

    def _refusal(
        self, scope: Scope, match: RouteMatch | None, error: Exception, *, begun: bool
    ) -> tuple[int, bytes, bytes]:
        """Return status, header lines and body for an error. ``begun`` is True if the handler was called."""
        plane, trace = self._plane, scope["athena.trace"]
        replayed = isinstance(error, Replayed)
        if isinstance(error, Replayed):
            error = error.error
        operation = None if match is None else match.operation
        unknown = begun and operation is not None and operation.method != "GET"
        failed = self.failure_of(trace, error, unknown=unknown)
        if isinstance(failed, Halted):
            failed = plane.halts.refusal(failed)
        if operation is not None and failed.recorded is not None:
            plane.refusal_limits.refused(scope["athena.identity"].subject, operation.id, recorded=failed.recorded)
        if isinstance(failed, CursorInvalid) and operation is not None:
            failed.details = [_cursor_fault(operation, scope, failed.message)]
        context = operation.context if begun and operation is not None and isinstance(failed, ConfigError) else None
        headers = b"athena-position: %d\r\n" % plane.log.signal.position
        if failed.retry_after is not None:
            headers += b"retry-after: %d\r\n" % failed.retry_after
        if replayed:
            headers += REPLAYED
        if isinstance(failed.details, dict) and (run_id := failed.details.get("runId")):
            scope["athena.run_id"] = run_id
        return status_of(failed), headers, failure(failed, trace, context)

    def failure_of(self, trace: str, error: Exception, *, unknown: bool) -> AthenaError:
        """Return the error to answer. ``unknown`` is True if a command was begun, which may have been committed."""
        if isinstance(error, AthenaError):
            return error
        if is_shortage(error):
            self._access_log.warning(f"{REMEDY}: {type(error).__name__}: {error} (trace {trace})")
            if unknown:
                return OutcomeUnknown(f"{SHORTAGE} Retry with the same Idempotency-Key.")
            return Overloaded(f"{SHORTAGE} The request was not executed. Retry later.")
        if isinstance(error, self._plane.log.store.damaged):
            self._access_log.warning(f"{StoreDamaged.REMEDY} {type(error).__name__}: {error} (trace {trace})")
            self._plane.log.problems.report("log.pages", damaged := StoreDamaged(StoreDamaged.REMEDY))
            if unknown:
                return OutcomeUnknown(f"{StoreDamaged.REMEDY} Then retry with the same Idempotency-Key.")
            return damaged
        self._access_log.exception(trace, error)
        return InternalError("Unexpected error. Report it with the trace id, which the server's log contains, too.")

    def _last_line(self, trace: str, error: Exception) -> bytes:
        """Return the line that ends an answer which failed after it began."""
        return failure(self.failure_of(trace, error, unknown=False), trace) + b"\n"

    def limit(self, subject: str, operation: str) -> None:
        """Check the limits of requests and refusals of a caller. Raise RateLimited."""
        plane = self._plane
        plane.refusal_limits.check(subject, operation)
        try:
            plane.rate_limits.take(subject)
        except RateLimited:
            plane.refusal_limits.suppress(subject, operation)
            raise

    def _cached(self, plane: ControlPlane, match: RouteMatch, scope: Scope, question: Question) -> Reply | None:
        """Return the answer of an equal request, which was checked, if the log has not moved since."""
        reply: Reply | None = plane.answer_cache.find(question, self.known_head.read())
        if reply is not None and "runId" in match.path:
            scope["athena.run_id"] = match.path["runId"]
        return reply

    async def _in_time(
        self, answer: Coroutine[Any, Any, Reply], operation: Operation[Any, Any], call: ApiCall[Any, Any], who: Identity
    ) -> Reply:
        """Await an answer. One that may wait ends with the token of its caller, even if its run goes on."""
        waits = getattr(call.query, "wait", None) or (operation.accepted is not None and call.wait)
        if who.token is None or not waits:
            return await answer
        reply = await self._plane.streams.while_allowed(answer, who, operation.id)
        if reply is None:
            self._plane.tokens.again(who.token)
            raise AuthzDeniedError(f"{who.subject} may no longer call {operation.id}.")
        return reply

    async def _answer(
        self,
        plane: ControlPlane,
        operation: Operation[Any, Any],
        scope: Scope,
        call: ApiCall[Any, Any],
        question: Question,
    ) -> Reply:
        """Wait for the views that the handler reads, and call it. Keep its answer if it is steady and not personal."""
        if call.as_of is not None:
            known = dict(scope["headers"]).get(b"if-none-match")
            reply = await answer_as_of(plane, operation, call, scope["athena.identity"], known)
            return await self._packed(plane, question, call, reply)
        if not operation.reads:
            if operation.method == "GET":
                return await self._packed(plane, question, call, await operation.handle(plane, call))
            await plane.access.note_groups(scope["athena.identity"], call.meta)
            reply = await operation.handle(plane, call)
            if run_id := getattr(reply.data, "run_id", None):
                scope["athena.run_id"] = run_id
            return reply
        if not call.stale:
            await plane.caught_up(operation.reads, call.position)
        with at_least(0 if call.stale else call.position):
            reply = await self._packed(plane, question, call, await operation.handle(plane, call))
        if reply.steady and not call.personal and reply.position >= call.position:
            plane.answer_cache.keep(question, call.position, reply)
        return reply

    @staticmethod
    async def _packed(plane: ControlPlane, question: Question, call: ApiCall[Any, Any], reply: Reply) -> Reply:
        """Return the answer to a read with its body, compressed if the client accepts that and it is not personal.

        An exact text, which may hold a secret, is personal, because its caller is recorded.
        """
        if isinstance(reply.data, Subscription | Lines):
            return reply
        reply = replace(reply, data=_body(reply), content_type=reply.content_type or JSON_TYPE)
        *_, accepts = question
        return await compressed(plane, reply, wanted=not call.personal and accepts)

    async def _call(
        self, plane: ControlPlane, match: RouteMatch, scope: Scope, receive: Receive, meta: Meta
    ) -> ApiCall[Any, Any]:
        operation, path = match
        context, rules = operation.context, self._input_rules
        check_path(path, context, rules, {name for name in path if takes_text(operation, name)})
        if "runId" in path:
            scope["athena.run_id"] = path["runId"]
        headers = dict(scope["headers"])
        pairs = query_pairs(scope)
        type_: Any = operation.query
        query = decode_query(type_, pairs, context) if pairs else _blank_query(type_, context)
        reading = operation.method == "GET"
        content = b"" if reading else await read_body(scope, headers, receive, plane.settings.body_bytes_max)
        arguments = operation.body, content, context, rules
        if len(content) > PIECE_BYTES and operation.body is not NoBody:  # to mask a megabyte may take 0.2 s
            payer = Payer(meta.actor, DECODING, DECODING_MS, writes=True)
            body = await plane.write_threads.run(payer, functools.partial(decode_body, *arguments))
        else:
            body = decode_body(*arguments) if operation.body is not NoBody else NoBody()
        call = ApiCall(_who=scope["athena.identity"], _meta=meta, path=path, query=query, body=body, receive=receive)
        parameters = dict(pairs)
        if "asOf" in parameters:
            call.as_of = as_of(plane, operation, parameters)
        if operation.paging is not None:
            call.limit = clamp_limit(parameters.get("limit"), ITEMS_DEFAULT[operation.paging])
            call.limited = bool(parameters.get("limit"))
            call.cursor = parameters.get("after" if operation.paging == "tail" else "cursor") or None
        if reading:
            wanted = _min_position(parameters.get("minPosition"))
            if wanted:
                await plane.reached(wanted)
            call.position = max(self.known_head.read(), wanted) if call.as_of is None else call.as_of
            call.last_event_id = _text(headers.get(b"last-event-id"))
            call.stale = parameters.get("stale") == "allow"
            call.lines = operation.lines and prefers_lines(_text(headers.get(b"accept")))
        else:
            if b"if-match" in headers:
                call.if_match = unmarked(_text(headers[b"if-match"]) or "") or None
            call.origin = _text(headers.get(b"origin"))
            call.wait = not (operation.accepted is not None and b"respond-async" in headers.get(b"prefer", b""))
        return call


def query_pairs(scope: Scope) -> list[tuple[str, str]]:
    """Return the query parameters in order."""
    text = scope["query_string"].decode("latin-1")
    if not text:
        return []
    try:
        # bytes that are not UTF-8 are kept, so that the parameter that contains them is rejected
        return parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="surrogateescape")
    except ValueError as error:
        raise ConfigError("The query string has more than 100 parameters. Send fewer.") from error


@functools.cache
def _blank_query(type_: Any, context: str) -> Any:
    """Return the value of a query string without parameters."""
    return decode_query(type_, (), context)


def idempotency_key(
    scope: Scope, operation: Operation[Any, Any], call: ApiCall[Any, Any], chars_max: int
) -> Key | None:
    """Return the idempotency key of a command, or None. Raise ConfigError if it is malformed.

    It belongs to the ids of a call, so a name that has changed hands does not repeat an answer.
    """
    if operation.method == "GET":
        return None
    raw = dict(scope["headers"]).get(b"idempotency-key")
    if raw is None:
        return None
    text = raw.decode("latin-1").strip()
    remedy = f"1 to {chars_max} visible ASCII characters"
    if len(text) > chars_max:
        raise ConfigError.of("idempotency-key", f"KEY_TOO_LONG: must have at most {chars_max} characters", remedy)
    if not KEY_TEXT.fullmatch(text):
        raise ConfigError.of("idempotency-key", "contains characters that are not allowed", remedy)
    content = _encode([call.path, call.body])
    return Key.of(scope["athena.identity"].subject, operation.id, text, content)


def _cursor_fault(operation: Operation[Any, Any], scope: Scope, reason: str) -> Fault:
    """Return the fault of a malformed cursor, which a stream may get in a header."""
    field = "cursor" if operation.paging in ("cursor", "full") else "after"
    if operation.stream and any(name == b"last-event-id" for name, _ in scope["headers"]):
        field = "last-event-id"
    return Fault(field=field, reason=reason, remedy="a cursor from an answer of this operation, or none")


def _text(header: bytes | None) -> str | None:
    """Return a header as text, or None if it is absent or blank."""
    return None if header is None else header.decode("latin-1").strip() or None


def _min_position(text: str | None) -> int:
    if not text or text.isspace():
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 16 or int(text) > INTEGER_MAX:
        raise ConfigError.of("minPosition", f"{text[:40]!r} is not a position", "a position of this log, from 0")
    return int(text)


def _body(reply: Reply) -> bytes:
    """Return the envelope with the data, or the data alone if the reply has a content type of its own."""
    if reply.content_type is None:
        return success(reply.data)
    content: bytes = reply.data
    return content


def _payer(subject: str, operation: Operation[Any, Any], call: ApiCall[Any, Any]) -> Payer:
    """Return who pays for the work of a handler in threads."""
    if call.as_of is not None:
        return Payer(subject, operation.id + " asOf", max(operation.price_ms, PAST_MS))
    return Payer(subject, operation.id, operation.price_ms, operation.method != "GET" and not operation.price_ms)


def _question(scope: Scope) -> Question:
    accepts = False
    for name, value in scope["headers"]:
        accepts = accepts or (name == b"accept-encoding" and accepts_gzip(value))
    return scope["path"], scope["query_string"], scope["athena.identity"].scope, accepts


def _headers(reply: Reply, operation: Operation[Any, Any], call: ApiCall[Any, Any] | None) -> bytes:
    """Return the header fields of an answer as lines. ``call`` is None for a kept answer."""
    lines = b"athena-position: %d\r\n" % reply.position
    if reply.replayed:
        lines += REPLAYED
    if reply.status == 202:
        if reply.location is not None:
            lines += lines_of(((b"location", f"{PREFIX}{reply.location}".encode()),))
        if call is not None and not call.wait:
            lines += APPLIED
    if operation.successor is not None:
        link = f'<{PREFIX}{reply.location or operation.successor}>; rel="successor-version"'
        lines += lines_of(((b"deprecation", SUNSET.encode()), (b"link", link.encode())))
    if reply.headers:
        lines += lines_of((name.encode(), value.encode()) for name, value in reply.headers)
    if call is not None and reply.position < call.position:  # only if the caller sent stale=allow
        lines += b"athena-stale: true\r\n"
    if call is not None and call.resolved:
        lines += lines_of(((b"athena-resolved", ", ".join(call.resolved).encode()),))
    return lines
