// Generated from the table of operations by `python -m docs.generate`; do not edit.

/** A row of the table: a request, and the command that sends it. `Answer` is the type of `data`. */
export interface Operation<Answer> {
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly command: string;
  readonly answer?: Answer;
}

export interface AcceptedClock {
  clock: string;
  aheadMs: number;
}

export interface ActiveRun {
  sessionId: string;
  pid: number;
  startedAt: string;
  runId: string;
  traceId: string;
}

export interface ActiveRunPage {
  items: readonly (ActiveRun)[];
  nextCursor?: string | null;
}

export interface AnchorBody {
  logId: string;
  position: number;
  chain: string;
  at: string;
}

export interface AnchorReceipt {
  logId: string;
  position: number;
  chain: string;
  at: string;
  from: string;
}

export interface AppliedRedriveFilter {
  sessionId?: string | null;
  source?: string | null;
  sourcePersona?: string | null;
  targetPersona?: string | null;
  reason?: string | null;
  createdAfter?: string | null;
  createdBefore?: string | null;
}

export interface Approval {
  message?: string | null;
  approvers?: readonly (string)[] | null;
  role?: "Admin" | "Operator" | Blank | null;
  expiresAfterMs?: number | null;
  onExpiry?: "approve" | "reject" | Blank | null;
  notRequester?: boolean | null;
}

export interface ApprovalBody {
  subjectHash: string;
  note?: string | null;
}

export interface Artifact {
  kind: string;
  output: string | null;
  provider: string;
  model: string;
  createdAt: string;
  outputTruncated?: boolean | null;
}

export interface ArtifactRef {
  stepId: string;
  artifactRef: string;
  kind: string;
  provider: string;
  model: string;
  createdAt: string;
  outputChars: number;
}

export interface AuditEntry {
  id: string;
  createdAt: string;
  kind: string;
  type: string;
  actor: string;
  traceId: string;
  target?: string | null;
  reason?: string | null;
  before?: Readonly<Record<string, unknown>> | null;
  after?: Readonly<Record<string, unknown>> | null;
  details?: Readonly<Record<string, unknown>> | null;
  sessionId?: string | null;
  runId?: string | null;
}

export interface AuditEntryPage {
  items: readonly (AuditEntry)[];
  nextCursor?: string | null;
}

export interface AuthCapabilities {
  enabled: boolean;
  mode: string;
  identityHeader: string;
}

export interface BackgroundProblem {
  loop: string;
  since: string;
  message: string;
  count: number;
}

export interface BinaryContent {
  kind: "binary";
  base64: string;
}

export type Blank = string;

export interface Caller {
  identity: string;
  role: string;
  operations: readonly (string)[];
  scope?: Readonly<Record<string, readonly (string)[]>> | null;
}

export interface CancelBody {
  reason?: string | null;
}

export interface CancelRequest {
  sessionId: string;
  requestedAt: string;
  runId: string;
  reason?: string | null;
  traceId?: string | null;
  startedAt?: string | null;
}

export interface CancelRequestPage {
  items: readonly (CancelRequest)[];
  nextCursor?: string | null;
}

export interface CancelWorkflowBody {
  reason?: string | null;
}

export interface Cancelled {
  status: "cancelled" | "not-running";
  runId?: string | null;
  sessionId?: string | null;
}

export interface Capabilities {
  executionBackend: string;
  stateStore: string;
  supportsPods: boolean;
  supportsCpuMemMetrics: boolean;
  supportsSandbox: boolean;
  supportsA2ABus: boolean;
  version: string;
  logId: string;
  durability: string;
  scheduler: string;
  auth: AuthCapabilities;
  providers: readonly (string)[];
  eventTypes: readonly (string)[];
  limits: LimitCapabilities;
}

export interface Cause {
  eventId: string;
  type: string;
  at: string;
  actor: string;
  traceId: string;
  says: string;
  causedBy?: string | null;
  turn?: number | null;
  waitedMs?: number | null;
  after?: string | null;
}

export interface ChangeShare {
  name: string;
  runs: number;
  costUsd: number;
}

export interface Checkpoint {
  attempt: number;
  startedAt?: string | null;
  finishedAt?: string | null;
  artifact?: Artifact | null;
  error?: string | null;
}

export interface Condition {
  step: string;
  op: "contains" | "eq" | "exists" | "ge" | "gt" | "le" | "lt" | "ne";
  path?: string | null;
  value?: unknown;
}

export interface ContextFile {
  path: string;
  kind: string;
  chars: number;
  sha256: string;
  truncated: boolean;
}

export interface ContextMeta {
  initialStrategy: string;
  finalStrategy: string;
  overflowRecovered: boolean;
  overflowAttempts: number;
  initialChars: number;
  finalChars: number;
  effectiveMaxChars: number;
  steps: readonly (ContextStep)[];
}

export interface ContextStep {
  kind: "summary" | "tool-result-truncation";
  applied: boolean;
  beforeChars?: number | null;
  afterChars?: number | null;
  details?: string | null;
}

export interface CostSummary {
  month: string;
  windowStart: string;
  windowEnd: string;
  totalEstimatedSpendUsd: number;
  personaBreakdown: readonly (PersonaSpend)[];
  providerBreakdown: readonly (ProviderSpend)[];
  profileBreakdown: readonly (ProfileSpend)[];
  sessionBreakdown: readonly (SessionSpend)[];
  tokenMix: TokenMix;
  unpricedCalls: number;
  today: DaySpend;
}

export interface CurrentWait {
  reason: string;
  since: string;
  says: string;
  position?: number | null;
  blockedBy?: string | null;
  turn?: number | null;
  toolName?: string | null;
  toolCallId?: string | null;
}

export interface DaySpend {
  day: string;
  spentUsd: number;
  reservedUsd: number;
  budgetUsd?: number | null;
}

export interface DeadLetter {
  id: string;
  createdAt: string;
  updatedAt: string;
  status: "discarded" | "pending" | "requeued";
  payload: Readonly<Record<string, unknown>>;
  source: string;
  sessionId: string;
  reason: string;
  code: string;
  error: string;
  retryCount: number;
  items: readonly (DeadLetterItem)[];
  attempts: readonly (DeadLetterError)[];
  firstError: DeadLetterError;
  lastError: DeadLetterError;
  sourcePersona?: string | null;
  targetPersona?: string | null;
  messageId?: string | null;
  requeuedFrom?: string | null;
  requeuedItemIds?: readonly (string)[] | null;
  requeuedMessageId?: string | null;
  decidedBy?: string | null;
  auditNote?: string | null;
  redacted?: boolean | null;
}

export interface DeadLetterError {
  code: string;
  message: string;
  at: string;
  runId?: string | null;
}

export interface DeadLetterItem {
  itemId: string;
  mode: string;
  chars: number;
}

export interface DeadLetterPage {
  items: readonly (DeadLetter)[];
  nextCursor?: string | null;
}

export interface DecidedDeadLetter {
  id: string;
  status: string;
  updated: boolean;
  item: DeadLetter;
}

export interface Dependency {
  from: string;
  to: string;
  mappings?: readonly (OutputMapping)[] | null;
}

export interface DependencyInspection {
  status: "ok" | "skipped";
  detectedEcosystem?: string | null;
  notes?: string | null;
  addedImports?: readonly (string)[] | null;
  changedManifests?: readonly (string)[] | null;
}

