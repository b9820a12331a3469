// The lists and records that need no page of their own: a row for each.

import type { DeadLetter, Operation, Rejection, ScheduledTask } from "@projectathena/client";
import {
  cleanWorkspace,
  createDirective,
  createHarnessProfile,
  createRun,
  createRunTemplate,
  createSchedule,
  createToken,
  deleteSchedule,
  disableSchedule,
  discardA2aDlqItem,
  drainWork,
  enableSchedule,
  enqueueWork,
  forgetMemory,
  getA2aMessage,
  getAuditTrail,
  getDirective,
  getHarnessProfile,
  getMemoryEntry,
  getPersonaRun,
  getRunTemplate,
  getSchedule,
  getSession,
  getSessionTranscript,
  getSessionWorkQueue,
  getToken,
  getWorkspace,
  keepWorkspace,
  listA2aDlq,
  listA2aMessages,
  listAnchors,
  listDirectives,
  listHarnessProfiles,
  listMemory,
  listPersonaRuns,
  listPolicyConcurrencyRejections,
  listRuns,
  listRunTemplates,
  listSchedules,
  listSessions,
  listTokens,
  listWorkQueues,
  listWorkspaces,
  pauseSchedule,
  recordMemory,
  redriveA2aDlq,
  requeueA2aDlqItem,
  restoreA2aDlqItem,
  resumeSchedule,
  revokeToken,
  runPersona,
  runSchedule,
  runTemplate,
  sendA2aMessage,
  updateRunTemplate,
  updateSchedule,
} from "@projectathena/client/operations";
import type { JSX } from "preact";
import { DeadLetterDetails } from "../pages/dead_letters";
import { REJECTION_CELLS, RejectionDetails } from "../pages/rejections";
import { SCHEDULE_CELLS, ScheduleTimes } from "../pages/schedules";
import { TITLES } from "../route";
import { positionOf } from "../state/events";
import { type Members, textLine } from "../state/schema";
import type { ActionSpec } from "./actions";
import { AuditDetails } from "./audit";
import type { Cells } from "./rows";
import { BeforeAndAfter } from "./ui";

/** The columns of a part that shows texts. */
export const CONVERSATION = "conversation";

/** A list inside a record. */
export interface Part {
  readonly title: string;
  readonly list: Operation<unknown>;
  /** The columns of its table, or `CONVERSATION`. */
  readonly columns: string;
  /** The name of the parameter that takes the id, if it is not in the path. */
  readonly by?: string;
  readonly empty: string;
}

/** An act on a record. */
export interface Act {
  readonly operation: Operation<unknown>;
  readonly label: string;
  /** The question of its dialog. Without one it runs at once. */
  readonly question?: string;
  readonly fields?: ActionSpec<unknown>["fields"];
  readonly danger?: boolean;
  readonly done: string | ((record: Members) => string);
  /** True if the record is gone after it. */
  readonly leaves?: boolean;
  readonly body?: Members;
  readonly when?: (record: Members) => boolean;
}

/** A link to a form, beside a title. */
export interface FormLink {
  readonly operation: Operation<unknown>;
  readonly label: string;
  /** The parameter of the form that takes the id. */
  readonly by?: string;
}

/** A kind of records. */
export interface Kind {
  /** Default: the one of its page. */
  readonly title: string;
  /** What a record is called. Default: made of the title. */
  readonly one: string;
  readonly about: string;
  readonly list: Operation<unknown>;
  readonly get?: Operation<unknown>;
  /** The member that identifies a record. Default: `id`. */
  readonly id?: string;
  /** The member that links to it, if it is not the id: a time. */
  readonly link?: string;
  /** Sent with each request of the list. */
  readonly query?: Readonly<Record<string, string>>;
  /** The columns after the id, as names of members; `~` and `#` as in tables. */
  readonly columns: string;
  /** How the types of events begin that change it; a pattern. */
  readonly events: string;
  /** What an empty list leads to. */
  readonly empty: string;
  readonly create?: Operation<unknown>;
  readonly forms?: readonly FormLink[];
  readonly acts?: readonly Act[];
  readonly parts?: readonly Part[];
  /** The values of filters with a fixed set. */
  readonly options?: Readonly<Record<string, readonly string[]>>;
  /** The cells of columns that are not one member. */
  readonly cells?: Cells;
  /** Further panels of a record. */
  readonly more?: (record: Members) => JSX.Element;
  /** True if the list can be read as CSV. */
  readonly csv?: boolean;
  /** Shows a record below its row. Default without a page: its members. */
  readonly details?: (record: Members) => JSX.Element;
}

