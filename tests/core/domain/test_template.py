"""Run templates: versions and allowed parameters."""

from typing import Any

import pytest
from msgspec.structs import replace

from athena_core import schema
from athena_core.domain import template
from athena_core.errors import ConfigError, NotFound
from tests.core.domain.given import Given

SPEC = template.TemplateSpec(
    harness_profile_id="hp_1", directive_template="write about {{topic}}", default_params={"topic": "apples"}
)
TYPED = replace(
    SPEC,
    directive_template="{{count}} about {{topic}}",
    params_schema={"properties": {"count": {"type": "integer"}}, "required": ["count"]},
)
CREATE = template.CreateTemplate(run_template_id="tpl_1", spec=SPEC)
FIELDS: dict[str, Any] = {
    "run_template_id": "tpl_1",
    "harness_profile_id": "hp_1",
    "param_names": ("topic",),
    "default_params": {"topic": "apples"},
}
CREATED = template.RunTemplateCreated(version=1, directive_template="write about {{topic}}", **FIELDS)


def normalise(spec: template.TemplateSpec) -> template.TemplateSpec:
    return template.normalise_template(spec, schema.check, schema.problems)


def test_a_template_is_created_once() -> None:
    Given(template.DECIDER, template.decide).when(CREATE).then(CREATED)
    Given(template.DECIDER, template.decide, CREATED).when(CREATE).then_nothing()


def test_a_change_makes_another_version_and_no_change_none() -> None:
    update = template.UpdateTemplate(run_template_id="tpl_1", spec=replace(SPEC, directive_template="no more"))
    given = Given(template.DECIDER, template.decide, CREATED)
    given.when(update).then(template.RunTemplateUpdated(version=2, directive_template="no more", **FIELDS))
    given.when(replace(update, same_as=1)).then_nothing()
    again = template.RunTemplateUpdated(version=2, directive_template="no more", **FIELDS)
    given = Given(template.DECIDER, template.decide, CREATED, again)
    (third,) = given.when(replace(update, same_as=1)).then_types(template.RunTemplateUpdated)
    assert getattr(third, "version", 0) == 3
    Given(template.DECIDER, template.decide).when(update).then_rejected(NotFound)


def test_parameters_without_a_schema_are_trimmed_strings() -> None:
    assert normalise(replace(SPEC, default_params={"topic": " pears "})).default_params == {"topic": "pears"}
    assert template.resolve_params({"a": "1", "b": "2"}, {"b": " x ", "c": "y"}, None, schema.problems) == {
        "a": "1",
        "b": "x",
        "c": "y",
    }


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        (replace(SPEC, directive_template="{{topic}} {{b}} {{a}}"), "defaultParams", "lacks b, a"),
        (
            replace(SPEC, directive_template="{{topic}} {{a-b}} {{ }}"),
            "directiveTemplate",
            "{{a-b}}, {{ }}: not the name",
        ),
        (replace(SPEC, default_params={"topic": " "}), "defaultParams.topic", "not blank"),
        (replace(SPEC, default_params={"topic": 3}), "defaultParams.topic", "string"),
        (replace(TYPED, params_schema={"type": "nonsense"}), "paramsSchema", "/type: "),
        (replace(TYPED, params_schema={"type": "object"}), "defaultParams", "lacks count"),
        (replace(TYPED, default_params={"topic": "x", "count": "many"}), "defaultParams", "/count: "),
    ],
)
def test_a_wrong_template_is_refused_with_its_field(spec: template.TemplateSpec, field: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        normalise(spec)
    assert isinstance(caught.value.details, list)
    assert [fault.field for fault in caught.value.details] == [field]


def test_a_schema_lets_parameters_have_types_and_says_where_they_do_not_fit() -> None:
    spec = normalise(TYPED)
    given = {"count": 3}
    assert template.resolve_params(spec.default_params, given, spec.params_schema, schema.problems)["count"] == 3
    for wrong in ({}, {"count": "3"}):
        with pytest.raises(ConfigError, match="count"):
            template.resolve_params(spec.default_params, wrong, spec.params_schema, schema.problems)


@pytest.mark.parametrize("value", [3, " ", None, ["x"]])
def test_a_parameter_other_than_a_string_needs_a_schema(value: object) -> None:
    with pytest.raises(ConfigError, match=r"params\.topic"):
        template.resolve_params({"topic": "x"}, {"topic": value}, None, schema.problems)