export interface DependencyReadiness {
  totalDependencies: number;
  readyDependencies: number;
  blockingStepIds: readonly (string)[];
}

export interface Directive {
  id: string;
  input: string | null;
  createdAt: string;
  contextRefs?: readonly (string)[] | null;
  metadata?: Readonly<Record<string, string>> | null;
  shadow?: boolean | null;
}

export interface DirectivePage {
  items: readonly (Directive)[];
  nextCursor?: string | null;
}

export interface DirectiveSpec {
  input: string;
  contextRefs?: readonly (string)[] | null;
  metadata?: Readonly<Record<string, string>> | null;
}

export interface DrainBody {
  provider?: string | null;
  model?: string | null;
}

export interface DrainError {
  code: string;
  message: string;
}

export interface DrainResult {
  status: string;
  drainedItems: number;
  queueDepthBefore: number;
  queueDepthAfter: number;
}

export interface DryRun {
  resets: readonly (string)[];
  keeps: readonly (string)[];
  startsNewRun: boolean;
}

export interface Egress {
  host: string;
  port?: number | null;
}

export interface EnqueueBody {
  sessionId: string;
  payload: string;
  mode: "collect" | "followup";
}

export interface Error {
  code: "ANCHOR_CONFLICT" | "ANCHOR_LIMIT" | "ANCHOR_NOT_SENT" | "AUTHZ_DENIED" | "AUTH_IDENTITY_AMBIGUOUS" | "AUTH_IDENTITY_INVALID" | "AUTH_IDENTITY_MISSING" | "AUTH_PROXY_UNTRUSTED" | "CLOCK_JUMPED" | "CONFIG_ERROR" | "CONFLICT" | "CONTEXT_OVERFLOW" | "CURSOR_AHEAD" | "CURSOR_FOREIGN" | "CURSOR_INVALID" | "HEADERS_TOO_LARGE" | "HOST_FORBIDDEN" | "IDEMPOTENCY_IN_PROGRESS" | "IDEMPOTENCY_MISMATCH" | "INTERNAL_ERROR" | "LEASE_LOST" | "NOT_CAUGHT_UP" | "NOT_FOUND" | "ORIGIN_FORBIDDEN" | "OUTCOME_UNKNOWN" | "OVERLOADED" | "PAYLOAD_TOO_LARGE" | "POLICY_BUDGET_EXCEEDED" | "POLICY_CONCURRENCY_LIMIT_EXCEEDED" | "PRECONDITION_FAILED" | "PROVIDER_ERROR" | "PROVIDER_NOT_FOUND" | "RATE_LIMITED" | "REQUEST_TIMEOUT" | "RUN_CANCELLED" | "RUN_CRASHED" | "RUN_NOT_PAUSED" | "RUN_TIMEOUT" | "SESSION_LOCK_TIMEOUT" | "STORE_DAMAGED" | "STORE_FULL" | "STORE_MOVED" | "STORE_UNREACHABLE" | "STREAM_LIMIT" | "STUCK" | "TURN_LIMIT" | "UNKNOWN_ERROR" | "URI_TOO_LONG" | "WORK_QUEUE_FULL";
  message: string;
  retryable: boolean;
  retryWith?: "same-key" | "new-key";
  traceId: string;
  details?: readonly (Fault)[] | Readonly<Record<string, unknown>>;
}

export interface Eta {
  computedAt: string;
  source: string;
  historicalSampleSize: number;
  estimatedRemainingMs?: number | null;
  estimatedCompletionAt?: string | null;
  remainingMs?: Readonly<Record<string, number>> | null;
  held?: EtaAccuracy | null;
}

export interface EtaAccuracy {
  runs: number;
  p50: number;
  p80: number;
  p95: number;
}

export interface EventRecord {
  id: string;
  traceId: string;
  type: string;
  createdAt: string;
  payload: Readonly<Record<string, unknown>>;
  sessionId?: string | null;
  runId?: string | null;
  taskId?: string | null;
  parentRunId?: string | null;
  policy?: Readonly<Record<string, unknown>> | null;
  scope?: Readonly<Record<string, readonly (string)[]>> | null;
  undecodable?: boolean | null;
}

export interface EventsPage {
  events: readonly (EventRecord)[];
  cursor: string;
  head: number;
  nextCursor?: string | null;
}

export interface Evidence {
  schemaVersion: number;
  id: string;
  runId: string;
  traceId: string;
  label: string;
  type: "binary" | "json" | "text";
  sizeBytes: number;
  sha256: string;
  source: string;
  stale: boolean;
  position: number;
  eventId: string;
  createdAt: string;
  artifactRef: string;
  sessionId?: string | null;
  toolCallId?: string | null;
  policyId?: string | null;
  exitCode?: number | null;
  redacted?: boolean | null;
  content: TextContent | JsonContent | BinaryContent | null;
  contentSalt?: string | null;
}

export interface EvidenceFile {
  id: string;
  label: string;
  sha256: string;
  artifactPath: string;
  type: string;
  sizeBytes: number;
  createdAt: string;
}

export interface EvidenceRecord {
  schemaVersion: number;
  id: string;
  runId: string;
  traceId: string;
  label: string;
  type: "binary" | "json" | "text";
  sizeBytes: number;
  sha256: string;
  source: string;
  stale: boolean;
  position: number;
  eventId: string;
  createdAt: string;
  artifactRef: string;
  sessionId?: string | null;
  toolCallId?: string | null;
  policyId?: string | null;
  exitCode?: number | null;
  redacted?: boolean | null;
}

export interface EvidenceRecordPage {
  items: readonly (EvidenceRecord)[];
  nextCursor?: string | null;
}

export interface Explanation {
  runId: string;
  sessionId: string;
  status: string;
  causes: readonly (Cause)[];
  waitsFor: CurrentWait | null;
  omitted?: number;
  parentRunId?: string | null;
  plan?: RefusedPlan | null;
  request?: RefusedRequest | null;
}

export interface Failure {
  ok: false;
  error: Error;
}

export interface Fault {
  field: string;
  reason: string;
  remedy?: string | null;
}

export interface FileSnapshot {
  path: string;
  content: string;
  truncated: boolean;
}

export interface FilesPolicy {
  directory?: string | null;
  write?: boolean | null;
  fileBytesMax?: number | null;
}

export interface Finding {
  priority: "P1" | "P2" | "P3";
  confidence: number;
  title: string;
  message: string;
  suggestion?: string | null;
  file?: string | null;
  line?: number | null;
}

export interface FindingCounts {
  p1: number;
  p2: number;
  p3: number;
}

export interface FireTime {
  utc: string;
  local: string;
}

export interface FireTimePage {
  items: readonly (FireTime)[];
  nextCursor?: string | null;
}

export interface FleetCapabilities {
  supportsPodStatus: boolean;
  supportsCpuMemMetrics: boolean;
}

export interface FleetQueue {
  waiting: number;
  sessions: number;
  items: number;
  deadLetters: number;
  oldestWaitingSince?: string | null;
}

export interface FleetSummary {
  total: number;
  running: number;
  paused: number;
  pending: number;
  succeeded: number;
  failed: number;
  uptime: number;
  errorRate: number;
  capabilities: FleetCapabilities;
  operationalSummary: OperationalSummary;
  costSummary: CostSummary;
  outcomes: RunOutcomes;
  withdrawn: number;
  queue: FleetQueue;
  recent: FleetWindow;
}