const DEAD_LETTER_REASONS = ["attempts-exhausted", "cancelled", "hop-limit", "not-allowed", "unknown-persona", "unrunnable"];
const REJECTION_REASONS = ["max-concurrent-runs-exceeded", "key-limit-exceeded", "daily-cost-budget-exceeded", "unpriced-model"];
/** The types of events that entries are made of. */
const AUDITED =
  "a2a.dlq|authn|authz|clock|halt|log|mcp-server|payload|permission-rule|policy|requests|roles|runs?.(answered|bulk|cancel|resumed)|schedule|token|workflow.(approval|run.cancel|resumed)|workspace|[A-Z]";

const AUDIT_KINDS = ["anchor", "approval", "ask", "authentication", "bulk", "cancel", "clock", "dead-letter", "denial", "fork", "halt", "mcp-server"];

const is =
  (name: string, wanted: unknown) =>
  (record: Members): boolean =>
    record[name] === wanted;

const isActive = is("status", "active");

const RUNS: Part = {
  title: "Runs",
  list: listRuns,
  by: "sessionId",
  columns: "runId status inputPreview ~outputPreview ~createdAt",
  empty: "No runs yet.",
};

const QUEUE: Part = { title: "Queue", list: getSessionWorkQueue, columns: "~id payload mode ~#attempts createdAt", empty: "Nothing waits." };

const REASON = { auditNote: textLine("Recorded in the audit log", "Reason") };
const NOTE = { note: textLine("", "Reason") };

