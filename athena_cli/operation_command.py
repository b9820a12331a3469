"""Commands generated from the table of operations: words, parameters, help, and one request each."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from keyword import iskeyword
from math import isfinite
from typing import Annotated, Any, Literal, Union

from cyclopts import Group, Parameter

from athena_cli import client
from athena_cli.exit_codes import Misused
from athena_cli.flags import FLAGGED, PLACED, SWITCHES, WITHOUT_FLAG, about, flag, metavar
from athena_cli.operations import OPERATIONS, CommandOperation, Kind, Member
from athena_cli.output.columns import TABLES
from athena_cli.output.options import NEWEST_FIRST, SPANS, ListOptions, cut_page, since_time
from athena_cli.output.shapes import COUNTED, LIMITS, PROBLEMS, SHAPES
from athena_client.wire import PREFIX

TYPES: Mapping[str, Any] = {"int": int, "float": float, "bool": bool, "texts": list[str]}
FILTERS = Group("Filters", sort_key=1)
BODY = Group("Body", sort_key=0)
PAGE = Group("Page", sort_key=2)


def command_of(operation_id: str) -> Callable[..., None]:
    """Return the command of an operation: a function whose signature lists its parameters."""
    row = OPERATIONS[operation_id]
    places = [part[1:] for part in row.path.split("/") if part.startswith(":")]
    placed = PLACED.get(operation_id, ())
    parameters = {**_paths(places), **_queries(row), **_bodies(row), **_other_parameters(row)}
    options: type = client.ReadOptions if row.past else client.ConnectionOptions
    if "identity" in parameters:
        options = client.ServerReadOptions if row.past else client.ServerOptions
    connection = inspect.Parameter(
        "connection", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=options | None
    )

    def command(*named: str, **given: Any) -> None:
        begun = {parameters[name][1].name: value for name, value in zip(placed, named[len(places) :], strict=False)}
        _send_request(row, dict(zip(places, named, strict=False)), parameters, given | begun)

    signature = inspect.Signature([*(parameter for _, parameter in parameters.values()), connection])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    command.__name__ = row.id
    command.__doc__ = help_of(row)
    return command


def help_of(row: CommandOperation) -> str:
    """Return the help of an operation: summary, request, and the roles that may send it."""
    return f"{row.summary}\n\n{row.method} {PREFIX}{row.path}, for {', '.join(row.roles)}."


Part = Literal["path", "query", "body", "raw", "page", "detach", "everything", "match", "since", "list"]
Parameters = dict[str, tuple[Part, inspect.Parameter]]


def _paths(places: list[str]) -> Parameters:
    parameters: Parameters = {}
    for name in places:
        place = flag(name).replace("-", "_")
        parameter = inspect.Parameter(place, inspect.Parameter.POSITIONAL_ONLY, annotation=str)
        if name in FLAGGED:
            note = Annotated[str, Parameter(name=FLAGGED[name])]
            parameter = parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=note)
        parameters[name] = ("path", parameter)
    return parameters


def _queries(row: CommandOperation) -> Parameters:
    parameters: Parameters = {}
    words = f"Only since then: {SPANS}."
    since = ("since", _keyword("since", Parameter(group=FILTERS, help=words), str))
    if row.id in NEWEST_FIRST:
        parameters["since"] = since  # type: ignore[assignment]
    for member in row.query:
        if member.name in WITHOUT_FLAG:
            continue
        words = about(row.id, member.name, query=True)
        if member.name in SWITCHES:
            option = _option(member._replace(kind="bool"), Parameter(group=FILTERS, help=words, negative=""))
        elif member.name in PLACED.get(row.id, ()):
            option = _placed(member, words)
        else:
            option = _option(member, Parameter(group=FILTERS, help=words, allow_leading_hyphen=True))
        parameters[member.name] = ("query", option)
        if member.name == "createdAfter":
            parameters["since"] = since  # type: ignore[assignment]
    return parameters


def _bodies(row: CommandOperation) -> Parameters:
    parameters: Parameters = {}
    if row.body is None:
        return parameters
    for member in sorted(row.body, key=lambda member: not member.required):
        hints = [hint for hint in ("may be repeated" * (member.kind == "texts"), "required" * member.required) if hint]
        words = about(row.id, member.name) + (f" ({', '.join(hints)})" if hints else "")
        note = Parameter(group=BODY, help=words, allow_leading_hyphen=True, negative="")
        parameters[member.name] = ("body", _option(member, note))
    words = "File with the request body as JSON; `-` reads standard input. Other options override its members."
    note = Parameter(group=BODY, help=words, allow_leading_hyphen=True)
    parameters["body"] = ("raw", _keyword("body", note, str))
    return parameters


def _other_parameters(row: CommandOperation) -> Parameters:
    parameters: Parameters = {}
    if row.paging is not None:
        place, begin = ("cursor", "Continue a list: the `nextCursor` of the previous page.")
        if row.paging == "tail":
            place, begin = ("after", "Only entries after this one (its id).")
        parameters[place] = ("page", _keyword(place, Parameter(group=PAGE, help=begin), str))
        usual = f"; {LIMITS[row.id]} if absent" if row.id in LIMITS else ""
        many = f"Maximum number of records, up to {client.PAGE_ITEMS_MAX}{usual}."
        parameters["limit"] = ("page", _keyword("limit", Parameter(group=PAGE, help=many), int))
        if row.paging == "cursor":
            note = Parameter(name="--all", group=PAGE, negative="", help="Fetch all pages and print one list.")
            parameters["everything"] = ("everything", _keyword("everything", note, bool))
    if row.id in TABLES:
        listing = inspect.Parameter(
            "listing", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ListOptions | None
        )
        parameters["listing"] = ("list", listing)
    if row.versioned and row.method != "GET":
        note = Parameter(help="Apply the change only if the current version has this ETag.")
        parameters["ifMatch"] = ("match", _keyword("if_match", note, str))
    if row.accepted:
        note = Parameter(name="--async", negative="", help="Return at once; the server continues in the background.")
        parameters["detach"] = ("detach", _keyword("detach", note, bool))
    return parameters


def _keyword(name: str, note: Parameter, kind: Any, *, as_json: bool = False) -> inspect.Parameter:
    if kind in {str, int, float} or kind == list[str]:
        note = Parameter.combine(note, Parameter(metavar=metavar(name, kind, as_json=as_json)))
    annotation = Annotated[Union[kind, None], note]  # noqa: UP007 - the kind is a value
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _option(member: Member, note: Parameter) -> inspect.Parameter:
    name, kind = flag(member.name).replace("-", "_"), _type_of(member.kind)
    if iskeyword(name):  # a Python keyword is a valid name of a flag
        return _keyword(f"{name}_", Parameter.combine(note, Parameter(name=f"--{name}")), kind)
    return _keyword(name, note, kind, as_json=member.kind == "json")


def _placed(member: Member, words: str) -> inspect.Parameter:
    """Return the parameter of a query member that may be passed by position as well."""
    name = member.name
    note = Parameter(name=f"--{flag(name)}", help=words)
    parameter = _keyword(f"{name}_" if iskeyword(name) else name, note, str)
    if member.required:
        parameter = parameter.replace(default=inspect.Parameter.empty, annotation=Annotated[str, note])
    return parameter.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _type_of(kind: Kind) -> Any:
    """Return the type of an option. A JSON value is a string."""
    if isinstance(kind, tuple):
        return Literal[kind]
    return TYPES.get(kind, str)


def _send_request(
    row: CommandOperation, path: Mapping[str, str], parameters: Parameters, given: Mapping[str, Any]
) -> None:
    connection = given.get("connection")
    query: dict[str, str | None] = {}
    body: dict[str, object] = {}
    cut: Callable[[bytes], bytes] | None = None
    for name, (part, parameter) in parameters.items():
        value = given.get(parameter.name)
        if value is None:
            continue
        if part in {"query", "page"}:
            query[name] = "true" if value is True else str(value)
        elif part == "since" and row.id in NEWEST_FIRST:
            cut = partial(cut_page, since=since_time(value))
        elif part == "since":
            if query.get("createdAfter") is not None:
                raise Misused("--since and --created-after exclude each other")
            query["createdAfter"] = since_time(value)
        elif part == "body":
            body[name] = _body_member(row, name, value)
    if given.get("body") is not None:
        body = client.read_json(given["body"], "--body") | body
    else:
        for member in row.body or ():
            if member.required and member.name not in body:
                command = f"athena {row.words}"
                raise Misused(f"{command} needs --{flag(member.name)}", f"see {command} --help")
    if any(member.name == "order" for member in row.query):  # lists of commands are newest first
        query.setdefault("order", "newest")
    if row.id == "findIds":
        query.setdefault("names", "true")
    if row.id in COUNTED and "cursor" not in query:
        query.setdefault("counts", "true")
    if row.stream:
        client.follow(connection, row.id, path=path, query=query)
    elif given.get("everything"):
        client.request_all(connection, row.id, path=path, query=query, options=given.get("listing"), cut=cut)
    else:
        parts: dict[str, Any] = {"path": path, "query": query, "options": given.get("listing"), "cut": cut}
        if row.id in LIMITS:
            query.setdefault("limit", str(LIMITS[row.id]))
        if row.id in SHAPES:
            shape = SHAPES[row.id]
            parts["reshape"] = lambda answer: shape(answer, path)
        asked = body.get("dryRun") is not True and (row.id != "getRun" or query.get("wait") is not None)
        if row.id in PROBLEMS and asked:
            parts["problem"] = PROBLEMS[row.id]
        if row.body is not None:
            parts["body"] = body
        if given.get("if_match") is not None:
            parts["if_match"] = given["if_match"]
        client.request(connection, row.id, detached=bool(given.get("detach")), **parts)


def _body_member(row: CommandOperation, name: str, value: Any) -> Any:
    """Return a member of the body. Options that are neither scalars nor lists of strings are JSON."""
    kind = next(member.kind for member in row.body or () if member.name == name)
    if isinstance(value, float) and not isfinite(value):  # JSON would encode it as null, which means absent
        raise Misused(f"--{flag(name)}: {value} is not a number")
    if name == "input" and kind == "text":
        return client.text_of(value, "--input")
    if kind != "json":
        return value
    import msgspec

    try:
        return msgspec.json.decode(value)
    except msgspec.MsgspecError as error:
        raise Misused(f"--{flag(name)}: {value[:80]!r} is not JSON: {error}") from error


def __getattr__(name: str) -> Callable[..., None]:
    """Build the command of an operation on first access: help lists a hundred commands, and only one of them runs."""
    try:
        return command_of(name)
    except KeyError:
        raise AttributeError(name) from None