export interface FleetWindow {
  windowStart: string;
  admitted: number;
  outcomes: RunOutcomes;
  refused: number;
  denied: number;
  suppressed: number;
  runTimes: RunTimes;
}

export interface ForgottenEntry {
  id: string;
  removed: boolean;
  left?: readonly (TextTrace)[] | null;
}

export interface HarnessConfig {
  provider: string;
  model: string;
  tools: readonly (string)[];
}

export interface HarnessPolicies {
  timeoutMs: number;
  retryLimit: number;
  budgetUsd: number;
  maxTurns?: number | null;
}

export interface HarnessProfile {
  displayName: string;
  version: "v1" | "v2";
  config: HarnessConfig;
  policies: HarnessPolicies;
  toolPolicies?: ToolPolicies | null;
  allowedEgress?: readonly (Egress)[] | null;
  verificationPolicies?: readonly (VerificationPolicy)[] | null;
  id: string;
  createdAt: string;
}

export interface HarnessProfilePage {
  items: readonly (HarnessProfile)[];
  nextCursor?: string | null;
}

export interface HarnessSpec {
  displayName: string;
  version: "v1" | "v2";
  config: HarnessConfig;
  policies: HarnessPolicies;
  toolPolicies?: ToolPolicies | null;
  allowedEgress?: readonly (Egress)[] | null;
  verificationPolicies?: readonly (VerificationPolicy)[] | null;
}

export interface Health {
  status: string;
  now: string;
  head: number;
  lag: number;
  queue: number;
  streams: number;
  executor: string;
  loopBlockMs: number;
  clockAheadMs: number;
  clockBehindLogMs: number;
  projections: Readonly<Record<string, ProjectionHealth>>;
  problems: readonly (BackgroundProblem)[];
  generation?: string | null;
  candidate?: string | null;
  reason?: string | null;
}

export interface HttpPolicy {
  methods?: readonly ("DELETE" | "GET" | "HEAD" | "PATCH" | "POST" | "PUT")[] | null;
  timeoutMs?: number | null;
  responseBytesMax?: number | null;
}

export interface ItemCounts {
  total: number;
  pending: number;
  running: number;
  ok: number;
  failed: number;
  cancelled: number;
}

export interface JsonContent {
  kind: "json";
  value: unknown;
}

export interface KeptAnchor {
  logId: string;
  position: number;
  chain: string;
  at: string;
  from: string;
  keptAt: string;
}

export interface KeptAnchorPage {
  items: readonly (KeptAnchor)[];
  nextCursor?: string | null;
}

export interface KeyLimit {
  scope: "harness-profile" | "provider" | "session";
  max: number;
  strategy: "enqueue" | "reject";
  key?: string | null;
}

export interface LimitCapabilities {
  bodyBytesMax: number;
  jsonDepthMax: number;
  pageItemsMax: number;
  pageBytesMax: number;
  feedScanEventsMax: number;
  runTimeoutMs: number;
  contextCharsMax: number;
  idempotencyHours: number;
  idempotencyKeyCharsMax: number;
  reasonCharsMax: number;
  headerBytesMax: number;
  headersMax: number;
  urlBytesMax: number;
  headerTimeoutMs: number;
  bodyTimeoutMs: number;
  bodiesInFlightBytesMax: number;
  answersInFlightBytesMax: number;
  sendTimeoutMs: number;
  streamsMax: number;
  streamsPerIdentityMax: number;
  refusalsPerSecond: number;
  refusalsPerDay: number;
  refusalsPerDayInAll: number;
  requestsPerSecond?: number | null;
}

export interface MapOver {
  step?: string | null;
  input?: string | null;
  path?: string | null;
  itemName?: string | null;
  maxParallel?: number | null;
}

export interface MemoryBody {
  text: string;
  metadata?: Readonly<Record<string, string>> | null;
}

export interface MemoryEntry {
  id: string;
  text: string;
  chars: number;
  createdAt: string;
  citation: string;
  metadata?: Readonly<Record<string, string>> | null;
}

export interface MemoryEntryPage {
  items: readonly (MemoryEntry)[];
  nextCursor?: string | null;
}

export interface Message {
  messageId: string;
  fromPersona: string;
  toPersona: string;
  sessionId: string;
  status: string;
  createdAt: string;
  updatedAt: string;
  payload: string | null;
  hops: number;
  attempts: number;
  sentBy: string;
  taskId?: string | null;
  stepId?: string | null;
  parentRunId?: string | null;
  runId?: string | null;
  deadLetterId?: string | null;
  requeuedFrom?: string | null;
  error?: MessageError | null;
}

export interface MessageBody {
  fromPersona: string;
  toPersona: string;
  payload: unknown;
  taskId?: string | null;
  stepId?: string | null;
  parentRunId?: string | null;
}

export interface MessageError {
  code: string;
  message: string;
}

export interface MessagePage {
  items: readonly (Message)[];
  nextCursor?: string | null;
}

export interface NoteBody {
  auditNote?: string | null;
}

export interface NoteText {
  path: string;
  text: string;
  lineStart: number;
  lineEnd: number;
}

export interface OperationalSummary {
  totalActiveRuns: number;
  totalActiveSessions: number;
  aggregateResourceUsage: ResourceUsage;
  recentFailureRejectionCount: number;
}

export interface OutcomeChange {
  runs: number;
  costUsd: number;
  bySession: readonly (ChangeShare)[];
  byProfile: readonly (ChangeShare)[];
  byTemplate: readonly (ChangeShare)[];
  byReason: readonly (ChangeShare)[];
}

export interface OutputMapping {
  fromOutput: string;
  toInput: string;
}

export interface Passage {
  id: string;
  sourcePath: string;
  snippet: string;
  score: number;
  lineStart?: number | null;
  lineEnd?: number | null;
  citation?: string | null;
}

export interface PendingApproval {
  subjectHash: string;
  requestedAt: string;
  expiresAt?: string | null;
  message?: string | null;
  approvers?: readonly (string)[] | null;
  role?: string | null;
  notRequester?: boolean | null;
}

export interface PersonaArtifacts {
  auditDir: string;
  resultJsonPath: string;
  reportMarkdownPath: string;
  outJsonPath?: string | null;
  outMarkdownPath?: string | null;
}

export interface PersonaRun {
  runId: string;
  personaName: string;
  sessionId: string;
  status: string;
  repoPath: string;
  headRef: string;
  baseRef: string;
  createdAt: string;
  finishedAt?: string | null;
  repairRunId?: string | null;
  mergeGate?: string | null;
  findings?: FindingCounts | null;
  artifacts?: Readonly<Record<string, unknown>> | null;
}

export interface PersonaRunBody {
  name: string;
  repoPath: string;
  headRef: string;
  baseRef?: string | null;
  sessionId?: string | Blank | null;
  provider?: string | null;
  model?: string | null;
  outJsonPath?: string | null;
  outMarkdownPath?: string | null;
  stdout?: "json" | "md" | "none" | "summary" | Blank | null;
}

export interface PersonaRunDetails {
  runId: string;
  personaName: string;
  sessionId: string;
  status: string;
  repoPath: string;
  headRef: string;
  baseRef: string;
  createdAt: string;
  finishedAt?: string | null;
  repairRunId?: string | null;
  mergeGate?: string | null;
  findings?: FindingCounts | null;
  artifacts?: Readonly<Record<string, unknown>> | null;
  result?: Readonly<Record<string, unknown>> | null;
}

