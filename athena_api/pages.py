"""Pages and probes: everything that is served outside of the API."""

import functools
from typing import TypeVar

import msgspec
from anyio import to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from athena_api import static_files
from athena_api.document import event_schemas, openapi
from athena_api.edge.fields import accepted
from athena_api.edge.replies import JSON_TYPE, failure, status_of, success
from athena_api.endpoint.endpoint import SHORTAGE
from athena_api.endpoint.etag import unchanged
from athena_api.metrics import exposition
from athena_api.operations import OPERATIONS
from athena_api.operations.core import check_ready
from athena_api.plane import ControlPlane
from athena_api.single_flight import SingleFlight
from athena_core import __version__
from athena_core.errors import AthenaError, Overloaded, StoreDamaged, UnknownRoute
from athena_core.event import Meta
from athena_core.log.sqlite.shortage import is_shortage

T = TypeVar("T")


METRICS_OPERATION = "getMetrics"
"""The operation of the metrics page, for authorization."""


async def unserved(request: HttpRequest, error: Exception) -> Response:
    """Answer a shortage of descriptors or memory, or a damaged log. Raise any other error again."""
    if is_shortage(error):
        refusal: AthenaError = Overloaded(f"{SHORTAGE} Retry later.")
    elif isinstance(error, request.app.state.plane.log.store.damaged):
        refusal = StoreDamaged(StoreDamaged.REMEDY)
    else:
        raise error
    return _json(failure(refusal, request.scope["athena.trace"]), status_of(refusal))


async def livez(request: HttpRequest) -> Response:
    """Answer that the process is running."""
    return _json(success({"status": "ok"}), 200)


async def readyz(request: HttpRequest) -> Response:
    """Answer if the log is reachable, the views follow it and the server is not shutting down."""
    try:
        check_ready(request.app.state.plane)
    except AthenaError as error:
        return _json(failure(error, request.scope["athena.trace"]), status_of(error))
    return _json(success({"status": "ready"}), 200)


async def metrics(request: HttpRequest) -> Response:
    """Answer the metrics, which cover all identities."""
    parts: ControlPlane = request.app.state.plane
    who, trace = request.scope["athena.identity"], request.scope["athena.trace"]
    meta = Meta(actor=who.subject, correlation=trace, quiet=parts.refusal_limits.exhausted(who.subject))
    try:
        parts.refusal_limits.check(who.subject, METRICS_OPERATION)
        await parts.access.require(who, METRICS_OPERATION, meta)
        await parts.access.require_scope(who, METRICS_OPERATION, {}, meta, None, None)
    except AthenaError as error:
        if error.recorded is not None:
            parts.refusal_limits.refused(who.subject, METRICS_OPERATION, recorded=error.recorded)
        return _json(failure(error, trace), status_of(error))
    content, content_type = exposition(parts, request.headers.get("accept"))
    return Response(content, 200, {"content-type": content_type, "vary": "accept"})


async def _built(build: "functools._lru_cache_wrapper[T]") -> T:
    """Return the result of a cached function. It runs once, in a thread, because it is slow; requests share it."""
    return build() if build.cache_info().currsize else await _flight(build).result(0)


@functools.cache
def _flight(build: "functools._lru_cache_wrapper[T]") -> SingleFlight[T]:
    return SingleFlight(functools.partial(to_thread.run_sync, build))


async def document(request: HttpRequest) -> Response:
    return _file(request, await _built(openapi_file))


@functools.cache
def openapi_file() -> static_files.StaticFile:
    """Build the OpenAPI document. It takes 40 ms, and does not change within a release."""
    return static_files.StaticFile.of(msgspec.json.encode(openapi.document(OPERATIONS, __version__)), ".json")


async def event_schema(request: HttpRequest) -> Response:
    """Answer the JSON Schema of events."""
    return _file(request, await _built(event_schema_file))


@functools.cache
def event_schema_file() -> static_files.StaticFile:
    """Build the JSON Schema of events. It does not change within a release."""
    return static_files.StaticFile.of(msgspec.json.encode(event_schemas.event_document()), ".json")


async def console(request: HttpRequest) -> Response:
    """Answer the page of the console."""
    await _built(static_files.static_files)
    return _file(request, static_files.console_page())


async def docs_page(request: HttpRequest) -> Response:
    return _file(request, static_files.docs_page())


async def static(request: HttpRequest) -> Response:
    await _built(static_files.static_files)
    file = static_files.static_file(request.path_params["path"])
    if file is None:
        error = UnknownRoute("Not found. No file has this path.")
        return _json(failure(error, request.scope["athena.trace"]), status_of(error))
    return _file(request, file)


def _json(body: bytes, status: int) -> Response:
    return Response(body, status, media_type=JSON_TYPE)


def _file(request: HttpRequest, file: static_files.StaticFile) -> Response:
    """Answer a file, in its smallest form that the client accepts."""
    headers = {"etag": file.etag, "vary": "accept-encoding", **dict(static_files.SECURITY_HEADERS)}
    encodings = accepted(request.headers.get("accept-encoding"))
    forms = (form for form in file.compressed if encodings.get(form[0], encodings.get("*", False)))
    encoding, content = next(forms, (None, file.content))
    if encoding is not None:
        headers["etag"] = file.etag_of(encoding)
    if file.immutable:
        headers["cache-control"] = "public, max-age=31536000, immutable"
    if unchanged(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    if encoding is not None:
        headers["content-encoding"] = encoding
    return Response(content, 200, headers, media_type=file.content_type)


PAGES = {
    path: Route(path, page)
    for path, page in {
        "/": console,
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": metrics,
        "/docs": docs_page,
        "/openapi.json": document,
        "/events.schema.json": event_schema,
    }.items()
}
