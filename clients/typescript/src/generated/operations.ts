// Generated from the table of operations by `python -m docs.generate`; do not edit.

import type { Operation } from "../operation.js";
import type {
  AcceptedClock,
  ActiveRunPage,
  AgentList,
  AnchorReceipt,
  AnsweredAsks,
  AppliedRun,
  Ask,
  AskPage,
  AuditEntryPage,
  BulkResult,
  Caller,
  CancelRequestPage,
  Cancelled,
  Capabilities,
  CreatedToken,
  DeadLetter,
  DeadLetterPage,
  DecidedDeadLetter,
  Diff,
  Directive,
  DirectivePage,
  DrainResult,
  EventsPage,
  Evidence,
  EvidenceRecordPage,
  Explanation,
  FireTimePage,
  FleetSeries,
  FleetSummary,
  ForgottenEntry,
  FoundIds,
  HaltRecord,
  HarnessProfile,
  HarnessProfilePage,
  Health,
  KeptAnchorPage,
  LoggedOut,
  McpServerDetails,
  McpServerList,
  MemoryEntry,
  MemoryEntryPage,
  Message,
  MessagePage,
  NoteText,
  Passage,
  PermissionRule,
  PermissionRulePage,
  PersonaRunDetails,
  PersonaRunOutput,
  PersonaRunPage,
  PolicyDocument,
  Redrive,
  RejectionPage,
  RemovedSchedule,
  Run,
  RunDiff,
  RunFacets,
  RunPage,
  RunProof,
  RunResult,
  RunTemplate,
  RunTemplatePage,
  ScheduleRunLog,
  ScheduleRunResult,
  ScheduledTask,
  ScheduledTaskPage,
  SentRequest,
  Session,
  SessionPage,
  Simulation,
  StepItemPage,
  TickResult,
  Token,
  TokenPage,
  TranscriptEntryPage,
  UpdatedSchedule,
  ViewDigests,
  WorkDrain,
  WorkQueueState,
  WorkQueueSummaryPage,
  Workers,
  Workflow,
  WorkflowPage,
  WorkflowRun,
  WorkflowRunDetails,
  WorkflowRunSummaryPage,
  WorkspaceRecord,
  WorkspaceRecordPage,
} from "./types.js";