export interface PersonaRunOutput {
  result: ReviewResult;
  stdout: string;
}

export interface PersonaRunPage {
  items: readonly (PersonaRun)[];
  nextCursor?: string | null;
}

export interface PersonaSpend {
  estimatedSpendUsd: number;
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  personaName: string;
}

export interface PolicyDocument {
  schemaVersion: number;
  maxConcurrentRuns?: number | null;
  limits?: readonly (KeyLimit)[] | null;
  defaultRunTimeoutMs?: number | null;
  defaultScheduleTimeoutMs?: number | null;
  retryBudgetPerRun?: number | null;
  costBudgetDailyUsd?: number | null;
  maxRunAttempts?: number | null;
  updatedAt: string;
}

export interface PolicyInput {
  schemaVersion: number;
  maxConcurrentRuns?: number | null;
  limits?: readonly (KeyLimit)[] | null;
  defaultRunTimeoutMs?: number | null;
  defaultScheduleTimeoutMs?: number | null;
  retryBudgetPerRun?: number | null;
  costBudgetDailyUsd?: number | null;
  maxRunAttempts?: number | null;
  updatedAt?: unknown;
}

export interface PolicyRule {
  schemaVersion: number;
  engine: string;
  ruleType: string;
  policyName?: string | null;
  ruleName?: string | null;
  failureAction?: string | null;
  message?: string | null;
}

export interface ProfileSpend {
  estimatedSpendUsd: number;
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  harnessProfileId: string;
}

export interface ProjectionHealth {
  position: number;
  lag: number;
  version: number;
  error?: string | null;
}

export interface ProviderSpend {
  estimatedSpendUsd: number;
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  provider: string;
}

export interface PutPolicyBody {
  schemaVersion?: number | null;
  maxConcurrentRuns?: number | null;
  limits?: readonly (KeyLimit)[] | null;
  defaultRunTimeoutMs?: number | null;
  defaultScheduleTimeoutMs?: number | null;
  retryBudgetPerRun?: number | null;
  costBudgetDailyUsd?: number | null;
  maxRunAttempts?: number | null;
  updatedAt?: unknown;
  policy?: PolicyInput | null;
  auditComment?: string | null;
}

export interface QueueCounts {
  followup: number;
  collect: number;
}

export interface ReachedLimit {
  scope: string;
  key: string;
  max: number;
  active: number;
}

export interface ReadMemoryBody {
  path: string;
  from?: number | null;
  lines?: number | null;
}

export interface Redrive {
  id: string | null;
  status: string;
  filter: AppliedRedriveFilter;
  ratePerSecond: number;
  total: number;
  done: number;
  requeued: number;
  skipped: number;
  failed: number;
  requestedBy: string;
  results: readonly (RedriveResult)[];
  startedAt?: string | null;
  finishedAt?: string | null;
  nextCursor?: string | null;
}

export interface RedriveBody {
  filter: RedriveFilter;
  ratePerSecond?: number | null;
  dryRun?: boolean | null;
}

export interface RedriveFilter {
  sessionId?: string | Blank | null;
  source?: string | null;
  sourcePersona?: string | null;
  targetPersona?: string | null;
  reason?: string | null;
  createdAfter?: string | null;
  createdBefore?: string | null;
}

export interface RedriveResult {
  deadLetterId: string;
  result: string;
  at: string;
  code?: string | null;
}

export interface RefusedPlan {
  model: string;
  inputChars: number;
  requestedBy: string;
  patient?: boolean | null;
  sessionStrategy?: "enqueue" | "interrupt" | "reject" | null;
  fallbacks?: readonly (string)[] | null;
  budgetMicroUsd?: number | null;
  leastMicroUsd?: number | null;
  timeoutMs?: number | null;
  parentRunId?: string | null;
}

export interface RefusedRequest {
  input?: string | null;
  directiveId?: string | null;
  contextRefs?: readonly (string)[] | null;
  metadata?: Readonly<Record<string, string>> | null;
  sizeBytes?: number | null;
  sha256?: string | null;
}

export interface RejectedRun {
  sessionId: string;
  personaName?: string | null;
}

export interface Rejection {
  id: string;
  createdAt: string;
  sessionId: string;
  activeRuns: number;
  maxConcurrentRuns: number;
  reason: string;
  event: RejectionEvent;
  actor: string;
  traceId: string;
  policy?: PolicyRule | null;
  runId?: string | null;
  directiveId?: string | null;
  harnessProfileId?: string | null;
  provider?: string | null;
  runTemplateId?: string | null;
  runTemplateVersion?: number | null;
  plan?: RefusedPlan | null;
  request?: RefusedRequest | null;
}

export interface RejectionEvent {
  schemaVersion: number;
  timestamp: string;
  policyType: string;
  limit: number;
  rejectedRunDetails: RejectedRun;
  reason: string;
  activeRuns: number;
  policy?: PolicyRule | null;
  spentMicroUsd?: number | null;
  budgetMicroUsd?: number | null;
}

export interface RejectionPage {
  items: readonly (Rejection)[];
  nextCursor?: string | null;
}

export interface Reliability {
  providerAttempts: number;
  providerRetries: number;
  fallbackHops: number;
  turnLatencyMs?: number | null;
}

export interface RemovedSchedule {
  id: string;
  removed: boolean;
}

export interface RequestCounts {
  admitted: number;
  refused: number;
  costUsd: number;
}

export interface ResourceUsage {
  cpuUsage: number;
  memoryUsage: number;
}

export interface ResumeBody {
  budgetUsd?: number | null;
}

export interface ResumeWorkflowBody {
  inputOverrides?: Readonly<Record<string, unknown>> | null;
  dryRun?: boolean | null;
}

export interface ReviewAnswer {
  schemaVersion: 1;
  mergeGate: "fail" | "pass";
  reportMarkdown: string;
  findings: readonly (Finding)[];
  dependencyInspection?: DependencyInspection | null;
}

export interface ReviewError {
  message: string;
}

export interface ReviewResult {
  schemaVersion: number;
  runId: string;
  personaName: string;
  sessionId: string;
  status: "failed" | "ok";
  startedAt: string;
  finishedAt: string;
  findings: readonly (Finding)[];
  mergeGate: "fail" | "pass";
  reportMarkdown: string;
  repoPath: string;
  headRef: string;
  baseRef: string;
  baseRefResolvedFrom: "flag" | "main" | "origin-head";
  artifacts: PersonaArtifacts;
  contextManifest: readonly (ContextFile)[];
  referencedFileMeta: readonly (ContextFile)[];
  referencedFileSnapshots: readonly (FileSnapshot)[];
  evidenceManifest: readonly (EvidenceFile)[];
  dependencyInspection: DependencyInspection;
  modelOutputRaw: string;
  parseRetryAttempted: boolean;
  modelOutputParsed?: ReviewAnswer | null;
  parseError?: string | null;
  repairRunId?: string | null;
  usage?: Usage | null;
  contextMeta?: ContextMeta | null;
  error?: ReviewError | null;
}

