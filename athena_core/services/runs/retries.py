"""Retries: the request of a run that ended, read from its events to be made again with changes."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple

from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import run
from athena_core.errors import ConfigError, NotFound
from athena_core.event import says
from athena_core.log.codec import Codec
from athena_core.log.port import StoreReader
from athena_core.services.access.access import ScopeProof
from athena_core.services.runs.prepared import PreparedRun, RunRetry, micro_usd
from athena_core.values import MICRO_USD, LongText, RunBody, RunChanges, persona_named


class RetryBody(RunChanges):
    """Changes to the request of a run that is retried. An absent member keeps its value."""

    input: Annotated[LongText | None, says("Another text of the task; absent, the same.")] = None


class RetriedRequest(NamedTuple):
    """The request of a retry, and what else it takes from the run that it retries."""

    body: RunBody
    retry: RunRetry
    directive_id: str
    """The directive of the first run. Its context references apply to a new input, too."""


def retried_request(reader: StoreReader, codec: Codec, run_id: str, changes: RetryBody) -> RetriedRequest:
    """Return the request of a run with changes. Raise NotFound, or ConfigError if its text was erased."""
    rows = reader.part(run_id, 0, 1, 1, backwards=False) if run.DECIDER.owns(run_id) else []
    first = codec.decode(rows[0]).event if rows else None
    if not isinstance(first, run.RunRequest):
        raise NotFound(f"no run {run_id!r} exists")
    if rows[0].text_hash is not None and rows[0].text is None:
        raise ConfigError.of("runId", f"the text of run {run_id} was erased", "a new run")
    if changes.harness_profile_id is not None and (changes.provider or changes.model):
        remedy = "either a profile, or provider and model"
        raise ConfigError.of("harnessProfileId", "cannot be combined with provider or model", remedy)
    profile_id = changes.harness_profile_id or (first.harness_profile_id if first.profile_named else None)
    other_provider = changes.provider is not None and changes.provider != first.provider
    plain = profile_id is None
    body = RunBody(
        session_id=first.session_id,
        input=changes.input,
        directive_id=first.directive_id if changes.input is None else None,
        harness_profile_id=profile_id,
        provider=(changes.provider or first.provider) if plain else None,
        model=(changes.model or (None if other_provider else first.model)) if plain else None,
        metadata=first.metadata,
    )
    retry = RunRetry(
        run_id=run_id,
        provider=changes.provider,
        model=changes.model,
        budget_usd=_budget_usd(first, changes),
        fallbacks=first.fallbacks if plain and not other_provider else None,
        scope=first.scope,
        workflow_run_id=first.workflow_run_id,
    )
    return RetriedRequest(body, retry, first.directive_id)


def _budget_usd(first: run.RunRequest, changes: RetryBody) -> float | None:
    """Return the budget of the retry if it does not come from its profile; 0 means no budget."""
    if changes.budget_usd is not None or changes.harness_profile_id is not None:
        return changes.budget_usd
    of_profile = micro_usd(first.harness_profile_snapshot.policies.budget_usd)
    return None if first.budget_micro_usd == of_profile else (first.budget_micro_usd or 0) / MICRO_USD


def with_model(profile: HarnessSpec, retry: RunRetry) -> tuple[str, str]:
    """Return the provider and the model of a retry; an empty model stands for the only one of another provider."""
    config = profile.config
    provider = retry.provider or config.provider
    return provider, retry.model or (config.model if provider == config.provider else "")


def retry_demands(prepared: PreparedRun) -> Iterator[tuple[str, ScopeProof, str]]:
    """Yield the operations that the changes of a retry amount to: they may not exceed a profile of an operator."""
    retry, profile = prepared.retry, prepared.profile
    if retry is None or profile is None:
        return
    proof = {"sessions": (prepared.session_id,), "personas": (persona_named(prepared.body.metadata) or "",)}
    if (prepared.provider, prepared.model) != (profile.config.provider, profile.config.model):
        yield "createHarnessProfile", proof, "a retry with another model than its profile has"
    own, budget = micro_usd(profile.policies.budget_usd), prepared.budget_micro_usd
    if own is not None and (budget is None or budget > own):
        yield "resumeRun", proof, "a retry with a higher budget than its profile has"
