// Generated from the table of operations by `python -m docs.generate`; do not edit.

import type { PageQuery, ReadOptions, WriteOptions } from "../options.js";
import { Pages } from "../pages.js";
import { type StreamItem, type StreamParts, Transport } from "../transport.js";
import { type AthenaEvent, eventOf } from "./events.js";
import * as rows from "./operations.js";
import type * as types from "./types.js";

/** The query of `findIds`. */
export interface FindIdsQuery {
  /** Find records by their names, too, and take a part of any length. */
  readonly names?: boolean | undefined;
}

/** The query of `listRuns`. */
export interface ListRunsQuery extends PageQuery {
  readonly sessionId?: string | undefined;
  readonly status?: types.RunStatus | undefined;
  /** Name of the provider. */
  readonly provider?: string | undefined;
  /** Name of the model. */
  readonly model?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Only runs that ended with this error code. */
  readonly errorCode?: string | undefined;
  /** Only children of this run. */
  readonly parentRunId?: string | undefined;
  /** Only retries of this run. */
  readonly retryOf?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
  /** Only runs that cost more, in dollars. */
  readonly costOverUsd?: number | undefined;
  /** Only ended runs that took longer, in milliseconds. */
  readonly durationOverMs?: number | undefined;
  /** Order, the largest first; absent: `createdAt`. */
  readonly sort?: "cost" | "createdAt" | "duration" | undefined;
  /** `output` adds whole outputs. */
  readonly include?: "output" | undefined;
}

/** The query of `getRunFacets`. */
export interface GetRunFacetsQuery {
  readonly sessionId?: string | undefined;
  readonly status?: types.RunStatus | undefined;
  /** Name of the provider. */
  readonly provider?: string | undefined;
  /** Name of the model. */
  readonly model?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Only runs that ended with this error code. */
  readonly errorCode?: string | undefined;
  /** Only children of this run. */
  readonly parentRunId?: string | undefined;
  /** Only retries of this run. */
  readonly retryOf?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
  /** Only runs that cost more, in dollars. */
  readonly costOverUsd?: number | undefined;
  /** Only ended runs that took longer, in milliseconds. */
  readonly durationOverMs?: number | undefined;
}

/** The query of `getRun`. */
export interface GetRunQuery {
  /** Seconds to wait for the end of the run. */
  readonly wait?: number | undefined;
}

/** The query of `listActiveRuns`. */
export interface ListActiveRunsQuery extends PageQuery {
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
}

/** The query of `listCancellationRequests`. */
export interface ListCancellationRequestsQuery extends PageQuery {
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
}

/** The query of `getSessionTranscript`. */
export interface GetSessionTranscriptQuery {
  /** The id of the last entry received. */
  readonly after?: string | undefined;
  /** The maximum number of items, clamped to the range 1 to 500. */
  readonly limit?: number | undefined;
}

/** The query of `streamSessionTranscript`. */
export interface StreamSessionTranscriptQuery {
  /** `event`: each frame names its event. `message`: none does, and `data.event` has the name. */
  readonly frames?: "event" | "message" | undefined;
  /** Start after this id or position, at `latest`, or at a time; absent: from the beginning. */
  readonly after?: string | undefined;
}

/** The query of `listWorkspaces`. */
export interface ListWorkspacesQuery extends PageQuery {
  /** Only this status. */
  readonly status?: types.WorkspaceStatus | undefined;
  /** Only workspaces of sessions, or of workflow runs. */
  readonly kind?: "session" | "workflow-run" | undefined;
  /** Only the workspaces of this session. */
  readonly sessionId?: string | undefined;
}

/** The query of `getRunDiff`. */
export interface GetRunDiffQuery {
  /** True: the exact diff, from the files of the workspace. Needs the right to apply; recorded. */
  readonly exact?: boolean | undefined;
}

/** The query of `getRunTemplate`. */
export interface GetRunTemplateQuery {
  /** Version; absent: the newest. */
  readonly version?: number | undefined;
}

/** The query of `listA2aMessages`. */
export interface ListA2aMessagesQuery extends PageQuery {
  /** Persona that sends the message. */
  readonly fromPersona?: string | undefined;
  /** Persona that receives the message. */
  readonly toPersona?: string | undefined;
  readonly status?: types.MessageStatus | undefined;
}

/** The query of `listA2aDlq`. */
export interface ListA2aDlqQuery extends PageQuery {
  readonly status?: types.DeadLetterStatus | undefined;
  readonly sessionId?: string | undefined;
  /** Only messages of this sender. */
  readonly sourcePersona?: string | undefined;
  /** Only messages to this persona. */
  readonly targetPersona?: string | undefined;
  /** Only dead letters with this reason. */
  readonly reason?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
}

/** The query of `searchMemory`. */
export interface SearchMemoryQuery {
  /** Words to search for. */
  readonly query: string;
  /** Most passages; absent: 6. */
  readonly maxResults?: number | undefined;
  /** Lowest `score` of a passage; absent: no limit. */
  readonly minScore?: number | undefined;
}

/** The query of `listAnchors`. */
export interface ListAnchorsQuery extends PageQuery {
  readonly logId?: string | undefined;
}

/** The query of `listAsks`. */
export interface ListAsksQuery extends PageQuery {
  /** Only asks with this status. */
  readonly status?: types.AskStatus | undefined;
  /** Only asks of this kind. */
  readonly kind?: types.AskKind | undefined;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** True: only open asks that the caller may answer. */
  readonly answerable?: boolean | undefined;
}

/** The query of `getAsk`. */
export interface GetAskQuery {
  /** Opens the exact text of an ask whose texts hide a part. It is recorded. */
  readonly exact?: boolean | undefined;
}

/** The query of `listPermissionRules`. */
export interface ListPermissionRulesQuery extends PageQuery {
  /** Only rules with this status. */
  readonly status?: types.PermissionRuleStatus | undefined;
  /** Only rules of this scope. */
  readonly scope?: types.RuleScope | undefined;
  /** Only rules of this tool. */
  readonly toolName?: string | undefined;
  /** Only rules of this run. */
  readonly runId?: string | undefined;
  /** Only rules of this session. */
  readonly sessionId?: string | undefined;
  /** Only rules of this profile. */
  readonly harnessProfileId?: string | undefined;
}

/** The query of `listWorkflowRunItems`. */
export interface ListWorkflowRunItemsQuery extends PageQuery {
  readonly status?: types.StepItemStatus | undefined;
}