export interface Run {
  runId: string;
  sessionId: string;
  status: string;
  createdAt: string;
  directiveId: string;
  harnessProfileId: string;
  provider: string;
  model: string;
  attempt: number;
  evidenceCount: number;
  links: RunLinks;
  startedAt?: string | null;
  finishedAt?: string | null;
  waiting?: RunWait | null;
  paused?: RunPause | null;
  parentRunId?: string | null;
  template?: TemplateVersion | null;
  output?: string | null;
  usage?: Usage | null;
  costMicroUsd?: number | null;
  budgetMicroUsd?: number | null;
  error?: RunError | null;
  verificationStatus?: string | null;
  verificationFailures?: readonly (VerificationFailure)[] | null;
  inputPreview?: string | null;
  outputPreview?: string | null;
  outputChars?: number | null;
}

export interface RunBody {
  sessionId?: string | Blank | null;
  input?: string | null;
  directiveId?: string | null;
  harnessProfileId?: string | null;
  provider?: string | null;
  model?: string | null;
  metadata?: Readonly<Record<string, string>> | null;
  sessionStrategy?: "enqueue" | "interrupt" | "reject" | Blank | null;
  parentRunId?: string | null;
}

export interface RunError {
  code: string;
  message: string;
  retryable: boolean;
  retryWith?: "new-key" | "same-key" | null;
}

export interface RunLinks {
  self: string;
  session: string;
  events: string;
  cancel: string;
}

export interface RunOutcomes {
  completed: number;
  failed: number;
  cancelled: number;
  timedOut: number;
  crashed: number;
}

export interface RunPage {
  items: readonly (Run)[];
  nextCursor?: string | null;
}

export interface RunPause {
  reason: string;
  since: string;
}

export interface RunResult {
  sessionId: string;
  runId: string;
  output: string;
  provider: string;
  model: string;
  createdAt: string;
  directiveId: string;
  harnessProfileId: string;
  harnessProfileSnapshot: HarnessProfile;
  evidenceCount: number;
  verificationStatus: "passed" | "verification-failed";
  contextMeta: ContextMeta;
  reliability: Reliability;
  verificationFailures?: readonly (VerificationFailure)[] | null;
  usage?: Usage | null;
  template?: TemplateUse | null;
}

export interface RunScheduleBody {
  provider?: string | null;
  model?: string | null;
}

export interface RunTemplate {
  id: string;
  version: number;
  harnessProfileId: string;
  directiveTemplate: string | null;
  defaultParams: Readonly<Record<string, unknown>> | null;
  createdAt: string;
  updatedAt: string;
  paramsSchema?: Readonly<Record<string, unknown>> | null;
}

export interface RunTemplateBody {
  params?: Readonly<Record<string, unknown>> | null;
  sessionId?: string | Blank | null;
}

export interface RunTemplatePage {
  items: readonly (RunTemplate)[];
  nextCursor?: string | null;
}

export interface RunTimes {
  runs: number;
  p50Ms?: number | null;
  p95Ms?: number | null;
}

export interface RunWait {
  reason: string;
  position: number;
  blockedBy?: string | null;
  limit?: ReachedLimit | null;
}

export interface RunWorkflowBody {
  input?: Readonly<Record<string, unknown>> | null;
}

export interface ScheduleBody {
  sessionId?: string | Blank | null;
  input?: string | null;
  directiveId?: string | null;
  harnessProfileId?: string | null;
  runTemplateId?: string | null;
  params?: Readonly<Record<string, string>> | null;
  workflowId?: string | null;
  everyMinutes?: number | null;
  cron?: string | null;
  timezone?: string | null;
  runAt?: string | null;
  startAt?: string | null;
  endAt?: string | null;
  jitterSeconds?: number | null;
  overlapPolicy?: "allow-all" | "buffer-all" | "buffer-latest" | "buffer-one" | "cancel-other" | "skip" | "terminate-other" | Blank | null;
  catchUp?: "all" | "latest" | "none" | Blank | null;
  catchUpWindowSeconds?: number | null;
  pauseOnFailure?: boolean | null;
  enabled?: boolean | null;
  startNow?: boolean | null;
  paused?: boolean | null;
  note?: string | null;
  id: string;
}

export interface ScheduleNote {
  note?: string | null;
}

export interface SchedulePause {
  cause: "failure" | "requested";
  since: string;
  runId?: string | null;
}

export interface ScheduleRunLog {
  id: string;
  scheduleId: string;
  sessionId: string | null;
  startedAt: string;
  status: string;
  finishedAt?: string | null;
  nominalTime?: string | null;
  reason?: string | null;
  runId?: string | null;
  error?: string | null;
  errorCode?: string | null;
}

export interface ScheduleRunResult {
  status: string;
  id: string;
  sessionId: string | null;
  startedAt: string;
  finishedAt?: string | null;
  error?: string | null;
  errorCode?: string | null;
  reason?: string | null;
  runId?: string | null;
}

export interface ScheduleSpec {
  sessionId?: string | Blank | null;
  input?: string | null;
  directiveId?: string | null;
  harnessProfileId?: string | null;
  runTemplateId?: string | null;
  params?: Readonly<Record<string, string>> | null;
  workflowId?: string | null;
  everyMinutes?: number | null;
  cron?: string | null;
  timezone?: string | null;
  runAt?: string | null;
  startAt?: string | null;
  endAt?: string | null;
  jitterSeconds?: number | null;
  overlapPolicy?: "allow-all" | "buffer-all" | "buffer-latest" | "buffer-one" | "cancel-other" | "skip" | "terminate-other" | Blank | null;
  catchUp?: "all" | "latest" | "none" | Blank | null;
  catchUpWindowSeconds?: number | null;
  pauseOnFailure?: boolean | null;
  enabled?: boolean | null;
  startNow?: boolean | null;
  paused?: boolean | null;
  note?: string | null;
}

export interface ScheduledTask {
  schemaVersion: number;
  id: string;
  sessionId: string | null;
  input: string | null;
  enabled: boolean;
  paused: boolean;
  running: boolean;
  overlapPolicy: "allow-all" | "buffer-all" | "buffer-latest" | "buffer-one" | "cancel-other" | "skip" | "terminate-other";
  catchUp: "all" | "latest" | "none";
  catchUpWindowSeconds: number;
  pauseOnFailure: boolean;
  jitterSeconds: number;
  buffered: number;
  revision: number;
  createdAt: string;
  updatedAt: string;
  updatedBy: string;
  nextRunAt: string | null;
  lastRunAt?: string | null;
  everyMinutes?: number | null;
  cron?: string | null;
  timezone?: string | null;
  runAt?: string | null;
  startAt?: string | null;
  endAt?: string | null;
  directiveId?: string | null;
  harnessProfileId?: string | null;
  runTemplateId?: string | null;
  params?: Readonly<Record<string, string>> | null;
  workflowId?: string | null;
  note?: string | null;
  pausedBecause?: SchedulePause | null;
}

export interface ScheduledTaskPage {
  items: readonly (ScheduledTask)[];
  nextCursor?: string | null;
}

export interface Session {
  id: string;
  schemaVersion: number;
  transcriptPath: string;
  createdAt: string;
  updatedAt: string;
  model?: string | null;
  provider?: string | null;
}

export interface SessionPage {
  items: readonly (Session)[];
  nextCursor?: string | null;
}

export interface SessionSpend {
  estimatedSpendUsd: number;
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  sessionId: string;
}

export interface ShellPolicy {
  commands: readonly (readonly (string)[])[];
  directory?: string | null;
  timeoutMs?: number | null;
  outputBytesMax?: number | null;
}