export const getCapabilities: Operation<Capabilities> = { id: "getCapabilities", method: "GET", path: "/capabilities", command: "capabilities", past: false };
export const getCaller: Operation<Caller> = { id: "getCaller", method: "GET", path: "/caller", command: "whoami", past: false };
export const getAdminHealth: Operation<Health> = { id: "getAdminHealth", method: "GET", path: "/admin/health", command: "health", past: false };
export const acceptClock: Operation<AcceptedClock> = { id: "acceptClock", method: "POST", path: "/admin/clock/accept", command: "clock accept" };
export const getViewDigests: Operation<ViewDigests> = { id: "getViewDigests", method: "GET", path: "/admin/digests", command: "digests", past: false };
export const findIds: Operation<FoundIds> = { id: "findIds", method: "GET", path: "/ids/:part", command: "ids find" };
export const listWorkers: Operation<Workers> = { id: "listWorkers", method: "GET", path: "/workers", command: "workers", past: false };
export const listAgents: Operation<AgentList> = { id: "listAgents", method: "GET", path: "/agents", command: "agents list", past: false };
export const listMcpServers: Operation<McpServerList> = { id: "listMcpServers", method: "GET", path: "/mcp-servers", command: "mcp-servers list", past: false };
export const getMcpServer: Operation<McpServerDetails> = { id: "getMcpServer", method: "GET", path: "/mcp-servers/:server", command: "mcp-servers get", past: false };
export const checkMcpServer: Operation<McpServerDetails> = { id: "checkMcpServer", method: "POST", path: "/mcp-servers/:server/check", command: "mcp-servers check" };
export const acceptMcpTools: Operation<McpServerDetails> = { id: "acceptMcpTools", method: "POST", path: "/mcp-servers/:server/accept", command: "mcp-servers accept" };
export const createRun: Operation<RunResult | Run> = { id: "createRun", method: "POST", path: "/runs", command: "run", waits: true };
export const retryRun: Operation<RunResult | Run> = { id: "retryRun", method: "POST", path: "/runs/:runId/retry", command: "retry", waits: true };
export const listRuns: Operation<RunPage> = { id: "listRuns", method: "GET", path: "/runs", command: "runs list" };
export const getRunFacets: Operation<RunFacets> = { id: "getRunFacets", method: "GET", path: "/runs/facets", command: "runs facets" };
export const getRun: Operation<Run> = { id: "getRun", method: "GET", path: "/runs/:runId", command: "runs get" };
export const listRunEvidence: Operation<EvidenceRecordPage> = { id: "listRunEvidence", method: "GET", path: "/runs/:runId/evidence", command: "evidence list" };
export const getRunEvidence: Operation<Evidence> = { id: "getRunEvidence", method: "GET", path: "/runs/:runId/evidence/:evidenceId", command: "evidence get" };
export const explainRun: Operation<Explanation> = { id: "explainRun", method: "GET", path: "/runs/:runId/explain", command: "explain" };
export const listActiveRuns: Operation<ActiveRunPage> = { id: "listActiveRuns", method: "GET", path: "/runs/active", command: "runs active" };
export const listCancellationRequests: Operation<CancelRequestPage> = { id: "listCancellationRequests", method: "GET", path: "/runs/cancel-requests", command: "runs cancel-requests" };
export const cancelRunByRunId: Operation<Cancelled> = { id: "cancelRunByRunId", method: "POST", path: "/run-control/by-run/:runId/cancel", command: "cancel" };
export const cancelRun: Operation<Cancelled> = { id: "cancelRun", method: "POST", path: "/runs/:sessionId/cancel", command: "cancel" };
export const resumeRun: Operation<Run> = { id: "resumeRun", method: "POST", path: "/runs/:runId/resume", command: "resume", waits: true };
export const getSentRequest: Operation<SentRequest> = { id: "getSentRequest", method: "GET", path: "/runs/:runId/turns/:turn/request", command: "runs request" };
export const getRunProof: Operation<RunProof> = { id: "getRunProof", method: "GET", path: "/runs/:runId/proof", command: "runs proof" };
export const cancelRuns: Operation<BulkResult> = { id: "cancelRuns", method: "POST", path: "/runs/cancel", command: "cancel" };
export const retryRuns: Operation<BulkResult> = { id: "retryRuns", method: "POST", path: "/runs/retry", command: "retry" };
export const listSessions: Operation<SessionPage> = { id: "listSessions", method: "GET", path: "/sessions", command: "sessions list" };
export const getSession: Operation<Session> = { id: "getSession", method: "GET", path: "/sessions/:sessionId", command: "sessions get" };
export const getSessionTranscript: Operation<TranscriptEntryPage> = { id: "getSessionTranscript", method: "GET", path: "/sessions/:sessionId/transcript", command: "sessions transcript" };
export const streamSessionTranscript: Operation<never> = { id: "streamSessionTranscript", method: "GET", path: "/sessions/:sessionId/transcript/stream", command: "sessions tail", past: false };
export const listWorkspaces: Operation<WorkspaceRecordPage> = { id: "listWorkspaces", method: "GET", path: "/workspaces", command: "workspaces list" };
export const getWorkspace: Operation<WorkspaceRecord> = { id: "getWorkspace", method: "GET", path: "/workspaces/:workspaceId", command: "workspaces get" };
export const keepWorkspace: Operation<WorkspaceRecord> = { id: "keepWorkspace", method: "POST", path: "/workspaces/:workspaceId/keep", command: "workspaces keep" };
export const cleanWorkspace: Operation<WorkspaceRecord> = { id: "cleanWorkspace", method: "DELETE", path: "/workspaces/:workspaceId", command: "workspaces clean" };
export const getRunDiff: Operation<RunDiff> = { id: "getRunDiff", method: "GET", path: "/runs/:runId/diff", command: "runs diff" };
export const applyRun: Operation<AppliedRun> = { id: "applyRun", method: "POST", path: "/runs/:runId/apply", command: "runs apply" };
export const listDirectives: Operation<DirectivePage> = { id: "listDirectives", method: "GET", path: "/directives", command: "directives list" };
export const createDirective: Operation<Directive> = { id: "createDirective", method: "POST", path: "/directives", command: "directives create" };
export const getDirective: Operation<Directive> = { id: "getDirective", method: "GET", path: "/directives/:directiveId", command: "directives get" };
export const listHarnessProfiles: Operation<HarnessProfilePage> = { id: "listHarnessProfiles", method: "GET", path: "/harness-profiles", command: "profiles list" };
export const createHarnessProfile: Operation<HarnessProfile> = { id: "createHarnessProfile", method: "POST", path: "/harness-profiles", command: "profiles create" };
export const getHarnessProfile: Operation<HarnessProfile> = { id: "getHarnessProfile", method: "GET", path: "/harness-profiles/:harnessProfileId", command: "profiles get" };
export const listRunTemplates: Operation<RunTemplatePage> = { id: "listRunTemplates", method: "GET", path: "/run-templates", command: "templates list" };
export const createRunTemplate: Operation<RunTemplate> = { id: "createRunTemplate", method: "POST", path: "/run-templates", command: "templates create" };
export const getRunTemplate: Operation<RunTemplate> = { id: "getRunTemplate", method: "GET", path: "/run-templates/:templateId", command: "templates get" };
export const updateRunTemplate: Operation<RunTemplate> = { id: "updateRunTemplate", method: "PUT", path: "/run-templates/:templateId", command: "templates update" };
export const runTemplate: Operation<RunResult | Run> = { id: "runTemplate", method: "POST", path: "/templates/:templateId/run", command: "run", waits: true };
export const enqueueWork: Operation<WorkQueueState> = { id: "enqueueWork", method: "POST", path: "/work/enqueue", command: "queues add" };
export const listWorkQueues: Operation<WorkQueueSummaryPage> = { id: "listWorkQueues", method: "GET", path: "/work/queues", command: "queues list" };
export const getSessionWorkQueue: Operation<WorkQueueState> = { id: "getSessionWorkQueue", method: "GET", path: "/sessions/:sessionId/work-queue", command: "queues get" };
export const drainWork: Operation<DrainResult | WorkDrain> = { id: "drainWork", method: "POST", path: "/work/:sessionId/drain", command: "queues drain", waits: true };
export const getWorkDrain: Operation<WorkDrain> = { id: "getWorkDrain", method: "GET", path: "/work/drains/:drainId", command: "drains get" };
export const sendA2aMessage: Operation<Message> = { id: "sendA2aMessage", method: "POST", path: "/a2a/messages", command: "messages send" };
export const listA2aMessages: Operation<MessagePage> = { id: "listA2aMessages", method: "GET", path: "/a2a/messages", command: "messages list" };
export const getA2aMessage: Operation<Message> = { id: "getA2aMessage", method: "GET", path: "/a2a/messages/:messageId", command: "messages get" };
export const listA2aDlq: Operation<DeadLetterPage> = { id: "listA2aDlq", method: "GET", path: "/a2a/dlq", command: "dead-letters list" };
export const getA2aDlqItem: Operation<DeadLetter> = { id: "getA2aDlqItem", method: "GET", path: "/a2a/dlq/:id", command: "dead-letters get" };
export const requeueA2aDlqItem: Operation<DecidedDeadLetter> = { id: "requeueA2aDlqItem", method: "POST", path: "/a2a/dlq/:id/requeue", command: "dead-letters requeue" };
export const discardA2aDlqItem: Operation<DecidedDeadLetter> = { id: "discardA2aDlqItem", method: "POST", path: "/a2a/dlq/:id/discard", command: "dead-letters discard" };
export const restoreA2aDlqItem: Operation<DecidedDeadLetter> = { id: "restoreA2aDlqItem", method: "POST", path: "/a2a/dlq/:id/restore", command: "dead-letters restore" };
export const searchMemory: Operation<readonly Passage[]> = { id: "searchMemory", method: "GET", path: "/memory/search", command: "memory search", past: false };
export const getMemory: Operation<NoteText> = { id: "getMemory", method: "POST", path: "/memory/get", command: "memory get" };
export const listMemory: Operation<MemoryEntryPage> = { id: "listMemory", method: "GET", path: "/memory", command: "memory list" };
export const recordMemory: Operation<MemoryEntry> = { id: "recordMemory", method: "POST", path: "/memory", command: "memory create" };
export const getMemoryEntry: Operation<MemoryEntry> = { id: "getMemoryEntry", method: "GET", path: "/memory/:entryId", command: "memory get" };
export const forgetMemory: Operation<ForgottenEntry> = { id: "forgetMemory", method: "DELETE", path: "/memory/:entryId", command: "memory delete" };
export const listAnchors: Operation<KeptAnchorPage> = { id: "listAnchors", method: "GET", path: "/anchors", command: "anchors list" };
export const keepAnchor: Operation<AnchorReceipt> = { id: "keepAnchor", method: "POST", path: "/anchors", command: "anchors create" };
export const listAsks: Operation<AskPage> = { id: "listAsks", method: "GET", path: "/asks", command: "asks list" };
export const getAsk: Operation<Ask> = { id: "getAsk", method: "GET", path: "/asks/:askId", command: "asks get" };
export const answerAsk: Operation<Ask> = { id: "answerAsk", method: "POST", path: "/asks/:askId/answer", command: "answer" };
export const answerAsks: Operation<AnsweredAsks> = { id: "answerAsks", method: "POST", path: "/asks/answer", command: "asks answer-all" };
export const listPermissionRules: Operation<PermissionRulePage> = { id: "listPermissionRules", method: "GET", path: "/permission-rules", command: "permission-rules list" };
export const getPermissionRule: Operation<PermissionRule> = { id: "getPermissionRule", method: "GET", path: "/permission-rules/:ruleId", command: "permission-rules get" };
export const revokePermissionRule: Operation<PermissionRule> = { id: "revokePermissionRule", method: "DELETE", path: "/permission-rules/:ruleId", command: "permission-rules revoke" };
export const redriveA2aDlq: Operation<Redrive> = { id: "redriveA2aDlq", method: "POST", path: "/a2a/dlq/redrive", command: "redrives create" };
export const getA2aDlqRedrive: Operation<Redrive> = { id: "getA2aDlqRedrive", method: "GET", path: "/a2a/dlq/redrive/:id", command: "redrives get" };
export const cancelA2aDlqRedrive: Operation<Redrive> = { id: "cancelA2aDlqRedrive", method: "DELETE", path: "/a2a/dlq/redrive/:id", command: "redrives cancel" };
export const listWorkflows: Operation<WorkflowPage> = { id: "listWorkflows", method: "GET", path: "/workflows", command: "workflows list" };
export const createWorkflow: Operation<Workflow> = { id: "createWorkflow", method: "POST", path: "/workflows", command: "workflows create" };
export const getWorkflow: Operation<Workflow> = { id: "getWorkflow", method: "GET", path: "/workflows/:workflowId", command: "workflows get" };
export const listWorkflowRuns: Operation<WorkflowRunSummaryPage> = { id: "listWorkflowRuns", method: "GET", path: "/workflows/:workflowId/runs", command: "workflows runs" };
export const runWorkflow: Operation<WorkflowRun> = { id: "runWorkflow", method: "POST", path: "/workflows/:workflowId/run", command: "workflows run", waits: true };
export const getWorkflowRun: Operation<WorkflowRunDetails> = { id: "getWorkflowRun", method: "GET", path: "/workflows/run/:id", command: "workflows status" };
export const resumeWorkflow: Operation<WorkflowRun | null> = { id: "resumeWorkflow", method: "POST", path: "/workflows/run/:id/resume", command: "workflows resume", waits: true };
export const cancelWorkflowRun: Operation<WorkflowRun> = { id: "cancelWorkflowRun", method: "POST", path: "/workflows/run/:id/cancel", command: "workflows cancel" };
export const listWorkflowRunItems: Operation<StepItemPage> = { id: "listWorkflowRunItems", method: "GET", path: "/workflows/run/:id/steps/:step/items", command: "workflows items" };
export const approveWorkflowStep: Operation<WorkflowRun> = { id: "approveWorkflowStep", method: "POST", path: "/workflows/run/:id/steps/:step/approve", command: "workflows approve" };
export const rejectWorkflowStep: Operation<WorkflowRun> = { id: "rejectWorkflowStep", method: "POST", path: "/workflows/run/:id/steps/:step/reject", command: "workflows reject" };
export const runPersona: Operation<PersonaRunOutput | PersonaRunDetails> = { id: "runPersona", method: "POST", path: "/personas/run", command: "personas run", waits: true };
export const listPersonaRuns: Operation<PersonaRunPage> = { id: "listPersonaRuns", method: "GET", path: "/personas/runs", command: "reviews list" };
export const getPersonaRun: Operation<PersonaRunDetails> = { id: "getPersonaRun", method: "GET", path: "/personas/runs/:runId", command: "reviews get" };
export const getPolicy: Operation<PolicyDocument | null> = { id: "getPolicy", method: "GET", path: "/policy", command: "policy get" };
export const putPolicy: Operation<PolicyDocument> = { id: "putPolicy", method: "PUT", path: "/policy", command: "policy update" };
export const simulatePolicy: Operation<Simulation> = { id: "simulatePolicy", method: "POST", path: "/policy/simulate", command: "policy simulate" };
export const listPolicyConcurrencyRejections: Operation<RejectionPage> = { id: "listPolicyConcurrencyRejections", method: "GET", path: "/policy/rejections", command: "rejections list" };
export const getHalt: Operation<HaltRecord> = { id: "getHalt", method: "GET", path: "/halt", command: "halted", past: false };
export const startHalt: Operation<HaltRecord> = { id: "startHalt", method: "POST", path: "/halt", command: "halt" };
export const liftHalt: Operation<HaltRecord> = { id: "liftHalt", method: "DELETE", path: "/halt", command: "unhalt" };
export const listTokens: Operation<TokenPage> = { id: "listTokens", method: "GET", path: "/tokens", command: "tokens list" };
export const createToken: Operation<CreatedToken> = { id: "createToken", method: "POST", path: "/tokens", command: "tokens create" };
export const getToken: Operation<Token> = { id: "getToken", method: "GET", path: "/tokens/:tokenId", command: "tokens get" };
export const revokeToken: Operation<Token> = { id: "revokeToken", method: "DELETE", path: "/tokens/:tokenId", command: "tokens revoke" };
export const logIn: Operation<Token> = { id: "logIn", method: "POST", path: "/login", command: "" };
export const logOut: Operation<LoggedOut> = { id: "logOut", method: "POST", path: "/logout", command: "" };
export const listSchedules: Operation<ScheduledTaskPage> = { id: "listSchedules", method: "GET", path: "/schedules", command: "schedules list" };
export const createSchedule: Operation<ScheduledTask> = { id: "createSchedule", method: "POST", path: "/schedules", command: "schedules create" };
export const tickSchedules: Operation<TickResult> = { id: "tickSchedules", method: "POST", path: "/schedules/tick", command: "schedules tick" };
export const getSchedule: Operation<ScheduledTask> = { id: "getSchedule", method: "GET", path: "/schedules/:scheduleId", command: "schedules get" };
export const updateSchedule: Operation<ScheduledTask> = { id: "updateSchedule", method: "PUT", path: "/schedules/:scheduleId", command: "schedules update" };
export const deleteSchedule: Operation<RemovedSchedule> = { id: "deleteSchedule", method: "DELETE", path: "/schedules/:scheduleId", command: "schedules delete" };
export const runSchedule: Operation<ScheduleRunResult> = { id: "runSchedule", method: "POST", path: "/schedules/:scheduleId/run", command: "schedules run", waits: true };
export const enableSchedule: Operation<UpdatedSchedule> = { id: "enableSchedule", method: "POST", path: "/schedules/:scheduleId/enable", command: "schedules enable" };
export const disableSchedule: Operation<UpdatedSchedule> = { id: "disableSchedule", method: "POST", path: "/schedules/:scheduleId/disable", command: "schedules disable" };
export const pauseSchedule: Operation<UpdatedSchedule> = { id: "pauseSchedule", method: "POST", path: "/schedules/:scheduleId/pause", command: "schedules pause" };
export const resumeSchedule: Operation<UpdatedSchedule> = { id: "resumeSchedule", method: "POST", path: "/schedules/:scheduleId/resume", command: "schedules resume" };
export const getScheduleLogs: Operation<readonly ScheduleRunLog[]> = { id: "getScheduleLogs", method: "GET", path: "/schedules/:scheduleId/logs", command: "schedules logs" };
export const previewSchedule: Operation<FireTimePage> = { id: "previewSchedule", method: "GET", path: "/schedules/:scheduleId/preview", command: "schedules preview" };
export const getAuditTrail: Operation<AuditEntryPage> = { id: "getAuditTrail", method: "GET", path: "/governance/audit-trail", command: "audit" };
export const getFleetSummary: Operation<FleetSummary> = { id: "getFleetSummary", method: "GET", path: "/fleet/summary", command: "fleet" };
export const getFleetSeries: Operation<FleetSeries> = { id: "getFleetSeries", method: "GET", path: "/fleet/series", command: "series" };
export const listEvents: Operation<EventsPage> = { id: "listEvents", method: "GET", path: "/events", command: "events list" };
export const getDiff: Operation<Diff> = { id: "getDiff", method: "GET", path: "/diff", command: "diff", past: false };
export const streamEvents: Operation<never> = { id: "streamEvents", method: "GET", path: "/events/stream", command: "events tail", past: false };
