"""The run template: a directive with placeholders and the profile that runs it, in versions."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.definitions.placeholder import malformed_in, names_in
from athena_core.errors import ConfigError, NotFound
from athena_core.event import TEXT, Event, Shows, Text, Value, says
from athena_core.values import LIST_ITEMS_MAX, Body, Label, LongText, RecordId

Params = Annotated[dict[Label, Any], msgspec.Meta(max_length=LIST_ITEMS_MAX)]
SchemaFault = Callable[[Mapping[str, Any]], str | None]
"""A function that returns the problem of a JSON Schema, or None."""
SchemaProblems = Callable[[Mapping[str, Any], object], tuple[str, ...]]
"""A function that returns why a value is invalid against a JSON Schema."""

# Stored events. Their TYPE is storage: never rename one.


class RunTemplateCreated(Event):
    """A run template was created in its first version. ``param_names`` are the parameters with a default."""

    TYPE: ClassVar[str] = "run-template.created"
    SHOWS: ClassVar[Shows] = Shows()
    run_template_id: str
    harness_profile_id: str
    version: int
    param_names: tuple[str, ...]
    params_schema: dict[str, Any] | None = None
    display_name: str | None = None
    directive_template: Text = None
    default_params: Annotated[dict[str, Any] | None, TEXT] = None


class RunTemplateUpdated(Event):
    """A run template has a new version, which replaces all fields. Runs of earlier versions do not change."""

    TYPE: ClassVar[str] = "run-template.updated"
    SHOWS: ClassVar[Shows] = Shows(audit="it adds a version and leaves the earlier ones as they are")
    run_template_id: str
    harness_profile_id: str
    version: int
    param_names: tuple[str, ...]
    params_schema: dict[str, Any] | None = None
    display_name: str | None = None
    directive_template: Text = None
    default_params: Annotated[dict[str, Any] | None, TEXT] = None


class RunTemplateRun(Event):
    """A run was started from a version of a template. The event is in the stream of that run.

    ``param_names`` are the names of its parameters. Their values are text.
    """

    TYPE: ClassVar[str] = "run-template.run"
    SHOWS: ClassVar[Shows] = Shows(explain="the admission in the same commit is explained", simulate=True)
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
    """The newest version of a template; 0 before it is created."""

    version: int = 0


def evolve(state: TemplateState, event: Event) -> TemplateState:
    match event:
        case RunTemplateCreated() | RunTemplateUpdated():
            return TemplateState(version=event.version)
        case _:
            return state


# Commands


class TemplateSpec(Body):
    """A run template as a client writes it.

    Parameters are strings, unless ``params_schema`` defines them: a JSON Schema of an object with all parameters.
    """

    harness_profile_id: RecordId
    directive_template: Annotated[LongText, says("Text with placeholders such as `{{name}}`.")]
    default_params: Annotated[Params, says("Values of parameters that a run does not give.")]
    params_schema: dict[str, Any] | None = None
    display_name: Label | None = None


class CreateTemplate(Value):
    """Create a template under a new id."""

    run_template_id: str
    spec: TemplateSpec


class UpdateTemplate(Value):
    """Add a version, unless the newest one is ``same_as``, which has the same content."""

    run_template_id: str
    spec: TemplateSpec
    same_as: int | None = None


TemplateCommand = CreateTemplate | UpdateTemplate


def normalise_template(spec: TemplateSpec, schema_fault: SchemaFault, problems: SchemaProblems) -> TemplateSpec:
    """Return the template as it is stored. Raise ConfigError."""
    schema = spec.params_schema
    if schema is not None:
        fault = schema_fault(schema)
        if fault is not None:
            raise ConfigError.of("paramsSchema", fault, "use a JSON Schema within the limits")
        whole = {name: part for name, part in schema.items() if name != "required"}
        found = problems(whole, spec.default_params)
        if found:
            raise ConfigError.of(
                "defaultParams", f"do not match paramsSchema: {'; '.join(found)}", "use defaults that match the schema"
            )
        required = schema.get("required", ())
    else:
        required = ()
    params = spec.default_params if schema is not None else string_params(spec.default_params, "defaultParams")
    malformed = malformed_in(spec.directive_template)
    if malformed:
        raise ConfigError.of(
            "directiveTemplate",
            f"{', '.join(malformed)}: not the name of a parameter",
            "use letters, digits and underscores; to keep braces, pass them in the value of a parameter",
        )
    missing = [name for name in names_in(spec.directive_template) if name not in params and name not in required]
    if missing:
        names = ", ".join(missing)
        remedy = "add a default for each placeholder" + (", or list it in `required` of paramsSchema" if schema else "")
        raise ConfigError.of("defaultParams", f"lacks {names}, which directiveTemplate uses", remedy)
    return TemplateSpec(
        harness_profile_id=spec.harness_profile_id,
        directive_template=spec.directive_template,
        default_params=params,
        params_schema=schema,
        display_name=spec.display_name,
    )


def resolve_params(
    defaults: Mapping[str, Any], given: Mapping[str, Any], schema: Mapping[str, Any] | None, problems: SchemaProblems
) -> dict[str, Any]:
    """Return the parameters of a run: the defaults, overridden by the given ones. Raise ConfigError."""
    if schema is None:
        return {**defaults, **string_params(given, "params")}
    params = {**defaults, **given}
    found = problems(schema, params)
    if found:
        raise ConfigError.of(
            "params",
            f"do not match paramsSchema of the template: {'; '.join(found)}",
            "use values that match the schema",
        )
    return params


def string_params(params: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return parameters without a schema: non-blank strings, trimmed like their names. Raise ConfigError."""
    for name, value in params.items():
        if not isinstance(value, str) or not value.strip():
            remedy = "use a string that is not blank; other types need a template with paramsSchema"
            raise ConfigError.of(f"{field}.{name}", "must be a string that is not blank", remedy)
    return {name.strip(): value.strip() for name, value in params.items()}


def decide(command: TemplateCommand, state: TemplateState, context: Context) -> tuple[Event, ...]:
    """Create the template, or add a version if something changes. Raise NotFound."""
    spec = command.spec
    fields: dict[str, Any] = {
        "run_template_id": command.run_template_id,
        "harness_profile_id": spec.harness_profile_id,
        "version": state.version + 1,
        "param_names": tuple(spec.default_params),
        "params_schema": spec.params_schema,
        "display_name": spec.display_name,
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