export interface SimulateBody {
  policy: PolicyInput;
  since?: string | null;
  runId?: string | null;
}

export interface SimulatedOutcome {
  runId: string;
  waited: boolean;
  recorded?: string | null;
  simulated?: string | null;
}

export interface Simulation {
  since: number;
  to: number;
  truncated: boolean;
  requests: number;
  recorded: RequestCounts;
  simulated: RequestCounts;
  waited: number;
  paused: number;
  newlyRejected: OutcomeChange;
  newlyAllowed: OutcomeChange;
  estimated: number;
  notSimulated: readonly ("attempts" | "callers" | "children" | "pauses" | "retries" | "strategies" | "timeouts")[];
  run?: SimulatedOutcome | null;
}

export interface Step {
  id: string;
  directiveId?: string | null;
  harnessProfileId?: string | null;
  outputs?: readonly (string)[] | null;
  execution?: StepExecution | null;
  triggerRule?: "all-done" | "all-succeeded" | "one-failed" | Blank | null;
  when?: Condition | null;
  map?: MapOver | null;
  approval?: Approval | null;
}

export interface StepExecution {
  maxAttempts?: number | null;
  timeoutMs?: number | null;
  metadata?: Readonly<Record<string, string>> | null;
}

export interface StepItem {
  item: number;
  status: string;
  attempt: number;
  runId?: string | null;
  error?: string | null;
}

export interface StepItemPage {
  items: readonly (StepItem)[];
  nextCursor?: string | null;
}

export interface StepState {
  stepId: string;
  status: string;
  attempt: number;
  ready: boolean;
  dependencyReadiness: DependencyReadiness;
  updatedAt: string;
  checkpoint?: Checkpoint | null;
  runId?: string | null;
  note?: string | null;
  items?: readonly (StepItem)[] | null;
  itemCounts?: ItemCounts | null;
  itemsTruncated?: boolean | null;
  approval?: PendingApproval | null;
}

export interface TemplateSpec {
  harnessProfileId: string;
  directiveTemplate: string;
  defaultParams: Readonly<Record<string, unknown>>;
  paramsSchema?: Readonly<Record<string, unknown>> | null;
}

export interface TemplateUse {
  id: string;
  version: number;
  harnessProfileId: string;
  effectiveParams: Readonly<Record<string, unknown>>;
}

export interface TemplateVersion {
  id: string;
  version: number;
}

export interface TextContent {
  kind: "text";
  text: string;
}

export interface TextTrace {
  place: string;
  reason: string;
  remedy: string;
}

export interface TickBody {
  provider?: string | null;
  model?: string | null;
  at?: string | null;
}

export interface TickResult {
  at: string;
  run: readonly (ScheduleRunResult)[];
  skipped: number;
}

export interface TokenMix {
  inputTokens: number;
  outputTokens: number;
  totalTokens: number;
  inputRatio: number;
  outputRatio: number;
}

export interface ToolPolicies {
  shell?: ShellPolicy | null;
  http?: HttpPolicy | null;
  files?: FilesPolicy | null;
}

export interface TranscriptDelta {
  runId: string;
  turn: number;
  offset?: number | null;
  text?: string | null;
  reset?: boolean;
  settled?: boolean;
}

export interface TranscriptEntry {
  id: string;
  role: string;
  content: string | null;
  kind: string;
  metadata: Readonly<Record<string, string>>;
  createdAt: string;
  runId: string;
  toolCallId?: string | null;
  toolName?: string | null;
  isError?: boolean | null;
  provisional?: boolean | null;
  runStatus?: string | null;
}

export interface TranscriptEntryPage {
  items: readonly (TranscriptEntry)[];
  nextCursor?: string | null;
}

export interface UpdatedSchedule {
  id: string;
  updated: boolean;
  schedule?: ScheduledTask | null;
}

export interface Usage {
  inputTokens?: number | null;
  outputTokens?: number | null;
  totalTokens?: number | null;
  cachedInputTokens?: number | null;
  cacheWriteTokens?: number | null;
  reasoningTokens?: number | null;
}

export interface VerificationFailure {
  policyId: string;
  kind: string;
  message: string;
  details: Readonly<Record<string, string>>;
}

export interface VerificationPolicy {
  id: string;
  kind: "command" | "contains" | "json-schema" | "require-evidence";
  label: string;
  evidenceType?: "binary" | "json" | "text" | Blank | null;
  command?: readonly (string)[] | null;
  schema?: Readonly<Record<string, unknown>> | null;
  contains?: string | null;
}

export interface ViewDigest {
  position: number;
  rows: number;
  sha256: string;
}

export interface ViewDigests {
  generation: string | null;
  views: Readonly<Record<string, ViewDigest>>;
}

export interface WorkDrain {
  drainId: string;
  sessionId: string;
  status: string;
  requestedBy: string;
  automatic: boolean;
  startedAt: string;
  queueDepthBefore: number;
  drainedItems: number;
  queueDepthAfter?: number | null;
  finishedAt?: string | null;
  provider?: string | null;
  model?: string | null;
  runId?: string | null;
  error?: DrainError | null;
}

export interface WorkItem {
  id: string;
  sessionId: string;
  payload: string | null;
  mode: string;
  createdAt: string;
  attempts: number;
  runId?: string | null;
  messageId?: string | null;
  deadLetterId?: string | null;
}

export interface WorkQueueState {
  schemaVersion: number;
  sessionId: string;
  items: readonly (WorkItem)[];
  itemCounts: QueueCounts;
  draining: boolean;
  updatedAt: string;
  nextCursor?: string | null;
}

export interface Worker {
  id: string;
  kind: "command" | "server" | "worker";
  status: "alive" | "lost";
  host: string;
  pid: number;
  providers: readonly (string)[];
  concurrency: number;
  running: number;
  since: string;
  heartbeat: string;
  problems: readonly (BackgroundProblem)[];
}

export interface Workers {
  items: readonly (Worker)[];
}

export interface Workflow {
  id: string;
  definition: WorkflowDefinition;
  createdAt: string;
  createdBy: string;
}

export interface WorkflowBody {
  definition: WorkflowDefinition;
}

export interface WorkflowDefinition {
  steps: readonly (Step)[];
  dependencies: readonly (Dependency)[];
}

export interface WorkflowLogLine {
  id: string;
  level: string;
  message: string;
  createdAt: string;
  stepId?: string | null;
}

export interface WorkflowPage {
  items: readonly (Workflow)[];
  nextCursor?: string | null;
}

export interface WorkflowProgress {
  totalSteps: number;
  completedSteps: number;
  runningSteps: number;
  failedSteps: number;
  pendingSteps: number;
  skippedSteps: number;
  waitingSteps: number;
  percentComplete: number;
}

export interface WorkflowRun {
  schemaVersion: number;
  id: string;
  workflowId: string;
  status: string;
  stepOrder: readonly (string)[];
  stepStates: Readonly<Record<string, StepState>>;
  executionLog: readonly (WorkflowLogLine)[];
  createdAt: string;
  updatedAt: string;
  requestedBy: string;
  resumedFromRunId?: string | null;
  startedAt?: string | null;
  finishedAt?: string | null;
  executionLogTruncated?: boolean | null;
  dryRun?: DryRun | null;
}

export interface WorkflowRunDetails {
  workflow: Workflow;
  run: WorkflowRun | null;
  nodes: readonly (StepState)[];
  progress: WorkflowProgress;
  artifactRefs: readonly (ArtifactRef)[];
  eta: Eta;
}