/** The query of `listPersonaRuns`. */
export interface ListPersonaRunsQuery extends PageQuery {
  /** Only reviews by this persona. */
  readonly name?: string | undefined;
  readonly status?: "failed" | "ok" | "running" | undefined;
}

/** The query of `listPolicyConcurrencyRejections`. */
export interface ListPolicyConcurrencyRejectionsQuery extends PageQuery {
  readonly sessionId?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
  /** Rejections to skip, without a cursor. */
  readonly offset?: number | undefined;
  /** Only rejections with this reason. */
  readonly reason?: string | undefined;
  /** Identity that did it, or a `system:` actor of the server. */
  readonly actor?: string | undefined;
  /** Name of the provider. */
  readonly provider?: string | undefined;
  readonly harnessProfileId?: string | undefined;
  /** Order; absent: oldest first. */
  readonly order?: "newest" | "oldest" | undefined;
}

/** The query of `listTokens`. */
export interface ListTokensQuery extends PageQuery {
  /** Only tokens of this identity. */
  readonly identity?: string | undefined;
  /** Only tokens with this status. */
  readonly status?: types.TokenStatus | undefined;
  /** Only tokens, or only sessions. */
  readonly kind?: types.TokenKind | undefined;
}

/** The query of `getScheduleLogs`. */
export interface GetScheduleLogsQuery {
  /** The id of the last entry received. */
  readonly after?: string | undefined;
  /** The maximum number of items, clamped to the range 1 to 500. */
  readonly limit?: number | undefined;
}

/** The query of `previewSchedule`. */
export interface PreviewScheduleQuery {
  /** Times to compute; absent: 10. */
  readonly count?: number | undefined;
  /** Time to start at; absent: now. */
  readonly from?: string | undefined;
  /** Interval in minutes. */
  readonly everyMinutes?: number | undefined;
  /** Cron expression with five fields, or a macro such as `@daily`. */
  readonly cron?: string | undefined;
  /** IANA time zone of `cron`; absent: UTC. */
  readonly timezone?: string | undefined;
  /** The only time, instead of an interval or cron. */
  readonly runAt?: string | undefined;
  /** No times before this. */
  readonly startAt?: string | undefined;
  /** No times after this. */
  readonly endAt?: string | undefined;
}

/** The query of `getAuditTrail`. */
export interface GetAuditTrailQuery extends PageQuery {
  /** Identity that did it, or a `system:` actor of the server. */
  readonly actor?: string | undefined;
  /** Only entries of this kind. */
  readonly kind?: types.AuditKind | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
}

/** The query of `getFleetSeries`. */
export interface GetFleetSeriesQuery {
  /** Beginning; absent: an hour before the end. */
  readonly from?: string | undefined;
  /** End; absent: now. */
  readonly to?: string | undefined;
  /** Length of an interval; absent: the shortest that suits the time. */
  readonly step?: "1h" | "1m" | "5s" | undefined;
  /** Also count by model, profile or error code. */
  readonly by?: "error" | "model" | "profile" | undefined;
}

/** The query of `listEvents`. */
export interface ListEventsQuery extends PageQuery {
  /** Event types, separated by commas; absent: all. */
  readonly types?: readonly string[] | undefined;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
  /** Trace id of the request that caused it. */
  readonly traceId?: string | undefined;
  /** Only what was created at this time or later. */
  readonly createdAfter?: string | undefined;
  /** Only what was created at this time or earlier. */
  readonly createdBefore?: string | undefined;
}

/** The query of `getDiff`. */
export interface GetDiffQuery extends PageQuery {
  /** First moment: event id, position or time. */
  readonly from: string;
  /** Second moment: event id, position or time; absent: now. */
  readonly to?: string | undefined;
  /** Only records of this kind. */
  readonly kind?: types.ChangedKind | undefined;
  /** Only records with this change. */
  readonly change?: types.Change | undefined;
  /** True: with the counts; absent: without `limit` and `cursor` only. */
  readonly counts?: boolean | undefined;
}

/** The query of `streamEvents`. */
export interface StreamEventsQuery {
  /** Event types, separated by commas; absent: all. */
  readonly types?: readonly string[] | undefined;
  readonly sessionId?: string | undefined;
  readonly runId?: string | undefined;
  /** `event`: each frame names its event. `message`: none does, and `data.event` has the name. */
  readonly frames?: "event" | "message" | undefined;
  /** Start after this id or position, at `latest`, or at a time; absent: from the beginning. */
  readonly after?: string | undefined;
}

/** One method for each operation. */
export class Operations extends Transport {
  /** Get the features, providers and limits of the server. */
  async getCapabilities(options: ReadOptions = {}): Promise<types.Capabilities> {
    return (await this.request(rows.getCapabilities, { ...options })).data;
  }

  /** Get the identity of the caller and the operations that it may use. */
  async getCaller(options: ReadOptions = {}): Promise<types.Caller> {
    return (await this.request(rows.getCaller, { ...options })).data;
  }

  /** Get the health of the server and the state of each projection. */
  async getAdminHealth(options: ReadOptions = {}): Promise<types.Health> {
    return (await this.request(rows.getAdminHealth, { ...options })).data;
  }

  /** Accept a forward jump of the machine's clock now, without waiting ten minutes. */
  async acceptClock(options: WriteOptions = {}): Promise<types.AcceptedClock> {
    return (await this.request(rows.acceptClock, { ...options })).data;
  }

  /** Get a checksum of each view. Reads every row; concurrent requests share one scan. */
  async getViewDigests(options: ReadOptions = {}): Promise<types.ViewDigests> {
    return (await this.request(rows.getViewDigests, { ...options })).data;
  }

  /**
   * Find the ids of records that begin or end with a part, at most ten.
   *
   * The part has at least six characters; case does not matter. With `names`, records are found, too, whose names
   * contain a part of any length: harness profiles, schedules and personas. A caller with a scope finds its runs, their
   * asks and evidence, and harness profiles.
   */
  async findIds(part: string, query: FindIdsQuery = {}, options: ReadOptions = {}): Promise<types.FoundIds> {
    return (await this.request(rows.findIds, { path: { part }, query: { ...query }, ...options })).data;
  }

  /** List the servers and workers on this log, with their capacity, running runs and last heartbeat. */
  async listWorkers(options: ReadOptions = {}): Promise<types.Workers> {
    return (await this.request(rows.listWorkers, { ...options })).data;
  }

