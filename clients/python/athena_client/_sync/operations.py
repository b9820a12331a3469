"""The operations of the API as methods, one for each.

Generated from the API document by `python -m docs.generate`; do not edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from athena_client import models
from athena_client._sync.core import Core, Pages, Stream

if TYPE_CHECKING:
    from athena_client.events import Event, EventType


def _headers(if_match: int | str | None = None, respond_async: bool = False) -> dict[str, str]:
    """Return the headers of a condition and of a preference."""
    headers = {} if if_match is None else {"if-match": f'"{if_match}"' if isinstance(if_match, int) else if_match}
    return headers | {"prefer": "respond-async"} if respond_async else headers


class Operations(Core):
    """One method for each operation. All of them raise AthenaError."""

    def get_capabilities(self) -> models.Capabilities:
        """Get the features, providers and limits of the server.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.Capabilities = self.request("GET", "/capabilities", models.Capabilities)
        return answer

    def get_caller(self) -> models.Caller:
        """Get the identity of the caller and the operations that it may use.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.Caller = self.request("GET", "/caller", models.Caller)
        return answer

    def get_admin_health(self) -> models.Health:
        """Get the health of the server and the state of each projection.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.Health = self.request("GET", "/admin/health", models.Health)
        return answer

    def accept_clock(self, *, idempotency_key: str | None = None) -> models.AcceptedClock:
        """Accept a forward jump of the machine's clock now, without waiting ten minutes.

        Args:
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.AcceptedClock = self.request(
            "POST", "/admin/clock/accept", models.AcceptedClock, key=idempotency_key
        )
        return answer

    def get_view_digests(self, *, min_position: int | None = None, stale: str | None = None) -> models.ViewDigests:
        """Get a checksum of each view.

        Reads every row; concurrent requests share one scan.

        Args:
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `NOT_CAUGHT_UP`, or an error of every call.
        """
        answer: models.ViewDigests = self.request(
            "GET", "/admin/digests", models.ViewDigests, query={"minPosition": min_position, "stale": stale}
        )
        return answer

    def find_ids(
        self,
        part: str,
        *,
        names: bool | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.FoundIds:
        """Find the ids of records that begin or end with a part, at most ten.

        The part has at least six characters; case does not matter. With `names`, records are found, too, whose names
        contain a part of any length: harness profiles, schedules and personas. A caller with a scope finds its runs,
        their asks and evidence, and harness profiles.

        Args:
            part: Beginning or end of an id, or a part of a name.
            names: Find records by their names, too, and take a part of any length.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an
                error of every call.
        """
        answer: models.FoundIds = self.request(
            "GET",
            "/ids/{part}",
            models.FoundIds,
            parameters={"part": part},
            query={"names": names, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_workers(self) -> models.Workers:
        """List the servers and workers on this log, with their capacity, running runs and last heartbeat.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.Workers = self.request("GET", "/workers", models.Workers)
        return answer

    def list_agents(self) -> models.AgentList:
        """List the outside agents that are registered on this server, and their living processes with their memory.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.AgentList = self.request("GET", "/agents", models.AgentList)
        return answer

    def list_mcp_servers(self) -> models.McpServerList:
        """List the MCP servers that are registered on this server, and those that were listed by others.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.McpServerList = self.request("GET", "/mcp-servers", models.McpServerList)
        return answer

    def get_mcp_server(self, server: str) -> models.McpServerDetails:
        """Get an MCP server with the tools that it listed last, and what an operator accepted.

        Args:
            server: The `server` of the request.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.McpServerDetails = self.request(
            "GET", "/mcp-servers/{server}", models.McpServerDetails, parameters={"server": server}
        )
        return answer

    def check_mcp_server(self, server: str, *, idempotency_key: str | None = None) -> models.McpServerDetails:
        """Start an MCP server, list its tools, record them if they changed, and end it.

        Nothing is accepted by that.

        Args:
            server: The `server` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `MCP_SERVER_FAILED`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.McpServerDetails = self.request(
            "POST",
            "/mcp-servers/{server}/check",
            models.McpServerDetails,
            parameters={"server": server},
            key=idempotency_key,
        )
        return answer

    def accept_mcp_tools(
        self,
        server: str,
        *,
        subject_hash: str | None = None,
        listing_sha256: str | None = None,
        tools: Sequence[str] | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.McpServerDetails:
        """Accept tools of an MCP server as it listed them last.

        Args:
            server: The `server` of the request.
            subject_hash: Hash of the list that was shown.
            listing_sha256: The same as `subject_hash`, under its name of release 0.2.
            tools: Names of the tools; absent: all of the list.
            note: Reason, for the audit trail.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `MCP_LISTING_CHANGED`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.McpServerDetails = self.request(
            "POST",
            "/mcp-servers/{server}/accept",
            models.McpServerDetails,
            parameters={"server": server},
            body={"subjectHash": subject_hash, "listingSha256": listing_sha256, "tools": tools, "note": note},
            key=idempotency_key,
        )
        return answer

    @overload
    def create_run(
        self,
        *,
        session_id: str | None = None,
        input: str | None = None,
        directive_id: str | None = None,
        harness_profile_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        session_strategy: Literal["enqueue", "interrupt", "reject"] | None = None,
        parent_run_id: str | None = None,
        idempotency_key: str | None = None,
        respond_async: Literal[True],
    ) -> models.Run: ...

    @overload
    def create_run(
        self,
        *,
        session_id: str | None = None,
        input: str | None = None,
        directive_id: str | None = None,
        harness_profile_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        session_strategy: Literal["enqueue", "interrupt", "reject"] | None = None,
        parent_run_id: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.RunResult | models.Run: ...

    def create_run(
        self,
        *,
        session_id: str | None = None,
        input: str | None = None,
        directive_id: str | None = None,
        harness_profile_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
        session_strategy: Literal["enqueue", "interrupt", "reject"] | None = None,
        parent_run_id: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.RunResult | models.Run:
        """Start a run.

        Waits for its result unless `respond_async` is True.

        Send `input` or `directive_id`. A run that fails is an error of this call, with its id in `details`. If the run
        is paused, the answer is 202 with its record.

        Args:
            session_id: Session to run in; absent, a new one.
            input: Text of the task, instead of `directive_id`.
            directive_id: Directive to run, instead of `input`.
            harness_profile_id: Profile that runs it; absent, the default profile with `provider` and `model`.
            provider: Provider, without a profile; absent, the default.
            model: Model, without a profile; absent, the default.
            metadata: Names and values of the client. `persona` names the persona of the run.
            session_strategy: What to do if the session is busy; absent: `enqueue`.
            parent_run_id: Run that starts it. Its cancel also cancels this run.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `AGENT_BROKEN`, `AGENT_GONE`, `AGENT_MODE_CHANGED`, `AGENT_REFUSED`, `AGENT_SILENT`,
                `AGENT_UNAVAILABLE`, `AMBIGUOUS_NAME`, `ASK_REJECTED`, `CONTEXT_OVERFLOW`, `NOT_CAUGHT_UP`,
                `POLICY_BUDGET_EXCEEDED`, `POLICY_CONCURRENCY_LIMIT_EXCEEDED`, `PROVIDER_ERROR`,
                `PROVIDER_NOT_FOUND`, `RUN_CANCELLED`, `RUN_CRASHED`, `RUN_TIMEOUT`, `SANDBOX_UNAVAILABLE`,
                `SESSION_LOCK_TIMEOUT`, `STUCK`, `TURN_LIMIT`, `WORKSPACE_DISK_FULL`, `WORKSPACE_LIMIT`,
                `WORKSPACE_MISSING`, or an error of every call.
        """
        answer: models.RunResult | models.Run = self.request(
            "POST",
            "/runs",
            models.RunResult,
            body={
                "sessionId": session_id,
                "input": input,
                "directiveId": directive_id,
                "harnessProfileId": harness_profile_id,
                "provider": provider,
                "model": model,
                "metadata": metadata,
                "sessionStrategy": session_strategy,
                "parentRunId": parent_run_id,
            },
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
            accepted=models.Run,
        )
        return answer

    @overload
    def retry_run(
        self,
        run_id: str,
        *,
        harness_profile_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        budget_usd: float | None = None,
        input: str | None = None,
        idempotency_key: str | None = None,
        respond_async: Literal[True],
    ) -> models.Run: ...

    @overload
    def retry_run(
        self,
        run_id: str,
        *,
        harness_profile_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        budget_usd: float | None = None,
        input: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.RunResult | models.Run: ...

    def retry_run(
        self,
        run_id: str,
        *,
        harness_profile_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        budget_usd: float | None = None,
        input: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.RunResult | models.Run:
        """Run the request of an ended run again, with the changes of the body.

        Answers as `POST /runs` does.

        The new run has the session, the directive or `input`, the profile and the metadata of the first, but not its
        parent. The first run stays as it is.

        Args:
            run_id: The `run_id` of the request.
            harness_profile_id: Another profile; absent, the same.
            provider: Another provider; absent, the same.
            model: Another model; absent, the same.
            budget_usd: Budget in dollars, 0: none; absent, the same.
            input: Another text of the task; absent, the same.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `AGENT_BROKEN`, `AGENT_GONE`, `AGENT_MODE_CHANGED`, `AGENT_REFUSED`, `AGENT_SILENT`,
                `AGENT_UNAVAILABLE`, `AMBIGUOUS_NAME`, `ASK_REJECTED`, `CONTEXT_OVERFLOW`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `POLICY_BUDGET_EXCEEDED`, `POLICY_CONCURRENCY_LIMIT_EXCEEDED`,
                `PROVIDER_ERROR`, `PROVIDER_NOT_FOUND`, `RUN_CANCELLED`, `RUN_CRASHED`, `RUN_NOT_ENDED`,
                `RUN_TIMEOUT`, `SANDBOX_UNAVAILABLE`, `SESSION_LOCK_TIMEOUT`, `STUCK`, `TURN_LIMIT`,
                `UNKNOWN_ERROR`, `WORKSPACE_DISK_FULL`, `WORKSPACE_LIMIT`, `WORKSPACE_MISSING`, or an error
                of every call.
        """
        answer: models.RunResult | models.Run = self.request(
            "POST",
            "/runs/{runId}/retry",
            models.RunResult,
            parameters={"runId": run_id},
            body={
                "harnessProfileId": harness_profile_id,
                "provider": provider,
                "model": model,
                "budgetUsd": budget_usd,
                "input": input,
            },
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
            accepted=models.Run,
        )
        return answer

    def list_runs(
        self,
        *,
        session_id: str | None = None,
        status: Literal["cancelled", "completed", "crashed", "failed", "paused", "queued", "running", "timed-out"]
        | None = None,
        provider: str | None = None,
        model: str | None = None,
        harness_profile_id: str | None = None,
        error_code: str | None = None,
        parent_run_id: str | None = None,
        retry_of: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        cost_over_usd: float | None = None,
        duration_over_ms: int | None = None,
        sort: Literal["cost", "createdAt", "duration"] | None = None,
        include: Literal["output"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Run]:
        """List runs, newest first.

        `sort=cost` lists the dearest runs first and leaves out runs without a cost. `sort=duration` lists the longest
        first and leaves out runs that have not ended.

        Args:
            session_id: The `session_id` of the request.
            status: The `status` of the request.
            provider: Name of the provider.
            model: Name of the model.
            harness_profile_id: The `harness_profile_id` of the request.
            error_code: Only runs that ended with this error code.
            parent_run_id: Only children of this run.
            retry_of: Only retries of this run.
            created_after: Only what was created at this time or later.
            created_before: Only what was created at this time or earlier.
            cost_over_usd: Only runs that cost more, in dollars.
            duration_over_ms: Only ended runs that took longer, in milliseconds.
            sort: Order, the largest first; absent: `created_at`.
            include: `output` adds whole outputs.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/runs",
            models.Run,
            query={
                "sessionId": session_id,
                "status": status,
                "provider": provider,
                "model": model,
                "harnessProfileId": harness_profile_id,
                "errorCode": error_code,
                "parentRunId": parent_run_id,
                "retryOf": retry_of,
                "createdAfter": created_after,
                "createdBefore": created_before,
                "costOverUsd": cost_over_usd,
                "durationOverMs": duration_over_ms,
                "sort": sort,
                "include": include,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_run_facets(
        self,
        *,
        session_id: str | None = None,
        status: Literal["cancelled", "completed", "crashed", "failed", "paused", "queued", "running", "timed-out"]
        | None = None,
        provider: str | None = None,
        model: str | None = None,
        harness_profile_id: str | None = None,
        error_code: str | None = None,
        parent_run_id: str | None = None,
        retry_of: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        cost_over_usd: float | None = None,
        duration_over_ms: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.RunFacets:
        """Count runs by status, profile, model, error code and session, with the filters of `GET /runs`.

        Args:
            session_id: The `session_id` of the request.
            status: The `status` of the request.
            provider: Name of the provider.
            model: Name of the model.
            harness_profile_id: The `harness_profile_id` of the request.
            error_code: Only runs that ended with this error code.
            parent_run_id: Only children of this run.
            retry_of: Only retries of this run.
            created_after: Only what was created at this time or later.
            created_before: Only what was created at this time or earlier.
            cost_over_usd: Only runs that cost more, in dollars.
            duration_over_ms: Only ended runs that took longer, in milliseconds.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, or an error of every call.
        """
        answer: models.RunFacets = self.request(
            "GET",
            "/runs/facets",
            models.RunFacets,
            query={
                "sessionId": session_id,
                "status": status,
                "provider": provider,
                "model": model,
                "harnessProfileId": harness_profile_id,
                "errorCode": error_code,
                "parentRunId": parent_run_id,
                "retryOf": retry_of,
                "createdAfter": created_after,
                "createdBefore": created_before,
                "costOverUsd": cost_over_usd,
                "durationOverMs": duration_over_ms,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )
        return answer

    def get_run(
        self,
        run_id: str,
        *,
        wait: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.Run:
        """Get a run.

        With `wait`, the answer waits up to that many seconds for its end.

        Args:
            run_id: The `run_id` of the request.
            wait: Seconds to wait for the end of the run.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Run = self.request(
            "GET",
            "/runs/{runId}",
            models.Run,
            parameters={"runId": run_id},
            query={"wait": wait, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_run_evidence(
        self,
        run_id: str,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.EvidenceRecord]:
        """List a run's evidence, newest first, without contents.

        Args:
            run_id: The `run_id` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        return self.pages(
            "/runs/{runId}/evidence",
            models.EvidenceRecord,
            parameters={"runId": run_id},
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def get_run_evidence(
        self,
        run_id: str,
        evidence_id: str,
        *,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.Evidence:
        """Get a piece of evidence of a run, with its content.

        Args:
            run_id: The `run_id` of the request.
            evidence_id: The `evidence_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Evidence = self.request(
            "GET",
            "/runs/{runId}/evidence/{evidenceId}",
            models.Evidence,
            parameters={"runId": run_id, "evidenceId": evidence_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def explain_run(
        self, run_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.Explanation:
        """Explain the state of a run: the causes that led to it, and what the run is waiting for.

        Args:
            run_id: The `run_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Explanation = self.request(
            "GET",
            "/runs/{runId}/explain",
            models.Explanation,
            parameters={"runId": run_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_active_runs(
        self,
        *,
        session_id: str | None = None,
        run_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.ActiveRun]:
        """List admitted runs that have not ended, newest first, each with what it does now.

        Args:
            session_id: The `session_id` of the request.
            run_id: The `run_id` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/runs/active",
            models.ActiveRun,
            query={
                "sessionId": session_id,
                "runId": run_id,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def list_cancellation_requests(
        self,
        *,
        session_id: str | None = None,
        run_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.CancelRequest]:
        """List cancel requests of runs that have not ended, newest first.

        Args:
            session_id: The `session_id` of the request.
            run_id: The `run_id` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/runs/cancel-requests",
            models.CancelRequest,
            query={
                "sessionId": session_id,
                "runId": run_id,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def cancel_run_by_run_id(
        self, run_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> models.Cancelled:
        """Cancel a run.

        `status` is `not-running` if it has already ended or does not exist.

        Args:
            run_id: The `run_id` of the request.
            reason: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Cancelled = self.request(
            "POST",
            "/run-control/by-run/{runId}/cancel",
            models.Cancelled,
            parameters={"runId": run_id},
            body={"reason": reason},
            key=idempotency_key,
        )
        return answer

    def cancel_run(
        self, session_id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> models.Cancelled:
        """Cancel the admitted run of a session.

        Deprecated: use `/api/v1/run-control/by-run/{runId}/cancel`.

        Args:
            session_id: The `session_id` of the request.
            reason: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Cancelled = self.request(
            "POST",
            "/runs/{sessionId}/cancel",
            models.Cancelled,
            parameters={"sessionId": session_id},
            body={"reason": reason},
            key=idempotency_key,
        )
        return answer

    def resume_run(
        self,
        run_id: str,
        *,
        budget_usd: float | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.Run:
        """Resume a paused run, with or without a new budget.

        Waits for its end unless `respond_async` is True.

        Args:
            run_id: The `run_id` of the request.
            budget_usd: New total budget in dollars, including the money spent; absent: no budget.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `NOT_FOUND`, `POLICY_BUDGET_EXCEEDED`, `POLICY_CONCURRENCY_LIMIT_EXCEEDED`, `RUN_NOT_PAUSED`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Run = self.request(
            "POST",
            "/runs/{runId}/resume",
            models.Run,
            parameters={"runId": run_id},
            body={"budgetUsd": budget_usd},
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
        )
        return answer

    def get_sent_request(
        self,
        run_id: str,
        turn: str,
        *,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.SentRequest:
        """Get the request of one turn of a run to its model: the messages as they were sent, and the tools.

        It is compiled again from the log, within the limits of contexts that are set now. Tools of MCP servers are
        described as they were accepted then, other tools as in this release. Erased texts are missing. The requests of
        outside agents are not known.

        Args:
            run_id: The `run_id` of the request.
            turn: Number of the turn, from 1.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CONTEXT_OVERFLOW`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.SentRequest = self.request(
            "GET",
            "/runs/{runId}/turns/{turn}/request",
            models.SentRequest,
            parameters={"runId": run_id, "turn": turn},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def get_run_proof(
        self, run_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.RunProof:
        """Get the place of a run in the chain, the newest anchor that was sent, and the commands that prove the run.

        When an anchor was sent is not recorded, so a past answer has none.

        Args:
            run_id: The `run_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.RunProof = self.request(
            "GET",
            "/runs/{runId}/proof",
            models.RunProof,
            parameters={"runId": run_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def cancel_runs(
        self,
        *,
        filter: models.RunFilterBody | Mapping[str, Any],
        reason: str,
        dry_run: bool | None = None,
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.BulkResult:
        """Cancel the open runs of a filter, at most 10,000.

        `dry_run` only lists them.

        The answer has a result for each run. To continue after a lost connection, repeat the request with its
        idempotency key.

        Args:
            filter: Open runs to cancel.
            reason: Reason of the cancellations.
            dry_run: True to only list the runs.
            subject_hash: Hash of a dry run: cancel only if the same runs are selected.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `SUBJECT_CHANGED`, or an error of every call.
        """
        answer: models.BulkResult = self.request(
            "POST",
            "/runs/cancel",
            models.BulkResult,
            body={"filter": filter, "reason": reason, "dryRun": dry_run, "subjectHash": subject_hash},
            key=idempotency_key,
        )
        return answer

    def retry_runs(
        self,
        *,
        filter: models.RunFilterBody | Mapping[str, Any],
        changes: models.RunChanges | Mapping[str, Any] | None = None,
        dry_run: bool | None = None,
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.BulkResult:
        """Retry the ended runs of a filter, at most 10,000.

        `dry_run` only lists them.

        The retries wait for free slots. The answer does not wait for them. To continue after a lost connection, repeat
        the request with its idempotency key.

        Args:
            filter: Ended runs to retry.
            changes: Changes to every request; absent: none.
            dry_run: True to only list the runs.
            subject_hash: Hash of a dry run: retry only if the same runs are selected.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `SUBJECT_CHANGED`, or an error of every call.
        """
        answer: models.BulkResult = self.request(
            "POST",
            "/runs/retry",
            models.BulkResult,
            body={"filter": filter, "changes": changes, "dryRun": dry_run, "subjectHash": subject_hash},
            key=idempotency_key,
        )
        return answer

    def list_sessions(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Session]:
        """List sessions, most recently used first.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/sessions",
            models.Session,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def get_session(
        self, session_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.Session:
        """Get a session.

        Args:
            session_id: The `session_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Session = self.request(
            "GET",
            "/sessions/{sessionId}",
            models.Session,
            parameters={"sessionId": session_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def get_session_transcript(
        self,
        session_id: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.TranscriptEntry]:
        """List the newest transcript entries of a session, or those after a cursor, in order of time.

        Args:
            session_id: The `session_id` of the request.
            after: The id of the last entry received.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        return self.pages(
            "/sessions/{sessionId}/transcript",
            models.TranscriptEntry,
            parameters={"sessionId": session_id},
            query={"after": after, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
            cursor="after",
        )

    def stream_session_transcript(
        self, session_id: str, *, after: str | None = None
    ) -> Stream[models.TranscriptEntry | models.TranscriptDelta]:
        """Stream a transcript from any entry, live, as server-sent events, with the text that a model is writing.

        Args:
            session_id: The `session_id` of the request.
            after: Start after this id or position, at `latest`, or at a time; absent: from the beginning.

        Returns:
            A stream without an end. After a lost connection it resumes where it was.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `STREAM_LIMIT`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        return self.stream(
            "/sessions/{sessionId}/transcript/stream",
            models.TranscriptEntry,
            parameters={"sessionId": session_id},
            query={"after": after},
            transient=models.TranscriptDelta,
        )

    def list_workspaces(
        self,
        *,
        status: Literal["active", "cleaned"] | None = None,
        kind: Literal["session", "workflow-run"] | None = None,
        session_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.WorkspaceRecord]:
        """List the workspaces of sessions and workflow runs, newest first.

        Args:
            status: Only this status.
            kind: Only workspaces of sessions, or of workflow runs.
            session_id: Only the workspaces of this session.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/workspaces",
            models.WorkspaceRecord,
            query={
                "status": status,
                "kind": kind,
                "sessionId": session_id,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_workspace(
        self, workspace_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.WorkspaceRecord:
        """Get a workspace, cleaned or not, with its size on this server's disk.

        A past answer has no size.

        Args:
            workspace_id: The `workspace_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkspaceRecord = self.request(
            "GET",
            "/workspaces/{workspaceId}",
            models.WorkspaceRecord,
            parameters={"workspaceId": workspace_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def keep_workspace(
        self, workspace_id: str, *, keep: bool, idempotency_key: str | None = None
    ) -> models.WorkspaceRecord:
        """Keep a workspace even if it is unused, or with `keep` false let it be cleaned again.

        Args:
            workspace_id: The `workspace_id` of the request.
            keep: True to keep it though unused.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkspaceRecord = self.request(
            "POST",
            "/workspaces/{workspaceId}/keep",
            models.WorkspaceRecord,
            parameters={"workspaceId": workspace_id},
            body={"keep": keep},
            key=idempotency_key,
        )
        return answer

    def clean_workspace(self, workspace_id: str, *, idempotency_key: str | None = None) -> models.WorkspaceRecord:
        """Clean a workspace: delete its files.

        The recorded diffs of its runs stay.

        The next run of its session or workflow run gets a new one. A workspace in which a run works is not cleaned.

        Args:
            workspace_id: The `workspace_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, `WORKSPACE_BUSY`, or an error of every call.
        """
        answer: models.WorkspaceRecord = self.request(
            "DELETE",
            "/workspaces/{workspaceId}",
            models.WorkspaceRecord,
            parameters={"workspaceId": workspace_id},
            key=idempotency_key,
        )
        return answer

    def get_run_diff(
        self,
        run_id: str,
        *,
        exact: bool | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.RunDiff:
        """Get what a run changed in the workspace of its session or workflow run, as recorded at its end.

        Parts that look like secrets are replaced by marks. With `exact`, the diff is computed again from the workspace
        and hides nothing. This needs the right to apply, and is recorded once for each identity.

        Args:
            run_id: The `run_id` of the request.
            exact: True: the exact diff, from the files of the workspace. Needs the right to apply; recorded.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, `WORKSPACE_MISSING`, or an error of every call.
        """
        answer: models.RunDiff = self.request(
            "GET",
            "/runs/{runId}/diff",
            models.RunDiff,
            parameters={"runId": run_id},
            query={"exact": exact, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def apply_run(
        self,
        run_id: str,
        *,
        dry_run: bool | None = None,
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.AppliedRun:
        """Write what a run changed in its own workspace into the shared one, all of it or nothing.

        `subject_hash` names the changes that were shown; other changes are not applied. If the diff hides a part of
        them (`exact_needed`), the hash is required, and the caller must have opened the exact diff.

        A file that changed in the shared workspace meanwhile is merged. If that is not possible, or a path is closed,
        the answer is 409 with all such paths. A repeated apply writes only the rest. With `dry_run`, nothing is written
        and conflicts are results.

        Args:
            run_id: The `run_id` of the request.
            dry_run: True to only report what would be done.
            subject_hash: Hash of the changes that were shown; required if the diff hides a part of them.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `EXACT_NOT_OPENED`, `NOT_FOUND`, `RUN_NOT_ENDED`, `SUBJECT_CHANGED`, `UNKNOWN_ERROR`,
                `WORKSPACE_CONFLICT`, `WORKSPACE_MISSING`, or an error of every call.
        """
        answer: models.AppliedRun = self.request(
            "POST",
            "/runs/{runId}/apply",
            models.AppliedRun,
            parameters={"runId": run_id},
            body={"dryRun": dry_run, "subjectHash": subject_hash},
            key=idempotency_key,
        )
        return answer

    def list_directives(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Directive]:
        """List directives, newest first.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/directives",
            models.Directive,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def create_directive(
        self,
        *,
        input: str,
        context_refs: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> models.Directive:
        """Create a directive.

        Args:
            input: Text of the task.
            context_refs: Files and URLs that the run's context names.
            metadata: Names and values of the client.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.Directive = self.request(
            "POST",
            "/directives",
            models.Directive,
            body={"input": input, "contextRefs": context_refs, "metadata": metadata},
            key=idempotency_key,
        )
        return answer

    def get_directive(
        self, directive_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.Directive:
        """Get a directive.

        Args:
            directive_id: The `directive_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Directive = self.request(
            "GET",
            "/directives/{directiveId}",
            models.Directive,
            parameters={"directiveId": directive_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_harness_profiles(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.HarnessProfile]:
        """List harness profiles, newest first.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/harness-profiles",
            models.HarnessProfile,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def create_harness_profile(
        self,
        *,
        display_name: str,
        version: Literal["v1", "v2"],
        config: models.HarnessConfig | Mapping[str, Any],
        policies: models.HarnessPolicies | Mapping[str, Any],
        tool_policies: models.ToolPolicies | Mapping[str, Any] | None = None,
        allowed_egress: Sequence[models.Egress | Mapping[str, Any]] | None = None,
        verification_policies: Sequence[models.VerificationPolicy | Mapping[str, Any]] | None = None,
        asks: models.AskPolicy | Mapping[str, Any] | None = None,
        sandbox: models.SandboxPolicy | Mapping[str, Any] | None = None,
        workspace: Literal["session", "shared", "workflow-run"] | None = None,
        agent: models.AgentPolicy | Mapping[str, Any] | None = None,
        mcp: Mapping[str, models.McpPolicy] | None = None,
        idempotency_key: str | None = None,
    ) -> models.HarnessProfile:
        """Create a harness profile.

        Args:
            display_name: Name for people.
            version: Version of this shape.
            config: Model, tools, and names of credentials.
            policies: Limits of a run.
            tool_policies: Rules of the tools; absent: `shell` runs nothing and `files` reads.
            allowed_egress: Hosts that tool `http` may reach; absent: none.
            verification_policies: Conditions of a verified answer; absent: none.
            asks: How its runs ask a person; absent: the defaults.
            sandbox: Sandbox of the commands of its runs; absent: none.
            workspace: Where its runs work; absent: in the shared workspace.
            agent: Outside agent that works on its runs; absent: the loop of Athena.
            mcp: Tools of MCP servers that its runs may call, by server; absent: none.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.HarnessProfile = self.request(
            "POST",
            "/harness-profiles",
            models.HarnessProfile,
            body={
                "displayName": display_name,
                "version": version,
                "config": config,
                "policies": policies,
                "toolPolicies": tool_policies,
                "allowedEgress": allowed_egress,
                "verificationPolicies": verification_policies,
                "asks": asks,
                "sandbox": sandbox,
                "workspace": workspace,
                "agent": agent,
                "mcp": mcp,
            },
            key=idempotency_key,
        )
        return answer

    def get_harness_profile(
        self,
        harness_profile_id: str,
        *,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.HarnessProfile:
        """Get a harness profile.

        Args:
            harness_profile_id: The `harness_profile_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.HarnessProfile = self.request(
            "GET",
            "/harness-profiles/{harnessProfileId}",
            models.HarnessProfile,
            parameters={"harnessProfileId": harness_profile_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_run_templates(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.RunTemplate]:
        """List the newest versions of run templates, newest first.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/run-templates",
            models.RunTemplate,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def create_run_template(
        self,
        *,
        harness_profile_id: str,
        directive_template: str,
        default_params: Mapping[str, Any],
        params_schema: Mapping[str, Any] | None = None,
        display_name: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.RunTemplate:
        """Create a run template: a directive with placeholders, and the profile that runs it.

        Args:
            harness_profile_id: The `harness_profile_id` of the request.
            directive_template: Text with placeholders such as `{{name}}`.
            default_params: Values of parameters that a run does not give.
            params_schema: JSON Schema of the parameters; absent: all are strings.
            display_name: Name for people.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, or an error of every call.
        """
        answer: models.RunTemplate = self.request(
            "POST",
            "/run-templates",
            models.RunTemplate,
            body={
                "harnessProfileId": harness_profile_id,
                "directiveTemplate": directive_template,
                "defaultParams": default_params,
                "paramsSchema": params_schema,
                "displayName": display_name,
            },
            key=idempotency_key,
        )
        return answer

    def get_run_template(
        self,
        template_id: str,
        *,
        version: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.RunTemplate:
        """Get the newest version of a run template, or the one that `version` names.

        Args:
            template_id: The `template_id` of the request.
            version: Version; absent: the newest.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.RunTemplate = self.request(
            "GET",
            "/run-templates/{templateId}",
            models.RunTemplate,
            parameters={"templateId": template_id},
            query={"version": version, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def update_run_template(
        self,
        template_id: str,
        *,
        harness_profile_id: str,
        directive_template: str,
        default_params: Mapping[str, Any],
        params_schema: Mapping[str, Any] | None = None,
        display_name: str | None = None,
        idempotency_key: str | None = None,
        if_match: int | str | None = None,
    ) -> models.RunTemplate:
        """Create a new version of a run template.

        Runs of earlier versions are not affected.

        Args:
            template_id: The `template_id` of the request.
            harness_profile_id: The `harness_profile_id` of the request.
            directive_template: Text with placeholders such as `{{name}}`.
            default_params: Values of parameters that a run does not give.
            params_schema: JSON Schema of the parameters; absent: all are strings.
            display_name: Name for people.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            if_match: Write only if this is the current version (a number, an `ETag`, or `*` for any).

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PRECONDITION_FAILED`, `UNKNOWN_ERROR`, or an
                error of every call.
        """
        answer: models.RunTemplate = self.request(
            "PUT",
            "/run-templates/{templateId}",
            models.RunTemplate,
            parameters={"templateId": template_id},
            body={
                "harnessProfileId": harness_profile_id,
                "directiveTemplate": directive_template,
                "defaultParams": default_params,
                "paramsSchema": params_schema,
                "displayName": display_name,
            },
            headers=_headers(if_match=if_match),
            key=idempotency_key,
        )
        return answer

    @overload
    def run_template(
        self,
        template_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        idempotency_key: str | None = None,
        respond_async: Literal[True],
    ) -> models.Run: ...

    @overload
    def run_template(
        self,
        template_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.RunResult | models.Run: ...

    def run_template(
        self,
        template_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.RunResult | models.Run:
        """Start a run of a template's newest version.

        Waits for its result unless `respond_async` is True.

        Args:
            template_id: The `template_id` of the request.
            params: Values of the parameters, by name.
            session_id: Session to run in; absent, a new one.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `AGENT_BROKEN`, `AGENT_GONE`, `AGENT_MODE_CHANGED`, `AGENT_REFUSED`, `AGENT_SILENT`,
                `AGENT_UNAVAILABLE`, `AMBIGUOUS_NAME`, `ASK_REJECTED`, `CONTEXT_OVERFLOW`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `POLICY_BUDGET_EXCEEDED`, `POLICY_CONCURRENCY_LIMIT_EXCEEDED`,
                `PROVIDER_ERROR`, `PROVIDER_NOT_FOUND`, `RUN_CANCELLED`, `RUN_CRASHED`, `RUN_TIMEOUT`,
                `SANDBOX_UNAVAILABLE`, `SESSION_LOCK_TIMEOUT`, `STUCK`, `TURN_LIMIT`, `UNKNOWN_ERROR`,
                `WORKSPACE_DISK_FULL`, `WORKSPACE_LIMIT`, `WORKSPACE_MISSING`, or an error of every call.
        """
        answer: models.RunResult | models.Run = self.request(
            "POST",
            "/templates/{templateId}/run",
            models.RunResult,
            parameters={"templateId": template_id},
            body={"params": params, "sessionId": session_id},
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
            accepted=models.Run,
        )
        return answer

    def enqueue_work(
        self, *, session_id: str, payload: str, mode: Literal["collect", "followup"], idempotency_key: str | None = None
    ) -> models.WorkQueueState:
        """Enqueue a work item in a session's queue, unless an item with the same payload and mode is waiting.

        Args:
            session_id: The `session_id` of the request.
            payload: Text of the work.
            mode: `followup`: a run of its own. `collect`: consecutive items share one run.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONTEXT_OVERFLOW`, `WORK_QUEUE_FULL`, or an error of every call.
        """
        answer: models.WorkQueueState = self.request(
            "POST",
            "/work/enqueue",
            models.WorkQueueState,
            body={"sessionId": session_id, "payload": payload, "mode": mode},
            key=idempotency_key,
        )
        return answer

    def list_work_queues(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.WorkQueueSummary]:
        """List the queues of sessions that hold items, by session.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/work/queues",
            models.WorkQueueSummary,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def get_session_work_queue(
        self,
        session_id: str,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.WorkQueueState:
        """List the waiting items of a session's queue, oldest first.

        Args:
            session_id: The `session_id` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkQueueState = self.request(
            "GET",
            "/sessions/{sessionId}/work-queue",
            models.WorkQueueState,
            parameters={"sessionId": session_id},
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    @overload
    def drain_work(
        self,
        session_id: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        idempotency_key: str | None = None,
        respond_async: Literal[True],
    ) -> models.WorkDrain: ...

    @overload
    def drain_work(
        self,
        session_id: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.DrainResult | models.WorkDrain: ...

    def drain_work(
        self,
        session_id: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.DrainResult | models.WorkDrain:
        """Drain a session's queue.

        Waits for the end unless `respond_async` is True.

        Args:
            session_id: The `session_id` of the request.
            provider: Name of the provider.
            model: Name of the model.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `AGENT_BROKEN`, `AGENT_GONE`, `AGENT_MODE_CHANGED`, `AGENT_REFUSED`, `AGENT_SILENT`,
                `AGENT_UNAVAILABLE`, `ASK_REJECTED`, `CONTEXT_OVERFLOW`, `POLICY_BUDGET_EXCEEDED`,
                `POLICY_CONCURRENCY_LIMIT_EXCEEDED`, `PROVIDER_ERROR`, `PROVIDER_NOT_FOUND`,
                `RUN_CANCELLED`, `RUN_CRASHED`, `RUN_TIMEOUT`, `SANDBOX_UNAVAILABLE`,
                `SESSION_LOCK_TIMEOUT`, `STUCK`, `TURN_LIMIT`, `UNKNOWN_ERROR`, `WORKSPACE_DISK_FULL`,
                `WORKSPACE_LIMIT`, `WORKSPACE_MISSING`, or an error of every call.
        """
        answer: models.DrainResult | models.WorkDrain = self.request(
            "POST",
            "/work/{sessionId}/drain",
            models.DrainResult,
            parameters={"sessionId": session_id},
            body={"provider": provider, "model": model},
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
            accepted=models.WorkDrain,
        )
        return answer

    def get_work_drain(
        self, drain_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.WorkDrain:
        """Get a drain.

        Args:
            drain_id: The `drain_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkDrain = self.request(
            "GET",
            "/work/drains/{drainId}",
            models.WorkDrain,
            parameters={"drainId": drain_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def send_a2a_message(
        self,
        *,
        from_persona: str,
        to_persona: str,
        payload: Any,
        task_id: str | None = None,
        step_id: str | None = None,
        parent_run_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Message:
        """Send a message to a persona.

        Its session's queue is drained automatically.

        Args:
            from_persona: Persona that sends the message.
            to_persona: Persona that receives the message.
            payload: A text or an object.
            task_id: Task of the sender; absent without one.
            step_id: Id of the step; absent without one.
            parent_run_id: The run that started it; absent without one.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CONTEXT_OVERFLOW`, `NOT_CAUGHT_UP`, `WORK_QUEUE_FULL`, or an error of every
                call.
        """
        answer: models.Message = self.request(
            "POST",
            "/a2a/messages",
            models.Message,
            body={
                "fromPersona": from_persona,
                "toPersona": to_persona,
                "payload": payload,
                "taskId": task_id,
                "stepId": step_id,
                "parentRunId": parent_run_id,
            },
            key=idempotency_key,
        )
        return answer

    def list_a2a_messages(
        self,
        *,
        from_persona: str | None = None,
        to_persona: str | None = None,
        status: Literal["completed", "failed", "sent", "started"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Message]:
        """List messages between personas, newest first.

        Args:
            from_persona: Persona that sends the message.
            to_persona: Persona that receives the message.
            status: The `status` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/a2a/messages",
            models.Message,
            query={
                "fromPersona": from_persona,
                "toPersona": to_persona,
                "status": status,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_a2a_message(
        self, message_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.Message:
        """Get a message.

        Args:
            message_id: The `message_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Message = self.request(
            "GET",
            "/a2a/messages/{messageId}",
            models.Message,
            parameters={"messageId": message_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_a2a_dlq(
        self,
        *,
        status: Literal["discarded", "pending", "requeued"] | None = None,
        session_id: str | None = None,
        source_persona: str | None = None,
        target_persona: str | None = None,
        reason: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.DeadLetter]:
        """List dead letters, which are work items and messages that could not be processed, oldest first.

        Args:
            status: The `status` of the request.
            session_id: The `session_id` of the request.
            source_persona: Only messages of this sender.
            target_persona: Only messages to this persona.
            reason: Only dead letters with this reason.
            created_after: Only what was created at this time or later.
            created_before: Only what was created at this time or earlier.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/a2a/dlq",
            models.DeadLetter,
            query={
                "status": status,
                "sessionId": session_id,
                "sourcePersona": source_persona,
                "targetPersona": target_persona,
                "reason": reason,
                "createdAfter": created_after,
                "createdBefore": created_before,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_a2a_dlq_item(
        self, id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.DeadLetter:
        """Get a dead letter.

        Args:
            id: Id of the dead letter.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.DeadLetter = self.request(
            "GET",
            "/a2a/dlq/{id}",
            models.DeadLetter,
            parameters={"id": id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def requeue_a2a_dlq_item(self, id: str, *, idempotency_key: str | None = None) -> models.DecidedDeadLetter:
        """Requeue the work of a dead letter, once.

        Args:
            id: Id of the dead letter.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONFLICT`, `NOT_FOUND`, `UNKNOWN_ERROR`, `WORK_QUEUE_FULL`, or an error of every call.
        """
        answer: models.DecidedDeadLetter = self.request(
            "POST", "/a2a/dlq/{id}/requeue", models.DecidedDeadLetter, parameters={"id": id}, key=idempotency_key
        )
        return answer

    def discard_a2a_dlq_item(
        self, id: str, *, audit_note: str | None = None, idempotency_key: str | None = None
    ) -> models.DecidedDeadLetter:
        """Discard a dead letter: its work will not be done.

        Args:
            id: Id of the dead letter.
            audit_note: Reason of the decision, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONFLICT`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.DecidedDeadLetter = self.request(
            "POST",
            "/a2a/dlq/{id}/discard",
            models.DecidedDeadLetter,
            parameters={"id": id},
            body={"auditNote": audit_note},
            key=idempotency_key,
        )
        return answer

    def restore_a2a_dlq_item(
        self, id: str, *, audit_note: str | None = None, idempotency_key: str | None = None
    ) -> models.DecidedDeadLetter:
        """Restore a discarded dead letter.

        Args:
            id: Id of the dead letter.
            audit_note: Reason of the decision, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONFLICT`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.DecidedDeadLetter = self.request(
            "POST",
            "/a2a/dlq/{id}/restore",
            models.DecidedDeadLetter,
            parameters={"id": id},
            body={"auditNote": audit_note},
            key=idempotency_key,
        )
        return answer

    def search_memory(
        self,
        *,
        query: str,
        max_results: int | None = None,
        min_score: float | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> list[models.Passage]:
        """Search notes and entries for passages that contain words of the query, those with every word first.

        Args:
            query: Words to search for.
            max_results: Most passages; absent: 6.
            min_score: Lowest `score` of a passage; absent: no limit.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `NOT_CAUGHT_UP`, or an error of every call.
        """
        answer: list[models.Passage] = self.request(
            "GET",
            "/memory/search",
            list[models.Passage],
            query={
                "query": query,
                "maxResults": max_results,
                "minScore": min_score,
                "minPosition": min_position,
                "stale": stale,
            },
        )
        return answer

    def get_memory(
        self, *, path: str, from_: int | None = None, lines: int | None = None, idempotency_key: str | None = None
    ) -> models.NoteText:
        """Read lines of a note in the workspace, `MEMORY.md` or `memory/**.md`.

        Args:
            path: `MEMORY.md` or `memory/<name>.md`.
            from_: First line, from 1.
            lines: Number of lines; absent: all.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.NoteText = self.request(
            "POST",
            "/memory/get",
            models.NoteText,
            body={"path": path, "from": from_, "lines": lines},
            key=idempotency_key,
        )
        return answer

    def list_memory(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.MemoryEntry]:
        """List memory entries, newest first.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/memory",
            models.MemoryEntry,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def record_memory(
        self, *, text: str, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> models.MemoryEntry:
        """Record a memory entry.

        Args:
            text: Text to remember.
            metadata: Names and values of the client.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, or an error of every call.
        """
        answer: models.MemoryEntry = self.request(
            "POST", "/memory", models.MemoryEntry, body={"text": text, "metadata": metadata}, key=idempotency_key
        )
        return answer

    def get_memory_entry(
        self, entry_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.MemoryEntry:
        """Get a memory entry.

        Args:
            entry_id: The `entry_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.MemoryEntry = self.request(
            "GET",
            "/memory/{entryId}",
            models.MemoryEntry,
            parameters={"entryId": entry_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def forget_memory(self, entry_id: str, *, idempotency_key: str | None = None) -> models.ForgottenEntry:
        """Forget a memory entry and erase its text, also from the log.

        `left` lists where the text may remain.

        Args:
            entry_id: The `entry_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.ForgottenEntry = self.request(
            "DELETE", "/memory/{entryId}", models.ForgottenEntry, parameters={"entryId": entry_id}, key=idempotency_key
        )
        return answer

    def list_anchors(
        self,
        *,
        log_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.KeptAnchor]:
        """List the kept anchors of other logs, oldest first.

        Args:
            log_id: The `log_id` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/anchors",
            models.KeptAnchor,
            query={
                "logId": log_id,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def keep_anchor(
        self, *, log_id: str, position: int, chain: str, at: str, idempotency_key: str | None = None
    ) -> models.AnchorReceipt:
        """Store an anchor of another log, so that a rewrite of its history is detected.

        Args:
            log_id: The `log_id` of the request.
            position: Position in the log.
            chain: Chain value at the position, in hex.
            at: When the anchor was taken.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `ANCHOR_CONFLICT`, `ANCHOR_LIMIT`, or an error of every call.
        """
        answer: models.AnchorReceipt = self.request(
            "POST",
            "/anchors",
            models.AnchorReceipt,
            body={"logId": log_id, "position": position, "chain": chain, "at": at},
            key=idempotency_key,
        )
        return answer

    def list_asks(
        self,
        *,
        status: Literal["answered", "approved", "cancelled", "expired", "open", "rejected"] | None = None,
        kind: Literal["choice", "question", "tool-permission", "workflow-approval"] | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        harness_profile_id: str | None = None,
        answerable: bool | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Ask]:
        """List what waits for a person's decision, oldest first.

        Texts over 4,096 characters are cut, or left out if they are JSON; then `truncated` is true. Workflow approvals
        have no session and no run.

        Args:
            status: Only asks with this status.
            kind: Only asks of this kind.
            session_id: The `session_id` of the request.
            run_id: The `run_id` of the request.
            harness_profile_id: The `harness_profile_id` of the request.
            answerable: True: only open asks that the caller may answer.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/asks",
            models.Ask,
            query={
                "status": status,
                "kind": kind,
                "sessionId": session_id,
                "runId": run_id,
                "harnessProfileId": harness_profile_id,
                "answerable": answerable,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_ask(
        self,
        ask_id: str,
        *,
        exact: bool | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.Ask:
        """Get an ask, open or decided.

        If its texts hide a part, `exact=true` adds the exact text. Only who may answer the ask may read it, and the
        first reading by each identity is recorded.

        Args:
            ask_id: The `ask_id` of the request.
            exact: Opens the exact text of an ask whose texts hide a part. It is recorded.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Ask = self.request(
            "GET",
            "/asks/{askId}",
            models.Ask,
            parameters={"askId": ask_id},
            query={"exact": exact, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def answer_ask(
        self,
        ask_id: str,
        *,
        subject_hash: str,
        option_id: str | None = None,
        values: Mapping[str, Any] | None = None,
        note: str | None = None,
        edited_arguments: Mapping[str, Any] | None = None,
        remember: Literal["profile", "run", "session"] | None = None,
        remember_for_ms: int | None = None,
        idempotency_key: str | None = None,
    ) -> models.Ask:
        """Answer an ask: choose an option, or fill in its form.

        The first answer wins.

        A parked run goes on if there is room, else it waits in line. Tool permissions need an Operator, or the role of
        the profile. A question may also be answered by who requested the run.

        Args:
            ask_id: The `ask_id` of the request.
            subject_hash: Hash that was shown, `subject_hash` of the ask.
            option_id: An option of the ask; needless with `values`.
            values: Values that fit the `form` of a question.
            note: Reason, for auditors.
            edited_arguments: Arguments of the call to make instead; only where the ask is `editable`.
            remember: Also allow this exact call from now on, there.
            remember_for_ms: How long; by default 1 day in a run, 7 in a session, 30 in a profile.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `ASK_CHANGED`, `ASK_DECIDED`, `ASK_ENDED`, `ASK_EXPIRED`, `ASK_NOT_EDITABLE`, `CONFLICT`,
                `EXACT_NOT_OPENED`, `NOT_FOUND`, `PERMISSION_RULE_LIMIT`, `UNKNOWN_ERROR`, or an error of
                every call.
        """
        answer: models.Ask = self.request(
            "POST",
            "/asks/{askId}/answer",
            models.Ask,
            parameters={"askId": ask_id},
            body={
                "subjectHash": subject_hash,
                "optionId": option_id,
                "values": values,
                "note": note,
                "editedArguments": edited_arguments,
                "remember": remember,
                "rememberForMs": remember_for_ms,
            },
            key=idempotency_key,
        )
        return answer

    def answer_asks(
        self,
        *,
        items: Sequence[models.AnswerItem | Mapping[str, Any]] | None = None,
        filter: models.AskFilter | Mapping[str, Any] | None = None,
        option_id: str | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.AnsweredAsks:
        """Answer up to 100 asks, or reject the oldest 100 open asks of a filter.

        Each one succeeds or fails alone.

        A repeated idempotency key rejects the asks that the filter selected the first time, and no others.

        Args:
            items: Asks to answer.
            filter: Open asks to reject instead, the oldest 100.
            option_id: With `filter`: `deny`, `decline` or `reject`, which all reject.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.AnsweredAsks = self.request(
            "POST",
            "/asks/answer",
            models.AnsweredAsks,
            body={"items": items, "filter": filter, "optionId": option_id, "note": note},
            key=idempotency_key,
        )
        return answer

    def list_permission_rules(
        self,
        *,
        status: Literal["expired", "in-force", "revoked"] | None = None,
        scope: Literal["profile", "run", "session"] | None = None,
        tool_name: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
        harness_profile_id: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.PermissionRule]:
        """List permission rules, newest first.

        Each allows one exact call in a run, a session or a profile.

        Args:
            status: Only rules with this status.
            scope: Only rules of this scope.
            tool_name: Only rules of this tool.
            run_id: Only rules of this run.
            session_id: Only rules of this session.
            harness_profile_id: Only rules of this profile.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/permission-rules",
            models.PermissionRule,
            query={
                "status": status,
                "scope": scope,
                "toolName": tool_name,
                "runId": run_id,
                "sessionId": session_id,
                "harnessProfileId": harness_profile_id,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_permission_rule(
        self, rule_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.PermissionRule:
        """Get a permission rule, in force or not.

        Args:
            rule_id: The `rule_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.PermissionRule = self.request(
            "GET",
            "/permission-rules/{ruleId}",
            models.PermissionRule,
            parameters={"ruleId": rule_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def revoke_permission_rule(self, rule_id: str, *, idempotency_key: str | None = None) -> models.PermissionRule:
        """Revoke a permission rule.

        The next call of its kind asks again.

        Args:
            rule_id: The `rule_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.PermissionRule = self.request(
            "DELETE",
            "/permission-rules/{ruleId}",
            models.PermissionRule,
            parameters={"ruleId": rule_id},
            key=idempotency_key,
        )
        return answer

    def redrive_a2a_dlq(
        self,
        *,
        filter: models.RedriveFilter | Mapping[str, Any],
        rate_per_second: int | None = None,
        dry_run: bool | None = None,
        subject_hash: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Redrive:
        """Requeue matching dead letters at a fixed rate.

        `dry_run` only counts them.

        Args:
            filter: Which dead letters to requeue.
            rate_per_second: Dead letters to requeue per second.
            dry_run: True to only report what would happen.
            subject_hash: Hash of a dry run: requeue only if the same dead letters match.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONFLICT`, `SUBJECT_CHANGED`, or an error of every call.
        """
        answer: models.Redrive = self.request(
            "POST",
            "/a2a/dlq/redrive",
            models.Redrive,
            body={"filter": filter, "ratePerSecond": rate_per_second, "dryRun": dry_run, "subjectHash": subject_hash},
            key=idempotency_key,
        )
        return answer

    def get_a2a_dlq_redrive(
        self,
        id: str,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.Redrive:
        """Get the progress of a redrive and the result for each dead letter.

        Args:
            id: Id of the redrive.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Redrive = self.request(
            "GET",
            "/a2a/dlq/redrive/{id}",
            models.Redrive,
            parameters={"id": id},
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def cancel_a2a_dlq_redrive(self, id: str, *, idempotency_key: str | None = None) -> models.Redrive:
        """Cancel a redrive.

        Dead letters that it has requeued stay requeued.

        Args:
            id: Id of the redrive.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Redrive = self.request(
            "DELETE", "/a2a/dlq/redrive/{id}", models.Redrive, parameters={"id": id}, key=idempotency_key
        )
        return answer

    def list_workflows(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Workflow]:
        """List workflows, newest first.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/workflows",
            models.Workflow,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def create_workflow(
        self, *, definition: models.WorkflowDefinition | Mapping[str, Any], idempotency_key: str | None = None
    ) -> models.Workflow:
        """Create a workflow from its steps and their dependencies.

        Args:
            definition: Steps and dependencies.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, or an error of every call.
        """
        answer: models.Workflow = self.request(
            "POST", "/workflows", models.Workflow, body={"definition": definition}, key=idempotency_key
        )
        return answer

    def get_workflow(
        self, workflow_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.Workflow:
        """Get a workflow.

        Args:
            workflow_id: The `workflow_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Workflow = self.request(
            "GET",
            "/workflows/{workflowId}",
            models.Workflow,
            parameters={"workflowId": workflow_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def list_workflow_runs(
        self,
        workflow_id: str,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.WorkflowRunSummary]:
        """List the runs of a workflow, newest first.

        Args:
            workflow_id: The `workflow_id` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        return self.pages(
            "/workflows/{workflowId}/runs",
            models.WorkflowRunSummary,
            parameters={"workflowId": workflow_id},
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def run_workflow(
        self,
        workflow_id: str,
        *,
        input: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.WorkflowRun:
        """Start a run of a workflow.

        Waits until it ends or needs an approval, unless `respond_async` is True.

        Args:
            workflow_id: The `workflow_id` of the request.
            input: Values of placeholders, by name.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkflowRun = self.request(
            "POST",
            "/workflows/{workflowId}/run",
            models.WorkflowRun,
            parameters={"workflowId": workflow_id},
            body={"input": input},
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
        )
        return answer

    def get_workflow_run(
        self, id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.WorkflowRunDetails:
        """Get a workflow run, or the newest run of a workflow, with the progress of its steps.

        Args:
            id: Id of a workflow run, or of a workflow for its newest run.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkflowRunDetails = self.request(
            "GET",
            "/workflows/run/{id}",
            models.WorkflowRunDetails,
            parameters={"id": id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    @overload
    def resume_workflow(
        self,
        id: str,
        *,
        input_overrides: Mapping[str, Any] | None = None,
        dry_run: bool | None = None,
        idempotency_key: str | None = None,
        respond_async: Literal[True],
    ) -> models.WorkflowRun: ...

    @overload
    def resume_workflow(
        self,
        id: str,
        *,
        input_overrides: Mapping[str, Any] | None = None,
        dry_run: bool | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.WorkflowRun | None: ...

    def resume_workflow(
        self,
        id: str,
        *,
        input_overrides: Mapping[str, Any] | None = None,
        dry_run: bool | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.WorkflowRun | None:
        """Resume a workflow run, or a workflow's newest run that is not ok.

        Starts a new run if there is none.

        Args:
            id: Id of a workflow run, or of a workflow for its newest unfinished run.
            input_overrides: Inputs that replace earlier ones, by name.
            dry_run: True to only report what would happen.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `CONFLICT`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkflowRun | None = self.request(
            "POST",
            "/workflows/run/{id}/resume",
            models.WorkflowRun | None,
            parameters={"id": id},
            body={"inputOverrides": input_overrides, "dryRun": dry_run},
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
            accepted=models.WorkflowRun,
        )
        return answer

    def cancel_workflow_run(
        self, id: str, *, reason: str | None = None, idempotency_key: str | None = None
    ) -> models.WorkflowRun:
        """Cancel a workflow run and the runs of its steps.

        Args:
            id: Id of the workflow run.
            reason: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkflowRun = self.request(
            "POST",
            "/workflows/run/{id}/cancel",
            models.WorkflowRun,
            parameters={"id": id},
            body={"reason": reason},
            key=idempotency_key,
        )
        return answer

    def list_workflow_run_items(
        self,
        id: str,
        step: str,
        *,
        status: Literal["cancelled", "failed", "ok", "pending", "running"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.StepItem]:
        """List the items of a mapped step, in their order.

        Args:
            id: Id of the workflow run.
            step: Id of the step.
            status: The `status` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        return self.pages(
            "/workflows/run/{id}/steps/{step}/items",
            models.StepItem,
            parameters={"id": id, "step": step},
            query={
                "status": status,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def approve_workflow_step(
        self, id: str, step: str, *, subject_hash: str, note: str | None = None, idempotency_key: str | None = None
    ) -> models.WorkflowRun:
        """Approve a step if its subject hash still matches.

        Args:
            id: Id of the workflow run.
            step: Id of the step.
            subject_hash: Hash of the subject to approve.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONFLICT`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkflowRun = self.request(
            "POST",
            "/workflows/run/{id}/steps/{step}/approve",
            models.WorkflowRun,
            parameters={"id": id, "step": step},
            body={"subjectHash": subject_hash, "note": note},
            key=idempotency_key,
        )
        return answer

    def reject_workflow_step(
        self, id: str, step: str, *, subject_hash: str, note: str | None = None, idempotency_key: str | None = None
    ) -> models.WorkflowRun:
        """Reject a step if its subject hash still matches.

        The step fails.

        Args:
            id: Id of the workflow run.
            step: Id of the step.
            subject_hash: Hash of the subject to approve.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CONFLICT`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.WorkflowRun = self.request(
            "POST",
            "/workflows/run/{id}/steps/{step}/reject",
            models.WorkflowRun,
            parameters={"id": id, "step": step},
            body={"subjectHash": subject_hash, "note": note},
            key=idempotency_key,
        )
        return answer

    @overload
    def run_persona(
        self,
        *,
        name: str,
        repo_path: str,
        head_ref: str,
        base_ref: str | None = None,
        session_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        out_json_path: str | None = None,
        out_markdown_path: str | None = None,
        stdout: Literal["json", "md", "none", "summary"] | None = None,
        idempotency_key: str | None = None,
        respond_async: Literal[True],
    ) -> models.PersonaRunDetails: ...

    @overload
    def run_persona(
        self,
        *,
        name: str,
        repo_path: str,
        head_ref: str,
        base_ref: str | None = None,
        session_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        out_json_path: str | None = None,
        out_markdown_path: str | None = None,
        stdout: Literal["json", "md", "none", "summary"] | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.PersonaRunOutput | models.PersonaRunDetails: ...

    def run_persona(
        self,
        *,
        name: str,
        repo_path: str,
        head_ref: str,
        base_ref: str | None = None,
        session_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        out_json_path: str | None = None,
        out_markdown_path: str | None = None,
        stdout: Literal["json", "md", "none", "summary"] | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.PersonaRunOutput | models.PersonaRunDetails:
        """Run a persona that reviews the changes between two commits.

        A failed model call gives a failed result.

        Args:
            name: Name of the persona.
            repo_path: Path of the repository in the workspace.
            head_ref: Commit, branch or tag to review.
            base_ref: What to compare with; absent, the main branch.
            session_id: The `session_id` of the request.
            provider: Name of the provider.
            model: Name of the model.
            out_json_path: Copy of the result in the workspace.
            out_markdown_path: Copy of the report in the workspace.
            stdout: Form of `stdout` in the answer; absent: `summary`.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `CONTEXT_OVERFLOW`, `NOT_FOUND`, `POLICY_BUDGET_EXCEEDED`, `POLICY_CONCURRENCY_LIMIT_EXCEEDED`,
                `PROVIDER_NOT_FOUND`, `SANDBOX_UNAVAILABLE`, or an error of every call.
        """
        answer: models.PersonaRunOutput | models.PersonaRunDetails = self.request(
            "POST",
            "/personas/run",
            models.PersonaRunOutput,
            body={
                "name": name,
                "repoPath": repo_path,
                "headRef": head_ref,
                "baseRef": base_ref,
                "sessionId": session_id,
                "provider": provider,
                "model": model,
                "outJsonPath": out_json_path,
                "outMarkdownPath": out_markdown_path,
                "stdout": stdout,
            },
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
            accepted=models.PersonaRunDetails,
        )
        return answer

    def list_persona_runs(
        self,
        *,
        name: str | None = None,
        status: Literal["failed", "ok", "running"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.PersonaRun]:
        """List reviews, newest first.

        Args:
            name: Only reviews by this persona.
            status: The `status` of the request.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/personas/runs",
            models.PersonaRun,
            query={
                "name": name,
                "status": status,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_persona_run(
        self, run_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.PersonaRunDetails:
        """Get a review with its result.

        Args:
            run_id: The `run_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.PersonaRunDetails = self.request(
            "GET",
            "/personas/runs/{runId}",
            models.PersonaRunDetails,
            parameters={"runId": run_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def get_policy(
        self, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.PolicyDocument | None:
        """Get the current policy, or null if there is none.

        Args:
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an error of every call.
        """
        answer: models.PolicyDocument | None = self.request(
            "GET",
            "/policy",
            models.PolicyDocument | None,
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def put_policy(
        self,
        *,
        schema_version: int | None = None,
        max_concurrent_runs: int | None = None,
        limits: Sequence[models.KeyLimit | Mapping[str, Any]] | None = None,
        default_run_timeout_ms: int | None = None,
        default_schedule_timeout_ms: int | None = None,
        retry_budget_per_run: int | None = None,
        cost_budget_daily_usd: float | None = None,
        max_run_attempts: int | None = None,
        updated_at: Any | None = None,
        audit_comment: str | None = None,
        policy: models.PolicyInput | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        if_match: int | str | None = None,
    ) -> models.PolicyDocument:
        """Replace the whole policy.

        Limits that the body omits no longer apply.

        Args:
            schema_version: Version of this shape.
            max_concurrent_runs: Most active runs; absent: no limit.
            limits: Limits of active runs by session, provider or profile.
            default_run_timeout_ms: Timeout of a run without a profile, in milliseconds.
            default_schedule_timeout_ms: Timeout of a scheduled run without a profile, in milliseconds.
            retry_budget_per_run: Most retries of model calls of a run; absent: no limit.
            cost_budget_daily_usd: Budget of a UTC day in dollars; absent: none.
            max_run_attempts: Executors that a run may lose before it ends as crashed; absent: 3.
            updated_at: Accepted and ignored.
            audit_comment: Reason of the change, for auditors.
            policy: The policy. Its fields can also be in the body itself.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            if_match: Write only if this is the current version (a number, an `ETag`, or `*` for any).

        Raises:
            AthenaError: `PRECONDITION_FAILED`, or an error of every call.
        """
        answer: models.PolicyDocument = self.request(
            "PUT",
            "/policy",
            models.PolicyDocument,
            body={
                "schemaVersion": schema_version,
                "maxConcurrentRuns": max_concurrent_runs,
                "limits": limits,
                "defaultRunTimeoutMs": default_run_timeout_ms,
                "defaultScheduleTimeoutMs": default_schedule_timeout_ms,
                "retryBudgetPerRun": retry_budget_per_run,
                "costBudgetDailyUsd": cost_budget_daily_usd,
                "maxRunAttempts": max_run_attempts,
                "updatedAt": updated_at,
                "auditComment": audit_comment,
                "policy": policy,
            },
            headers=_headers(if_match=if_match),
            key=idempotency_key,
        )
        return answer

    def simulate_policy(
        self,
        *,
        policy: models.PolicyInput | Mapping[str, Any],
        since: str | None = None,
        run_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Simulation:
        """Check recorded run requests against another policy, without changing anything.

        Args:
            policy: Policy to simulate.
            since: Time, position or event id; absent: 24 hours ago.
            run_id: Run to report on.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, or an error of every call.
        """
        answer: models.Simulation = self.request(
            "POST",
            "/policy/simulate",
            models.Simulation,
            body={"policy": policy, "since": since, "runId": run_id},
            key=idempotency_key,
        )
        return answer

    def list_policy_concurrency_rejections(
        self,
        *,
        session_id: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        offset: int | None = None,
        reason: str | None = None,
        actor: str | None = None,
        provider: str | None = None,
        harness_profile_id: str | None = None,
        order: Literal["newest", "oldest"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Rejection]:
        """List runs that the policy rejected, oldest first, or newest first with `order=newest`.

        Args:
            session_id: The `session_id` of the request.
            created_after: Only what was created at this time or later.
            created_before: Only what was created at this time or earlier.
            offset: Rejections to skip, without a cursor.
            reason: Only rejections with this reason.
            actor: Identity that did it, or a `system:` actor of the server.
            provider: Name of the provider.
            harness_profile_id: The `harness_profile_id` of the request.
            order: Order; absent: oldest first.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, or an error of every call.
        """
        return self.pages(
            "/policy/rejections",
            models.Rejection,
            query={
                "sessionId": session_id,
                "createdAfter": created_after,
                "createdBefore": created_before,
                "offset": offset,
                "reason": reason,
                "actor": actor,
                "provider": provider,
                "harnessProfileId": harness_profile_id,
                "order": order,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_halt(self) -> models.HaltRecord:
        """Get the halt, with the number of runs that go on and of those that wait.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.HaltRecord = self.request("GET", "/halt", models.HaltRecord)
        return answer

    def start_halt(
        self, *, reason: str, cancel_running: bool | None = None, idempotency_key: str | None = None
    ) -> models.HaltRecord:
        """Halt all work: nothing begins until an Admin lifts the halt.

        A second halt answers with the first. Requests that begin work are refused with 503 `HALTED`. Runs in line keep
        their order. Running ones go on, unless `cancel_running` is true. Cancellations, answers, reads, redaction and
        changes of the policy still work.

        Args:
            reason: Why all work is halted.
            cancel_running: True to request the cancellation of every run that holds a slot, and of its children.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.HaltRecord = self.request(
            "POST",
            "/halt",
            models.HaltRecord,
            body={"reason": reason, "cancelRunning": cancel_running},
            key=idempotency_key,
        )
        return answer

    def lift_halt(self, *, idempotency_key: str | None = None) -> models.HaltRecord:
        """Lift the halt.

        Runs in line are admitted in order. Without a halt, nothing changes.

        Args:
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.HaltRecord = self.request("DELETE", "/halt", models.HaltRecord, key=idempotency_key)
        return answer

    def list_tokens(
        self,
        *,
        identity: str | None = None,
        status: Literal["active", "expired", "revoked"] | None = None,
        kind: Literal["session", "token"] | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.Token]:
        """List tokens and sessions, newest first, without their text.

        Args:
            identity: Only tokens of this identity.
            status: Only tokens with this status.
            kind: Only tokens, or only sessions.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/tokens",
            models.Token,
            query={
                "identity": identity,
                "status": status,
                "kind": kind,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def create_token(
        self,
        *,
        identity: str,
        role: Literal["Admin", "Operator", "Viewer"],
        scope: models.TokenScopeBody | Mapping[str, Any] | None = None,
        expires_after_ms: int | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.CreatedToken:
        """Create a token for an identity.

        The answer contains its text, which is not stored.

        A request with the token has the lesser of its role and the identity's current role. If the answer is lost,
        revoke the token and create another one: a repeated key answers the record without the text.

        Args:
            identity: Identity of its requests.
            role: Highest role of its requests; at most the identity's role.
            scope: Names that it may concern, by kind; absent: all.
            expires_after_ms: Milliseconds until it expires; 90 days by default.
            note: Purpose of the token.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `TOKEN_LIMIT`, or an error of every call.
        """
        answer: models.CreatedToken = self.request(
            "POST",
            "/tokens",
            models.CreatedToken,
            body={"identity": identity, "role": role, "scope": scope, "expiresAfterMs": expires_after_ms, "note": note},
            key=idempotency_key,
        )
        return answer

    def get_token(
        self, token_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.Token:
        """Get a token or session, valid or not, without its text.

        Args:
            token_id: The `token_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PAST_TOO_LARGE`,
                `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Token = self.request(
            "GET",
            "/tokens/{tokenId}",
            models.Token,
            parameters={"tokenId": token_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def revoke_token(self, token_id: str, *, idempotency_key: str | None = None) -> models.Token:
        """Revoke a token with its sessions, or one session.

        Its open streams end within a second.

        Args:
            token_id: The `token_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.Token = self.request(
            "DELETE", "/tokens/{tokenId}", models.Token, parameters={"tokenId": token_id}, key=idempotency_key
        )
        return answer

    def log_in(self, *, idempotency_key: str | None = None) -> models.Token:
        """Log in: trade the token of the request for a session of at most twelve hours, in a cookie.

        Send the token as `Authorization: Bearer …`. The session has its identity, role and scope, and ends with it. The
        21st session of a token ends the oldest. The answer to a repeated key sets no cookie.

        Args:
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `TOKEN_LIMIT`, or an error of every call.
        """
        answer: models.Token = self.request("POST", "/login", models.Token, key=idempotency_key)
        return answer

    def log_out(self, *, idempotency_key: str | None = None) -> models.LoggedOut:
        """Log out: revoke the session of the cookie, and delete the cookie.

        Without a session, nothing is revoked.

        Args:
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.LoggedOut = self.request("POST", "/logout", models.LoggedOut, key=idempotency_key)
        return answer

    def list_schedules(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.ScheduledTask]:
        """List schedules in the order of their creation.

        Args:
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/schedules",
            models.ScheduledTask,
            query={"cursor": cursor, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )

    def create_schedule(
        self,
        *,
        id: str,
        session_id: str | None = None,
        input: str | None = None,
        directive_id: str | None = None,
        harness_profile_id: str | None = None,
        run_template_id: str | None = None,
        params: Mapping[str, str] | None = None,
        workflow_id: str | None = None,
        every_minutes: int | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        run_at: datetime | str | None = None,
        start_at: datetime | str | None = None,
        end_at: datetime | str | None = None,
        jitter_seconds: int | None = None,
        overlap_policy: Literal[
            "allow-all", "buffer-all", "buffer-latest", "buffer-one", "cancel-other", "skip", "terminate-other"
        ]
        | None = None,
        catch_up: Literal["all", "latest", "none"] | None = None,
        catch_up_window_seconds: int | None = None,
        pause_on_failure: bool | None = None,
        enabled: bool | None = None,
        start_now: bool | None = None,
        paused: bool | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.ScheduledTask:
        """Create a schedule, or replace the one with this id.

        An identical schedule changes nothing.

        Args:
            id: The `id` of the request.
            session_id: The `session_id` of the request.
            input: Text of the task.
            directive_id: Id of the directive; absent if there is none.
            harness_profile_id: The `harness_profile_id` of the request.
            run_template_id: Id of the run template; absent without one.
            params: Values of the parameters, by name.
            workflow_id: Id of the workflow; absent without one.
            every_minutes: Interval in minutes.
            cron: Cron expression with five fields, or a macro such as `@daily`.
            timezone: IANA time zone of `cron`; absent: UTC.
            run_at: The only time, instead of an interval or cron.
            start_at: No times before this.
            end_at: No times after this.
            jitter_seconds: Largest delay of a start, in seconds; the same for the same time.
            overlap_policy: What to do if a run is active when another is due; absent: `skip`.
            catch_up: Which missed times run; absent: `latest`.
            catch_up_window_seconds: How late a missed time may run, in seconds; absent: a year.
            pause_on_failure: True: a failed run pauses the schedule.
            enabled: False switches it off.
            start_now: True: the first run is now.
            paused: Whether it is paused.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, or an error of every call.
        """
        answer: models.ScheduledTask = self.request(
            "POST",
            "/schedules",
            models.ScheduledTask,
            body={
                "id": id,
                "sessionId": session_id,
                "input": input,
                "directiveId": directive_id,
                "harnessProfileId": harness_profile_id,
                "runTemplateId": run_template_id,
                "params": params,
                "workflowId": workflow_id,
                "everyMinutes": every_minutes,
                "cron": cron,
                "timezone": timezone,
                "runAt": run_at,
                "startAt": start_at,
                "endAt": end_at,
                "jitterSeconds": jitter_seconds,
                "overlapPolicy": overlap_policy,
                "catchUp": catch_up,
                "catchUpWindowSeconds": catch_up_window_seconds,
                "pauseOnFailure": pause_on_failure,
                "enabled": enabled,
                "startNow": start_now,
                "paused": paused,
                "note": note,
            },
            key=idempotency_key,
        )
        return answer

    def tick_schedules(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        at: datetime | str | None = None,
        idempotency_key: str | None = None,
    ) -> models.TickResult:
        """Run all schedules that are due, as the server's own timer does, and wait for these runs to end.

        Args:
            provider: Name of the provider.
            model: Name of the model.
            at: Time to use instead of now.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: An error of every call.
        """
        answer: models.TickResult = self.request(
            "POST",
            "/schedules/tick",
            models.TickResult,
            body={"provider": provider, "model": model, "at": at},
            key=idempotency_key,
        )
        return answer

    def get_schedule(
        self, schedule_id: str, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.ScheduledTask:
        """Get a schedule.

        Args:
            schedule_id: The `schedule_id` of the request.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.ScheduledTask = self.request(
            "GET",
            "/schedules/{scheduleId}",
            models.ScheduledTask,
            parameters={"scheduleId": schedule_id},
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def update_schedule(
        self,
        schedule_id: str,
        *,
        session_id: str | None = None,
        input: str | None = None,
        directive_id: str | None = None,
        harness_profile_id: str | None = None,
        run_template_id: str | None = None,
        params: Mapping[str, str] | None = None,
        workflow_id: str | None = None,
        every_minutes: int | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        run_at: datetime | str | None = None,
        start_at: datetime | str | None = None,
        end_at: datetime | str | None = None,
        jitter_seconds: int | None = None,
        overlap_policy: Literal[
            "allow-all", "buffer-all", "buffer-latest", "buffer-one", "cancel-other", "skip", "terminate-other"
        ]
        | None = None,
        catch_up: Literal["all", "latest", "none"] | None = None,
        catch_up_window_seconds: int | None = None,
        pause_on_failure: bool | None = None,
        enabled: bool | None = None,
        start_now: bool | None = None,
        paused: bool | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.ScheduledTask:
        """Replace a whole schedule, or create it.

        An identical schedule changes nothing.

        Args:
            schedule_id: The `schedule_id` of the request.
            session_id: The `session_id` of the request.
            input: Text of the task.
            directive_id: Id of the directive; absent if there is none.
            harness_profile_id: The `harness_profile_id` of the request.
            run_template_id: Id of the run template; absent without one.
            params: Values of the parameters, by name.
            workflow_id: Id of the workflow; absent without one.
            every_minutes: Interval in minutes.
            cron: Cron expression with five fields, or a macro such as `@daily`.
            timezone: IANA time zone of `cron`; absent: UTC.
            run_at: The only time, instead of an interval or cron.
            start_at: No times before this.
            end_at: No times after this.
            jitter_seconds: Largest delay of a start, in seconds; the same for the same time.
            overlap_policy: What to do if a run is active when another is due; absent: `skip`.
            catch_up: Which missed times run; absent: `latest`.
            catch_up_window_seconds: How late a missed time may run, in seconds; absent: a year.
            pause_on_failure: True: a failed run pauses the schedule.
            enabled: False switches it off.
            start_now: True: the first run is now.
            paused: Whether it is paused.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.ScheduledTask = self.request(
            "PUT",
            "/schedules/{scheduleId}",
            models.ScheduledTask,
            parameters={"scheduleId": schedule_id},
            body={
                "sessionId": session_id,
                "input": input,
                "directiveId": directive_id,
                "harnessProfileId": harness_profile_id,
                "runTemplateId": run_template_id,
                "params": params,
                "workflowId": workflow_id,
                "everyMinutes": every_minutes,
                "cron": cron,
                "timezone": timezone,
                "runAt": run_at,
                "startAt": start_at,
                "endAt": end_at,
                "jitterSeconds": jitter_seconds,
                "overlapPolicy": overlap_policy,
                "catchUp": catch_up,
                "catchUpWindowSeconds": catch_up_window_seconds,
                "pauseOnFailure": pause_on_failure,
                "enabled": enabled,
                "startNow": start_now,
                "paused": paused,
                "note": note,
            },
            key=idempotency_key,
        )
        return answer

    def delete_schedule(self, schedule_id: str, *, idempotency_key: str | None = None) -> models.RemovedSchedule:
        """Delete a schedule.

        Its runs in progress continue, and its log is kept.

        Args:
            schedule_id: The `schedule_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.RemovedSchedule = self.request(
            "DELETE",
            "/schedules/{scheduleId}",
            models.RemovedSchedule,
            parameters={"scheduleId": schedule_id},
            key=idempotency_key,
        )
        return answer

    def run_schedule(
        self,
        schedule_id: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        idempotency_key: str | None = None,
        respond_async: bool = False,
    ) -> models.ScheduleRunResult:
        """Run a schedule once now, besides its regular times.

        Waits for the end unless `respond_async` is True.

        Args:
            schedule_id: The `schedule_id` of the request.
            provider: Name of the provider.
            model: Name of the model.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.
            respond_async: Answer at once with the record so far, not after the end.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `PROVIDER_NOT_FOUND`, `UNKNOWN_ERROR`, or an
                error of every call.
        """
        answer: models.ScheduleRunResult = self.request(
            "POST",
            "/schedules/{scheduleId}/run",
            models.ScheduleRunResult,
            parameters={"scheduleId": schedule_id},
            body={"provider": provider, "model": model},
            headers=_headers(respond_async=respond_async),
            key=idempotency_key,
        )
        return answer

    def enable_schedule(self, schedule_id: str, *, idempotency_key: str | None = None) -> models.UpdatedSchedule:
        """Enable a schedule.

        Its next time is computed from now on.

        Args:
            schedule_id: The `schedule_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.UpdatedSchedule = self.request(
            "POST",
            "/schedules/{scheduleId}/enable",
            models.UpdatedSchedule,
            parameters={"scheduleId": schedule_id},
            key=idempotency_key,
        )
        return answer

    def disable_schedule(self, schedule_id: str, *, idempotency_key: str | None = None) -> models.UpdatedSchedule:
        """Disable a schedule.

        Nothing is due or logged until it is enabled again.

        Args:
            schedule_id: The `schedule_id` of the request.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.UpdatedSchedule = self.request(
            "POST",
            "/schedules/{scheduleId}/disable",
            models.UpdatedSchedule,
            parameters={"scheduleId": schedule_id},
            key=idempotency_key,
        )
        return answer

    def pause_schedule(
        self, schedule_id: str, *, note: str | None = None, idempotency_key: str | None = None
    ) -> models.UpdatedSchedule:
        """Pause a schedule.

        Due times are logged as skipped. `note` records the reason.

        Args:
            schedule_id: The `schedule_id` of the request.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.UpdatedSchedule = self.request(
            "POST",
            "/schedules/{scheduleId}/pause",
            models.UpdatedSchedule,
            parameters={"scheduleId": schedule_id},
            body={"note": note},
            key=idempotency_key,
        )
        return answer

    def resume_schedule(
        self, schedule_id: str, *, note: str | None = None, idempotency_key: str | None = None
    ) -> models.UpdatedSchedule:
        """Resume a paused schedule.

        Times that came due during the pause are not run.

        Args:
            schedule_id: The `schedule_id` of the request.
            note: Reason, for auditors.
            idempotency_key: A key of your choice for this call. By default the client makes one, so that retries do
                nothing twice.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `NOT_CAUGHT_UP`, `NOT_FOUND`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.UpdatedSchedule = self.request(
            "POST",
            "/schedules/{scheduleId}/resume",
            models.UpdatedSchedule,
            parameters={"scheduleId": schedule_id},
            body={"note": note},
            key=idempotency_key,
        )
        return answer

    def get_schedule_logs(
        self,
        schedule_id: str,
        *,
        after: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> list[models.ScheduleRunLog]:
        """List the executions of a schedule, including skipped ones, newest first.

        Args:
            schedule_id: The `schedule_id` of the request.
            after: The id of the last entry received.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`,
                `NOT_FOUND`, `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: list[models.ScheduleRunLog] = self.request(
            "GET",
            "/schedules/{scheduleId}/logs",
            list[models.ScheduleRunLog],
            parameters={"scheduleId": schedule_id},
            query={"after": after, "limit": limit, "asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def preview_schedule(
        self,
        schedule_id: str,
        *,
        count: int | None = None,
        from_: datetime | str | None = None,
        every_minutes: int | None = None,
        cron: str | None = None,
        timezone: str | None = None,
        run_at: str | None = None,
        start_at: str | None = None,
        end_at: str | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.FireTimePage:
        """List the next times of a schedule, up to ten years ahead, even if it is disabled.

        With fields of a schedule, such as `cron`, these are the times that it would have if it were written now.

        Args:
            schedule_id: The `schedule_id` of the request.
            count: Times to compute; absent: 10.
            from_: Time to start at; absent: now.
            every_minutes: Interval in minutes.
            cron: Cron expression with five fields, or a macro such as `@daily`.
            timezone: IANA time zone of `cron`; absent: UTC.
            run_at: The only time, instead of an interval or cron.
            start_at: No times before this.
            end_at: No times after this.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `AMBIGUOUS_NAME`, `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `NOT_FOUND`,
                `PAST_TOO_LARGE`, `UNKNOWN_ERROR`, or an error of every call.
        """
        answer: models.FireTimePage = self.request(
            "GET",
            "/schedules/{scheduleId}/preview",
            models.FireTimePage,
            parameters={"scheduleId": schedule_id},
            query={
                "count": count,
                "from": from_,
                "everyMinutes": every_minutes,
                "cron": cron,
                "timezone": timezone,
                "runAt": run_at,
                "startAt": start_at,
                "endAt": end_at,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )
        return answer

    def get_audit_trail(
        self,
        *,
        actor: str | None = None,
        kind: Literal[
            "anchor",
            "approval",
            "ask",
            "authentication",
            "bulk",
            "cancel",
            "clock",
            "dead-letter",
            "denial",
            "fork",
            "halt",
            "mcp-server",
            "permission-rule",
            "policy",
            "redaction",
            "rejection",
            "resume",
            "roles",
            "schedule",
            "server",
            "suppression",
            "token",
            "workspace",
        ]
        | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> Pages[models.AuditEntry]:
        """List changes, cancellations and denials with actors and reasons, newest first, as JSON or CSV.

        Args:
            actor: Identity that did it, or a `system:` actor of the server.
            kind: Only entries of this kind.
            created_after: Only what was created at this time or later.
            created_before: Only what was created at this time or earlier.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an
                error of every call.
        """
        return self.pages(
            "/governance/audit-trail",
            models.AuditEntry,
            query={
                "actor": actor,
                "kind": kind,
                "createdAfter": created_after,
                "createdBefore": created_before,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )

    def get_fleet_summary(
        self, *, as_of: str | None = None, min_position: int | None = None, stale: str | None = None
    ) -> models.FleetSummary:
        """Get run counts, durations, waiting work, open asks, the halt and this month's cost.

        Args:
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an error of every call.
        """
        answer: models.FleetSummary = self.request(
            "GET",
            "/fleet/summary",
            models.FleetSummary,
            query={"asOf": as_of, "minPosition": min_position, "stale": stale},
        )
        return answer

    def get_fleet_series(
        self,
        *,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        step: Literal["1h", "1m", "5s"] | None = None,
        by: Literal["error", "model", "profile"] | None = None,
        as_of: str | None = None,
        min_position: int | None = None,
        stale: str | None = None,
    ) -> models.FleetSeries:
        """Get outcomes, cost, tokens and durations over time, also by model, profile or error code.

        Without `from`, the answer covers the hour before `to`, and without `to` it ends now. Intervals of 5 seconds are
        kept for 66 minutes, of a minute for 25 hours, and of an hour for 91 days. Without `step`, the answer has the
        shortest intervals that are kept, if 400 of them suffice. `as_of` shows what was kept then. Each interval names
        30 models, profiles and error codes; further ones are in `other`.

        Args:
            from_: Beginning; absent: an hour before the end.
            to: End; absent: now.
            step: Length of an interval; absent: the shortest that suits the time.
            by: Also count by model, profile or error code.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.
            min_position: Wait until the views reflect this position of the log.
            stale: `allow` skips the wait for the views. An answer that lags carries the header `athena-stale`.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `NOT_CAUGHT_UP`, `PAST_TOO_LARGE`, or an error of every call.
        """
        answer: models.FleetSeries = self.request(
            "GET",
            "/fleet/series",
            models.FleetSeries,
            query={
                "from": from_,
                "to": to,
                "step": step,
                "by": by,
                "asOf": as_of,
                "minPosition": min_position,
                "stale": stale,
            },
        )
        return answer

    def list_events(
        self,
        *,
        types: Sequence[EventType] | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        trace_id: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        as_of: str | None = None,
    ) -> Pages[Event]:
        """List events from a cursor, oldest first.

        The payload of an event has the shape that `/events.schema.json` gives for its `type`.

        With `Accept: application/x-ndjson` the answer has all events up to the head, one on each line, whatever the
        `limit`. An error on the way is the last line.

        Args:
            types: Event types, separated by commas; absent: all.
            session_id: The `session_id` of the request.
            run_id: The `run_id` of the request.
            trace_id: Trace id of the request that caused it.
            created_after: Only what was created at this time or later.
            created_before: Only what was created at this time or earlier.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.
            as_of: Answer as of this event id, position or time (ISO-8601), without what was erased since.

        Returns:
            The items of all pages, one by one; `pages()` yields the pages.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `PAST_TOO_LARGE`, `STREAM_LIMIT`, or an
                error of every call.
        """
        from athena_client.events import decode_event

        return self.pages(
            "/events",
            decode_event,
            query={
                "types": types,
                "sessionId": session_id,
                "runId": run_id,
                "traceId": trace_id,
                "createdAfter": created_after,
                "createdBefore": created_before,
                "cursor": cursor,
                "limit": limit,
                "asOf": as_of,
            },
        )

    def get_diff(
        self,
        *,
        from_: str,
        to: str | None = None,
        kind: Literal[
            "anchor",
            "bulk-request",
            "dead-letter",
            "directive",
            "halt",
            "harness-profile",
            "mcp-server",
            "memory",
            "message",
            "other",
            "permission-rule",
            "plane",
            "policy",
            "queue",
            "redrive",
            "rejection",
            "review",
            "run",
            "run-template",
            "schedule",
            "session",
            "token",
            "workflow",
            "workflow-run",
            "workspace",
        ]
        | None = None,
        change: Literal["appeared", "changed", "ended"] | None = None,
        counts: bool | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> models.Diff:
        """Compare two moments.

        List the records that appeared, ended or changed, with their events, last changed first.

        `from` and `to` are event ids, positions or times; a time means the last event until then. Between them there
        may be as many events as `diff_events_max` of `GET /capabilities` says. The answer holds no texts, and actors
        only for an Admin.

        `counts` are of the whole difference, so all of its events are read for them. With `limit` or `cursor` they are
        absent, unless `counts=true`. Such a page reads 50 events for each record of its limit, so it may have fewer
        records although `next_cursor` is there.

        Args:
            from_: First moment: event id, position or time.
            to: Second moment: event id, position or time; absent: now.
            kind: Only records of this kind.
            change: Only records with this change.
            counts: True: with the counts; absent: without `limit` and `cursor` only.
            cursor: The `next_cursor` of the previous page.
            limit: The maximum number of items, clamped to the range 1 to 500.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `DIFF_TOO_LARGE`, or an error of every
                call.
        """
        answer: models.Diff = self.request(
            "GET",
            "/diff",
            models.Diff,
            query={
                "from": from_,
                "to": to,
                "kind": kind,
                "change": change,
                "counts": counts,
                "cursor": cursor,
                "limit": limit,
            },
        )
        return answer

    def stream_events(
        self,
        *,
        types: Sequence[EventType] | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        after: str | None = None,
    ) -> Stream[Event]:
        """Stream events from a cursor, live, as server-sent events.

        The `event` of a frame is the `type` of its record, one of `event_types` of `GET /api/v1/capabilities`. Its
        payload has the shape that `/events.schema.json` gives for the type. Two more frames have `{cursor, head}` as
        their data: `caught-up` at the head, and `bookmark` after 10,000 events that the filters hide. A newer server
        may send others.

        Args:
            types: Event types, separated by commas; absent: all.
            session_id: The `session_id` of the request.
            run_id: The `run_id` of the request.
            after: Start after this id or position, at `latest`, or at a time; absent: from the beginning.

        Returns:
            A stream without an end. After a lost connection it resumes where it was.

        Raises:
            AthenaError: `CURSOR_AHEAD`, `CURSOR_FOREIGN`, `CURSOR_INVALID`, `STREAM_LIMIT`, or an error of every call.
        """
        from athena_client.events import decode_event

        return self.stream(
            "/events/stream",
            decode_event,
            query={"types": types, "sessionId": session_id, "runId": run_id, "after": after},
        )