export interface WorkflowRunSummary {
  id: string;
  workflowId: string;
  status: string;
  createdAt: string;
  updatedAt: string;
  requestedBy: string;
  resumedFromRunId?: string | null;
  startedAt?: string | null;
  finishedAt?: string | null;
}

export interface WorkflowRunSummaryPage {
  items: readonly (WorkflowRunSummary)[];
  nextCursor?: string | null;
}

export const getCapabilities: Operation<Capabilities> = { id: "getCapabilities", method: "GET", path: "/capabilities", command: "capabilities" };

export const getCaller: Operation<Caller> = { id: "getCaller", method: "GET", path: "/caller", command: "whoami" };

export const getAdminHealth: Operation<Health> = { id: "getAdminHealth", method: "GET", path: "/admin/health", command: "health" };

export const acceptClock: Operation<AcceptedClock> = { id: "acceptClock", method: "POST", path: "/admin/clock/accept", command: "clock accept" };

export const getViewDigests: Operation<ViewDigests> = { id: "getViewDigests", method: "GET", path: "/admin/digests", command: "digests" };

export const listWorkers: Operation<Workers> = { id: "listWorkers", method: "GET", path: "/workers", command: "workers" };

export const createRun: Operation<RunResult> = { id: "createRun", method: "POST", path: "/runs", command: "run" };

export const listRuns: Operation<RunPage> = { id: "listRuns", method: "GET", path: "/runs", command: "runs list" };

export const getRun: Operation<Run> = { id: "getRun", method: "GET", path: "/runs/:runId", command: "runs get" };

export const listRunEvidence: Operation<EvidenceRecordPage> = { id: "listRunEvidence", method: "GET", path: "/runs/:runId/evidence", command: "runs evidence" };

export const getRunEvidence: Operation<Evidence> = { id: "getRunEvidence", method: "GET", path: "/runs/:runId/evidence/:evidenceId", command: "runs evidence-get" };

export const explainRun: Operation<Explanation> = { id: "explainRun", method: "GET", path: "/runs/:runId/explain", command: "runs explain" };

export const listActiveRuns: Operation<ActiveRunPage> = { id: "listActiveRuns", method: "GET", path: "/runs/active", command: "runs active" };

export const listCancellationRequests: Operation<CancelRequestPage> = { id: "listCancellationRequests", method: "GET", path: "/runs/cancel-requests", command: "runs cancel-requests" };

export const cancelRunByRunId: Operation<Cancelled> = { id: "cancelRunByRunId", method: "POST", path: "/run-control/by-run/:runId/cancel", command: "cancel" };

export const cancelRun: Operation<Cancelled> = { id: "cancelRun", method: "POST", path: "/runs/:sessionId/cancel", command: "cancel" };

export const resumeRun: Operation<Run> = { id: "resumeRun", method: "POST", path: "/runs/:runId/resume", command: "resume" };

export const listSessions: Operation<SessionPage> = { id: "listSessions", method: "GET", path: "/sessions", command: "sessions list" };

export const getSession: Operation<Session> = { id: "getSession", method: "GET", path: "/sessions/:sessionId", command: "sessions get" };

export const getSessionTranscript: Operation<TranscriptEntryPage> = { id: "getSessionTranscript", method: "GET", path: "/sessions/:sessionId/transcript", command: "sessions transcript" };

export const streamSessionTranscript: Operation<never> = { id: "streamSessionTranscript", method: "GET", path: "/sessions/:sessionId/transcript/stream", command: "sessions transcript-stream" };

export const listDirectives: Operation<DirectivePage> = { id: "listDirectives", method: "GET", path: "/directives", command: "directives list" };

export const createDirective: Operation<Directive> = { id: "createDirective", method: "POST", path: "/directives", command: "directives create" };

export const getDirective: Operation<Directive> = { id: "getDirective", method: "GET", path: "/directives/:directiveId", command: "directives get" };

export const listHarnessProfiles: Operation<HarnessProfilePage> = { id: "listHarnessProfiles", method: "GET", path: "/harness-profiles", command: "harness-profiles list" };

export const createHarnessProfile: Operation<HarnessProfile> = { id: "createHarnessProfile", method: "POST", path: "/harness-profiles", command: "harness-profiles create" };

export const getHarnessProfile: Operation<HarnessProfile> = { id: "getHarnessProfile", method: "GET", path: "/harness-profiles/:harnessProfileId", command: "harness-profiles get" };

export const listRunTemplates: Operation<RunTemplatePage> = { id: "listRunTemplates", method: "GET", path: "/run-templates", command: "run-templates list" };

export const createRunTemplate: Operation<RunTemplate> = { id: "createRunTemplate", method: "POST", path: "/run-templates", command: "run-templates create" };

export const getRunTemplate: Operation<RunTemplate> = { id: "getRunTemplate", method: "GET", path: "/run-templates/:templateId", command: "run-templates get" };

export const updateRunTemplate: Operation<RunTemplate> = { id: "updateRunTemplate", method: "PUT", path: "/run-templates/:templateId", command: "run-templates put" };

export const runTemplate: Operation<RunResult> = { id: "runTemplate", method: "POST", path: "/templates/:templateId/run", command: "run" };

export const enqueueWork: Operation<WorkQueueState> = { id: "enqueueWork", method: "POST", path: "/work/enqueue", command: "work enqueue" };

export const getSessionWorkQueue: Operation<WorkQueueState> = { id: "getSessionWorkQueue", method: "GET", path: "/sessions/:sessionId/work-queue", command: "work status" };

export const drainWork: Operation<DrainResult> = { id: "drainWork", method: "POST", path: "/work/:sessionId/drain", command: "work drain" };

export const getWorkDrain: Operation<WorkDrain> = { id: "getWorkDrain", method: "GET", path: "/work/drains/:drainId", command: "work drain-get" };

export const sendA2aMessage: Operation<Message> = { id: "sendA2aMessage", method: "POST", path: "/a2a/messages", command: "a2a send" };

export const listA2aMessages: Operation<MessagePage> = { id: "listA2aMessages", method: "GET", path: "/a2a/messages", command: "a2a list" };

export const getA2aMessage: Operation<Message> = { id: "getA2aMessage", method: "GET", path: "/a2a/messages/:messageId", command: "a2a get" };

export const listA2aDlq: Operation<DeadLetterPage> = { id: "listA2aDlq", method: "GET", path: "/a2a/dlq", command: "a2a dlq" };

export const getA2aDlqItem: Operation<DeadLetter> = { id: "getA2aDlqItem", method: "GET", path: "/a2a/dlq/:id", command: "a2a dlq-get" };

export const requeueA2aDlqItem: Operation<DecidedDeadLetter> = { id: "requeueA2aDlqItem", method: "POST", path: "/a2a/dlq/:id/requeue", command: "a2a requeue" };

export const discardA2aDlqItem: Operation<DecidedDeadLetter> = { id: "discardA2aDlqItem", method: "POST", path: "/a2a/dlq/:id/discard", command: "a2a discard" };

export const restoreA2aDlqItem: Operation<DecidedDeadLetter> = { id: "restoreA2aDlqItem", method: "POST", path: "/a2a/dlq/:id/restore", command: "a2a restore" };