  /** List the outside agents that are registered on this server, and their living processes with their memory. */
  async listAgents(options: ReadOptions = {}): Promise<types.AgentList> {
    return (await this.request(rows.listAgents, { ...options })).data;
  }

  /** List the MCP servers that are registered on this server, and those that were listed by others. */
  async listMcpServers(options: ReadOptions = {}): Promise<types.McpServerList> {
    return (await this.request(rows.listMcpServers, { ...options })).data;
  }

  /** Get an MCP server with the tools that it listed last, and what an operator accepted. */
  async getMcpServer(server: string, options: ReadOptions = {}): Promise<types.McpServerDetails> {
    return (await this.request(rows.getMcpServer, { path: { server }, ...options })).data;
  }

  /** Start an MCP server, list its tools, record them if they changed, and end it. Nothing is accepted by that. */
  async checkMcpServer(server: string, options: WriteOptions = {}): Promise<types.McpServerDetails> {
    return (await this.request(rows.checkMcpServer, { path: { server }, ...options })).data;
  }

  /** Accept tools of an MCP server as it listed them last. */
  async acceptMcpTools(server: string, body: types.AcceptanceBody = {}, options: WriteOptions = {}): Promise<types.McpServerDetails> {
    return (await this.request(rows.acceptMcpTools, { path: { server }, body, ...options })).data;
  }

  /**
   * Start a run. Waits for its result unless `Prefer: respond-async` is sent.
   *
   * Send `input` or `directiveId`. A run that fails is an error of this call, with its id in `details`. If the run is
   * paused, the answer is 202 with its record.
   */
  async createRun(body: types.RunBody = {}, options: WriteOptions = {}): Promise<types.RunResult | types.Run> {
    return (await this.request(rows.createRun, { body, ...options })).data;
  }

  /**
   * Run the request of an ended run again, with the changes of the body. Answers as `POST /runs` does.
   *
   * The new run has the session, the directive or `input`, the profile and the metadata of the first, but not its
   * parent. The first run stays as it is.
   */
  async retryRun(runId: string, body: types.RetryBody = {}, options: WriteOptions = {}): Promise<types.RunResult | types.Run> {
    return (await this.request(rows.retryRun, { path: { runId }, body, ...options })).data;
  }

