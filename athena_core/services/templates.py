"""The service of run templates: versions, parameters, and runs of them."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from athena_core import schema
from athena_core.clock import Ids
from athena_core.decider import Context, Key, Outcome, Reader, facts_of, transact
from athena_core.definitions.placeholder import as_text, fill
from athena_core.domain import template
from athena_core.errors import ConfigError, NotFound, PreconditionFailed
from athena_core.event import Meta
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from athena_core.services.catalog import Catalog
from athena_core.services.runs.prepared import PreparedRun
from athena_core.services.runs.runs import Runs
from athena_core.values import Identity, RunBody

TemplateVersion = template.RunTemplateCreated | template.RunTemplateUpdated


class Templates:
    """Creates and changes run templates, and prepares runs of them."""

    def __init__(self, log: Log, catalog: Catalog, runs: Runs, ids: Ids) -> None:
        self._log = log
        self._catalog = catalog
        self._runs = runs
        self._ids = ids
        self._reader = log.reader()

    async def create(self, spec: template.TemplateSpec, meta: Meta, key: Key | None) -> Committed:
        """Create a template; the subject of the commit is its id. Raise ConfigError."""
        normal = self._checked(spec)
        template_id = self._ids.new("tpl")
        command = template.CreateTemplate(run_template_id=template_id, spec=normal)
        create = transact(template, template_id, command, subject=template_id)
        return await self._log.submit(create, meta, key, frozenset((template_id,)))

    async def update(
        self,
        template_id: str,
        spec: template.TemplateSpec,
        meta: Meta,
        key: Key | None,
        expected: Callable[[int], bool] | None = None,
    ) -> Committed[int]:
        """Create another version of a template; the answer is the number of the version in force.

        ``expected`` returns True if the version in force may be replaced. Raise ConfigError, NotFound or
        PreconditionFailed.
        """
        newest, _ = self.newest(template_id)
        normal = self._checked(spec)
        same = newest.version if spec_of(newest) == normal else None
        command = template.UpdateTemplate(run_template_id=template_id, spec=normal, same_as=same)

        def update(reader: Reader, context: Context) -> Outcome[int]:
            state = reader.state(template.DECIDER, template_id)
            if expected is not None and not expected(state.version):
                raise PreconditionFailed(
                    "the template was changed by another request; read it again", {"version": state.version}
                )
            events = template.decide(command, state, context)
            facts = facts_of(template_id, events)
            return Outcome(facts=facts, subject=template_id, answer=state.version + len(events))

        return await self._log.submit(update, meta, key, answers=int)

    def _checked(self, spec: template.TemplateSpec) -> template.TemplateSpec:
        normal = template.normalise_template(spec, schema.check, schema.problems)
        self._catalog.profile(normal.harness_profile_id, "harnessProfileId")
        return normal

    def newest(self, template_id: str) -> tuple[TemplateVersion, int]:
        """Return the newest version of a template with its text, and its time. Raise NotFound."""
        rows = self._reader.stream(template_id) if template.DECIDER.owns(template_id) else []
        if not rows:
            raise NotFound(f"no run template {template_id!r} exists")
        recorded = self._log.codec.decode(rows[-1])
        if not isinstance(recorded.event, TemplateVersion):
            raise NotFound(f"{template_id!r} is not a run template")
        return recorded.event, recorded.at

    async def prepare(
        self, template_id: str, params: Mapping[str, Any] | None, session_id: str | None, who: Identity
    ) -> PreparedRun:
        """Prepare a run of the newest version of a template; nothing is stored yet.

        Without a session it gets one of its own. Raise NotFound, ConfigError, and the errors of ``Runs.prepare``.
        """
        newest, _ = self.newest(template_id)
        if newest.directive_template is None:
            raise ConfigError.of("templateId", f"the text of {template_id} was redacted", "another template")
        values = template.resolve_params(
            newest.default_params or {}, params or {}, newest.params_schema, schema.problems
        )
        text = as_text(fill(newest.directive_template, values, "params"))
        if not text.strip():
            raise ConfigError.of("params", "leave the directive blank", "values that are not blank")
        fresh = f"template-{template_id}-{self._ids.trace().replace('-', '')[-12:]}"
        profile_id = newest.harness_profile_id
        body = RunBody(session_id=session_id or fresh, input=text, harness_profile_id=profile_id)
        prepared = await self._runs.prepare(body, who)
        origin = template.RunTemplateRun(
            run_template_id=template_id,
            version=newest.version,
            directive_id=prepared.directive_id,
            harness_profile_id=profile_id,
            provider=prepared.provider,
            model=prepared.model,
            param_names=tuple(values),
            effective_params=values,
        )
        return replace(prepared, origin=origin)

    def close(self) -> None:
        self._reader.close()


def spec_of(version: TemplateVersion) -> template.TemplateSpec:
    """Return a version as its author wrote it; redacted text is blank."""
    return template.TemplateSpec(
        harness_profile_id=version.harness_profile_id,
        directive_template=version.directive_template or "",
        default_params=version.default_params or {},
        params_schema=version.params_schema,
        display_name=version.display_name,
    )