export const searchMemory: Operation<readonly (Passage)[]> = { id: "searchMemory", method: "GET", path: "/memory/search", command: "memory search" };

export const getMemory: Operation<NoteText> = { id: "getMemory", method: "POST", path: "/memory/get", command: "memory get" };

export const listMemory: Operation<MemoryEntryPage> = { id: "listMemory", method: "GET", path: "/memory", command: "memory list" };

export const recordMemory: Operation<MemoryEntry> = { id: "recordMemory", method: "POST", path: "/memory", command: "memory add" };

export const getMemoryEntry: Operation<MemoryEntry> = { id: "getMemoryEntry", method: "GET", path: "/memory/:entryId", command: "memory show" };

export const forgetMemory: Operation<ForgottenEntry> = { id: "forgetMemory", method: "DELETE", path: "/memory/:entryId", command: "memory forget" };

export const listAnchors: Operation<KeptAnchorPage> = { id: "listAnchors", method: "GET", path: "/anchors", command: "anchors list" };

export const keepAnchor: Operation<AnchorReceipt> = { id: "keepAnchor", method: "POST", path: "/anchors", command: "anchors keep" };

export const redriveA2aDlq: Operation<Redrive> = { id: "redriveA2aDlq", method: "POST", path: "/a2a/dlq/redrive", command: "a2a redrive" };

export const getA2aDlqRedrive: Operation<Redrive> = { id: "getA2aDlqRedrive", method: "GET", path: "/a2a/dlq/redrive/:id", command: "a2a redrive-get" };

export const cancelA2aDlqRedrive: Operation<Redrive> = { id: "cancelA2aDlqRedrive", method: "DELETE", path: "/a2a/dlq/redrive/:id", command: "a2a redrive-cancel" };

export const listWorkflows: Operation<WorkflowPage> = { id: "listWorkflows", method: "GET", path: "/workflows", command: "workflows list" };

export const createWorkflow: Operation<Workflow> = { id: "createWorkflow", method: "POST", path: "/workflows", command: "workflows create" };

export const getWorkflow: Operation<Workflow> = { id: "getWorkflow", method: "GET", path: "/workflows/:workflowId", command: "workflows get" };

export const listWorkflowRuns: Operation<WorkflowRunSummaryPage> = { id: "listWorkflowRuns", method: "GET", path: "/workflows/:workflowId/runs", command: "workflow runs" };

export const runWorkflow: Operation<WorkflowRun> = { id: "runWorkflow", method: "POST", path: "/workflows/:workflowId/run", command: "workflow run" };

export const getWorkflowRun: Operation<WorkflowRunDetails> = { id: "getWorkflowRun", method: "GET", path: "/workflows/run/:id", command: "workflow status" };

export const resumeWorkflow: Operation<WorkflowRun | null> = { id: "resumeWorkflow", method: "POST", path: "/workflows/run/:id/resume", command: "workflow resume" };

export const cancelWorkflowRun: Operation<WorkflowRun> = { id: "cancelWorkflowRun", method: "POST", path: "/workflows/run/:id/cancel", command: "workflow cancel" };

export const listWorkflowRunItems: Operation<StepItemPage> = { id: "listWorkflowRunItems", method: "GET", path: "/workflows/run/:id/steps/:step/items", command: "workflow items" };

export const approveWorkflowStep: Operation<WorkflowRun> = { id: "approveWorkflowStep", method: "POST", path: "/workflows/run/:id/steps/:step/approve", command: "workflow approve" };

export const rejectWorkflowStep: Operation<WorkflowRun> = { id: "rejectWorkflowStep", method: "POST", path: "/workflows/run/:id/steps/:step/reject", command: "workflow reject" };

export const runPersona: Operation<PersonaRunOutput> = { id: "runPersona", method: "POST", path: "/personas/run", command: "persona run" };

export const listPersonaRuns: Operation<PersonaRunPage> = { id: "listPersonaRuns", method: "GET", path: "/personas/runs", command: "persona list" };

export const getPersonaRun: Operation<PersonaRunDetails> = { id: "getPersonaRun", method: "GET", path: "/personas/runs/:runId", command: "persona show" };

export const getPolicy: Operation<PolicyDocument | null> = { id: "getPolicy", method: "GET", path: "/policy", command: "policy show" };

export const putPolicy: Operation<PolicyDocument> = { id: "putPolicy", method: "PUT", path: "/policy", command: "policy put" };

export const simulatePolicy: Operation<Simulation> = { id: "simulatePolicy", method: "POST", path: "/policy/simulate", command: "policy simulate" };

export const listPolicyConcurrencyRejections: Operation<RejectionPage> = { id: "listPolicyConcurrencyRejections", method: "GET", path: "/policy/rejections", command: "policy rejections" };

export const listSchedules: Operation<ScheduledTaskPage> = { id: "listSchedules", method: "GET", path: "/schedules", command: "schedule list" };

export const createSchedule: Operation<ScheduledTask> = { id: "createSchedule", method: "POST", path: "/schedules", command: "schedule add" };

export const tickSchedules: Operation<TickResult> = { id: "tickSchedules", method: "POST", path: "/schedules/tick", command: "schedule tick" };

export const getSchedule: Operation<ScheduledTask> = { id: "getSchedule", method: "GET", path: "/schedules/:scheduleId", command: "schedule get" };

export const updateSchedule: Operation<ScheduledTask> = { id: "updateSchedule", method: "PUT", path: "/schedules/:scheduleId", command: "schedule put" };

export const deleteSchedule: Operation<RemovedSchedule> = { id: "deleteSchedule", method: "DELETE", path: "/schedules/:scheduleId", command: "schedule remove" };

export const runSchedule: Operation<ScheduleRunResult> = { id: "runSchedule", method: "POST", path: "/schedules/:scheduleId/run", command: "schedule run" };

export const enableSchedule: Operation<UpdatedSchedule> = { id: "enableSchedule", method: "POST", path: "/schedules/:scheduleId/enable", command: "schedule enable" };

export const disableSchedule: Operation<UpdatedSchedule> = { id: "disableSchedule", method: "POST", path: "/schedules/:scheduleId/disable", command: "schedule disable" };

export const pauseSchedule: Operation<UpdatedSchedule> = { id: "pauseSchedule", method: "POST", path: "/schedules/:scheduleId/pause", command: "schedule pause" };

export const resumeSchedule: Operation<UpdatedSchedule> = { id: "resumeSchedule", method: "POST", path: "/schedules/:scheduleId/resume", command: "schedule resume" };

export const getScheduleLogs: Operation<readonly (ScheduleRunLog)[]> = { id: "getScheduleLogs", method: "GET", path: "/schedules/:scheduleId/logs", command: "schedule logs" };

export const previewSchedule: Operation<FireTimePage> = { id: "previewSchedule", method: "GET", path: "/schedules/:scheduleId/preview", command: "schedule preview" };

export const getAuditTrail: Operation<AuditEntryPage> = { id: "getAuditTrail", method: "GET", path: "/governance/audit-trail", command: "audit" };

export const getFleetSummary: Operation<FleetSummary> = { id: "getFleetSummary", method: "GET", path: "/fleet/summary", command: "fleet" };

export const listEvents: Operation<EventsPage> = { id: "listEvents", method: "GET", path: "/events", command: "events list" };

export const streamEvents: Operation<never> = { id: "streamEvents", method: "GET", path: "/events/stream", command: "events tail" };