  /**
   * List runs, newest first.
   *
   * `sort=cost` lists the dearest runs first and leaves out runs without a cost. `sort=duration` lists the longest
   * first and leaves out runs that have not ended.
   */
  listRuns(query: ListRunsQuery = {}, options: ReadOptions = {}): Pages<types.Run, types.RunPage> {
    return new Pages(this, rows.listRuns, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Count runs by status, profile, model, error code and session, with the filters of `GET /runs`. */
  async getRunFacets(query: GetRunFacetsQuery = {}, options: ReadOptions = {}): Promise<types.RunFacets> {
    return (await this.request(rows.getRunFacets, { query: { ...query }, ...options })).data;
  }

  /** Get a run. With `wait`, the answer waits up to that many seconds for its end. */
  async getRun(runId: string, query: GetRunQuery = {}, options: ReadOptions = {}): Promise<types.Run> {
    return (await this.request(rows.getRun, { path: { runId }, query: { ...query }, ...options })).data;
  }

  /** List a run's evidence, newest first, without contents. */
  listRunEvidence(runId: string, query: PageQuery = {}, options: ReadOptions = {}): Pages<types.EvidenceRecord, types.EvidenceRecordPage> {
    return new Pages(this, rows.listRunEvidence, { path: { runId }, query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a piece of evidence of a run, with its content. */
  async getRunEvidence(runId: string, evidenceId: string, options: ReadOptions = {}): Promise<types.Evidence> {
    return (await this.request(rows.getRunEvidence, { path: { runId, evidenceId }, ...options })).data;
  }

  /** Explain the state of a run: the causes that led to it, and what the run is waiting for. */
  async explainRun(runId: string, options: ReadOptions = {}): Promise<types.Explanation> {
    return (await this.request(rows.explainRun, { path: { runId }, ...options })).data;
  }

  /** List admitted runs that have not ended, newest first, each with what it does now. */
  listActiveRuns(query: ListActiveRunsQuery = {}, options: ReadOptions = {}): Pages<types.ActiveRun, types.ActiveRunPage> {
    return new Pages(this, rows.listActiveRuns, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** List cancel requests of runs that have not ended, newest first. */
  listCancellationRequests(query: ListCancellationRequestsQuery = {}, options: ReadOptions = {}): Pages<types.CancelRequest, types.CancelRequestPage> {
    return new Pages(this, rows.listCancellationRequests, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Cancel a run. `status` is `not-running` if it has already ended or does not exist. */
  async cancelRunByRunId(runId: string, body: types.CancelBody = {}, options: WriteOptions = {}): Promise<types.Cancelled> {
    return (await this.request(rows.cancelRunByRunId, { path: { runId }, body, ...options })).data;
  }

  /**
   * Cancel the admitted run of a session.
   *
   * Deprecated: use `/api/v1/run-control/by-run/{runId}/cancel`.
   *
   * @deprecated
   */
  async cancelRun(sessionId: string, body: types.CancelBody = {}, options: WriteOptions = {}): Promise<types.Cancelled> {
    return (await this.request(rows.cancelRun, { path: { sessionId }, body, ...options })).data;
  }

  /** Resume a paused run, with or without a new budget. Waits for its end unless `Prefer: respond-async` is sent. */
  async resumeRun(runId: string, body: types.ResumeBody = {}, options: WriteOptions = {}): Promise<types.Run> {
    return (await this.request(rows.resumeRun, { path: { runId }, body, ...options })).data;
  }

  /**
   * Get the request of one turn of a run to its model: the messages as they were sent, and the tools.
   *
   * It is compiled again from the log, within the limits of contexts that are set now. Tools of MCP servers are
   * described as they were accepted then, other tools as in this release. Erased texts are missing. The requests of
   * outside agents are not known.
   */
  async getSentRequest(runId: string, turn: string, options: ReadOptions = {}): Promise<types.SentRequest> {
    return (await this.request(rows.getSentRequest, { path: { runId, turn }, ...options })).data;
  }

  /**
   * Get the place of a run in the chain, the newest anchor that was sent, and the commands that prove the run.
   *
   * When an anchor was sent is not recorded, so a past answer has none.
   */
  async getRunProof(runId: string, options: ReadOptions = {}): Promise<types.RunProof> {
    return (await this.request(rows.getRunProof, { path: { runId }, ...options })).data;
  }

  /**
   * Cancel the open runs of a filter, at most 10,000. `dryRun` only lists them.
   *
   * The answer has a result for each run. To continue after a lost connection, repeat the request with its idempotency
   * key.
   */
  async cancelRuns(body: types.BulkCancelBody, options: WriteOptions = {}): Promise<types.BulkResult> {
    return (await this.request(rows.cancelRuns, { body, ...options })).data;
  }

  /**
   * Retry the ended runs of a filter, at most 10,000. `dryRun` only lists them.
   *
   * The retries wait for free slots. The answer does not wait for them. To continue after a lost connection, repeat the
   * request with its idempotency key.
   */
  async retryRuns(body: types.BulkRetryBody, options: WriteOptions = {}): Promise<types.BulkResult> {
    return (await this.request(rows.retryRuns, { body, ...options })).data;
  }

  /** List sessions, most recently used first. */
  listSessions(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.Session, types.SessionPage> {
    return new Pages(this, rows.listSessions, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a session. */
  async getSession(sessionId: string, options: ReadOptions = {}): Promise<types.Session> {
    return (await this.request(rows.getSession, { path: { sessionId }, ...options })).data;
  }

  /** List the newest transcript entries of a session, or those after a cursor, in order of time. */
  getSessionTranscript(sessionId: string, query: GetSessionTranscriptQuery = {}, options: ReadOptions = {}): Pages<types.TranscriptEntry, types.TranscriptEntryPage> {
    return new Pages(this, rows.getSessionTranscript, { path: { sessionId }, query: { ...query }, ...options }, (page) => page.items, "after");
  }

  /** Stream a transcript from any entry, live, as server-sent events, with the text that a model is writing. */
  streamSessionTranscript(sessionId: string, query: StreamSessionTranscriptQuery = {}, options: StreamParts = {}): AsyncGenerator<StreamItem, void, undefined> {
    return this.stream(rows.streamSessionTranscript, query.after ?? undefined, { path: { sessionId }, query: { ...query, after: undefined }, ...options });
  }

  /** List the workspaces of sessions and workflow runs, newest first. */
  listWorkspaces(query: ListWorkspacesQuery = {}, options: ReadOptions = {}): Pages<types.WorkspaceRecord, types.WorkspaceRecordPage> {
    return new Pages(this, rows.listWorkspaces, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a workspace, cleaned or not, with its size on this server's disk. A past answer has no size. */
  async getWorkspace(workspaceId: string, options: ReadOptions = {}): Promise<types.WorkspaceRecord> {
    return (await this.request(rows.getWorkspace, { path: { workspaceId }, ...options })).data;
  }

  /** Keep a workspace even if it is unused, or with `keep` false let it be cleaned again. */
  async keepWorkspace(workspaceId: string, body: types.KeepBody, options: WriteOptions = {}): Promise<types.WorkspaceRecord> {
    return (await this.request(rows.keepWorkspace, { path: { workspaceId }, body, ...options })).data;
  }

  /**
   * Clean a workspace: delete its files. The recorded diffs of its runs stay.
   *
   * The next run of its session or workflow run gets a new one. A workspace in which a run works is not cleaned.
   */
  async cleanWorkspace(workspaceId: string, options: WriteOptions = {}): Promise<types.WorkspaceRecord> {
    return (await this.request(rows.cleanWorkspace, { path: { workspaceId }, ...options })).data;
  }

  /**
   * Get what a run changed in the workspace of its session or workflow run, as recorded at its end.
   *
   * Parts that look like secrets are replaced by marks. With `exact`, the diff is computed again from the workspace and
   * hides nothing. This needs the right to apply, and is recorded once for each identity.
   */
  async getRunDiff(runId: string, query: GetRunDiffQuery = {}, options: ReadOptions = {}): Promise<types.RunDiff> {
    return (await this.request(rows.getRunDiff, { path: { runId }, query: { ...query }, ...options })).data;
  }

  /**
   * Write what a run changed in its own workspace into the shared one, all of it or nothing.
   *
   * `subjectHash` names the changes that were shown; other changes are not applied. If the diff hides a part of them
   * (`exactNeeded`), the hash is required, and the caller must have opened the exact diff.
   *
   * A file that changed in the shared workspace meanwhile is merged. If that is not possible, or a path is closed, the
   * answer is 409 with all such paths. A repeated apply writes only the rest. With `dryRun`, nothing is written and
   * conflicts are results.
   */
  async applyRun(runId: string, body: types.ApplyBody = {}, options: WriteOptions = {}): Promise<types.AppliedRun> {
    return (await this.request(rows.applyRun, { path: { runId }, body, ...options })).data;
  }

  /** List directives, newest first. */
  listDirectives(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.Directive, types.DirectivePage> {
    return new Pages(this, rows.listDirectives, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Create a directive. */
  async createDirective(body: types.DirectiveSpec, options: WriteOptions = {}): Promise<types.Directive> {
    return (await this.request(rows.createDirective, { body, ...options })).data;
  }

  /** Get a directive. */
  async getDirective(directiveId: string, options: ReadOptions = {}): Promise<types.Directive> {
    return (await this.request(rows.getDirective, { path: { directiveId }, ...options })).data;
  }

  /** List harness profiles, newest first. */
  listHarnessProfiles(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.HarnessProfile, types.HarnessProfilePage> {
    return new Pages(this, rows.listHarnessProfiles, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Create a harness profile. */
  async createHarnessProfile(body: types.HarnessSpec, options: WriteOptions = {}): Promise<types.HarnessProfile> {
    return (await this.request(rows.createHarnessProfile, { body, ...options })).data;
  }

  /** Get a harness profile. */
  async getHarnessProfile(harnessProfileId: string, options: ReadOptions = {}): Promise<types.HarnessProfile> {
    return (await this.request(rows.getHarnessProfile, { path: { harnessProfileId }, ...options })).data;
  }

  /** List the newest versions of run templates, newest first. */
  listRunTemplates(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.RunTemplate, types.RunTemplatePage> {
    return new Pages(this, rows.listRunTemplates, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Create a run template: a directive with placeholders, and the profile that runs it. */
  async createRunTemplate(body: types.TemplateSpec, options: WriteOptions = {}): Promise<types.RunTemplate> {
    return (await this.request(rows.createRunTemplate, { body, ...options })).data;
  }

  /** Get the newest version of a run template, or the one that `version` names. */
  async getRunTemplate(templateId: string, query: GetRunTemplateQuery = {}, options: ReadOptions = {}): Promise<types.RunTemplate> {
    return (await this.request(rows.getRunTemplate, { path: { templateId }, query: { ...query }, ...options })).data;
  }

  /** Create a new version of a run template. Runs of earlier versions are not affected. */
  async updateRunTemplate(templateId: string, body: types.TemplateSpec, options: WriteOptions = {}): Promise<types.RunTemplate> {
    return (await this.request(rows.updateRunTemplate, { path: { templateId }, body, ...options })).data;
  }

  /** Start a run of a template's newest version. Waits for its result unless `Prefer: respond-async` is sent. */
  async runTemplate(templateId: string, body: types.RunTemplateBody = {}, options: WriteOptions = {}): Promise<types.RunResult | types.Run> {
    return (await this.request(rows.runTemplate, { path: { templateId }, body, ...options })).data;
  }

  /** Enqueue a work item in a session's queue, unless an item with the same payload and mode is waiting. */
  async enqueueWork(body: types.EnqueueBody, options: WriteOptions = {}): Promise<types.WorkQueueState> {
    return (await this.request(rows.enqueueWork, { body, ...options })).data;
  }

  /** List the queues of sessions that hold items, by session. */
  listWorkQueues(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.WorkQueueSummary, types.WorkQueueSummaryPage> {
    return new Pages(this, rows.listWorkQueues, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** List the waiting items of a session's queue, oldest first. */
  getSessionWorkQueue(sessionId: string, query: PageQuery = {}, options: ReadOptions = {}): Pages<types.WorkItem, types.WorkQueueState> {
    return new Pages(this, rows.getSessionWorkQueue, { path: { sessionId }, query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Drain a session's queue. Waits for the end unless `Prefer: respond-async` is sent. */
  async drainWork(sessionId: string, body: types.DrainBody = {}, options: WriteOptions = {}): Promise<types.DrainResult | types.WorkDrain> {
    return (await this.request(rows.drainWork, { path: { sessionId }, body, ...options })).data;
  }

  /** Get a drain. */
  async getWorkDrain(drainId: string, options: ReadOptions = {}): Promise<types.WorkDrain> {
    return (await this.request(rows.getWorkDrain, { path: { drainId }, ...options })).data;
  }

  /** Send a message to a persona. Its session's queue is drained automatically. */
  async sendA2aMessage(body: types.MessageBody, options: WriteOptions = {}): Promise<types.Message> {
    return (await this.request(rows.sendA2aMessage, { body, ...options })).data;
  }

  /** List messages between personas, newest first. */
  listA2aMessages(query: ListA2aMessagesQuery = {}, options: ReadOptions = {}): Pages<types.Message, types.MessagePage> {
    return new Pages(this, rows.listA2aMessages, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a message. */
  async getA2aMessage(messageId: string, options: ReadOptions = {}): Promise<types.Message> {
    return (await this.request(rows.getA2aMessage, { path: { messageId }, ...options })).data;
  }

  /** List dead letters, which are work items and messages that could not be processed, oldest first. */
  listA2aDlq(query: ListA2aDlqQuery = {}, options: ReadOptions = {}): Pages<types.DeadLetter, types.DeadLetterPage> {
    return new Pages(this, rows.listA2aDlq, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a dead letter. */
  async getA2aDlqItem(id: string, options: ReadOptions = {}): Promise<types.DeadLetter> {
    return (await this.request(rows.getA2aDlqItem, { path: { id }, ...options })).data;
  }

  /** Requeue the work of a dead letter, once. */
  async requeueA2aDlqItem(id: string, options: WriteOptions = {}): Promise<types.DecidedDeadLetter> {
    return (await this.request(rows.requeueA2aDlqItem, { path: { id }, ...options })).data;
  }

  /** Discard a dead letter: its work will not be done. */
  async discardA2aDlqItem(id: string, body: types.NoteBody = {}, options: WriteOptions = {}): Promise<types.DecidedDeadLetter> {
    return (await this.request(rows.discardA2aDlqItem, { path: { id }, body, ...options })).data;
  }

  /** Restore a discarded dead letter. */
  async restoreA2aDlqItem(id: string, body: types.NoteBody = {}, options: WriteOptions = {}): Promise<types.DecidedDeadLetter> {
    return (await this.request(rows.restoreA2aDlqItem, { path: { id }, body, ...options })).data;
  }

  /** Search notes and entries for passages that contain words of the query, those with every word first. */
  async searchMemory(query: SearchMemoryQuery, options: ReadOptions = {}): Promise<readonly types.Passage[]> {
    return (await this.request(rows.searchMemory, { query: { ...query }, ...options })).data;
  }

  /** Read lines of a note in the workspace, `MEMORY.md` or `memory/**.md`. */
  async getMemory(body: types.ReadMemoryBody, options: WriteOptions = {}): Promise<types.NoteText> {
    return (await this.request(rows.getMemory, { body, ...options })).data;
  }

  /** List memory entries, newest first. */
  listMemory(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.MemoryEntry, types.MemoryEntryPage> {
    return new Pages(this, rows.listMemory, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Record a memory entry. */
  async recordMemory(body: types.MemoryBody, options: WriteOptions = {}): Promise<types.MemoryEntry> {
    return (await this.request(rows.recordMemory, { body, ...options })).data;
  }

  /** Get a memory entry. */
  async getMemoryEntry(entryId: string, options: ReadOptions = {}): Promise<types.MemoryEntry> {
    return (await this.request(rows.getMemoryEntry, { path: { entryId }, ...options })).data;
  }

  /** Forget a memory entry and erase its text, also from the log. `left` lists where the text may remain. */
  async forgetMemory(entryId: string, options: WriteOptions = {}): Promise<types.ForgottenEntry> {
    return (await this.request(rows.forgetMemory, { path: { entryId }, ...options })).data;
  }

  /** List the kept anchors of other logs, oldest first. */
  listAnchors(query: ListAnchorsQuery = {}, options: ReadOptions = {}): Pages<types.KeptAnchor, types.KeptAnchorPage> {
    return new Pages(this, rows.listAnchors, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Store an anchor of another log, so that a rewrite of its history is detected. */
  async keepAnchor(body: types.AnchorBody, options: WriteOptions = {}): Promise<types.AnchorReceipt> {
    return (await this.request(rows.keepAnchor, { body, ...options })).data;
  }

  /**
   * List what waits for a person's decision, oldest first.
   *
   * Texts over 4,096 characters are cut, or left out if they are JSON; then `truncated` is true. Workflow approvals
   * have no session and no run.
   */
  listAsks(query: ListAsksQuery = {}, options: ReadOptions = {}): Pages<types.Ask, types.AskPage> {
    return new Pages(this, rows.listAsks, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /**
   * Get an ask, open or decided.
   *
   * If its texts hide a part, `exact=true` adds the exact text. Only who may answer the ask may read it, and the first
   * reading by each identity is recorded.
   */
  async getAsk(askId: string, query: GetAskQuery = {}, options: ReadOptions = {}): Promise<types.Ask> {
    return (await this.request(rows.getAsk, { path: { askId }, query: { ...query }, ...options })).data;
  }

  /**
   * Answer an ask: choose an option, or fill in its form. The first answer wins.
   *
   * A parked run goes on if there is room, else it waits in line. Tool permissions need an Operator, or the role of the
   * profile. A question may also be answered by who requested the run.
   */
  async answerAsk(askId: string, body: types.AnswerBody, options: WriteOptions = {}): Promise<types.Ask> {
    return (await this.request(rows.answerAsk, { path: { askId }, body, ...options })).data;
  }

  /**
   * Answer up to 100 asks, or reject the oldest 100 open asks of a filter. Each one succeeds or fails alone.
   *
   * A repeated idempotency key rejects the asks that the filter selected the first time, and no others.
   */
  async answerAsks(body: types.AnswersBody = {}, options: WriteOptions = {}): Promise<types.AnsweredAsks> {
    return (await this.request(rows.answerAsks, { body, ...options })).data;
  }

  /** List permission rules, newest first. Each allows one exact call in a run, a session or a profile. */
  listPermissionRules(query: ListPermissionRulesQuery = {}, options: ReadOptions = {}): Pages<types.PermissionRule, types.PermissionRulePage> {
    return new Pages(this, rows.listPermissionRules, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a permission rule, in force or not. */
  async getPermissionRule(ruleId: string, options: ReadOptions = {}): Promise<types.PermissionRule> {
    return (await this.request(rows.getPermissionRule, { path: { ruleId }, ...options })).data;
  }

  /** Revoke a permission rule. The next call of its kind asks again. */
  async revokePermissionRule(ruleId: string, options: WriteOptions = {}): Promise<types.PermissionRule> {
    return (await this.request(rows.revokePermissionRule, { path: { ruleId }, ...options })).data;
  }

  /** Requeue matching dead letters at a fixed rate. `dryRun` only counts them. */
  async redriveA2aDlq(body: types.RedriveBody, options: WriteOptions = {}): Promise<types.Redrive> {
    return (await this.request(rows.redriveA2aDlq, { body, ...options })).data;
  }

  /** Get the progress of a redrive and the result for each dead letter. */
  async getA2aDlqRedrive(id: string, query: PageQuery = {}, options: ReadOptions = {}): Promise<types.Redrive> {
    return (await this.request(rows.getA2aDlqRedrive, { path: { id }, query: { ...query }, ...options })).data;
  }

  /** Cancel a redrive. Dead letters that it has requeued stay requeued. */
  async cancelA2aDlqRedrive(id: string, options: WriteOptions = {}): Promise<types.Redrive> {
    return (await this.request(rows.cancelA2aDlqRedrive, { path: { id }, ...options })).data;
  }

  /** List workflows, newest first. */
  listWorkflows(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.Workflow, types.WorkflowPage> {
    return new Pages(this, rows.listWorkflows, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Create a workflow from its steps and their dependencies. */
  async createWorkflow(body: types.WorkflowBody, options: WriteOptions = {}): Promise<types.Workflow> {
    return (await this.request(rows.createWorkflow, { body, ...options })).data;
  }

  /** Get a workflow. */
  async getWorkflow(workflowId: string, options: ReadOptions = {}): Promise<types.Workflow> {
    return (await this.request(rows.getWorkflow, { path: { workflowId }, ...options })).data;
  }

  /** List the runs of a workflow, newest first. */
  listWorkflowRuns(workflowId: string, query: PageQuery = {}, options: ReadOptions = {}): Pages<types.WorkflowRunSummary, types.WorkflowRunSummaryPage> {
    return new Pages(this, rows.listWorkflowRuns, { path: { workflowId }, query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Start a run of a workflow. Waits until it ends or needs an approval, unless `Prefer: respond-async` is sent. */
  async runWorkflow(workflowId: string, body: types.RunWorkflowBody = {}, options: WriteOptions = {}): Promise<types.WorkflowRun> {
    return (await this.request(rows.runWorkflow, { path: { workflowId }, body, ...options })).data;
  }

  /** Get a workflow run, or the newest run of a workflow, with the progress of its steps. */
  async getWorkflowRun(id: string, options: ReadOptions = {}): Promise<types.WorkflowRunDetails> {
    return (await this.request(rows.getWorkflowRun, { path: { id }, ...options })).data;
  }

  /** Resume a workflow run, or a workflow's newest run that is not ok. Starts a new run if there is none. */
  async resumeWorkflow(id: string, body: types.ResumeWorkflowBody = {}, options: WriteOptions = {}): Promise<types.WorkflowRun | null> {
    return (await this.request(rows.resumeWorkflow, { path: { id }, body, ...options })).data;
  }

  /** Cancel a workflow run and the runs of its steps. */
  async cancelWorkflowRun(id: string, body: types.CancelWorkflowBody = {}, options: WriteOptions = {}): Promise<types.WorkflowRun> {
    return (await this.request(rows.cancelWorkflowRun, { path: { id }, body, ...options })).data;
  }

  /** List the items of a mapped step, in their order. */
  listWorkflowRunItems(id: string, step: string, query: ListWorkflowRunItemsQuery = {}, options: ReadOptions = {}): Pages<types.StepItem, types.StepItemPage> {
    return new Pages(this, rows.listWorkflowRunItems, { path: { id, step }, query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Approve a step if its subject hash still matches. */
  async approveWorkflowStep(id: string, step: string, body: types.ApprovalBody, options: WriteOptions = {}): Promise<types.WorkflowRun> {
    return (await this.request(rows.approveWorkflowStep, { path: { id, step }, body, ...options })).data;
  }

  /** Reject a step if its subject hash still matches. The step fails. */
  async rejectWorkflowStep(id: string, step: string, body: types.ApprovalBody, options: WriteOptions = {}): Promise<types.WorkflowRun> {
    return (await this.request(rows.rejectWorkflowStep, { path: { id, step }, body, ...options })).data;
  }

  /** Run a persona that reviews the changes between two commits. A failed model call gives a failed result. */
  async runPersona(body: types.PersonaRunBody, options: WriteOptions = {}): Promise<types.PersonaRunOutput | types.PersonaRunDetails> {
    return (await this.request(rows.runPersona, { body, ...options })).data;
  }

  /** List reviews, newest first. */
  listPersonaRuns(query: ListPersonaRunsQuery = {}, options: ReadOptions = {}): Pages<types.PersonaRun, types.PersonaRunPage> {
    return new Pages(this, rows.listPersonaRuns, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get a review with its result. */
  async getPersonaRun(runId: string, options: ReadOptions = {}): Promise<types.PersonaRunDetails> {
    return (await this.request(rows.getPersonaRun, { path: { runId }, ...options })).data;
  }

  /** Get the current policy, or null if there is none. */
  async getPolicy(options: ReadOptions = {}): Promise<types.PolicyDocument | null> {
    return (await this.request(rows.getPolicy, { ...options })).data;
  }

  /** Replace the whole policy. Limits that the body omits no longer apply. */
  async putPolicy(body: types.PutPolicyBody, options: WriteOptions = {}): Promise<types.PolicyDocument> {
    return (await this.request(rows.putPolicy, { body, ...options })).data;
  }

  /** Check recorded run requests against another policy, without changing anything. */
  async simulatePolicy(body: types.SimulateBody, options: WriteOptions = {}): Promise<types.Simulation> {
    return (await this.request(rows.simulatePolicy, { body, ...options })).data;
  }

  /** List runs that the policy rejected, oldest first, or newest first with `order=newest`. */
  listPolicyConcurrencyRejections(query: ListPolicyConcurrencyRejectionsQuery = {}, options: ReadOptions = {}): Pages<types.Rejection, types.RejectionPage> {
    return new Pages(this, rows.listPolicyConcurrencyRejections, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get the halt, with the number of runs that go on and of those that wait. */
  async getHalt(options: ReadOptions = {}): Promise<types.HaltRecord> {
    return (await this.request(rows.getHalt, { ...options })).data;
  }

  /**
   * Halt all work: nothing begins until an Admin lifts the halt.
   *
   * A second halt answers with the first. Requests that begin work are refused with 503 `HALTED`. Runs in line keep
   * their order. Running ones go on, unless `cancelRunning` is true. Cancellations, answers, reads, redaction and
   * changes of the policy still work.
   */
  async startHalt(body: types.HaltBody, options: WriteOptions = {}): Promise<types.HaltRecord> {
    return (await this.request(rows.startHalt, { body, ...options })).data;
  }

  /** Lift the halt. Runs in line are admitted in order. Without a halt, nothing changes. */
  async liftHalt(options: WriteOptions = {}): Promise<types.HaltRecord> {
    return (await this.request(rows.liftHalt, { ...options })).data;
  }

  /** List tokens and sessions, newest first, without their text. */
  listTokens(query: ListTokensQuery = {}, options: ReadOptions = {}): Pages<types.Token, types.TokenPage> {
    return new Pages(this, rows.listTokens, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /**
   * Create a token for an identity. The answer contains its text, which is not stored.
   *
   * A request with the token has the lesser of its role and the identity's current role. If the answer is lost, revoke
   * the token and create another one: a repeated key answers the record without the text.
   */
  async createToken(body: types.TokenBody, options: WriteOptions = {}): Promise<types.CreatedToken> {
    return (await this.request(rows.createToken, { body, ...options })).data;
  }

  /** Get a token or session, valid or not, without its text. */
  async getToken(tokenId: string, options: ReadOptions = {}): Promise<types.Token> {
    return (await this.request(rows.getToken, { path: { tokenId }, ...options })).data;
  }

  /** Revoke a token with its sessions, or one session. Its open streams end within a second. */
  async revokeToken(tokenId: string, options: WriteOptions = {}): Promise<types.Token> {
    return (await this.request(rows.revokeToken, { path: { tokenId }, ...options })).data;
  }

  /**
   * Log in: trade the token of the request for a session of at most twelve hours, in a cookie.
   *
   * Send the token as `Authorization: Bearer …`. The session has its identity, role and scope, and ends with it. The
   * 21st session of a token ends the oldest. The answer to a repeated key sets no cookie.
   */
  async logIn(options: WriteOptions = {}): Promise<types.Token> {
    return (await this.request(rows.logIn, { ...options })).data;
  }

  /** Log out: revoke the session of the cookie, and delete the cookie. Without a session, nothing is revoked. */
  async logOut(options: WriteOptions = {}): Promise<types.LoggedOut> {
    return (await this.request(rows.logOut, { ...options })).data;
  }

  /** List schedules in the order of their creation. */
  listSchedules(query: PageQuery = {}, options: ReadOptions = {}): Pages<types.ScheduledTask, types.ScheduledTaskPage> {
    return new Pages(this, rows.listSchedules, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Create a schedule, or replace the one with this id. An identical schedule changes nothing. */
  async createSchedule(body: types.ScheduleBody, options: WriteOptions = {}): Promise<types.ScheduledTask> {
    return (await this.request(rows.createSchedule, { body, ...options })).data;
  }

  /** Run all schedules that are due, as the server's own timer does, and wait for these runs to end. */
  async tickSchedules(body: types.TickBody = {}, options: WriteOptions = {}): Promise<types.TickResult> {
    return (await this.request(rows.tickSchedules, { body, ...options })).data;
  }

  /** Get a schedule. */
  async getSchedule(scheduleId: string, options: ReadOptions = {}): Promise<types.ScheduledTask> {
    return (await this.request(rows.getSchedule, { path: { scheduleId }, ...options })).data;
  }

  /** Replace a whole schedule, or create it. An identical schedule changes nothing. */
  async updateSchedule(scheduleId: string, body: types.ScheduleSpec = {}, options: WriteOptions = {}): Promise<types.ScheduledTask> {
    return (await this.request(rows.updateSchedule, { path: { scheduleId }, body, ...options })).data;
  }

  /** Delete a schedule. Its runs in progress continue, and its log is kept. */
  async deleteSchedule(scheduleId: string, options: WriteOptions = {}): Promise<types.RemovedSchedule> {
    return (await this.request(rows.deleteSchedule, { path: { scheduleId }, ...options })).data;
  }

  /** Run a schedule once now, besides its regular times. Waits for the end unless `Prefer: respond-async` is sent. */
  async runSchedule(scheduleId: string, body: types.RunScheduleBody = {}, options: WriteOptions = {}): Promise<types.ScheduleRunResult> {
    return (await this.request(rows.runSchedule, { path: { scheduleId }, body, ...options })).data;
  }

  /** Enable a schedule. Its next time is computed from now on. */
  async enableSchedule(scheduleId: string, options: WriteOptions = {}): Promise<types.UpdatedSchedule> {
    return (await this.request(rows.enableSchedule, { path: { scheduleId }, ...options })).data;
  }

  /** Disable a schedule. Nothing is due or logged until it is enabled again. */
  async disableSchedule(scheduleId: string, options: WriteOptions = {}): Promise<types.UpdatedSchedule> {
    return (await this.request(rows.disableSchedule, { path: { scheduleId }, ...options })).data;
  }

  /** Pause a schedule. Due times are logged as skipped. `note` records the reason. */
  async pauseSchedule(scheduleId: string, body: types.ScheduleNote = {}, options: WriteOptions = {}): Promise<types.UpdatedSchedule> {
    return (await this.request(rows.pauseSchedule, { path: { scheduleId }, body, ...options })).data;
  }

  /** Resume a paused schedule. Times that came due during the pause are not run. */
  async resumeSchedule(scheduleId: string, body: types.ScheduleNote = {}, options: WriteOptions = {}): Promise<types.UpdatedSchedule> {
    return (await this.request(rows.resumeSchedule, { path: { scheduleId }, body, ...options })).data;
  }

  /** List the executions of a schedule, including skipped ones, newest first. */
  async getScheduleLogs(scheduleId: string, query: GetScheduleLogsQuery = {}, options: ReadOptions = {}): Promise<readonly types.ScheduleRunLog[]> {
    return (await this.request(rows.getScheduleLogs, { path: { scheduleId }, query: { ...query }, ...options })).data;
  }

  /**
   * List the next times of a schedule, up to ten years ahead, even if it is disabled.
   *
   * With fields of a schedule, such as `cron`, these are the times that it would have if it were written now.
   */
  async previewSchedule(scheduleId: string, query: PreviewScheduleQuery = {}, options: ReadOptions = {}): Promise<types.FireTimePage> {
    return (await this.request(rows.previewSchedule, { path: { scheduleId }, query: { ...query }, ...options })).data;
  }

  /** List changes, cancellations and denials with actors and reasons, newest first, as JSON or CSV. */
  getAuditTrail(query: GetAuditTrailQuery = {}, options: ReadOptions = {}): Pages<types.AuditEntry, types.AuditEntryPage> {
    return new Pages(this, rows.getAuditTrail, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /** Get run counts, durations, waiting work, open asks, the halt and this month's cost. */
  async getFleetSummary(options: ReadOptions = {}): Promise<types.FleetSummary> {
    return (await this.request(rows.getFleetSummary, { ...options })).data;
  }

  /**
   * Get outcomes, cost, tokens and durations over time, also by model, profile or error code.
   *
   * Without `from`, the answer covers the hour before `to`, and without `to` it ends now. Intervals of 5 seconds are
   * kept for 66 minutes, of a minute for 25 hours, and of an hour for 91 days. Without `step`, the answer has the
   * shortest intervals that are kept, if 400 of them suffice. `asOf` shows what was kept then. Each interval names 30
   * models, profiles and error codes; further ones are in `other`.
   */
  async getFleetSeries(query: GetFleetSeriesQuery = {}, options: ReadOptions = {}): Promise<types.FleetSeries> {
    return (await this.request(rows.getFleetSeries, { query: { ...query }, ...options })).data;
  }

  /**
   * List events from a cursor, oldest first.
   *
   * The payload of an event has the shape that `/events.schema.json` gives for its `type`.
   *
   * With `Accept: application/x-ndjson` the answer has all events up to the head, one on each line, whatever the
   * `limit`. An error on the way is the last line.
   */
  listEvents(query: ListEventsQuery = {}, options: ReadOptions = {}): Pages<AthenaEvent, types.EventsPage> {
    return new Pages(this, rows.listEvents, { query: { ...query }, ...options }, (page) => page.events.map(eventOf), "cursor");
  }

  /**
   * Compare two moments: list the records that appeared, ended or changed, with their events, last changed first.
   *
   * `from` and `to` are event ids, positions or times; a time means the last event until then. Between them there may
   * be as many events as `diffEventsMax` of `GET /capabilities` says. The answer holds no texts, and actors only for an
   * Admin.
   *
   * `counts` are of the whole difference, so all of its events are read for them. With `limit` or `cursor` they are
   * absent, unless `counts=true`. Such a page reads 50 events for each record of its limit, so it may have fewer
   * records although `nextCursor` is there.
   */
  getDiff(query: GetDiffQuery, options: ReadOptions = {}): Pages<types.ChangedRecord, types.Diff> {
    return new Pages(this, rows.getDiff, { query: { ...query }, ...options }, (page) => page.items, "cursor");
  }

  /**
   * Stream events from a cursor, live, as server-sent events.
   *
   * The `event` of a frame is the `type` of its record, one of `eventTypes` of `GET /api/v1/capabilities`. Its payload
   * has the shape that `/events.schema.json` gives for the type. Two more frames have `{cursor, head}` as their data:
   * `caught-up` at the head, and `bookmark` after 10,000 events that the filters hide. A newer server may send others.
   */
  streamEvents(query: StreamEventsQuery = {}, options: StreamParts = {}): AsyncGenerator<StreamItem, void, undefined> {
    return this.stream(rows.streamEvents, query.after ?? undefined, { query: { ...query, after: undefined }, ...options });
  }
}
