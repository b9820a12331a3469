"""The run template: a directive with placeholders and the profile that runs it, in versions."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.definitions.placeholder import names_in
from athena_core.errors import ConfigError, NotFound
from athena_core.event import TEXT, Event, Shows, Text, Value
from athena_core.values import LIST_ITEMS_MAX, Body, Label, LongText, RecordId

Params = Annotated[dict[Label, Any], msgspec.Meta(max_length=LIST_ITEMS_MAX)]
SchemaFault = Callable[[Mapping[str, Any]], str | None]
"""What is wrong with a JSON Schema, or None."""
SchemaProblems = Callable[[Mapping[str, Any], object], tuple[str, ...]]
"""What keeps a value from fitting a JSON Schema."""

# Stored events. Their TYPE is storage: never rename one.


class RunTemplateCreated(Event):
    """A run template exists, in its first version; ``param_names`` are those that have a default."""

    TYPE: ClassVar[str] = "run-template.created"
    SHOWS: ClassVar[Shows] = Shows()
    run_template_id: str
    harness_profile_id: str
    version: int
    param_names: tuple[str, ...]
    params_schema: dict[str, Any] | None = None
    directive_template: Text = None
    default_params: Annotated[dict[str, Any] | None, TEXT] = None


class RunTemplateUpdated(Event):
    """A run template has another version, whole; runs of earlier ones stay what they were."""

    TYPE: ClassVar[str] = "run-template.updated"
    SHOWS: ClassVar[Shows] = Shows(audit="it adds a version and leaves the earlier ones as they are")
    run_template_id: str
    harness_profile_id: str
    version: int
    param_names: tuple[str, ...]
    params_schema: dict[str, Any] | None = None
    directive_template: Text = None
    default_params: Annotated[dict[str, Any] | None, TEXT] = None


class RunTemplateRun(Event):
    """A run was started from a version of a template; stands in the stream of that run.

    ``param_names`` says which parameters there were; what they were is text.
    """

    TYPE: ClassVar[str] = "run-template.run"
    SHOWS: ClassVar[Shows] = Shows(explain="the admission beside it is explained", simulate=True)
    run_template_id: str
    version: int
    directive_id: str
    harness_profile_id: str
    provider: str
    model: str
    param_names: tuple[str, ...]
    effective_params: Annotated[dict[str, Any] | None, TEXT] = None


# State


class TemplateState(Value):
    """Which version is the newest; 0 before there is one."""

    version: int = 0


def evolve(state: TemplateState, event: Event) -> TemplateState:
    """Follow one event."""
    match event:
        case RunTemplateCreated() | RunTemplateUpdated():
            return TemplateState(version=event.version)
        case _:
            return state


# Commands


class TemplateSpec(Body):
    """A run template as its author wrote it (contract 4.6).

    Parameters are strings, unless ``params_schema``, the JSON Schema of all of them as an object, says otherwise.
    """

    harness_profile_id: RecordId
    directive_template: LongText
    default_params: Params
    params_schema: dict[str, Any] | None = None


class CreateTemplate(Value):
    """Create a template under a new id."""

    run_template_id: str
    spec: TemplateSpec


class UpdateTemplate(Value):
    """Make another version, unless the newest is ``same_as``, which is known to say the same."""

    run_template_id: str
    spec: TemplateSpec
    same_as: int | None = None


TemplateCommand = CreateTemplate | UpdateTemplate


def normalise_template(spec: TemplateSpec, schema_fault: SchemaFault, problems: SchemaProblems) -> TemplateSpec:
    """The template as it is kept. Raises ConfigError (contract 4.6)."""
    schema = spec.params_schema
    if schema is not None:
        fault = schema_fault(schema)
        if fault is not None:
            raise ConfigError.of("paramsSchema", fault, "a JSON Schema within the limits")
        whole = {name: part for name, part in schema.items() if name != "required"}
        found = problems(whole, spec.default_params)
        if found:
            raise ConfigError.of(
                "defaultParams", f"do not fit paramsSchema: {'; '.join(found)}", "defaults that fit it"
            )
        required = schema.get("required", ())
    else:
        required = ()
    params = spec.default_params if schema is not None else string_params(spec.default_params, "defaultParams")
    missing = [name for name in names_in(spec.directive_template) if name not in params and name not in required]
    if missing:
        names = ", ".join(missing)
        remedy = "a default for each placeholder" + (", or its name in `required` of paramsSchema" if schema else "")
        raise ConfigError.of("defaultParams", f"lacks {names}, which directiveTemplate names", remedy)
    return TemplateSpec(
        harness_profile_id=spec.harness_profile_id,
        directive_template=spec.directive_template,
        default_params=params,
        params_schema=schema,
    )


def resolve_params(
    defaults: Mapping[str, Any], given: Mapping[str, Any], schema: Mapping[str, Any] | None, problems: SchemaProblems
) -> dict[str, Any]:
    """The parameters of a run: the defaults, overlaid by what was given. Raises ConfigError."""
    if schema is None:
        return {**defaults, **string_params(given, "params")}
    params = {**defaults, **given}
    found = problems(schema, params)
    if found:
        raise ConfigError.of(
            "params", f"do not fit paramsSchema of the template: {'; '.join(found)}", "values that fit"
        )
    return params


def string_params(params: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Parameters without a schema: strings that are not blank, trimmed as their names. Raises ConfigError."""
    for name, value in params.items():
        if not isinstance(value, str) or not value.strip():
            remedy = "a string that is not blank; other types need a template with paramsSchema"
            raise ConfigError.of(f"{field}.{name}", "must be a string that is not blank", remedy)
    return {name.strip(): value.strip() for name, value in params.items()}


def decide(command: TemplateCommand, state: TemplateState, context: Context) -> tuple[Event, ...]:
    """Create it once; change it where something changes. Raises NotFound."""
    spec = command.spec
    fields: dict[str, Any] = {
        "run_template_id": command.run_template_id,
        "harness_profile_id": spec.harness_profile_id,
        "version": state.version + 1,
        "param_names": tuple(spec.default_params),
        "params_schema": spec.params_schema,
        "directive_template": spec.directive_template,
        "default_params": spec.default_params,
    }
    match command:
        case CreateTemplate():
            return () if state.version else (RunTemplateCreated(**fields),)
        case UpdateTemplate():
            if not state.version:
                raise NotFound(f"no run template {command.run_template_id!r} exists")
            return () if command.same_as == state.version else (RunTemplateUpdated(**fields),)


DECIDER: Decider[TemplateState] = Decider(
    category="tpl",
    events=(RunTemplateCreated, RunTemplateUpdated, RunTemplateRun),
    initial=TemplateState(),
    evolve=evolve,
)