const ROWS: Readonly<Record<string, Omit<Kind, "title" | "one"> & Partial<Kind>>> = {
  sessions: {
    ...{ list: listSessions, get: getSession, events: "session." },
    about: "Conversations over several runs.",
    columns: "~provider ~model ~createdAt updatedAt",
    empty: "No sessions yet. A run creates one.",
    forms: [
      { operation: createRun, label: "Start a run", by: "sessionId" },
      { operation: enqueueWork, label: "Add to its queue", by: "sessionId" },
    ],
    parts: [RUNS, { title: "Conversation", list: getSessionTranscript, columns: CONVERSATION, empty: "Nothing was said yet." }, QUEUE],
  },
  schedules: {
    ...{ list: listSchedules, get: getSchedule, events: "schedule." },
    about: "Runs and workflows that start at their times.",
    columns: "status trigger nextRunAt ~lastRunAt ~target",
    cells: SCHEDULE_CELLS,
    empty: "No schedules yet. Create one with “New schedule”.",
    create: createSchedule,
    forms: [
      { operation: updateSchedule, label: "Edit", by: "of" },
      { operation: createSchedule, label: "Copy", by: "of" },
    ],
    acts: [
      { operation: runSchedule, label: "Run now", body: {}, done: "Started. The schedule is unchanged." },
      {
        ...{ operation: pauseSchedule, label: "Pause", body: {}, fields: NOTE, done: "Paused.", when: (one) => !one.paused },
        question: "Scheduled times are recorded as skipped until you resume. Current runs continue.",
      },
      { operation: resumeSchedule, label: "Resume", body: {}, done: "Resumed.", when: is("paused", true) },
      {
        ...{ operation: disableSchedule, label: "Disable", danger: true, done: "Disabled.", when: is("enabled", true) },
        question: "A disabled schedule starts no runs and skips its scheduled times.",
      },
      { operation: enableSchedule, label: "Enable", done: "Enabled.", when: is("enabled", false) },
      {
        ...{ operation: deleteSchedule, label: "Remove", danger: true, done: "Removed.", leaves: true },
        question: "Removes the schedule. Current runs continue, and its history is kept.",
      },
    ],
    more: (schedule) => <ScheduleTimes schedule={schedule as unknown as ScheduledTask} />,
  },
  letters: {
    ...{ list: listA2aDlq, events: "a2a.dlq." },
    about: "Work items and messages that failed permanently, oldest first.",
    columns: "status reason ~lastError.code ~sessionId ~createdAt",
    empty: "No dead letters: no work has failed for good.",
    create: redriveA2aDlq,
    options: { status: ["pending", "requeued", "discarded"], reason: DEAD_LETTER_REASONS },
    details: (letter) => <DeadLetterDetails letter={letter as unknown as DeadLetter} />,
    acts: [
      {
        ...{ operation: requeueA2aDlqItem, label: "Requeue", body: {}, when: is("status", "pending") },
        done: ({ source, sessionId }) => (source === "work" ? `Requeued: it waits in queue "${sessionId}" until you drain it.` : "Requeued."), // messages are delivered automatically
      },
      {
        ...{ operation: discardA2aDlqItem, label: "Discard", fields: REASON, danger: true, done: "Discarded.", when: is("status", "pending") },
        question: "Drops the work. You can restore it later.",
      },
      { operation: restoreA2aDlqItem, label: "Restore", body: {}, done: "Restored. The dead letter is pending again.", when: is("status", "discarded") },
    ],
  },
  rejections: {
    ...{ title: "Rejected runs", list: listPolicyConcurrencyRejections, events: "policy.rejected", link: "createdAt" },
    about: "Requests for runs that the policy rejected, newest first. No run was created for them.",
    query: { order: "newest" },
    columns: "reason ~sessionId ~actor #load",
    cells: REJECTION_CELLS,
    empty: "No rejected runs. The limits under Policy reject some.",
    options: { reason: REJECTION_REASONS },
    details: (rejection) => <RejectionDetails rejection={rejection as unknown as Rejection} />,
  },
  profiles: {
    ...{ list: listHarnessProfiles, get: getHarnessProfile, events: "harness-profile." },
    about: "A model with its tools, limits and rules. A profile never changes; copy it to change it.",
    columns: "displayName config.provider config.model ~config.tools ~createdAt",
    empty: "No agents yet. Create the first one with “New agent (profile)”.",
    create: createHarnessProfile,
    forms: [
      { operation: createRun, label: "Start a run", by: "harnessProfileId" },
      { operation: createSchedule, label: "Schedule it", by: "harnessProfileId" },
      { operation: createHarnessProfile, label: "Copy", by: "of" },
    ],
    parts: [{ ...RUNS, by: "harnessProfileId" }],
  },
  templates: {
    ...{ list: listRunTemplates, get: getRunTemplate, events: "run-template." },
    about: "Tasks with parameters, for an agent.",
    columns: "directiveTemplate ~displayName ~harnessProfileId ~#version updatedAt",
    empty: "No templates yet. Create one for a task that you start often.",
    create: createRunTemplate,
    forms: [
      { operation: runTemplate, label: "Run", by: "of" },
      { operation: updateRunTemplate, label: "Edit", by: "of" },
      { operation: createSchedule, label: "Schedule it", by: "runTemplateId" },
    ],
  },
  directives: {
    ...{ list: listDirectives, get: getDirective, events: "directive." },
    about: "Tasks as text, for runs, schedules and steps of workflows.",
    columns: "input createdAt",
    empty: "No directives yet. Steps of workflows need them.",
    create: createDirective,
    forms: [{ operation: createRun, label: "Start a run", by: "directiveId" }],
  },
  memory: {
    ...{ one: "Memory entry", list: listMemory, get: getMemoryEntry, events: "memory." },
    about: "Notes that runs recall.",
    columns: "text ~#chars createdAt",
    empty: "Nothing is remembered yet. Agents with tool memory add entries, and so can you.",
    create: recordMemory,
    acts: [
      { operation: forgetMemory, label: "Forget", question: "Erases the text. Runs that recalled it keep their record.", danger: true, done: "Forgotten." },
    ],
  },
  queues: {
    ...{ list: listWorkQueues, get: getSessionWorkQueue, id: "sessionId", events: "work." },
    about: "Work that waits for a session. It is done when the queue is drained.",
    columns: "#itemCount oldestItemSince ~drainId",
    empty: "No work waits. Add some with “Add to a queue”.",
    create: enqueueWork,
    parts: [QUEUE],
    acts: [{ operation: drainWork, label: "Drain", done: "Draining.", body: {} }],
  },
  messages: {
    ...{ list: listA2aMessages, get: getA2aMessage, id: "messageId", events: "a2a.message." },
    about: "What personas send each other.",
    columns: "fromPersona toPersona status ~#attempts ~runId createdAt",
    empty: "No messages yet. Send one with “Send a message”.",
    create: sendA2aMessage,
    options: { status: ["sent", "started", "completed", "failed"] },
  },
  reviews: {
    ...{ list: listPersonaRuns, get: getPersonaRun, id: "runId", events: "persona.run." },
    about: "What personas found in changes of a repository.",
    columns: "personaName status mergeGate ~repoPath ~headRef createdAt",
    empty: "No reviews yet. A persona reviews a commit of a repository in the workspace.",
    create: runPersona,
    options: { status: ["running", "ok", "failed"] },
  },
  workspaces: {
    ...{ list: listWorkspaces, get: getWorkspace, id: "workspaceId", events: "workspace." },
    about: "The directories of sessions and workflow runs that do not work in the shared workspace.",
    columns: "status keep sessionId ~source ~#sizeBytes ~#runs lastUsedAt",
    empty: "No workspaces. An agent with its own workspace creates one for each session.",
    options: { status: ["active", "cleaned"], kind: ["session", "workflow-run"] },
    acts: [
      {
        ...{ operation: keepWorkspace, label: "Keep", done: "Kept.", body: { keep: true }, when: (one) => isActive(one) && !one.keep },
        question: "Athena does not clean it, however long it is unused.",
      },
      {
        ...{ operation: keepWorkspace, label: "Release", done: "Released.", body: { keep: false }, when: (one) => isActive(one) && one.keep === true },
        question: "Athena may clean it again once it was unused for long enough.",
      },
      {
        ...{ operation: cleanWorkspace, label: "Clean", danger: true, done: "Cleaned.", when: isActive },
        question: "Deletes its files, also the ones that no run has brought back. Recorded diffs stay.",
      },
    ],
  },
  anchors: {
    ...{ list: listAnchors, id: "position", link: "keptAt", events: "anchor." },
    about: "Positions of logs with the values of their chains, sent here to be kept.",
    columns: "#position chain ~logId ~from",
    empty: "No anchors. A server sends its own ones to another server, which keeps them.",
  },
  tokens: {
    ...{ list: listTokens, get: getToken, id: "tokenId", events: "token." },
    about: "Secrets by which clients log in, and sessions of the console.",
    columns: "identity role status ~kind ~note ~lastUsedAt expiresAt",
    empty: "No tokens yet. A CI job or another person logs in with one.",
    create: createToken,
    options: { status: ["active", "expired", "revoked"], kind: ["token", "session"] },
    acts: [{ operation: revokeToken, label: "Revoke", question: "Its requests are rejected from now on.", danger: true, done: "Revoked.", when: isActive }],
  },
  audit: {
    ...{ one: "Entry", list: getAuditTrail, link: "createdAt", events: AUDITED },
    about: "Changes, decisions and denials with who did it, newest first.",
    columns: "type actor ~target ~reason #fleet",
    cells: { fleet: ({ id }) => <BeforeAndAfter position={positionOf(String(id))} /> },
    empty: "Nothing is recorded yet.",
    csv: true,
    options: { kind: AUDIT_KINDS },
    details: (record) => <AuditDetails record={record} />,
  },
};

/** The kinds by their page. */
export const KINDS: Readonly<Record<string, Kind>> = Object.fromEntries(
  Object.entries(ROWS).map(([page, row]) => {
    const { title = TITLES[page] ?? "" } = row;
    return [page, { one: title.replace(/s\b/g, ""), ...row, title }];
  }),
);
